/* SPDX-License-Identifier: MIT */
/* How many descriptors this process may have. */
#ifndef MMPROXY_OS_DESCRIPTORS_H
#define MMPROXY_OS_DESCRIPTORS_H

/*
 * Opens /dev/null for each standard stream that is closed: the next socket would get its number,
 * and the log would go to a peer. Call before anything else is opened.
 */
void descriptors_fill_standard_streams(void);

/* Raises RLIMIT_NOFILE to its hard limit and returns what holds afterwards. */
unsigned descriptors_raise_limit(void);

/* How many are open now. */
unsigned descriptors_open(void);

#endif
