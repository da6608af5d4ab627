/* SPDX-License-Identifier: MIT */
/*
 * Random schedules: balancers, clients, upstreams, faults, reloads and time in any order, over one
 * socket or two, in each framing. Whatever happens, a datagram arrives at most once, as it was
 * sent, behind those before it, at the upstream from its own client's address or at a balancer of
 * that client; and whichever does not arrive has been counted.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "udp_talk.h"

#define SCHEDULES    1000
#define STEPS        25
#define CLIENTS      12
#define LISTENERS    2
#define BALANCERS    3
#define SHARED_PORTS 5 /* "first": clients that take turns at a balancer's port */
#define SOCKETS_MAX  2048
#define FIRST_FD     1000

/* What is in every datagram, in front of a pattern of bytes. */
struct mark {
	uint32_t number; /* rising */
	uint16_t length; /* of all */
	uint16_t origin; /* from a client: which; from an upstream: the socket that it answers */
	uint8_t client;
	uint8_t listener;
};

static struct {
	uint64_t random;
	unsigned listeners;
	bool faults;
	struct fake_udp_socket *sockets[LISTENERS];
	struct udp_listener *second;
	uint32_t said, answered; /* the last numbers */
	uint32_t heard[LISTENERS][CLIENTS];
	uint32_t replied[SOCKETS_MAX];
	unsigned used[LISTENERS][CLIENTS]; /* a bit for each balancer's port that the client had */
	int at_port[LISTENERS][SHARED_PORTS];
	size_t checked;
	struct relay_settings settings[8];
	struct refcount owners[8];
	unsigned reloads;
} now;

static unsigned random_below(unsigned limit)
{
	now.random = now.random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(now.random >> 33) % limit;
}

static struct address client_address(unsigned client)
{
	struct address address =
		udp_fixture_address(client % 4 == 3 ? "[2001:db8::1]:40000" : "203.0.113.1:40000");

	address.ip[client % 4 == 3 ? 15 : 3] = (uint8_t)(client + 1);
	address.port = (uint16_t)(address.port + client);
	return address;
}

static struct address balancer_address(unsigned port)
{
	struct address address = udp_fixture_address("192.0.2.1:50000");

	address.port = (uint16_t)(address.port + port);
	return address;
}

/* Returns the length. */
static size_t write_marked(uint8_t *to, struct mark mark)
{
	memcpy(to, &mark, sizeof(mark));
	for (size_t i = sizeof(mark); i < mark.length; i++)
		to[i] = (uint8_t)(mark.number * 31 + i);
	return mark.length;
}

static struct mark read_marked(const uint8_t *bytes, size_t length)
{
	struct mark mark;

	assert_true(length >= sizeof(mark));
	memcpy(&mark, bytes, sizeof(mark));
	assert_int_equal(mark.length, length);
	for (size_t i = sizeof(mark); i < length; i++)
		assert_int_equal(bytes[i], (uint8_t)(mark.number * 31 + i));
	return mark;
}

/* Most of a client are equally long. */
static uint16_t random_length(unsigned client)
{
	unsigned length = (unsigned)sizeof(struct mark) + client;

	if (random_below(6) == 0)
		length = (unsigned)sizeof(struct mark) + random_below(40);
	return (uint16_t)(random_below(100) == 0 ? length + 1300 : length);
}

static void send_of(unsigned client)
{
	const bool first = fixture.settings.udp.framing == UDP_FRAMING_FIRST;
	const struct address source = client_address(client),
			     target = udp_fixture_address(client % 4 == 3 ? "[2001:db8::53]:53"
									  : UDP_DESTINATION);
	unsigned listener = random_below(now.listeners);
	unsigned port = first ? client % SHARED_PORTS : random_below(BALANCERS);
	const struct address balancer = balancer_address(port);
	struct mark mark = {++now.said, random_length(client), 0, (uint8_t)client,
			    (uint8_t)listener};
	uint8_t bytes[UDP_HEADER_MAX + 2048];
	size_t length = 0;

	if (fixture.settings.udp.framing == UDP_FRAMING_SPP) {
		spp_write(bytes, &source, &target);
		length = SPP_LENGTH;
	} else if (!first || now.at_port[listener][port] != (int)client || random_below(4) == 0) {
		length = udp_fixture_header(bytes, &source, &target);
		if (first)
			now.at_port[listener][port] = (int)client;
	}
	now.used[listener][client] |= 1u << port;
	length += write_marked(bytes + length, mark);
	fake_udp_arrive(now.sockets[listener], &balancer, bytes, length);
}

/* The upstream answers one of the sockets that there are. */
static void answer_any(void)
{
	unsigned nth = random_below(CLIENTS);

	for (struct list *link = fixture.fake.sockets.previous; link != &fixture.fake.sockets;
	     link = link->previous) {
		struct fake_udp_socket *socket = container_of(link, struct fake_udp_socket, link);
		struct mark mark = {++now.answered, random_length(3), 0, 0, 0};
		uint8_t bytes[2048];

		if (!socket->dialled || socket->fd < 0 || nth-- > 0) {
			now.answered--;
			continue;
		}
		mark.origin = (uint16_t)(socket->fd - FIRST_FD);
		mark.client =
			(uint8_t)(socket->bound.ip[socket->bound.family == ADDRESS_IPV6 ? 15 : 3] -
				  1);
		fake_udp_arrive(socket, &socket->peer, bytes, write_marked(bytes, mark));
		return;
	}
}

static void check_datagram(const struct fake_udp_sent *sent)
{
	const struct mark mark = read_marked(sent->bytes, sent->length);
	const struct address client = client_address(mark.client);
	const struct address upstream =
		udp_fixture_address(client.family == ADDRESS_IPV4 ? UDP_UPSTREAM : UDP_UPSTREAM_6);

	assert_true(address_equal(&sent->to, &upstream));
	assert_true(address_equal_ip(&sent->from, &client));
	if (!now.faults)
		assert_int_equal(sent->from.port, client.port);
	if (mark.number <= now.heard[mark.listener][mark.client])
		fail_msg("datagram %u comes twice or too late", mark.number);
	now.heard[mark.listener][mark.client] = mark.number;
}

static void check_reply(const struct fake_udp_sent *sent)
{
	const bool spp = fixture.settings.udp.framing == UDP_FRAMING_SPP;
	const size_t header = spp ? SPP_LENGTH : 0;
	const struct mark mark = read_marked(sent->bytes + header, sent->length - header);
	unsigned listener = sent->socket == now.sockets[0] ? 0 : 1;
	unsigned port = sent->to.port - 50000u;
	struct proxy_header parsed;
	enum close_reason reason;

	assert_ptr_equal(sent->socket, now.sockets[listener]);
	assert_true(now.used[listener][mark.client] >> port & 1);
	if (spp) {
		const struct address client = client_address(mark.client);

		assert_true(spp_parse(sent->bytes, sent->length, &parsed, &reason));
		assert_true(address_equal(&parsed.source, &client));
		assert_int_equal(parsed.destination.port, 53);
	}
	if (mark.number <= now.replied[mark.origin])
		fail_msg("answer %u comes twice or too late", mark.number);
	now.replied[mark.origin] = mark.number;
}

static void check_sent(void)
{
	for (; now.checked < fixture.fake.sent_count; now.checked++) {
		const struct fake_udp_sent *sent = &fixture.fake.sent[now.checked];

		if (sent->socket->dialled)
			check_datagram(sent);
		else
			check_reply(sent);
	}
}

static int random_fault(void *context, enum fake_udp_call call)
{
	static const int errors[FAKE_UDP_CALL_COUNT][8] = {
		[FAKE_UDP_SOCKET] = {-EMFILE, -ENOBUFS},
		[FAKE_UDP_SET_OPTION] = {-EPERM},
		[FAKE_UDP_BIND] = {-EADDRINUSE, -EACCES, -EADDRNOTAVAIL},
		[FAKE_UDP_CONNECT] = {-EADDRNOTAVAIL, -ENETUNREACH},
		[FAKE_UDP_LOCAL_ADDRESS] = {-ENOBUFS},
		[FAKE_UDP_RECVMMSG] = {-EINTR, -EAGAIN, -ENOMEM, -ECONNREFUSED},
		[FAKE_UDP_SENDMMSG] = {-EINTR, -EAGAIN, -ENOBUFS, -EPERM, -EINVAL, -EMSGSIZE, -EIO,
				       -ECONNREFUSED},
		[FAKE_UDP_WATCH] = {-ENOSPC},
	};

	(void)context;
	return random_below(15) == 0 ? errors[call][random_below(8)] : 0;
}

static void reload(void)
{
	unsigned which = now.reloads++ % 8;
	struct relay_settings *settings = &now.settings[which];

	/* Eight are more than live at once, unless flows hold them. */
	if (now.reloads > 8 && atomic_load(&now.owners[which].holders) > 1)
		return;
	*settings = fixture.settings;
	settings->owner = &now.owners[which];
	settings->udp.idle_timeout = random_below(3) == 0 ? 0 : 1000 + random_below(20000);
	refcount_init(&now.owners[which], fixture.owner.destroy);
	udp_listener_set_settings(fixture.listener, settings);
	if (now.second != NULL)
		udp_listener_set_settings(now.second, settings);
}

static void change_kernel(void)
{
	fixture.event_start = random_below(16);
	fixture.event_limit = random_below(3) == 0 ? 1 + random_below(5) : 100;
	fixture.fake.at_most = random_below(3) == 0 ? 1 + random_below(6) : 0;
	if (!now.faults)
		return;
	fixture.fake.run_error = random_below(4) == 0 ? -EIO : 0;
	fixture.fake.mtu = random_below(4) == 0 ? 1000 : 0;
	fixture.fake.fault = random_below(3) > 0 ? random_fault : NULL;
}

static void raise_icmp_error(void)
{
	const struct address address = client_address(random_below(CLIENTS));
	struct fake_udp_socket *socket = fake_udp_bound_to(&fixture.fake, &address);

	if (socket != NULL)
		socket->error = -ECONNREFUSED;
}

/* A notice reaches its socket, some time. */
static void tell_some(void)
{
	for (unsigned i = 0; now.listeners > 1 && i < now.listeners; i++) {
		if (random_below(2) == 0)
			fixture.notices[i]->heard = true;
	}
}

static void step(void)
{
	switch (random_below(12)) {
	case 0:
	case 1:
	case 2:
		for (unsigned i = random_below(40), client = 0; i > 0; i--) {
			if (random_below(2) == 0)
				client = random_below(CLIENTS);
			send_of(client);
		}
		break;
	case 3:
	case 4:
		for (unsigned i = random_below(20); i > 0; i--)
			answer_any();
		break;
	case 5:
		change_kernel();
		break;
	case 6:
		pass(random_below(4) == 0 ? random_below(70000) : random_below(500));
		break;
	case 7:
		raise_icmp_error();
		break;
	case 8:
		reload();
		break;
	case 9:
		tell_some();
		break;
	default:
		udp_fixture_round(&fixture);
	}
	check_sent();
}

static void begin(unsigned seed)
{
	memset(&now, 0, sizeof(now));
	memset(now.at_port, 0xff, sizeof(now.at_port));
	now.random = seed;
	now.faults = random_below(2) == 0;
	now.listeners = 1 + random_below(LISTENERS);
	udp_fixture_start(&fixture, (enum udp_framing)random_below(3), 1 + random_below(CLIENTS),
			  now.listeners);
	now.sockets[0] = fixture.listening;
	if (now.listeners > 1)
		now.second = udp_fixture_listen(&fixture, &now.sockets[1]);
}

static uint64_t closed_of(enum close_kind kind)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < CLOSE_REASON_COUNT; i++) {
		if (close_reason_kind((enum close_reason)i) == kind)
			sum += closed((enum close_reason)i);
	}
	return sum;
}

/* Where each datagram has gone to. */
static void expect_accounts(unsigned seed)
{
	uint64_t lost = closed_of(CLOSE_KIND_FAIL) + count(COUNTER_DATAGRAMS_DROPPED_FULL) +
			count(COUNTER_DATAGRAMS_DROPPED_TOO_LARGE) +
			count(COUNTER_DATAGRAMS_DROPPED_ERROR);
	uint64_t refused = closed(CLOSE_NO_FLOW) + count(COUNTER_DATAGRAMS_DROPPED_DRAINING);
	uint64_t replies_lost = count(COUNTER_REPLIES_DROPPED_FULL) +
				count(COUNTER_REPLIES_DROPPED_TOO_LARGE) +
				count(COUNTER_REPLIES_DROPPED_ERROR);

	assert_int_equal(closed_of(CLOSE_KIND_REFUSE), closed(CLOSE_NO_FLOW));
	if (count(COUNTER_DATAGRAMS_FROM_CLIENT) + lost + refused != now.said)
		fail_msg("schedule %u: not every datagram is accounted for", seed);
	if (count(COUNTER_DATAGRAMS_FROM_UPSTREAM) + replies_lost + fixture.fake.unread !=
	    now.answered)
		fail_msg("schedule %u: not every answer is accounted for", seed);
	if (!now.faults)
		assert_int_equal(lost + replies_lost, closed(CLOSE_FLOW_TABLE_FULL));
	assert_int_equal(fixture.fake.sent_count, count(COUNTER_DATAGRAMS_FROM_CLIENT) +
							  count(COUNTER_DATAGRAMS_FROM_UPSTREAM));
	assert_int_equal(count(COUNTER_SESSIONS_RELAYED),
			 closed_of(CLOSE_KIND_END) + fixture.relay.session_count);
}

static void run_schedule(unsigned seed)
{
	begin(seed);
	for (unsigned i = 0; i < STEPS; i++)
		step();
	if (random_below(3) == 0) {
		udp_listener_drain(fixture.listener);
		for (unsigned i = 0; i < STEPS; i++)
			step();
	}
	settle();
	udp_fixture_wake_all(&fixture);
	check_sent();
	udp_fixture_stop(&fixture);
	expect_accounts(seed);
	for (unsigned i = 0; i < 8 && i < now.reloads; i++)
		assert_int_equal(atomic_load(&now.owners[i].holders), 1);
}

static void in_any_schedule_datagrams_arrive_once_in_order_or_are_counted(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < SCHEDULES; seed++)
		run_schedule(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_any_schedule_datagrams_arrive_once_in_order_or_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
