/* SPDX-License-Identifier: MIT */
/* Commands that change something. Each returns the exit status. */
#ifndef MMPROXY_CTL_MANAGE_H
#define MMPROXY_CTL_MANAGE_H

struct options;

int manage_kill(const struct options *options);
int manage_reload(const struct options *options);
int manage_drain(const struct options *options);
int manage_log_level(const struct options *options);

#endif
