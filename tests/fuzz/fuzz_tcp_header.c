/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: what a balancer says first, in pieces, to a TCP listener over the fake operating
 * system. The session must come to what the header as a whole says: a dial from the client's
 * address with exactly the payload behind it, or a refusal for that reason.
 *
 * The first two bytes are options: what the kernel does, and how the rest is cut.
 */
#include "base/source_policy.h"
#include "fuzz.h"
#include "fuzz_cuts.h"
#include "relay_fixture.h"
#include "wire/proxy_header.h"

static struct relay_fixture fixture;

/* The payload goes on to the upstream, and ends there. */
static void check_relayed(struct fake_socket *client, const struct proxy_header *header,
			  const uint8_t *payload, size_t length)
{
	struct fake_socket *upstream = fake_dialled(&fixture.fake);
	struct address from;

	DEMAND(upstream != NULL && fake_dial_count(&fixture.fake) == 1);
	DEMAND(upstream->state == FAKE_CONNECTED);
	DEMAND(address_parse_endpoint(FIXTURE_BALANCER, &from) == 0);
	if (!header->local)
		from = header->source;
	DEMAND(address_equal(&upstream->bound, &from));
	fake_peer_finish(client);
	fixture_settle(&fixture);
	DEMAND(upstream->out.length == length);
	DEMAND(length == 0 || memcmp(upstream->out.bytes, payload, length) == 0);
	DEMAND(upstream->fin_delivered && client->out.length == 0);
	fake_peer_finish(upstream);
	fixture_settle(&fixture);
	DEMAND(fixture_closed(&fixture, CLOSE_FINISHED) == 1);
	DEMAND(fixture_session(&fixture) == NULL);
}

static void check_refused(enum close_reason reason)
{
	DEMAND(fixture_session(&fixture) == NULL);
	DEMAND(fixture_closed(&fixture, reason) == 1);
	DEMAND(fake_dialled(&fixture.fake) == NULL);
}

/* It waits for the rest, which never comes. */
static void check_waiting(struct fake_socket *client, size_t length, bool by_timeout)
{
	DEMAND(fixture_session(&fixture) != NULL);
	if (by_timeout) {
		fixture_pass(&fixture, fixture.settings.header_timeout + 1);
		check_refused(length > 0 ? CLOSE_HEADER_TIMEOUT : CLOSE_HEADER_TIMEOUT_EMPTY);
	} else {
		fake_peer_finish(client);
		fixture_settle(&fixture);
		check_refused(length > 0 ? CLOSE_HEADER_TRUNCATED : CLOSE_EMPTY);
	}
}

static void check_outcome(struct fake_socket *client, const uint8_t *bytes, size_t size,
			  bool by_timeout)
{
	struct proxy_header header;
	enum close_reason reason;

	switch (proxy_header_parse(bytes, size, fixture.settings.max_header, PROXY_TRANSPORT_STREAM,
				   &header, &reason)) {
	case PROXY_PARSE_OK:
		if (!header.local &&
		    !source_policy_permits(&header.source, NULL, &fixture.own.own, &reason))
			check_refused(reason);
		else
			check_relayed(client, &header, bytes + header.length, size - header.length);
		break;
	case PROXY_PARSE_BAD:
		check_refused(reason);
		break;
	case PROXY_PARSE_MORE:
		check_waiting(client, size, by_timeout);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const uint32_t limits[4] = {4096, PROXY_V2_MAX_LENGTH, 107, 300};
	uint8_t options = fuzz_take(&bytes, &size);
	struct fuzz_cuts cuts = {.how = fuzz_take(&bytes, &size)};
	struct fake_socket *client;

	fixture_start(&fixture);
	fixture.settings.max_header = limits[options % 4];
	fixture.event_limit = options & 4 ? 1 : 128;
	if (options & 8)
		fixture.fake.receive_limit = 100;
	if (options & 16)
		fixture.fake.splice_limit = 700;
	client = fake_incoming(fixture.listening, FIXTURE_BALANCER);
	for (size_t at = 0; at < size;) {
		size_t length = fuzz_cut(&cuts, size - at);

		fake_peer_send(client, bytes + at, length);
		fixture_settle(&fixture);
		at += length;
	}
	fixture_settle(&fixture);
	check_outcome(client, bytes, size, (options & 32) != 0);
	fixture_stop(&fixture);
	return 0;
}
