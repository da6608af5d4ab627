/* SPDX-License-Identifier: MIT */
/* The policy by which this process is scheduled. */
#include "os/scheduling.h"

#include <errno.h>
#include <sched.h>

int scheduling_use_batch(void)
{
	const struct sched_param none = {0};

	if (sched_getscheduler(0) != SCHED_OTHER)
		return 0;
	return sched_setscheduler(0, SCHED_BATCH, &none) == 0 ? 0 : -errno;
}
