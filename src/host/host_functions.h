/* SPDX-License-Identifier: MIT */
/* The functions that a plugin may call. */
#ifndef MMPROXY_HOST_HOST_FUNCTIONS_H
#define MMPROXY_HOST_HOST_FUNCTIONS_H

#include <mmproxy/plugin.h>

/* `workers` is 0 where there are none, in `check`. */
void host_functions_fill(struct mmproxy_host *functions, unsigned workers);

#endif
