/* SPDX-License-Identifier: MIT */
/* TCP's options in segments of a session that has been moved: which change, and which must go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sessions.h"

/* Options as they came, and as they have to be: made by the same steps with other numbers. */
struct numbers {
	uint32_t timestamp, echo, edge; /* added */
};

typedef void (*layout)(struct options *options, const struct numbers *added);

static void add_timestamps(struct options *options, const struct numbers *added)
{
	options_add_timestamps(options, 0xfffffff0 + added->timestamp, 0x7fffffff + added->echo);
}

static void add_blocks(struct options *options, const struct numbers *added, unsigned blocks)
{
	uint32_t edges[8];

	for (uint32_t i = 0; i < 8; i++)
		edges[i] = 0xffffff00 + 0x55 * i + added->edge;
	options_add_sack(options, edges, blocks);
}

static void layout_timestamps(struct options *options, const struct numbers *added)
{
	add_timestamps(options, added);
}

static void layout_sack_1(struct options *options, const struct numbers *added)
{
	add_blocks(options, added, 1);
}

static void layout_sack_2(struct options *options, const struct numbers *added)
{
	add_blocks(options, added, 2);
}

static void layout_sack_3(struct options *options, const struct numbers *added)
{
	add_blocks(options, added, 3);
}

static void layout_sack_4(struct options *options, const struct numbers *added)
{
	add_blocks(options, added, 4);
}

static void layout_timestamps_sack_1(struct options *options, const struct numbers *added)
{
	add_timestamps(options, added);
	add_blocks(options, added, 1);
}

static void layout_timestamps_sack_2(struct options *options, const struct numbers *added)
{
	add_timestamps(options, added);
	add_blocks(options, added, 2);
}

static void layout_timestamps_sack_3(struct options *options, const struct numbers *added)
{
	add_timestamps(options, added);
	add_blocks(options, added, 3);
}

static void layout_sack_timestamps(struct options *options, const struct numbers *added)
{
	add_blocks(options, added, 2);
	add_timestamps(options, added);
}

static void layout_nops_between(struct options *options, const struct numbers *added)
{
	options_add_word(options, 0x01010101);
	add_timestamps(options, added);
	options_add_word(options, 0x01010101);
	add_blocks(options, added, 1);
}

static void layout_padded_to_60_bytes(struct options *options, const struct numbers *added)
{
	add_timestamps(options, added);
	for (int i = 0; i < 7; i++)
		options_add_word(options, 0x01010101);
}

/* What follows the end is no option, though it looks like one. */
static void layout_end(struct options *options, const struct numbers *added)
{
	const struct numbers nothing = {0};

	add_timestamps(options, added);
	options_add_word(options, 0x00000000);
	add_timestamps(options, &nothing);
}

static void layout_nop_end(struct options *options, const struct numbers *added)
{
	const struct numbers nothing = {0};

	add_timestamps(options, added);
	options_add_word(options, 0x01010100);
	add_timestamps(options, &nothing);
}

static void layout_nops_end_at_once(struct options *options, const struct numbers *added)
{
	const struct numbers nothing = {0};

	options_add_word(options, 0x01000000);
	add_timestamps(options, &nothing);
	(void)added;
}

static void layout_no_blocks(struct options *options, const struct numbers *added)
{
	add_blocks(options, added, 0);
	add_timestamps(options, added);
}

static const layout layouts[] = {
	layout_timestamps,
	layout_sack_1,
	layout_sack_2,
	layout_sack_3,
	layout_sack_4,
	layout_timestamps_sack_1,
	layout_timestamps_sack_2,
	layout_timestamps_sack_3,
	layout_sack_timestamps,
	layout_nops_between,
	layout_padded_to_60_bytes,
	layout_end,
	layout_nop_end,
	layout_nops_end_at_once,
	layout_no_blocks,
};

static void assert_changed_options(const struct session_spec *spec, unsigned leg,
				   const struct segment_spec *segment,
				   const struct options *options)
{
	static struct packet expected;
	struct segment_spec changed = session_changed(spec, leg, segment);

	changed.options = *options;
	packet_build(&expected, &changed);
	assert_int_equal(session_arrive(segment), ACTION_STACK);
	packet_assert_equal(&session_packet, &expected);
}

static void check_options(const struct session_spec *spec, unsigned leg)
{
	const struct numbers nothing = {0};
	const struct numbers added = {
		.timestamp = spec->timestamp[leg],
		.echo = spec->timestamp_echo[leg],
		.edge = spec->received[!leg] - spec->sent[leg],
	};

	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		struct segment_spec segment = session_segment(spec, leg);
		struct options options = {0};

		segment.payload = 3 + i % 2;
		layouts[i](&segment.options, &nothing);
		layouts[i](&options, &added);
		assert_changed_options(spec, leg, &segment, &options);
		assert_int_equal(session_leg(leg).seen & OFFLOAD_SEEN_ODD, 0);
	}
}

static void timestamps_and_edges_move_in_every_order_that_stacks_send(void **state)
{
	(void)state;
	session_each_leg(check_options);
}

/* Lists that are not understood, the first byte of which is not, and how many words before it are.
 */
static const struct unknown {
	uint8_t length;
	uint8_t known; /* bytes that stay */
	uint8_t bytes[40];
} unknown[] = {
	/* Timestamps with the NOPs behind, or between two other options: not at a word's beginning.
	 */
	{12, 0, {8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1}},
	{12, 0, {1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1}},
	/* SACK without NOPs in front. */
	{12, 0, {5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1}},
	/* MPTCP, which has numbers of its own; after NOPs that are understood. */
	{12, 4, {1, 1, 1, 1, 30, 8, 0x20, 1, 1, 2, 3, 4}},
	/* A signature, over addresses and all. */
	{20, 0, {19, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 1, 1}},
	/* A user timeout; and one that nobody has defined, between NOPs. */
	{4, 0, {28, 4, 0x80, 1}},
	{4, 0, {1, 1, 200, 2}},
	/* Timestamps and SACK that go beyond the header, or with lengths that they cannot have. */
	{4, 0, {1, 1, 8, 10}},
	{8, 0, {1, 1, 8, 10, 0, 0, 0, 1}},
	{8, 0, {1, 1, 5, 10, 0, 0, 0, 1}},
	{12, 0, {1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2}},
	{12, 0, {1, 1, 5, 14, 0, 0, 0, 1, 0, 0, 0, 2}},
	{12, 0, {1, 1, 5, 1, 0, 0, 0, 1, 0, 0, 0, 2}},
	{12, 0, {1, 1, 5, 3, 0, 0, 0, 1, 0, 0, 0, 2}},
	{40, 0, {1, 1, 5, 42, 0, 0, 0, 1}},
	{12, 0, {1, 1, 8, 8, 0, 0, 0, 1, 0, 0, 0, 2}},
	/* Those of a first segment. */
	{8, 0, {2, 4, 5, 180, 1, 3, 3, 7}},
};

static void check_unknown_options(const struct session_spec *spec, unsigned leg)
{
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		struct segment_spec segment = session_segment(spec, leg);
		struct options options;

		segment.payload = 9;
		options_add(&segment.options, unknown[i].bytes, unknown[i].length);
		options = segment.options;
		memset(options.bytes + unknown[i].known, 1,
		       (size_t)(unknown[i].length - unknown[i].known));
		assert_changed_options(spec, leg, &segment, &options);
		assert_int_equal(session_leg(leg).seen & OFFLOAD_SEEN_TIMESTAMP, 0);
	}
	assert_int_equal(session_leg(leg).seen & OFFLOAD_SEEN_ODD, OFFLOAD_SEEN_ODD);
}

static void options_that_are_not_understood_become_nops_and_are_noted(void **state)
{
	(void)state;
	session_each_leg(check_unknown_options);
}

static void what_stands_before_an_unknown_option_still_moves(void **state)
{
	const uint8_t mptcp[] = {30, 8, 0x20, 1, 1, 2, 3, 4};
	struct segment_spec segment = session_segment(&session_ipv4, OFFLOAD_BALANCER);
	struct options options = {0};

	(void)state;
	session_begin(&session_ipv4);
	options_add_timestamps(&segment.options, 50, 60);
	options_add(&segment.options, mptcp, sizeof(mptcp));
	options_add_timestamps(&options, 50 + session_ipv4.timestamp[0],
			       60 + session_ipv4.timestamp_echo[0]);
	options_add_word(&options, 0x01010101);
	options_add_word(&options, 0x01010101);
	assert_changed_options(&session_ipv4, OFFLOAD_BALANCER, &segment, &options);
	assert_int_equal(session_leg(OFFLOAD_BALANCER).timestamp, 50);
}

static void the_options_of_an_observed_segment_are_left_as_they_are(void **state)
{
	static struct packet before;

	(void)state;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		struct segment_spec segment = session_segment(&session_ipv4, OFFLOAD_UPSTREAM);

		kernel_clear(NULL);
		session_observe(&session_ipv4);
		options_add(&segment.options, unknown[i].bytes, unknown[i].length);
		packet_build(&before, &segment);
		assert_int_equal(session_arrive(&segment), ACTION_STACK);
		packet_assert_equal(&session_packet, &before);
		assert_int_equal(session_leg(OFFLOAD_UPSTREAM).seen & OFFLOAD_SEEN_ODD,
				 OFFLOAD_SEEN_ODD);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, kernel_clear)
	const struct CMUnitTest tests[] = {
		TEST(timestamps_and_edges_move_in_every_order_that_stacks_send),
		TEST(options_that_are_not_understood_become_nops_and_are_noted),
		TEST(what_stands_before_an_unknown_option_still_moves),
		TEST(the_options_of_an_observed_segment_are_left_as_they_are),
	};

	return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
