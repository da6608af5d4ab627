/* SPDX-License-Identifier: MIT */
/* A build without libmnl. */
#include <errno.h>

#include "routing/nft_table.h"

int nft_table_find(const char *name)
{
	(void)name;
	return -EOPNOTSUPP;
}
