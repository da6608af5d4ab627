/* SPDX-License-Identifier: MIT */
/*
 * The kernel's side of a session's hand-off, at the ingress of lo and of the interfaces that
 * balancers come by. Of a session that is observed it notes how far each leg is; of one that has
 * been moved it makes the packets of each leg those of the other.
 */
#include <linux/pkt_cls.h>

#include "change.h"
#include "segment.h"

/* struct offload_session, with the lock's own type, by which the kernel knows it. */
struct session {
	struct bpf_spin_lock lock;
	__u32 state;
	__u64 last_active;
	struct offload_leg legs[2];
};

_Static_assert(sizeof(struct session) == sizeof(struct offload_session), "one layout");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 18);
	__type(key, struct offload_tuple);
	__type(value, struct offload_place);
} offload_places SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 17);
	__type(key, __u64);
	__type(value, struct session);
} offload_sessions SEC(".maps");

/* No program reads it: it is here to be pinned with the others. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 17);
	__type(key, __u64);
	__type(value, struct offload_record);
} offload_records SEC(".maps");

/* Room for as many ends as there are sessions would be 3 MiB; what finds none is swept up later. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} offload_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OFFLOAD_ABOUT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} offload_about SEC(".maps");

INLINE void count_live(__s64 change)
{
	__u32 key = OFFLOAD_ABOUT_LIVE;
	__s64 *live = bpf_map_lookup_elem(&offload_about, &key);

	if (live != NULL)
		__sync_fetch_and_add(live, change);
}

INLINE int is_after(__u32 one, __u32 other)
{
	return (__s32)(one - other) > 0;
}

INLINE void note_end(struct offload_leg *leg, const struct segment *segment)
{
	__u32 end = segment->sequence + segment->payload + segment->syn + segment->fin;

	/* One without payload says as well how far the leg is. */
	if (!(leg->seen & OFFLOAD_SEEN_ANY) || is_after(end, leg->end))
		leg->end = end;
	if (segment->fin && !is_after(leg->end, end))
		leg->seen |= OFFLOAD_SEEN_FIN;
}

INLINE void note_acknowledgement(struct offload_leg *leg, const struct segment *segment)
{
	if (!segment->ack)
		return;
	if (!(leg->seen & OFFLOAD_SEEN_ANY))
		leg->acked = segment->acknowledgement;
	if (!is_after(segment->acknowledgement, leg->acked))
		return;
	leg->delivered += segment->acknowledgement - leg->acked;
	leg->acked = segment->acknowledgement;
}

INLINE void note_timestamp(struct offload_leg *leg, const struct segment *segment)
{
	if (segment->timestamps == 0)
		return;
	if (!(leg->seen & OFFLOAD_SEEN_TIMESTAMP) || is_after(segment->timestamp, leg->timestamp))
		leg->timestamp = segment->timestamp;
	leg->seen |= OFFLOAD_SEEN_TIMESTAMP;
}

/* What the segment says of its leg, whatever becomes of it. */
INLINE void note(struct session *session, struct offload_leg *leg, const struct segment *segment,
		 __u32 interface, __u64 now)
{
	leg->last_seen = now;
	if (segment->odd)
		leg->seen |= OFFLOAD_SEEN_ODD;
	if (segment->rst)
		return;
	note_end(leg, segment);
	note_acknowledgement(leg, segment);
	note_timestamp(leg, segment);
	leg->interface = interface;
	leg->seen |= OFFLOAD_SEEN_ANY;
	if (segment->payload != 0)
		session->last_active = now;
}

/* The highest sequence number of the leg that the other one's far end has acknowledged. */
INLINE __u32 acknowledged(const struct offload_leg *other)
{
	return other->acked + other->change.acknowledgement;
}

/* Would the far end of the other leg take it? Only what it could expect ends the session. */
INLINE int is_credible_reset(const struct offload_leg *leg, const struct offload_leg *other,
			     const struct segment *segment)
{
	return segment->rst && !is_after(acknowledged(other), segment->sequence) &&
	       !is_after(segment->sequence, leg->end);
}

INLINE int has_finished(const struct offload_leg *leg, const struct offload_leg *other)
{
	return (leg->seen & OFFLOAD_SEEN_FIN) && !is_after(leg->end, acknowledged(other));
}

/* Of a session that has been moved: is this its end? */
INLINE int ends(struct session *session, struct offload_leg *leg, const struct offload_leg *other,
		const struct segment *segment)
{
	if (session->state != OFFLOAD_MOVED)
		return 0;
	if (is_credible_reset(leg, other, segment))
		leg->seen |= OFFLOAD_SEEN_RESET;
	else if (segment->syn && !segment->ack)
		leg->seen |= OFFLOAD_SEEN_SYN;
	else if (!has_finished(leg, other) || !has_finished(other, leg))
		return 0;
	session->state = OFFLOAD_ENDED;
	return 1;
}

INLINE void tell_end(__u64 session)
{
	struct offload_event event = {.session = session};

	count_live(-1);
	bpf_ringbuf_output(&offload_events, &event, sizeof(event), 0);
}

INLINE int send_on(struct __sk_buff *skb, const struct offload_change *change)
{
	const __u8 nobody[ETH_ALEN] = {};

	switch (change->way) {
	case OFFLOAD_TO_LOOPBACK:
		/* With the interface's own address lo would take it for somebody else's. */
		if (bpf_skb_store_bytes(skb, 0, nobody, ETH_ALEN, 0) != 0)
			return TC_ACT_SHOT;
		return bpf_redirect(change->interface, BPF_F_INGRESS);
	case OFFLOAD_TO_NEIGHBOUR:
		return bpf_redirect_neigh(change->interface, NULL, 0, 0);
	default:
		return TC_ACT_UNSPEC;
	}
}

SEC("tc")
int offload_tcp(struct __sk_buff *skb)
{
	struct segment segment = {};
	struct offload_leg *leg, *other;
	struct offload_place *place;
	struct session *session;
	int state, ended;
	__u64 now;

	if (read_tuple(skb, &segment) != 0)
		return TC_ACT_UNSPEC;
	place = bpf_map_lookup_elem(&offload_places, &segment.tuple);
	if (place == NULL)
		return TC_ACT_UNSPEC;
	session = bpf_map_lookup_elem(&offload_sessions, &place->session);
	if (session == NULL || read_segment(skb, &segment) != 0)
		return TC_ACT_UNSPEC;
	leg = &session->legs[place->leg == OFFLOAD_UPSTREAM];
	other = &session->legs[place->leg != OFFLOAD_UPSTREAM];
	now = bpf_ktime_get_ns();
	bpf_spin_lock(&session->lock);
	note(session, leg, &segment, skb->ifindex, now);
	ended = ends(session, leg, other, &segment);
	state = session->state;
	bpf_spin_unlock(&session->lock);
	if (ended)
		tell_end(place->session);
	if (state == OFFLOAD_OBSERVED)
		return TC_ACT_UNSPEC;
	/* A new connection between the same two: it is the listener's. */
	if (segment.syn && !segment.ack) {
		bpf_map_delete_elem(&offload_places, &segment.tuple);
		return TC_ACT_UNSPEC;
	}
	if (segment.odd || change_segment(skb, &segment, &leg->change) != 0)
		return TC_ACT_SHOT;
	return send_on(skb, &leg->change);
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
		if (session->legs[0].end == move.legs[0].received &&
		    session->legs[1].end == move.legs[1].received) {
#pragma clang loop unroll(full)
			for (int i = 0; i < 2; i++) {
				struct offload_leg *leg = &session->legs[i];

				leg->sent = move.legs[i].sent;
				leg->delivered = (__s32)(leg->acked - leg->sent);
				leg->change = move.legs[i].change;
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
