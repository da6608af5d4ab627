/* SPDX-License-Identifier: MIT */
#include "sessions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

struct packet session_packet;

/* The numbers pass zero within a few bytes of the instant, each another way. */
const struct session_spec session_ipv4 = {
	.received = {0xfffffff0, 0x12345678},
	.sent = {0x80000010, 0xffffff00},
	.timestamp = {1000, 0xfffff000},
	.timestamp_echo = {0x1000, 0xfffffc18},
	.window_left = {7, 9},
	.window_right = {9, 7},
};

const struct session_spec session_ipv6 = {
	.ipv6 = true,
	.received = {0x7ffffff8, 0x00000001},
	.sent = {0xdeadbeef, 0x80000000},
	.timestamp = {0x81234567, 3},
	.timestamp_echo = {0xfffffffd, 0x7edcba99},
	.window_left = {0, 14},
	.window_right = {14, 0},
};

struct offload_tuple session_tuple(const struct session_spec *spec, unsigned leg)
{
	if (leg == OFFLOAD_BALANCER)
		return spec->ipv6 ? tuple_of("2001:db8:5::1", 40001, "2001:db8:5::2", 8443)
				  : tuple_of("198.51.100.1", 40001, "198.51.100.2", 8443);
	return spec->ipv6 ? tuple_of("::1", 443, "2001:db8:c::9", 50001)
			  : tuple_of("127.0.0.1", 443, "203.0.113.9", 50001);
}

static void put_session(const struct session_spec *spec, const struct offload_session *session)
{
	kernel_put_session(SESSION, session);
	for (unsigned leg = 0; leg < 2; leg++) {
		struct offload_tuple tuple = session_tuple(spec, leg);

		kernel_put_place(&tuple, SESSION, leg);
	}
}

void session_observe(const struct session_spec *spec)
{
	struct offload_session session = {.state = OFFLOAD_OBSERVED};

	for (unsigned leg = 0; leg < 2; leg++) {
		session.legs[leg].end = spec->received[leg];
		session.legs[leg].acked = spec->sent[leg];
		session.bases[leg].interface =
			spec->way[!leg] == OFFLOAD_TO_NEIGHBOUR ? kernel_outside() : LO;
		session.legs[leg].seen = OFFLOAD_SEEN_ANY;
	}
	put_session(spec, &session);
}

struct offload_move session_move(const struct session_spec *spec)
{
	struct offload_move move = {.session = SESSION};

	for (unsigned leg = 0; leg < 2; leg++) {
		struct offload_change *change = &move.legs[leg].change;
		struct offload_tuple other = session_tuple(spec, !leg);

		move.legs[leg].received = spec->received[leg];
		move.legs[leg].sent = spec->sent[leg];
		change->tuple = tuple_turned(&other);
		change->sequence = spec->sent[!leg] - spec->received[leg];
		change->acknowledgement = spec->received[!leg] - spec->sent[leg];
		change->timestamp = spec->timestamp[leg];
		change->timestamp_echo = spec->timestamp_echo[leg];
		change->window_left = spec->window_left[leg];
		change->window_right = spec->window_right[leg];
		change->way = spec->way[leg];
	}
	return move;
}

void session_begin(const struct session_spec *spec)
{
	struct offload_move move = session_move(spec);

	session_observe(spec);
	assert_int_equal(kernel_move(&move), OFFLOAD_MOVE_DONE);
}

struct segment_spec session_segment(const struct session_spec *spec, unsigned leg)
{
	return (struct segment_spec){
		.tuple = session_tuple(spec, leg),
		.sequence = spec->received[leg],
		.acknowledgement = spec->sent[leg],
		.flags = ACK,
		.window = 500,
	};
}

struct segment_spec session_changed(const struct session_spec *spec, unsigned leg,
				    const struct segment_spec *segment)
{
	struct segment_spec changed = *segment;
	struct offload_tuple other = session_tuple(spec, !leg);
	uint64_t window =
		((uint64_t)segment->window << spec->window_left[leg]) >> spec->window_right[leg];

	changed.tuple = tuple_turned(&other);
	changed.sequence += spec->sent[!leg] - spec->received[leg];
	if (segment->flags & ACK)
		changed.acknowledgement += spec->received[!leg] - spec->sent[leg];
	changed.window = window > 65535 ? 65535 : (uint16_t)window;
	return changed;
}

enum action session_arrive(const struct segment_spec *segment)
{
	packet_build(&session_packet, segment);
	return kernel_arrive(&session_packet, LO);
}

void session_assert_changed(const struct session_spec *spec, unsigned leg,
			    const struct segment_spec *segment)
{
	static struct packet expected;
	struct segment_spec changed = session_changed(spec, leg, segment);

	assert_int_equal(session_arrive(segment), ACTION_STACK);
	packet_build(&expected, &changed);
	packet_assert_equal(&session_packet, &expected);
}

struct offload_leg session_leg(unsigned leg)
{
	struct offload_session session;

	kernel_get_session(SESSION, &session);
	return session.legs[leg];
}

struct offload_base session_base(unsigned leg)
{
	struct offload_session session;

	kernel_get_session(SESSION, &session);
	return session.bases[leg];
}

uint32_t session_state(void)
{
	struct offload_session session;

	kernel_get_session(SESSION, &session);
	return session.state;
}

void session_step(const struct session_spec *spec, unsigned leg, uint8_t flags, size_t payload,
		  int32_t ahead, int32_t acknowledged)
{
	struct segment_spec segment = session_segment(spec, leg);

	segment.flags = flags;
	segment.payload = payload;
	segment.sequence += (uint32_t)ahead;
	segment.acknowledgement += (uint32_t)acknowledged;
	session_arrive(&segment);
}

void session_each_leg(void (*test)(const struct session_spec *spec, unsigned leg))
{
	const struct session_spec *const families[] = {&session_ipv4, &session_ipv6};

	for (size_t i = 0; i < 2; i++) {
		for (unsigned leg = 0; leg < 2; leg++) {
			kernel_clear(NULL);
			session_begin(families[i]);
			test(families[i], leg);
		}
	}
}

uint64_t session_last_active(void)
{
	struct offload_session session;

	kernel_get_session(SESSION, &session);
	return session.last_active;
}

/* The program's clock may be the coarse one, which is late: by a tick, or by as long as the CPU
 * that moves it was not running. */
void session_wait_past(uint64_t time)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	const uint64_t later = time + OFFLOAD_TICK;
	struct timespec now;

	for (;;) {
		assert_int_equal(clock_gettime(CLOCK_MONOTONIC_COARSE, &now), 0);
		if ((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec > later)
			return;
		nanosleep(&pause, NULL);
	}
}

void session_assert_end(const struct session_spec *spec, unsigned leg, int32_t ahead)
{
	assert_int_equal(session_leg(leg).end, spec->received[leg] + (uint32_t)ahead);
}

void session_assert_acked(const struct session_spec *spec, unsigned leg, int32_t ahead)
{
	assert_int_equal(session_leg(leg).acked, spec->sent[leg] + (uint32_t)ahead);
}

void session_assert_over(bool over)
{
	uint64_t session;

	assert_int_equal(session_state(), over ? OFFLOAD_ENDED : OFFLOAD_MOVED);
	assert_int_equal(kernel_next_event(&session), over);
	if (over)
		assert_int_equal(session, SESSION);
	assert_false(kernel_next_event(&session));
	assert_int_equal(kernel_live(), over ? 0 : 1);
}
