/* SPDX-License-Identifier: MIT */
/* How many descriptors this process may have. */
#ifndef MMPROXY_OS_DESCRIPTORS_H
#define MMPROXY_OS_DESCRIPTORS_H

/* Raises RLIMIT_NOFILE to its hard limit and returns what holds afterwards. */
unsigned descriptors_raise_limit(void);

/* How many are open now. */
unsigned descriptors_open(void);

#endif
