/* SPDX-License-Identifier: MIT */
/* mmproxyctl decode: from packets, in whatever order, to what a listener would have read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/decode/flows.h"

#define MAX_HEADER 4096
#define TAKEN_MAX  8
#define LINE       "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"
#define V2_UDP     "\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\xc0\0\2\1\xc6\x33\x64\1\0\1\0\2"

/* What was handed out, and the number that the next packet has. */
struct capture {
	struct decode_flows *flows;
	uint64_t number;
	size_t count;
	struct decode_sample taken[TAKEN_MAX];
	char bytes[TAKEN_MAX][8192];
};

static void take(void *context, const struct decode_sample *sample)
{
	struct capture *capture = context;

	assert_true(capture->count < TAKEN_MAX);
	assert_true(sample->length <= sizeof(capture->bytes[0]));
	capture->taken[capture->count] = *sample;
	if (sample->length > 0)
		memcpy(capture->bytes[capture->count], sample->bytes, sample->length);
	capture->count++;
}

static int begin(void **state)
{
	struct capture *capture = calloc(1, sizeof(*capture));

	assert_non_null(capture);
	capture->flows = decode_flows_create(MAX_HEADER, take, capture);
	assert_non_null(capture->flows);
	*state = capture;
	return 0;
}

static int end(void **state)
{
	free(*state);
	return 0;
}

static struct address at(uint8_t host, uint16_t port)
{
	const uint8_t ip[4] = {192, 0, 2, host};

	return address_from_ipv4(ip, port);
}

enum direction { TO_LISTENER, FROM_LISTENER };

static struct packet packet_of(enum direction direction, const char *payload, size_t length)
{
	struct address balancer = at(10, 4000), listener = at(1, 443);

	return (struct packet){
		.source = direction == TO_LISTENER ? balancer : listener,
		.destination = direction == TO_LISTENER ? listener : balancer,
		.payload = (const uint8_t *)payload,
		.length = length,
		.ack = true,
	};
}

static void add(struct capture *capture, enum packet_kind kind, const struct packet *packet)
{
	decode_flows_add(capture->flows, kind, packet, ++capture->number);
}

/* The payload is that of the sequence number, which is that of the first byte for SYNs too. */
static void add_segment(struct capture *capture, enum direction direction, uint32_t sequence,
			const char *payload)
{
	struct packet packet = packet_of(direction, payload, strlen(payload));

	packet.sequence = sequence;
	add(capture, PACKET_TCP, &packet);
}

static void add_syn(struct capture *capture, enum direction direction, uint32_t sequence)
{
	struct packet packet = packet_of(direction, "", 0);

	packet.sequence = sequence;
	packet.syn = true;
	packet.ack = direction == FROM_LISTENER;
	add(capture, PACKET_TCP, &packet);
}

static void add_datagram(struct capture *capture, enum direction direction, const char *payload,
			 size_t length)
{
	struct packet packet = packet_of(direction, payload, length);

	add(capture, PACKET_UDP, &packet);
}

static void expect_taken(const struct capture *capture, size_t index, const char *bytes)
{
	assert_true(index < capture->count);
	assert_int_equal(capture->taken[index].length, strlen(bytes));
	assert_memory_equal(capture->bytes[index], bytes, strlen(bytes));
}

static void segments_are_put_together(void **state)
{
	struct capture *capture = *state;

	add_syn(capture, TO_LISTENER, 1000);
	add_syn(capture, FROM_LISTENER, 5000);
	add_segment(capture, TO_LISTENER, 1000, "PROXY TCP4 192.0.2.1 ");
	add_segment(capture, TO_LISTENER, 1021, "198.51.100.1 56324 443\r\n");
	add_segment(capture, FROM_LISTENER, 5000, "220 hello\r\n");
	assert_int_equal(decode_flows_finish(capture->flows), 0);
	assert_int_equal(capture->count, 1);
	expect_taken(capture, 0, LINE);
	assert_int_equal(capture->taken[0].packet, 3);
	assert_int_equal(capture->taken[0].from.port, 4000);
	assert_int_equal(capture->taken[0].to.port, 443);
	assert_false(capture->taken[0].late);
	assert_false(capture->taken[0].cut);
}

static void order_repetition_and_overlap_do_not_matter(void **state)
{
	struct capture *capture = *state;

	add_syn(capture, TO_LISTENER, 1000);
	add_segment(capture, TO_LISTENER, 1021, "198.51.100.1 56324 443\r\n");
	add_segment(capture, TO_LISTENER, 1021, "198.51.100.1 56324 443\r\n");
	add_segment(capture, TO_LISTENER, 1006, "TCP4 192.0.2.1 198");
	add_segment(capture, TO_LISTENER, 1000, "PROXY TCP");
	add_segment(capture, TO_LISTENER, 1000, "XXXXXX");
	add_segment(capture, TO_LISTENER, 999, "YYYY");
	decode_flows_finish(capture->flows);
	assert_int_equal(capture->count, 1);
	expect_taken(capture, 0, LINE);
	assert_int_equal(capture->taken[0].total, strlen(LINE));
}

static void sequence_numbers_may_wrap(void **state)
{
	struct capture *capture = *state;

	add_syn(capture, TO_LISTENER, UINT32_MAX - 9);
	add_segment(capture, TO_LISTENER, 11, "198.51.100.1 56324 443\r\n");
	add_segment(capture, TO_LISTENER, UINT32_MAX - 9, "PROXY TCP4 192.0.2.1 ");
	decode_flows_finish(capture->flows);
	expect_taken(capture, 0, LINE);
}

static void a_hole_is_what_the_capture_lacks(void **state)
{
	struct capture *capture = *state;
	struct packet packet = packet_of(TO_LISTENER, "PROXY TCP4 ", 11);

	add_syn(capture, TO_LISTENER, 1000);
	packet.sequence = 1000;
	packet.missing = 10;
	add(capture, PACKET_TCP, &packet);
	add_segment(capture, TO_LISTENER, 1021, "198.51.100.1 56324 443\r\n");
	decode_flows_finish(capture->flows);
	expect_taken(capture, 0, "PROXY TCP4 ");
	assert_true(capture->taken[0].cut);
	assert_int_equal(capture->taken[0].total, strlen(LINE));
}

static void a_header_is_found_in_whichever_direction_it_is(void **state)
{
	struct capture *capture = *state;

	/* Whoever was seen to connect: here mmproxy's own side speaks, as in a hairpin. */
	add_syn(capture, TO_LISTENER, 1000);
	add_segment(capture, TO_LISTENER, 1000, "hello");
	add_segment(capture, FROM_LISTENER, 77, LINE);
	decode_flows_finish(capture->flows);
	assert_int_equal(capture->count, 1);
	expect_taken(capture, 0, LINE);
	assert_int_equal(capture->taken[0].from.port, 443);
	assert_true(capture->taken[0].late);
}

static void without_a_header_the_one_who_connected_is_shown(void **state)
{
	struct capture *capture = *state;

	add_syn(capture, FROM_LISTENER, 5000); /* SYN and ACK: the other side connected */
	add_segment(capture, FROM_LISTENER, 5000, "SSH-2.0-server\r\n");
	add_segment(capture, TO_LISTENER, 1000, "SSH-2.0-client\r\n");
	decode_flows_finish(capture->flows);
	assert_int_equal(capture->count, 1);
	expect_taken(capture, 0, "SSH-2.0-client\r\n");
}

static void a_sender_that_says_nothing_is_counted(void **state)
{
	struct capture *capture = *state;

	add_syn(capture, TO_LISTENER, 1000);
	add_syn(capture, FROM_LISTENER, 5000);
	add_segment(capture, FROM_LISTENER, 5000, "220 hello\r\n");
	assert_int_equal(decode_flows_finish(capture->flows), 1);
	assert_int_equal(capture->count, 0);
}

static void the_same_ports_again_are_another_connection(void **state)
{
	struct capture *capture = *state;

	add_syn(capture, TO_LISTENER, 1000);
	add_segment(capture, TO_LISTENER, 1000, LINE);
	add_syn(capture, TO_LISTENER, 1000); /* a SYN sent again is not */
	add_syn(capture, TO_LISTENER, 90000);
	add_segment(capture, TO_LISTENER, 90000, "GET /");
	decode_flows_finish(capture->flows);
	assert_int_equal(capture->count, 2);
	expect_taken(capture, 0, LINE);
	expect_taken(capture, 1, "GET /");
}

static void no_more_is_kept_than_will_be_shown(void **state)
{
	struct capture *capture = *state;
	char payload[1001];

	memset(payload, 'x', 1000);
	payload[1000] = '\0';
	add_syn(capture, TO_LISTENER, 1000);
	for (uint32_t i = 0; i < 100; i++)
		add_segment(capture, TO_LISTENER, 1000 + i * 1000, payload);
	decode_flows_finish(capture->flows);
	assert_int_equal(capture->count, 1);
	assert_true(capture->taken[0].length <= 64);
	assert_int_equal(capture->taken[0].total, 100000);
	assert_false(capture->taken[0].cut);
}

static void a_flow_shows_its_first_datagram_and_every_header(void **state)
{
	struct capture *capture = *state;

	add_datagram(capture, TO_LISTENER, V2_UDP "one", sizeof(V2_UDP "one") - 1);
	add_datagram(capture, TO_LISTENER, "bare", 4);
	add_datagram(capture, FROM_LISTENER, "answer", 6);
	add_datagram(capture, TO_LISTENER, V2_UDP, sizeof(V2_UDP) - 1);
	decode_flows_finish(capture->flows);
	assert_int_equal(capture->count, 2);
	assert_int_equal(capture->taken[0].packet, 1);
	assert_int_equal(capture->taken[1].packet, 4);
}

static void a_flow_that_begins_bare_is_shown_once(void **state)
{
	struct capture *capture = *state;

	add_datagram(capture, TO_LISTENER, "bare", 4);
	add_datagram(capture, TO_LISTENER, "bare", 4);
	decode_flows_finish(capture->flows);
	assert_int_equal(capture->count, 1);
	expect_taken(capture, 0, "bare");
}

static void count(void *context, const struct decode_sample *sample)
{
	size_t *counted = context;

	assert_int_equal(sample->length, strlen(LINE));
	++*counted;
}

/* More at once than are kept in mind. */
static void none_of_very_many_connections_is_lost(void **state)
{
	size_t counted = 0;
	struct decode_flows *flows = decode_flows_create(MAX_HEADER, count, &counted);
	struct packet packet = packet_of(TO_LISTENER, LINE, strlen(LINE));

	(void)state;
	assert_non_null(flows);
	for (uint32_t i = 0; i < 70000; i++) {
		packet.source.ip[1] = (uint8_t)(i >> 16);
		packet.source.port = (uint16_t)i;
		decode_flows_add(flows, PACKET_TCP, &packet, i + 1);
		decode_flows_add(flows, PACKET_UDP, &packet, i + 1);
	}
	decode_flows_finish(flows);
	assert_int_equal(counted, 2 * 70000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(segments_are_put_together),
		TEST(order_repetition_and_overlap_do_not_matter),
		TEST(sequence_numbers_may_wrap),
		TEST(a_hole_is_what_the_capture_lacks),
		TEST(a_header_is_found_in_whichever_direction_it_is),
		TEST(without_a_header_the_one_who_connected_is_shown),
		TEST(a_sender_that_says_nothing_is_counted),
		TEST(the_same_ports_again_are_another_connection),
		TEST(no_more_is_kept_than_will_be_shown),
		TEST(a_flow_shows_its_first_datagram_and_every_header),
		TEST(a_flow_that_begins_bare_is_shown_once),
		cmocka_unit_test(none_of_very_many_connections_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
