/* SPDX-License-Identifier: MIT */
/* mmproxyctl offload: the kernel's programs, put in place, shown and taken away. No daemon is
 * asked. */
#ifndef MMPROXY_CTL_OFFLOAD_H
#define MMPROXY_CTL_OFFLOAD_H

struct options;

/* 0: done, or all is in place; 1: it is not; 2: mistakes, or a build without BPF. */
int offload_run(const struct options *options);

#endif
