/* SPDX-License-Identifier: MIT */
/*
 * Random segments of random sessions, against a model of what must come out and be noted. The model
 * counts in 64 bits from the instant of the move, so that nothing in it wraps.
 *
 * RANDOM_SEED and RANDOM_SESSIONS in the environment change what is tried.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sessions.h"

#define SESSIONS 400
#define SEGMENTS 300

/* A leg: how far its far end has got. The other leg's acknowledgements count the same bytes. */
struct model_leg {
	int64_t end, acked, delivered;
	uint32_t timestamp;
	bool fin, reset, syn, odd, stamped;
};

struct model {
	struct session_spec spec;
	struct model_leg legs[2];
	bool over;
};

/* One segment, before it has numbers of its leg. */
struct step {
	unsigned leg;
	int64_t place, acknowledged;
	struct segment_spec segment;
	struct options changed; /* what its options have to become */
	uint32_t timestamp;
	bool stamped, odd;
};

static uint64_t random_state;

/* Of the session that is run, to be told where it fails. */
static unsigned long current_seed;

static uint32_t random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16);
}

static uint32_t random_below(uint32_t bound)
{
	return random_number() % bound;
}

static bool one_in(uint32_t count)
{
	return random_below(count) == 0;
}

static struct session_spec random_session(void)
{
	struct session_spec spec = {.ipv6 = one_in(2)};

	for (unsigned leg = 0; leg < 2; leg++) {
		/* Half of them wrap soon. */
		spec.received[leg] = one_in(2) ? random_number() : 0u - random_below(3000);
		spec.sent[leg] = one_in(2) ? random_number() : 0u - random_below(3000);
		spec.timestamp[leg] = random_number();
		spec.timestamp_echo[leg] = random_number();
		spec.window_left[leg] = (uint8_t)random_below(15);
		spec.window_right[leg] = (uint8_t)random_below(15);
	}
	return spec;
}

static int64_t window_of(const struct session_spec *spec, unsigned leg)
{
	int64_t window = (65536ll << spec->window_left[leg]) + (65536ll << spec->window_right[leg]);

	return window < 1ll << 30 ? window : 1ll << 30;
}

static void add_timestamps(struct step *step, const struct session_spec *spec)
{
	uint32_t value = random_number(), echo = random_number();

	if (step->segment.options.length > 28)
		return;
	options_add_timestamps(&step->segment.options, value, echo);
	options_add_timestamps(&step->changed, value + spec->timestamp[step->leg],
			       echo + spec->timestamp_echo[step->leg]);
	step->timestamp = value;
	step->stamped = true;
}

static void add_sack(struct step *step, const struct session_spec *spec)
{
	unsigned room = (unsigned)(40 - step->segment.options.length), blocks;
	uint32_t edges[8], changed[8];

	if (room < 12)
		return;
	blocks = 1 + random_below((room - 4) / 8);
	for (unsigned i = 0; i < 2 * blocks; i++) {
		edges[i] = random_number();
		changed[i] = edges[i] + spec->received[!step->leg] - spec->sent[step->leg];
	}
	options_add_sack(&step->segment.options, edges, blocks);
	options_add_sack(&step->changed, changed, blocks);
}

static void add_nops(struct step *step, const struct session_spec *spec)
{
	(void)spec;
	if (step->segment.options.length > 36)
		return;
	options_add_word(&step->segment.options, 0x01010101);
	options_add_word(&step->changed, 0x01010101);
}

/* From here on it is not understood. */
static void add_unknown(struct step *step)
{
	size_t words = random_below((uint32_t)(40 - step->segment.options.length) / 4 + 1);

	for (size_t i = 0; i < words; i++) {
		/* A kind that nobody knows, behind one NOP, so that nothing looks like another. */
		options_add_word(&step->segment.options,
				 0x01c80000 | (i == 0 ? (uint32_t)words * 4 - 1 : 0) << 8 |
					 random_below(256));
		options_add_word(&step->changed, 0x01010101);
		step->odd = true;
	}
}

static void choose_options(struct step *step, const struct session_spec *spec)
{
	static void (*const adds[])(struct step *, const struct session_spec *) = {
		add_timestamps, add_sack, add_nops};
	uint32_t count = random_below(4);

	for (uint32_t i = 0; i < count; i++)
		adds[random_below(3)](step, spec);
	if (one_in(20))
		add_unknown(step);
}

static int64_t random_distance(void)
{
	switch (random_below(12)) {
	case 0:
		return (int64_t)random_below(1u << 31) - (1 << 30);
	case 1:
		return -(int64_t)random_below(5000);
	case 2:
		return random_below(5000);
	default:
		return 0;
	}
}

static uint8_t random_flags(void)
{
	uint8_t flags = ACK | (uint8_t)(random_number() & (PSH | ECE | CWR | URG));

	if (one_in(60))
		flags |= FIN;
	if (one_in(200))
		flags |= RST;
	if (one_in(100))
		flags |= SYN;
	if (one_in(50))
		flags &= (uint8_t)~ACK;
	return flags;
}

static struct step random_step(const struct model *model)
{
	struct step step = {.leg = random_below(2)};
	const struct model_leg *own = &model->legs[step.leg], *other = &model->legs[!step.leg];

	step.place = own->end + random_distance();
	/* Some of what it has got, or all; sometimes what was never sent. */
	step.acknowledged = other->end + random_distance();
	if (one_in(2) && other->end > own->acked)
		step.acknowledged = own->acked + random_below((uint32_t)(other->end - own->acked));
	step.segment = session_segment(&model->spec, step.leg);
	step.segment.sequence += (uint32_t)step.place;
	step.segment.acknowledgement += (uint32_t)step.acknowledged;
	step.segment.flags = random_flags();
	step.segment.window = (uint16_t)random_number();
	step.segment.urgent = (uint16_t)random_number();
	step.segment.payload = one_in(2) ? 0 : random_below(1400);
	step.segment.seed = (uint8_t)random_number();
	choose_options(&step, &model->spec);
	return step;
}

static bool is_plausible(const struct model *model, const struct step *step)
{
	int64_t ahead = step->place - model->legs[!step->leg].acked;
	int64_t unacknowledged = model->legs[!step->leg].end - step->acknowledged;
	int64_t window = window_of(&model->spec, !step->leg);

	return (step->segment.flags & (ACK | SYN)) == ACK && ahead >= -window && ahead <= window &&
	       unacknowledged >= 0 && unacknowledged <= window_of(&model->spec, step->leg);
}

static void note(struct model *model, const struct step *step)
{
	struct model_leg *leg = &model->legs[step->leg];
	bool fin = (step->segment.flags & FIN) != 0;
	int64_t end = step->place + (int64_t)step->segment.payload + fin;

	leg->odd |= step->odd;
	if (step->segment.flags & RST)
		return;
	if (end > leg->end)
		leg->end = end;
	if (fin && end == leg->end)
		leg->fin = true;
	if (step->acknowledged > leg->acked) {
		leg->delivered += step->acknowledged - leg->acked;
		leg->acked = step->acknowledged;
	}
	if (step->stamped && (!leg->stamped || (int32_t)(step->timestamp - leg->timestamp) > 0)) {
		leg->timestamp = step->timestamp;
		leg->stamped = true;
	}
}

static void apply(struct model *model, const struct step *step)
{
	struct model_leg *leg = &model->legs[step->leg], *other = &model->legs[!step->leg];

	if ((step->segment.flags & (SYN | ACK)) == SYN)
		leg->syn = true;
	if (is_plausible(model, step))
		note(model, step);
	if ((step->segment.flags & RST) && step->place >= other->acked && step->place <= leg->end)
		leg->reset = true;
	model->over = leg->reset || (leg->fin && leg->end <= other->acked && other->fin &&
				     other->end <= leg->acked);
}

static void assert_noted(const struct model *model)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct model_leg *expected = &model->legs[i];
		struct offload_leg leg = session_leg(i);
		unsigned seen = OFFLOAD_SEEN_ANY;

		seen |= expected->fin ? OFFLOAD_SEEN_FIN : 0;
		seen |= expected->reset ? OFFLOAD_SEEN_RESET : 0;
		seen |= expected->syn ? OFFLOAD_SEEN_SYN : 0;
		seen |= expected->odd ? OFFLOAD_SEEN_ODD : 0;
		seen |= expected->stamped ? OFFLOAD_SEEN_TIMESTAMP : 0;
		assert_int_equal(leg.end, model->spec.received[i] + (uint32_t)expected->end);
		assert_int_equal(leg.acked, model->spec.sent[i] + (uint32_t)expected->acked);
		assert_int_equal(leg.delivered, expected->delivered);
		assert_int_equal(leg.timestamp, expected->timestamp);
		assert_int_equal(leg.seen, seen);
	}
	assert_int_equal(session_state(), model->over ? OFFLOAD_ENDED : OFFLOAD_MOVED);
	assert_int_equal(kernel_live(), model->over ? 0 : 1);
}

static void run_step(struct model *model, const struct step *step)
{
	struct segment_spec changed = session_changed(&model->spec, step->leg, &step->segment);
	static struct packet expected;

	changed.options = step->changed;
	packet_build(&expected, &changed);
	assert_int_equal(session_arrive(&step->segment), ACTION_STACK);
	packet_assert_equal(&session_packet, &expected);
	apply(model, step);
	assert_noted(model);
}

/* Returns how many segments it took. */
static unsigned run_session(void)
{
	struct model model = {.spec = random_session()};
	unsigned count = 0;
	uint64_t event;

	kernel_clear(NULL);
	session_begin(&model.spec);
	while (count < SEGMENTS && !model.over) {
		struct step step = random_step(&model);

		run_step(&model, &step);
		count++;
	}
	assert_int_equal(kernel_next_event(&event), model.over);
	return count;
}

static unsigned long from_environment(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoul(text, NULL, 10) : otherwise;
}

static void random_sessions_do_as_the_model_does(void **state)
{
	unsigned long seed = from_environment("RANDOM_SEED", 1), segments = 0;
	unsigned long sessions = from_environment("RANDOM_SESSIONS", SESSIONS);

	(void)state;
	for (unsigned long i = 0; i < sessions; i++) {
		current_seed = seed + i;
		random_state = current_seed * 0x9e3779b97f4a7c15;
		segments += run_session();
	}
	current_seed = 0;
	print_message("%lu sessions, %lu segments\n", sessions, segments);
}

static int tell_seed(void **state)
{
	(void)state;
	if (current_seed != 0)
		print_message("again: RANDOM_SEED=%lu RANDOM_SESSIONS=1\n", current_seed);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_sessions_do_as_the_model_does, kernel_clear,
						tell_seed),
	};

	return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
