/* SPDX-License-Identifier: MIT */
/* A build without libmnl cannot ask. */
#include <errno.h>

#include "routing/return_check.h"

bool return_check_supported(void)
{
	return false;
}

int return_check_all(const struct return_plan *plan, struct return_verdict *verdicts)
{
	(void)plan;
	(void)verdicts;
	return -EOPNOTSUPP;
}
