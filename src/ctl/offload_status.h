/* SPDX-License-Identifier: MIT */
/* mmproxyctl offload status. */
#ifndef MMPROXY_CTL_OFFLOAD_STATUS_H
#define MMPROXY_CTL_OFFLOAD_STATUS_H

struct config;
struct options;

/* 0: loaded, and wherever it belongs; 1: something is missing, or cannot be looked at. */
int offload_status(const struct options *options, const struct config *config);

#endif
