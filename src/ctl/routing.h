/* SPDX-License-Identifier: MIT */
/* mmproxyctl routing show. It needs no running mmproxy. */
#ifndef MMPROXY_CTL_ROUTING_H
#define MMPROXY_CTL_ROUTING_H

struct options;

/* 0: all is there, as far as can be told; 1: something is missing; 2: mistakes in the file. */
int routing_run(const struct options *options);

#endif
