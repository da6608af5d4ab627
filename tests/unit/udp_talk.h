/* SPDX-License-Identifier: MIT */
/*
 * What balancers, clients and upstreams say to each other over a UDP listener, as short text: a
 * datagram each, "|" between them. Behind cmocka.h.
 */
#ifndef MMPROXY_TESTS_UDP_TALK_H
#define MMPROXY_TESTS_UDP_TALK_H

#include <stdio.h>
#include <string.h>

#include "udp_fixture.h"
#include "wire/spp.h"

#define TALK_MAX 4096

static struct udp_fixture fixture;

/* The listener's socket that balancers send to: NULL is the fixture's. */
static struct fake_udp_socket *send_to;

static inline int talk_start(enum udp_framing framing, unsigned max_flows)
{
	send_to = NULL;
	udp_fixture_start(&fixture, framing, max_flows, 1);
	return 0;
}

static inline int start_every(void **state)
{
	(void)state;
	return talk_start(UDP_FRAMING_EVERY, 1000);
}

static inline int start_first(void **state)
{
	(void)state;
	return talk_start(UDP_FRAMING_FIRST, 1000);
}

static inline int start_spp(void **state)
{
	(void)state;
	return talk_start(UDP_FRAMING_SPP, 1000);
}

static inline int stop(void **state)
{
	(void)state;
	udp_fixture_stop(&fixture);
	return 0;
}

/* The header of the listener's framing. A client of NULL: LOCAL. Returns its length. */
static inline size_t write_header(uint8_t to[static UDP_HEADER_MAX], const char *client,
				  const char *destination)
{
	const struct address source = udp_fixture_address(client),
			     target = udp_fixture_address(destination);

	if (fixture.settings.udp.framing != UDP_FRAMING_SPP)
		return udp_fixture_header(to, client != NULL ? &source : NULL, &target);
	spp_write(to, &source, &target);
	return SPP_LENGTH;
}

/* A balancer sends these bytes. */
static inline struct fake_udp_arrival *balancer_sends(const char *balancer, const void *bytes,
						      size_t length)
{
	const struct address from = udp_fixture_address(balancer);

	return fake_udp_arrive(send_to != NULL ? send_to : fixture.listening, &from, bytes, length);
}

/* ... a datagram without a header. */
static inline void send_bare(const char *balancer, const char *text)
{
	balancer_sends(balancer, text, strlen(text));
}

/* ... for a client that has asked for a destination. Neither this nor what follows settles. */
static inline void send_via(const char *balancer, const char *client, const char *destination,
			    const char *text)
{
	uint8_t bytes[UDP_HEADER_MAX + TALK_MAX];
	size_t length = write_header(bytes, client, destination);

	memcpy(bytes + length, text, strlen(text));
	balancer_sends(balancer, bytes, length + strlen(text));
}

static inline void send_as(const char *client, const char *text)
{
	send_via(UDP_BALANCER, client, UDP_DESTINATION, text);
}

static inline void settle(void)
{
	udp_fixture_settle(&fixture);
}

static inline void pass(uint64_t milliseconds)
{
	udp_fixture_pass(&fixture, milliseconds);
}

/* The socket that speaks for this client now. */
static inline struct fake_udp_socket *socket_for(const char *client)
{
	const struct address address = udp_fixture_address(client);

	return fake_udp_bound_to(&fixture.fake, &address);
}

/* The upstream answers this client. */
static inline void answer(const char *client, const char *text)
{
	struct fake_udp_socket *socket = socket_for(client);

	assert_non_null(socket);
	fake_udp_arrive(socket, &socket->peer, text, strlen(text));
}

/* Appends the datagram to text in which "|" ends each. */
static inline void talk_append(char text[static TALK_MAX], const uint8_t *bytes, size_t length)
{
	size_t used = strlen(text);

	assert_true(used + length + 2 <= TALK_MAX);
	memcpy(text + used, bytes, length);
	memcpy(text + used + length, "|", 2);
}

/* What an upstream has heard from this address since the test asked last: "one|two|". */
#define EXPECT_HEARD(client, due) expect_heard(client, due, __FILE__, __LINE__)

static inline void expect_heard(const char *client, const char *due, const char *file, int line)
{
	const struct address from = udp_fixture_address(client);
	char text[TALK_MAX] = "";

	for (size_t i = 0; i < fixture.fake.sent_count; i++) {
		struct fake_udp_sent *sent = &fixture.fake.sent[i];

		if (sent->heard || !sent->socket->dialled || !address_equal(&sent->from, &from))
			continue;
		sent->heard = true;
		talk_append(text, sent->bytes, sent->length);
	}
	_assert_string_equal(text, due, file, line);
}

/* What a balancer has got back since the test asked last. */
#define EXPECT_REPLIES(balancer, due) expect_replies(balancer, due, __FILE__, __LINE__)

static inline void expect_replies(const char *balancer, const char *due, const char *file, int line)
{
	const struct address to = udp_fixture_address(balancer);
	char text[TALK_MAX] = "";

	for (size_t i = 0; i < fixture.fake.sent_count; i++) {
		struct fake_udp_sent *sent = &fixture.fake.sent[i];

		if (sent->heard || sent->socket->dialled || !address_equal(&sent->to, &to))
			continue;
		sent->heard = true;
		talk_append(text, sent->bytes, sent->length);
	}
	_assert_string_equal(text, due, file, line);
}

/* Nothing was sent that no test has asked for. */
static inline void expect_silence(void)
{
	for (size_t i = 0; i < fixture.fake.sent_count; i++)
		assert_true(fixture.fake.sent[i].heard);
}

static inline uint64_t count(enum counter counter)
{
	return udp_fixture_count(&fixture, counter);
}

static inline uint64_t closed(enum close_reason reason)
{
	return udp_fixture_closed(&fixture, reason);
}

/* So many are over for this reason, and none for another. */
static inline void expect_closed(enum close_reason reason, unsigned flows)
{
	for (unsigned i = 0; i < CLOSE_REASON_COUNT; i++) {
		unsigned due = i == reason ? flows : 0;

		if (closed((enum close_reason)i) != due)
			fail_msg("%u closed for %s, due are %u",
				 (unsigned)closed((enum close_reason)i),
				 close_reason_name((enum close_reason)i), due);
	}
}

static inline unsigned flows(void)
{
	return fixture.relay.session_count;
}

/* Names for many clients and balancers. */
static inline const char *client_name(unsigned number)
{
	static char names[8][ADDRESS_TEXT_SIZE];
	static unsigned next;
	char *name = names[next++ % 8];

	snprintf(name, ADDRESS_TEXT_SIZE, "203.0.%u.%u:%u", number / 200 % 200, number % 200 + 1,
		 40000 + number % 1000);
	return name;
}

/* Several datagrams in a buffer that the kernel has joined. */
static uint8_t joined[8192];
static size_t joined_length;

static inline void join(const char *client, const char *text)
{
	if (client != NULL)
		joined_length += write_header(joined + joined_length, client, UDP_DESTINATION);
	memcpy(joined + joined_length, text, strlen(text));
	joined_length += strlen(text);
}

static inline void put_joined(size_t segment)
{
	balancer_sends(UDP_BALANCER, joined, joined_length)->segment = segment;
	joined_length = 0;
}

static inline void send_joined(size_t segment)
{
	put_joined(segment);
	settle();
}

/* A header that was spoilt at one place, with a payload. */
static inline void send_spoilt(const char *client, size_t place, uint8_t value)
{
	uint8_t bytes[UDP_HEADER_MAX + 4];
	size_t length = write_header(bytes, client, UDP_DESTINATION);

	bytes[place] = value;
	memcpy(bytes + length, "data", 4);
	balancer_sends(UDP_BALANCER, bytes, length + 4);
	settle();
}

/* The first bytes of a header and no more. */
static inline void send_start(size_t length)
{
	uint8_t bytes[UDP_HEADER_MAX];

	write_header(bytes, UDP_CLIENT, UDP_DESTINATION);
	balancer_sends(UDP_BALANCER, bytes, length);
	settle();
}

#endif
