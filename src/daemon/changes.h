/* SPDX-License-Identifier: MIT */
/* What a reload must leave as it is. */
#ifndef MMPROXY_DAEMON_CHANGES_H
#define MMPROXY_DAEMON_CHANGES_H

struct config;
struct report;

/* Returns 0, or -EINVAL after a line for each change that needs a restart. */
int changes_admit(const struct config *old, const struct config *new, struct report *mistakes);

#endif
