/* SPDX-License-Identifier: MIT */
/*
 * Making a datagram one of another pair of addresses, with or without a header in front of its
 * payload.
 *
 * It is the payload that moves, not what stands before it: a datagram that was sent on this host
 * has no checksum yet, only the place in memory where one is to be made, and that must stay the
 * place of its UDP header.
 */
#ifndef MMPROXY_OFFLOAD_BPF_REWRITE_H
#define MMPROXY_OFFLOAD_BPF_REWRITE_H

#include "checksum.h"
#include "datagram.h"

#define UDP_CHECKSUM   __builtin_offsetof(struct udphdr, check)
#define UDP_LENGTH     __builtin_offsetof(struct udphdr, len)
#define IPV6_ADDRESSES __builtin_offsetof(struct ipv6hdr, saddr)
#define IPV6_LENGTH    __builtin_offsetof(struct ipv6hdr, payload_len)

#define SCRATCH_SIZE 16384 /* a power of two, for the verifier's sake */

_Static_assert(OFFLOAD_UDP_MOVED_MAX < SCRATCH_SIZE, "what is moved fits");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8[SCRATCH_SIZE]);
} offload_udp_scratch SEC(".maps");

/* `length` bytes, which may be none, go from one place in the packet to another. */
INLINE int move_bytes(struct __sk_buff *skb, __u32 from, __u32 to, __u32 length)
{
	__u32 key = 0;
	__u8 *scratch = bpf_map_lookup_elem(&offload_udp_scratch, &key);

	if (scratch == NULL)
		return -1;
	if (length == 0)
		return 0;
	length = bounded(length, SCRATCH_SIZE);
	if (bpf_skb_load_bytes(skb, from, scratch, length) != 0)
		return -1;
	return bpf_skb_store_bytes(skb, to, scratch, length, 0);
}

/* Takes the first `length` bytes of the payload away. */
INLINE int take_header(struct __sk_buff *skb, const struct datagram *datagram, __u32 length)
{
	__u32 payload = datagram->transport + sizeof(struct udphdr);
	__u32 left = datagram->payload - length;

	if (move_bytes(skb, payload + length, payload, left) != 0)
		return -1;
	return bpf_skb_change_tail(skb, payload + left, 0);
}

/* Puts SPP's header in front of the payload. */
INLINE int put_header(struct __sk_buff *skb, const struct datagram *datagram, const __u8 *header)
{
	__u32 payload = datagram->transport + sizeof(struct udphdr);
	__u32 end = payload + datagram->payload;

	if (bpf_skb_change_tail(skb, end + OFFLOAD_UDP_SPP_LENGTH, 0) != 0 ||
	    move_bytes(skb, payload, payload + OFFLOAD_UDP_SPP_LENGTH, datagram->payload) != 0)
		return -1;
	return bpf_skb_store_bytes(skb, payload, header, OFFLOAD_UDP_SPP_LENGTH, 0);
}

INLINE int rewrite_ipv4(struct __sk_buff *skb, const struct offload_udp_change *change,
			__u32 length)
{
	struct iphdr *ip = bytes_at(skb, ETH_HLEN, sizeof(*ip));

	if (ip == NULL)
		return -1;
	ip->tot_len = bpf_htons(sizeof(*ip) + length);
	ip->check = changed_checksum(ip->check, change->ip);
	ip->saddr = change->tuple.source[3];
	ip->daddr = change->tuple.destination[3];
	return 0;
}

/*
 * There is no checksum in the header that would even out what changes in it, so the sum of a whole
 * packet, where the interface has made one, must be told.
 */
INLINE int rewrite_ipv6(struct __sk_buff *skb, const struct offload_udp_change *change,
			__u32 length)
{
	__u16 written = bpf_htons(length);
	__u32 addresses[8];

	__builtin_memcpy(addresses, change->tuple.source, sizeof(addresses));
	if (bpf_skb_store_bytes(skb, ETH_HLEN + IPV6_LENGTH, &written, sizeof(written),
				BPF_F_RECOMPUTE_CSUM) != 0)
		return -1;
	return bpf_skb_store_bytes(skb, ETH_HLEN + IPV6_ADDRESSES, addresses, sizeof(addresses),
				   BPF_F_RECOMPUTE_CSUM);
}

/* Addresses, ports, lengths, checksums. `payload`: its length as it is now. */
INLINE int rewrite(struct __sk_buff *skb, const struct datagram *datagram,
		   const struct offload_udp_change *change, __u32 payload)
{
	__u32 checksum = datagram->transport + UDP_CHECKSUM;
	__u32 length = payload + sizeof(struct udphdr);
	struct udphdr *udp;

	/* Of one that has no checksum yet the first is all that it has. */
	if (bpf_l4_csum_replace(skb, checksum, 0, change->addresses,
				BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0) != 0 ||
	    bpf_l4_csum_replace(skb, checksum, 0, change->rest, BPF_F_MARK_MANGLED_0) != 0)
		return -1;
	if (datagram->ipv6 ? rewrite_ipv6(skb, change, length) : rewrite_ipv4(skb, change, length))
		return -1;
	udp = bytes_at(skb, datagram->transport, sizeof(*udp));
	if (udp == NULL)
		return -1;
	udp->source = change->tuple.source_port;
	udp->dest = change->tuple.destination_port;
	udp->len = bpf_htons(length);
	return 0;
}

#endif
