/* SPDX-License-Identifier: MIT */
/* mmproxyctl decode: what a header says, and what mmproxy would say of it. Asks no daemon. */
#ifndef MMPROXY_CTL_DECODE_H
#define MMPROXY_CTL_DECODE_H

#include <stdbool.h>

struct options;

/* Returns 0: all was accepted; 1: not all; 2: the input cannot be read. */
int decode_run(const struct options *options);

/* Was libpcap built in? */
bool decode_reads_captures(void);

#endif
