/* SPDX-License-Identifier: MIT */
/* The time, in nanoseconds of CLOCK_MONOTONIC. */
#ifndef MMPROXY_OFFLOAD_BPF_CLOCK_H
#define MMPROXY_OFFLOAD_BPF_CLOCK_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/*
 * Does the kernel have the coarse clock's helper, as from Linux 5.11? Set before loading: the
 * verifier leaves out what follows from the other answer.
 */
const volatile __u8 offload_coarse_clock __attribute__((weak)) = 0;

/* Reading the other clock takes a fifth of what a packet does. This is late by a tick, 10 ms at
 * most.
 */
static __always_inline __u64 clock_now(void)
{
	return offload_coarse_clock ? bpf_ktime_get_coarse_ns() : bpf_ktime_get_ns();
}

#endif
