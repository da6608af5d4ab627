/* SPDX-License-Identifier: MIT */
#ifndef MMPROXY_OFFLOAD_KERNEL_UDP_DATAPATH_H
#define MMPROXY_OFFLOAD_KERNEL_UDP_DATAPATH_H

#include "offload/udp_datapath.h"

/* Of what kernel_datapath_open() returns. */
extern const struct udp_datapath_calls kernel_udp_datapath;

#endif
