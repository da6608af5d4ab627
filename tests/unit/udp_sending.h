/* SPDX-License-Identifier: MIT */
/*
 * A sender over the post office, and the books of it. Whatever a test does, each datagram is
 * reported once, in order; and those that are reported as sent, and no others, have been, byte for
 * byte. Behind cmocka.h.
 */
#ifndef MMPROXY_TESTS_UDP_SENDING_H
#define MMPROXY_TESTS_UDP_SENDING_H

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "relay/relay.h"
#include "relay/udp.h"
#include "relay/udp_receiver.h"
#include "relay/udp_sender.h"
#include "udp_post.h"

#define FLOWS     6
#define ADDED_MAX 2048

struct sending_report {
	struct udp_run run;
	int error;
};

static struct {
	struct post post;
	struct relay relay;
	struct udp_sender *sender;
	struct udp_flow flows[FLOWS];
	struct udp_outgoing added[ADDED_MAX]; /* since the last check */
	unsigned added_count;
	struct sending_report reports[ADDED_MAX];
	unsigned report_count;
	unsigned posted; /* datagrams of the post that have been checked */
} sending;

static inline void sending_note(struct relay *relay, const struct udp_run *run, int error)
{
	assert_ptr_equal(relay, &sending.relay);
	assert_true(sending.report_count < ADDED_MAX);
	sending.reports[sending.report_count++] = (struct sending_report){*run, error};
}

static inline void sending_start(bool connected)
{
	memset(&sending, 0, sizeof(sending));
	post_open(&sending.post);
	sending.relay.sys = &post_table;
	sending.sender = udp_sender_create(connected, sending_note);
	assert_non_null(sending.sender);
	assert_true(udp_sender_empty(sending.sender));
}

static inline void sending_stop(void)
{
	udp_sender_destroy(sending.sender);
	post_close(&sending.post);
}

/* Returns false where the sender has no room. */
static inline bool sending_add(const struct udp_outgoing *outgoing)
{
	if (!udp_sender_add(sending.sender, outgoing))
		return false;
	assert_true(sending.added_count < ADDED_MAX);
	assert_false(udp_sender_empty(sending.sender));
	sending.added[sending.added_count++] = *outgoing;
	return true;
}

/* The next datagram that the post has is this one. */
static inline void expect_posted(const struct udp_outgoing *due)
{
	const struct post_datagram *posted = &sending.post.datagrams[sending.posted];

	assert_true(sending.posted < sending.post.datagram_count);
	assert_int_equal(posted->length, due->header_length + due->length);
	if (due->header_length > 0)
		assert_memory_equal(posted->bytes, due->header, due->header_length);
	if (due->length > 0)
		assert_memory_equal(posted->bytes + due->header_length, due->bytes, due->length);
	sending.posted++;
}

static inline void expect_books(void)
{
	unsigned next = 0;

	for (unsigned i = 0; i < sending.report_count; i++) {
		const struct sending_report *report = &sending.reports[i];
		size_t bytes = 0, headers = 0;

		assert_true(report->error <= 0);
		assert_true(report->run.datagrams > 0);
		for (unsigned j = 0; j < report->run.datagrams; j++) {
			const struct udp_outgoing *added = &sending.added[next];

			assert_true(next++ < sending.added_count);
			assert_ptr_equal(report->run.flow, added->flow);
			bytes += added->header_length + added->length;
			headers += added->header_length;
			if (report->error == 0)
				expect_posted(added);
		}
		assert_int_equal(report->run.bytes, bytes);
		assert_int_equal(report->run.headers, headers);
	}
	assert_int_equal(next, sending.added_count);
	assert_int_equal(sending.posted, sending.post.datagram_count);
}

/* Sends what was added. The reports of it are there until the next flush. */
static inline void sending_flush(void)
{
	sending.report_count = 0;
	udp_sender_flush(sending.sender, &sending.relay, POST_FD);
	assert_true(udp_sender_empty(sending.sender));
	expect_books();
	sending.added_count = 0;
}

/* Bytes that do not repeat, from any place on. */
static inline const uint8_t *pattern(size_t at)
{
	static uint8_t bytes[1 << 20];

	if (bytes[1] == 0) {
		for (uint64_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)(i * UINT64_C(0x9e3779b97f4a7c15) >> 56);
	}
	return bytes + at % (sizeof(bytes) - 65536);
}

/* A datagram of the flow, whose bytes have no neighbour in the sender. */
static inline struct udp_outgoing datagram(unsigned flow, size_t length)
{
	static size_t place;

	place += 65537;
	return (struct udp_outgoing){
		.flow = &sending.flows[flow],
		.bytes = pattern(place),
		.length = length,
	};
}

static inline void add(unsigned flow, size_t length)
{
	const struct udp_outgoing outgoing = datagram(flow, length);

	assert_true(sending_add(&outgoing));
}

static inline void add_many(unsigned flow, size_t length, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		add(flow, length);
}

/* The datagrams in each message of the post, in order; ended by 0. */
#define EXPECT_MESSAGES(...) expect_messages((const unsigned[]){__VA_ARGS__, 0}, __FILE__, __LINE__)

static inline void expect_messages(const unsigned *due, const char *file, int line)
{
	unsigned i;

	for (i = 0; due[i] > 0; i++) {
		unsigned there =
			i < sending.post.message_count ? sending.post.messages[i].datagrams : 0;

		if (there == due[i])
			continue;
		print_error("message %u has %u datagrams, %u are due\n", i, there, due[i]);
		_fail(file, line);
	}
	_assert_int_equal(sending.post.message_count, i, file, line);
}

/* Every report so far is of this error. */
static inline void expect_errors(int error, unsigned reports)
{
	assert_int_equal(sending.report_count, reports);
	for (unsigned i = 0; i < reports; i++)
		assert_int_equal(sending.reports[i].error, error);
}

static inline uint64_t icmp_errors(void)
{
	return counter_read(&sending.relay.counters, COUNTER_UPSTREAM_ICMP_ERRORS);
}

#endif
