/* SPDX-License-Identifier: MIT */
/* The datapath of this kernel. Where the program was built without BPF there is none to be had. */
#ifndef MMPROXY_OFFLOAD_KERNEL_DATAPATH_H
#define MMPROXY_OFFLOAD_KERNEL_DATAPATH_H

#include <stdint.h>

struct datapath;

/* Of what is pinned in `directory`. NULL with errno: see programs_open(); ENOSYS: built without. */
struct datapath *kernel_datapath_open(const char *directory);
void kernel_datapath_close(struct datapath *datapath); /* takes NULL */

/* What it has open, by enum program of programs.h. */
const int *kernel_datapath_fds(struct datapath *datapath);

/* Readable when sessions have ended. */
int kernel_datapath_events(const struct datapath *datapath);

/* Calls `ended` for each that has since the last call. One thread at a time. */
void kernel_datapath_read(struct datapath *datapath, void (*ended)(uint64_t session, void *context),
			  void *context);

#endif
