/* SPDX-License-Identifier: MIT */
/* Commands that ask and print. Each returns the exit status. */
#ifndef MMPROXY_CTL_SHOW_H
#define MMPROXY_CTL_SHOW_H

struct options;

int show_status(const struct options *options);
int show_listeners(const struct options *options);
int show_sessions(const struct options *options);
int show_clients(const struct options *options);
int show_counters(const struct options *options);
int show_plugins(const struct options *options);
int show_metrics(const struct options *options);

#endif
