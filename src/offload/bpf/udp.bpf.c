/* SPDX-License-Identifier: MIT */
/*
 * The kernel's side of UDP flows that were handed over, at the ingress of lo and of the interfaces
 * that balancers come by. A datagram from the balancer loses its header and becomes the client's; a
 * reply becomes the listener's, with the header in front where the framing wants one. Whatever is
 * not just like that goes on to the daemon: by the listener's socket, or, a reply, by one that it
 * keeps for that.
 */
#include <linux/pkt_cls.h>

#include "clock.h"
#include "datagram.h"
#include "rewrite.h"

#define LOOPBACK_INTERFACE 1

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, OFFLOAD_UDP_FLOWS);
	__type(key, struct offload_udp_key);
	__type(value, __u64);
} offload_udp_places SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, OFFLOAD_UDP_FLOWS);
	__type(key, struct offload_tuple);
	__type(value, __u64);
} offload_udp_replies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, OFFLOAD_UDP_FLOWS);
	__type(key, __u64);
	__type(value, struct offload_udp_flow);
} offload_udp_flows SEC(".maps");

/* No program reads it: it is here to be pinned with the others. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, OFFLOAD_UDP_FLOWS);
	__type(key, __u64);
	__type(value, struct offload_udp_record);
} offload_udp_records SEC(".maps");

INLINE struct offload_udp_flow *flow_of(const __u64 *id)
{
	return id == NULL ? NULL : bpf_map_lookup_elem(&offload_udp_flows, id);
}

/* Has nothing come by it for so long that it has ended, whether or not there is a daemon to say so?
 */
INLINE int is_over(const struct offload_udp_flow *flow, __u64 now)
{
	__u64 last = flow->moved;

	if (flow->idle == 0)
		return 0;
	if (flow->from_client.last_seen > last)
		last = flow->from_client.last_seen;
	if (flow->from_upstream.last_seen > last)
		last = flow->from_upstream.last_seen;
	return now > last && now - last > flow->idle;
}

INLINE void count(struct offload_udp_count *counted, __u32 datagrams, __u64 bytes, __u64 now)
{
	__sync_fetch_and_add(&counted->datagrams, datagrams);
	__sync_fetch_and_add(&counted->bytes, bytes);
	counted->last_seen = now;
}

#define V2_IPV4_LENGTH 28

/* PROXY v2 of IPv4 without TLVs, which most are: what has not been read already. */
INLINE int has_plain_header(struct __sk_buff *skb, const struct datagram *datagram,
			    const struct offload_udp_flow *flow)
{
	const __u32 *words =
		bytes_at(skb, datagram->transport + sizeof(struct udphdr), V2_IPV4_LENGTH);
	const __u32 *wanted = (const __u32 *)flow->header;

	return words != NULL && words[3] == wanted[3] && words[4] == wanted[4] &&
	       words[5] == wanted[5] && words[6] == wanted[6];
}

/* Is it the header that the daemon has read and found right, to the byte? */
INLINE int has_header(struct __sk_buff *skb, const struct datagram *datagram,
		      const struct offload_udp_flow *flow)
{
	__u32 words[OFFLOAD_UDP_HEADER_SIZE / 4] = {};
	const __u32 *wanted = (const __u32 *)flow->header;
	__u32 length = flow->length;

	if (datagram->framing != flow->framing || datagram->payload < length)
		return 0;
	if (length == 0)
		return 1;
	if (length == V2_IPV4_LENGTH && flow->framing == OFFLOAD_UDP_EVERY)
		return has_plain_header(skb, datagram, flow);
	if (bpf_skb_load_bytes(skb, datagram->transport + sizeof(struct udphdr), words,
			       bounded(length, sizeof(words))) != 0)
		return 0;
	for (__u32 i = 0; i < OFFLOAD_UDP_HEADER_SIZE / 4; i++) {
		if (i * 4 >= length)
			break;
		if (words[i] != wanted[i])
			return 0;
	}
	return 1;
}

/* From the balancer. */
INLINE int send_up(struct __sk_buff *skb, const struct datagram *datagram,
		   struct offload_udp_flow *flow)
{
	const __u8 nobody[ETH_ALEN] = {};
	__u64 now = clock_now();
	__u32 length = flow->length;

	/* Joined datagrams have a header each, or may have. */
	if (skb->gso_size != 0 || skb->ifindex != flow->interface || is_over(flow, now) ||
	    !has_header(skb, datagram, flow) ||
	    (length != 0 && datagram->payload - length > OFFLOAD_UDP_MOVED_MAX))
		return TC_ACT_UNSPEC;
	if (length != 0 && take_header(skb, datagram, length) != 0)
		return TC_ACT_SHOT;
	if (rewrite(skb, datagram, &flow->to_upstream, datagram->payload - length) != 0)
		return TC_ACT_SHOT;
	count(&flow->from_client, 1, datagram->payload - length, now);
	if (flow->interface == LOOPBACK_INTERFACE)
		return TC_ACT_UNSPEC;
	/* With the interface's own address lo would take it for somebody else's. */
	if (bpf_skb_store_bytes(skb, 0, nobody, ETH_ALEN, 0) != 0)
		return TC_ACT_SHOT;
	return bpf_redirect(LOOPBACK_INTERFACE, BPF_F_INGRESS);
}

/* A reply that is the daemon's: to the socket that it keeps for them, and unchanged. */
INLINE int leave_to_daemon(struct __sk_buff *skb, const struct datagram *datagram,
			   const struct offload_udp_flow *flow)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *socket;
	int error;

	if (datagram->ipv6) {
		__builtin_memcpy(tuple.ipv6.saddr, datagram->key.tuple.source, 16);
		tuple.ipv6.daddr[3] = bpf_htonl(1);
		tuple.ipv6.sport = datagram->key.tuple.source_port;
		tuple.ipv6.dport = flow->spill_port;
		socket = bpf_sk_lookup_udp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	} else {
		tuple.ipv4.saddr = datagram->key.tuple.source[3];
		tuple.ipv4.daddr = bpf_htonl(0x7f000001);
		tuple.ipv4.sport = datagram->key.tuple.source_port;
		tuple.ipv4.dport = flow->spill_port;
		socket = bpf_sk_lookup_udp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	/* There is no daemon any more, */
	if (socket == NULL)
		return TC_ACT_SHOT;
	/* and the port is somebody else's now. */
	error = socket->mark == OFFLOAD_UDP_SPILL_MARK ? bpf_sk_assign(skb, socket, 0) : -1;
	bpf_sk_release(socket);
	return error == 0 ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

/* Does the reply, with its header, fit the way to the balancer as it is? */
INLINE int fits(struct __sk_buff *skb, const struct datagram *datagram,
		const struct offload_udp_flow *flow, __u32 header)
{
	__u32 heads = datagram->transport - ETH_HLEN + sizeof(struct udphdr) + header;

	if (header != 0 && (skb->gso_size != 0 || datagram->payload > OFFLOAD_UDP_MOVED_MAX))
		return 0;
	if (flow->interface == LOOPBACK_INTERFACE)
		return heads + datagram->payload <= 0xffff;
	return heads + (skb->gso_size != 0 ? skb->gso_size : datagram->payload) <= flow->mtu;
}

/* From the upstream. */
INLINE int send_down(struct __sk_buff *skb, const struct datagram *datagram,
		     struct offload_udp_flow *flow)
{
	__u32 header = flow->framing == OFFLOAD_UDP_SPP ? OFFLOAD_UDP_SPP_LENGTH : 0;
	__u32 datagrams = skb->gso_size != 0 ? skb->gso_segs : 1;
	__u64 now = clock_now();

	if (is_over(flow, now) || !fits(skb, datagram, flow, header))
		return leave_to_daemon(skb, datagram, flow);
	if (header != 0 && put_header(skb, datagram, flow->header) != 0)
		return TC_ACT_SHOT;
	if (rewrite(skb, datagram, &flow->to_balancer, datagram->payload + header) != 0)
		return TC_ACT_SHOT;
	count(&flow->from_upstream, datagrams, datagram->payload, now);
	if (flow->interface == LOOPBACK_INTERFACE)
		return TC_ACT_UNSPEC;
	/* What leads answers to lo must not lead them there now. */
	skb->mark = 0;
	return bpf_redirect_neigh(flow->interface, NULL, 0, 0);
}

INLINE struct offload_udp_flow *find_place(const struct datagram *datagram)
{
	return flow_of(bpf_map_lookup_elem(&offload_udp_places, &datagram->key));
}

INLINE struct offload_udp_flow *find_reply(const struct datagram *datagram)
{
	return flow_of(bpf_map_lookup_elem(&offload_udp_replies, &datagram->key.tuple));
}

SEC("tc")
int offload_udp(struct __sk_buff *skb)
{
	struct datagram datagram = {};
	struct offload_udp_flow *flow;
	int foreign, headed;

	if (read_datagram(skb, &datagram) != 0)
		return TC_ACT_UNSPEC;
	if ((void *)(long)skb->data + HEADS_MAX > (void *)(long)skb->data_end)
		bpf_skb_pull_data(skb, skb->len < HEADS_MAX ? skb->len : HEADS_MAX);
	foreign = read_client(skb, &datagram) != 0;
	/* What a reply begins with is the upstream's affair: it may look like a header. */
	headed = datagram.framing != OFFLOAD_UDP_BARE;
	if (headed && !foreign) {
		flow = find_place(&datagram);
		if (flow != NULL)
			return send_up(skb, &datagram, flow);
	}
	/* Upstreams are on this host: who answers from elsewhere is somebody else. */
	flow = skb->ifindex == LOOPBACK_INTERFACE ? find_reply(&datagram) : NULL;
	if (flow != NULL)
		return send_down(skb, &datagram, flow);
	if (headed && datagram.framing == OFFLOAD_UDP_EVERY)
		return TC_ACT_UNSPEC;
	/* Where only the first datagram has a header, SPP's is payload. */
	if (headed) {
		__builtin_memset(datagram.key.client, 0, sizeof(datagram.key.client));
		datagram.key.client_port = 0;
		datagram.framing = OFFLOAD_UDP_BARE;
	}
	flow = find_place(&datagram);
	return flow != NULL ? send_up(skb, &datagram, flow) : TC_ACT_UNSPEC;
}

/* Some helpers are only for programs that say so. */
char LICENSE[] SEC("license") = "Dual MIT/GPL";
