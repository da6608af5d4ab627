/* SPDX-License-Identifier: MIT */
/*
 * Who works with a directory's programs: one daemon at a time, by flock(2) on the directory, which
 * goes with the process whatever ends it.
 */
#ifndef MMPROXY_OFFLOAD_LOCK_H
#define MMPROXY_OFFLOAD_LOCK_H

#include <sys/types.h>

/* A descriptor, which is to be closed; -EWOULDBLOCK: another has it; or another -errno. */
int lock_take(const char *directory);

/* Who has it; 0: nobody, or nobody that can be seen from here. */
pid_t lock_holder(const char *directory);

#endif
