/* SPDX-License-Identifier: MIT */
/*
 * How the kernel schedules this process: sched(7).
 *
 * On a host whose CPUs are shared by balancer, proxy and upstream, a thread that is woken by the
 * first byte takes the CPU from the very process that was about to send the rest, and goes to sleep
 * again after a message. Under SCHED_BATCH it waits until that one has had its turn, and finds
 * more to do at once. While a CPU is idle there is no difference.
 */
#ifndef MMPROXY_OS_SCHEDULING_H
#define MMPROXY_OS_SCHEDULING_H

enum scheduling {
	SCHEDULING_BATCH,
	SCHEDULING_INHERIT, /* as the process was started */
};

/*
 * SCHED_BATCH for the calling thread and all that it makes from now on. Whoever started the process
 * under another policy than the usual one meant that: then nothing changes. Returns 0 or -errno:
 * -EPERM where a filter of system calls forbids it.
 */
int scheduling_use_batch(void);

#endif
