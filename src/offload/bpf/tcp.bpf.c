/* SPDX-License-Identifier: MIT */
/*
 * The kernel's side of a session's hand-off, at the ingress of lo and of the interfaces that
 * balancers come by. Of a session that is observed it notes how far each leg is; of one that has
 * been moved it makes the packets of each leg those of the other.
 */
#include <linux/pkt_cls.h>

#include "change.h"
#include "icmp.h"
#include "send.h"
#include "session.h"

INLINE void tell_end(__u64 session)
{
	struct offload_event event = {.session = session};

	count_live(-1);
	bpf_ringbuf_output(&offload_events, &event, sizeof(event), 0);
}

/* The socket knows nothing of what has come since, and would complain. */
INLINE int give_to_socket(struct __sk_buff *skb, const struct packet *packet,
			  const struct segment *segment)
{
	__u32 before = bpf_htonl(segment->sequence), after = bpf_htonl(segment->expected);

	if (!is_after(segment->sequence, segment->expected))
		return TC_ACT_UNSPEC;
	if (bpf_skb_store_bytes(skb, packet->transport + TCP_SEQUENCE, &after, sizeof(after), 0) !=
		    0 ||
	    bpf_l4_csum_replace(skb, packet->transport + TCP_CHECKSUM, before, after,
				sizeof(after)) != 0)
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

INLINE int segment_arrived(struct __sk_buff *skb, struct packet *packet)
{
	struct segment segment = {};
	struct offload_place *found;
	struct session *session;
	struct place place;
	int state;

	found = bpf_map_lookup_elem(&offload_places, &packet->tuple);
	if (found == NULL)
		return TC_ACT_UNSPEC;
	session = bpf_map_lookup_elem(&offload_sessions, &found->session);
	if (session == NULL || read_segment(skb, packet, &segment) != 0)
		return TC_ACT_UNSPEC;
	place = place_of(session, found->leg);
	if (is_from_elsewhere(&place, skb->ifindex))
		return TC_ACT_UNSPEC;
	state = note_segment(session, found->leg, &segment, skb->ifindex);
	if (state == OFFLOAD_OBSERVED)
		return TC_ACT_UNSPEC;
	if (segment.for_socket)
		return give_to_socket(skb, packet, &segment);
	if (state == JUST_ENDED)
		tell_end(found->session);
	/* A new connection between the same two: it is the listener's, or another mmproxy's. */
	if (state == OFFLOAD_ENDED && segment.syn) {
		bpf_map_delete_elem(&offload_places, &packet->tuple);
		return TC_ACT_UNSPEC;
	}
	/* The others of its packet would not follow it. */
	if (segment.fragment || change_segment(skb, packet, &segment, &place.base->change) != 0)
		return TC_ACT_SHOT;
	return send_on(skb, place.base->change.way, place.other_base->interface);
}

SEC("tc")
int offload_tcp(struct __sk_buff *skb)
{
	struct packet packet = {};

	if (read_packet(skb, &packet) != 0)
		return TC_ACT_UNSPEC;
	if (packet.protocol != IPPROTO_TCP)
		return packet.fragment ? TC_ACT_UNSPEC : icmp_arrived(skb, packet.ipv6);
	return segment_arrived(skb, &packet);
}

/* Takes struct offload_move as its packet; returns enum offload_move_result. */
SEC("tc")
int offload_tcp_move(struct __sk_buff *skb)
{
	struct offload_move move;
	struct session *session;
	int result = OFFLOAD_MOVE_UNKNOWN;

	if (bpf_skb_load_bytes(skb, 0, &move, sizeof(move)) != 0)
		return result;
	session = bpf_map_lookup_elem(&offload_sessions, &move.session);
	if (session == NULL)
		return result;
	bpf_spin_lock(&session->lock);
	if (session->state == OFFLOAD_OBSERVED) {
		result = OFFLOAD_MOVE_LATE;
		if (is_quiet(&session->legs[0], move.legs[0].received) &&
		    is_quiet(&session->legs[1], move.legs[1].received) &&
		    !is_after(session->legs[0].acked, move.legs[0].sent) &&
		    !is_after(session->legs[1].acked, move.legs[1].sent)) {
#pragma clang loop unroll(full)
			for (int i = 0; i < 2; i++) {
				struct offload_leg *leg = &session->legs[i];
				struct offload_base *base = &session->bases[i];

				base->sent = move.legs[i].sent;
				base->edge = move.legs[i].edge;
				base->change = move.legs[i].change;
				leg->delivered = (__s32)(leg->acked - base->sent);
			}
			session->state = OFFLOAD_MOVED;
			result = OFFLOAD_MOVE_DONE;
		}
	}
	bpf_spin_unlock(&session->lock);
	if (result == OFFLOAD_MOVE_DONE)
		count_live(1);
	return result;
}

/* Takes struct offload_end as its packet. */
SEC("tc")
int offload_tcp_end(struct __sk_buff *skb)
{
	struct offload_end end;
	struct session *session;
	int ended;

	if (bpf_skb_load_bytes(skb, 0, &end, sizeof(end)) != 0)
		return OFFLOAD_MOVE_UNKNOWN;
	session = bpf_map_lookup_elem(&offload_sessions, &end.session);
	if (session == NULL)
		return OFFLOAD_MOVE_UNKNOWN;
	bpf_spin_lock(&session->lock);
	ended = session->state == OFFLOAD_MOVED;
	if (ended) {
		session->legs[OFFLOAD_BALANCER].seen |= OFFLOAD_SEEN_TAKEN;
		session->state = OFFLOAD_ENDED;
	}
	bpf_spin_unlock(&session->lock);
	if (!ended)
		return OFFLOAD_MOVE_UNKNOWN;
	tell_end(end.session);
	return OFFLOAD_MOVE_DONE;
}

/* Some helpers are only for programs that say so. */
char LICENSE[] SEC("license") = "Dual MIT/GPL";
