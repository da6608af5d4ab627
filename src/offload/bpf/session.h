/* SPDX-License-Identifier: MIT */
/* The maps of sessions, and what is noted of one whose segments pass. */
#ifndef MMPROXY_OFFLOAD_BPF_SESSION_H
#define MMPROXY_OFFLOAD_BPF_SESSION_H

#include "clock.h"
#include "segment.h"

#define WINDOW_MAX (1u << 30) /* of TCP */
#define LOOPBACK   1          /* lo's index in every network namespace */

/* struct offload_session, with the lock's own type, by which the kernel knows it. */
struct session {
	__u64 last_active;
	struct bpf_spin_lock lock;
	__u32 state;
	struct offload_leg legs[2];
	struct offload_base bases[2];
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

/* A session as a packet finds it that comes by `leg`. */
struct place {
	struct session *session;
	struct offload_leg *leg, *other;
	struct offload_base *base, *other_base;
};

INLINE struct place place_of(struct session *session, __u32 name)
{
	const __u32 this = name == OFFLOAD_UPSTREAM, other = !this;

	return (struct place){
		.session = session,
		.leg = &session->legs[this],
		.other = &session->legs[other],
		.base = &session->bases[this],
		.other_base = &session->bases[other],
	};
}

/* Up to where the leg's far end has got the other leg's bytes, in the other leg's numbers. */
INLINE __u32 acknowledged(const struct offload_leg *leg, const struct offload_base *base)
{
	return leg->acked + base->change.acknowledgement;
}

/*
 * More than can be on its way to the leg's far end: at the move that is as much as its window, and
 * as much as the window of our socket for the other one, which was then passed on.
 */
INLINE __u32 window_of(const struct offload_change *change)
{
	__u32 window =
		(65536u << (change->window_left & 15)) + (65536u << (change->window_right & 15));

	return window < WINDOW_MAX ? window : WINDOW_MAX;
}

/*
 * Of a session that has been moved: could the segment be of the far end of the leg, and not of one
 * who knows its addresses alone? The far end of the other leg judges better, and gets it anyhow.
 */
INLINE int is_plausible(const struct place *place, const struct segment *segment)
{
	__u32 window = window_of(&place->other_base->change);
	__u32 acknowledged_before = acknowledged(place->other, place->other_base);
	__u32 unacknowledged = place->other->end -
			       (segment->acknowledgement + place->base->change.acknowledgement);

	return segment->ack && !segment->syn &&
	       segment->sequence - acknowledged_before + window <= 2 * window &&
	       unacknowledged <= window_of(&place->base->change);
}

INLINE __u32 end_of(const struct segment *segment)
{
	return segment->sequence + segment->payload + segment->syn + segment->fin;
}

/* One without payload says as well how far the leg is. Returns whether there is something new. */
INLINE int note_end(struct offload_leg *leg, const struct segment *segment)
{
	__u32 end = end_of(segment);
	int news = !(leg->seen & OFFLOAD_SEEN_ANY) || is_after(end, leg->end);

	if (news)
		leg->end = end;
	if (segment->fin && leg->end == end)
		leg->seen |= OFFLOAD_SEEN_FIN;
	return news && segment->payload != 0;
}

INLINE int note_acknowledgement(struct offload_leg *leg, const struct segment *segment)
{
	if (!(leg->seen & OFFLOAD_SEEN_ANY))
		leg->acked = segment->acknowledgement;
	if (!is_after(segment->acknowledgement, leg->acked))
		return 0;
	leg->delivered += segment->acknowledgement - leg->acked;
	leg->acked = segment->acknowledgement;
	return 1;
}

INLINE void note_timestamp(struct offload_leg *leg, const struct segment *segment)
{
	if (segment->timestamps == 0)
		return;
	if (!(leg->seen & OFFLOAD_SEEN_TIMESTAMP) || is_after(segment->timestamp, leg->timestamp))
		leg->timestamp = segment->timestamp;
	leg->seen |= OFFLOAD_SEEN_TIMESTAMP;
}

INLINE void note_time(__u64 *time, __u64 now)
{
	if ((__s64)(now - *time) >= OFFLOAD_TICK)
		*time = now;
}

/* What the segment says of its leg. A probe that is sent to keep the session alive is no activity.
 */
INLINE void note(const struct place *place, const struct segment *segment, __u32 interface,
		 __u64 now)
{
	struct offload_leg *leg = place->leg;
	int news;

	note_time(&place->base->last_seen, now);
	if (segment->fragment || (segment->unknown && !segment->syn))
		leg->seen |= OFFLOAD_SEEN_ODD;
	/* Without an acknowledgement, a socket takes nothing but its first segment. */
	if (segment->rst || !segment->ack)
		return;
	news = note_end(leg, segment);
	news |= note_acknowledgement(leg, segment);
	/* The socket judges what it takes. What it has not taken may be a forger's, or an old one.
	 */
	if (place->session->state != OFFLOAD_OBSERVED || end_of(segment) == leg->end)
		note_timestamp(leg, segment);
	if (place->base->interface != interface)
		place->base->interface = interface;
	leg->seen |= OFFLOAD_SEEN_ANY;
	if (news)
		note_time(&place->session->last_active, now);
}

/* Would the far end of the other leg take it? Only what it could expect ends the session. */
INLINE int is_credible_reset(const struct place *place, const struct segment *segment)
{
	return segment->rst &&
	       !is_after(acknowledged(place->other, place->other_base), segment->sequence) &&
	       !is_after(segment->sequence, place->leg->end);
}

INLINE int has_finished(const struct offload_leg *leg, const struct offload_leg *other,
			const struct offload_base *other_base)
{
	return (leg->seen & OFFLOAD_SEEN_FIN) &&
	       !is_after(leg->end, acknowledged(other, other_base));
}

/*
 * Of a session that has been moved: is this its end? A new connection between the same two is not:
 * the far end of the other leg says that it knows nothing of it, whereupon a reset comes.
 */
INLINE int ends(const struct place *place, const struct segment *segment)
{
	if (is_credible_reset(place, segment))
		place->leg->seen |= OFFLOAD_SEEN_RESET;
	else if (!has_finished(place->leg, place->other, place->other_base) ||
		 !has_finished(place->other, place->leg, place->base))
		return 0;
	place->session->state = OFFLOAD_ENDED;
	return 1;
}

/* What came by lo is this host's own, and of a leg that is not, nothing comes by lo. */
INLINE int is_from_elsewhere(const struct place *place, __u32 interface)
{
	__u32 usual = place->base->interface;

	return (place->leg->seen & OFFLOAD_SEEN_ANY) && usual != interface &&
	       (usual == LOOPBACK || interface == LOOPBACK);
}

INLINE int note_by_state(const struct place *place, const struct segment *segment, __u32 interface,
			 __u64 now)
{
	switch (place->session->state) {
	case OFFLOAD_OBSERVED:
		note(place, segment, interface, now);
		/* It may have been the socket's end. */
		if (segment->rst)
			place->leg->seen |= OFFLOAD_SEEN_RESET;
		return 0;
	case OFFLOAD_MOVED:
		if (segment->syn && !segment->ack)
			place->leg->seen |= OFFLOAD_SEEN_SYN;
		else if (is_plausible(place, segment))
			note(place, segment, interface, now);
		return ends(place, segment);
	default:
		return 0;
	}
}

/* Is nothing known of the leg but what its socket has received up to here? */
INLINE int is_quiet(const struct offload_leg *leg, __u32 received)
{
	return leg->end == received &&
	       !(leg->seen & (OFFLOAD_SEEN_FIN | OFFLOAD_SEEN_RESET | OFFLOAD_SEEN_ODD));
}

/* Our socket of the leg. The numbers themselves come round, two gigabytes later. */
INLINE int has_to_send_again(const struct offload_leg *leg)
{
	return leg->delivered < 0;
}

/*
 * Our socket of the leg sends again what its far end has not got, and would not get beyond the
 * first segment of it without these. The other far end has been told already: by our other socket.
 */
INLINE void find_receiver(const struct place *place, struct segment *segment)
{
	segment->for_socket = has_to_send_again(place->leg) && segment->ack &&
			      segment->payload == 0 && !segment->syn && !segment->fin &&
			      !segment->rst;
	segment->expected = place->other_base->sent - place->base->change.sequence;
}

/*
 * As long as our socket of the other leg has to send again, its far end gets no further than that
 * socket has allowed: the socket acknowledges what it knows of, and the far end refuses segments
 * that are more than a window behind.
 */
INLINE void limit_window(const struct place *place, struct segment *segment)
{
	__u32 acknowledgement = segment->acknowledgement + place->base->change.acknowledgement;
	__u32 edge = place->other_base->edge;

	segment->window_most = ~0u;
	if (has_to_send_again(place->other))
		segment->window_most = is_after(edge, acknowledgement) ? edge - acknowledgement : 0;
}

/* Besides the states that it can be in: it has been moved, and this was its end. */
#define JUST_ENDED (OFFLOAD_ENDED + 1)

/*
 * A segment has come by leg `name`. Returns the session's state. It is a function of its own, since
 * the verifier would follow each way through it to the end of what is around it.
 */
static NOINLINE int note_segment(struct session *session, __u32 name, struct segment *segment,
				 __u32 interface)
{
	const struct place place = place_of(session, name);
	__u64 now = clock_now();
	int state, ended;

	bpf_spin_lock(&session->lock);
	ended = note_by_state(&place, segment, interface, now);
	state = session->state;
	if (state == OFFLOAD_MOVED)
		find_receiver(&place, segment);
	limit_window(&place, segment);
	bpf_spin_unlock(&session->lock);
	return ended ? JUST_ENDED : state;
}

#endif
