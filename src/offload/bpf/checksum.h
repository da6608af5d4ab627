/* SPDX-License-Identifier: MIT */
/* Checksums of the Internet (RFC 1624), where a helper's call would cost more than the sum does. */
#ifndef MMPROXY_OFFLOAD_BPF_CHECKSUM_H
#define MMPROXY_OFFLOAD_BPF_CHECKSUM_H

#include <linux/types.h>

/* Ones' complement of 16 bits. */
static __always_inline __u16 folded(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)(sum + (sum >> 16));
}

/* `difference` grows by what the new word adds to a sum, less what the old one did. */
static __always_inline void replace_word(__u32 *word, __u32 value, __u64 *difference)
{
	*difference += (__u64)(__u32) ~*word + value;
	*word = value;
}

/* What becomes of an IPv4 header's checksum. */
static __always_inline __u16 changed_checksum(__u16 checksum, __u64 difference)
{
	return (__u16)~folded((__u16)~checksum + difference);
}

#endif
