/* SPDX-License-Identifier: MIT */
/* The schedule's steps, and the rules. */
#include "udp_schedule.h"

#include <errno.h>
#include <string.h>

#include "udp_fixture.h"
#include "wire/spp.h"

#define CLIENTS      12
#define LISTENERS    2
#define BALANCERS    3
#define SHARED_PORTS 5 /* "first": clients that take turns at a balancer's port */
#define SOCKETS_MAX  2048
#define FIRST_FD     1000
#define STEP_KINDS   13

/* What is in every datagram, in front of a pattern of bytes. */
struct mark {
	uint32_t number; /* rising */
	uint16_t length; /* of all */
	uint16_t origin; /* from a client: which; from an upstream: the socket that it answers */
	uint8_t client;
	uint8_t listener;
};

static struct udp_fixture fixture;

static struct {
	const uint8_t *bytes;
	size_t length, at;
	FILE *trace;
	const char *broken;
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
	bool draining;
} now;

static unsigned next(void)
{
	return now.at < now.length ? now.bytes[now.at++] : 0;
}

/* The string's next choice, 0 once it is used up. */
static unsigned below(unsigned limit)
{
	unsigned choice = next();

	for (unsigned reach = 256; reach < limit; reach *= 256)
		choice = choice * 256 + next();
	return choice % limit;
}

static void expect(bool holds, const char *rule)
{
	if (holds || now.broken != NULL)
		return;
	now.broken = rule;
	if (now.trace != NULL)
		fprintf(now.trace, "BROKEN: %s\n", rule);
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

/* Returns whether it is one of ours. */
static bool read_marked(const uint8_t *bytes, size_t length, struct mark *mark)
{
	expect(length >= sizeof(*mark), "a datagram is cut short");
	if (length < sizeof(*mark))
		return false;
	memcpy(mark, bytes, sizeof(*mark));
	if (mark->length != length || mark->client >= CLIENTS || mark->listener >= LISTENERS ||
	    mark->origin >= SOCKETS_MAX) {
		expect(false, "a datagram is another than was sent");
		return false;
	}
	for (size_t i = sizeof(*mark); i < length; i++)
		expect(bytes[i] == (uint8_t)(mark->number * 31 + i),
		       "the bytes are others than were sent");
	return true;
}

/* Most of a client are equally long. */
static uint16_t any_length(unsigned client)
{
	unsigned length = (unsigned)sizeof(struct mark) + client;

	if (below(6) == 0)
		length = (unsigned)sizeof(struct mark) + below(40);
	return (uint16_t)(below(100) == 0 ? length + 1300 : length);
}

static void send_of(unsigned client)
{
	const bool first = fixture.settings.udp.framing == UDP_FRAMING_FIRST;
	const struct address source = client_address(client),
			     target = udp_fixture_address(client % 4 == 3 ? "[2001:db8::53]:53"
									  : UDP_DESTINATION);
	unsigned listener = below(now.listeners);
	unsigned port = first ? client % SHARED_PORTS : below(BALANCERS);
	const struct address balancer = balancer_address(port);
	struct mark mark = {++now.said, any_length(client), 0, (uint8_t)client, (uint8_t)listener};
	uint8_t bytes[UDP_HEADER_MAX + 2048];
	size_t length = 0;

	if (fixture.settings.udp.framing == UDP_FRAMING_SPP) {
		spp_write(bytes, &source, &target);
		length = SPP_LENGTH;
	} else if (!first || now.at_port[listener][port] != (int)client || below(4) == 0) {
		length = udp_fixture_header(bytes, &source, &target);
		if (first)
			now.at_port[listener][port] = (int)client;
	}
	now.used[listener][client] |= 1u << port;
	length += write_marked(bytes + length, mark);
	fake_udp_arrive(now.sockets[listener], &balancer, bytes, length);
}

/* One of the newest that the program has made. */
static struct fake_udp_socket *any_dialled(void)
{
	unsigned nth = below(CLIENTS);

	for (struct list *link = fixture.fake.sockets.previous; link != &fixture.fake.sockets;
	     link = link->previous) {
		struct fake_udp_socket *socket = container_of(link, struct fake_udp_socket, link);

		if (socket->dialled && socket->fd >= 0 && socket->fd - FIRST_FD < SOCKETS_MAX &&
		    nth-- == 0)
			return socket;
	}
	return NULL;
}

static void answer_any(void)
{
	struct fake_udp_socket *socket = any_dialled();
	struct mark mark = {.length = any_length(3)};
	uint8_t bytes[2048];

	if (socket == NULL)
		return;
	mark.number = ++now.answered;
	mark.origin = (uint16_t)(socket->fd - FIRST_FD);
	mark.client =
		(uint8_t)(socket->bound.ip[socket->bound.family == ADDRESS_IPV6 ? 15 : 3] - 1);
	fake_udp_arrive(socket, &socket->peer, bytes, write_marked(bytes, mark));
}

static void check_datagram(const struct fake_udp_sent *sent)
{
	struct address client, upstream;
	struct mark mark;

	if (!read_marked(sent->bytes, sent->length, &mark))
		return;
	client = client_address(mark.client);
	upstream =
		udp_fixture_address(client.family == ADDRESS_IPV4 ? UDP_UPSTREAM : UDP_UPSTREAM_6);
	expect(address_equal(&sent->to, &upstream), "a datagram goes elsewhere");
	expect(address_equal_ip(&sent->from, &client), "a datagram comes from another client");
	expect(now.faults || sent->from.port == client.port,
	       "a datagram comes from another port of its client");
	expect(mark.number > now.heard[mark.listener][mark.client],
	       "a datagram comes twice or too late");
	now.heard[mark.listener][mark.client] = mark.number;
}

static void check_spp(const struct fake_udp_sent *sent, const struct address *client)
{
	struct proxy_header parsed;
	enum close_reason reason;

	if (!spp_parse(sent->bytes, sent->length, &parsed, &reason)) {
		expect(false, "a reply has no header");
		return;
	}
	expect(address_equal(&parsed.source, client) && parsed.destination.port == 53,
	       "a reply's header names others");
}

static void check_reply(const struct fake_udp_sent *sent)
{
	const bool spp = fixture.settings.udp.framing == UDP_FRAMING_SPP;
	const size_t header = spp ? SPP_LENGTH : 0;
	unsigned listener = sent->socket == now.sockets[0] ? 0 : 1;
	unsigned port = sent->to.port - 50000u;
	struct address client;
	struct mark mark;

	if (sent->length < header ||
	    !read_marked(sent->bytes + header, sent->length - header, &mark)) {
		expect(false, "a reply is cut short");
		return;
	}
	client = client_address(mark.client);
	expect(sent->socket == now.sockets[listener], "a reply leaves by another socket");
	expect(port < 32 && (now.used[listener][mark.client] >> port & 1) != 0,
	       "a reply goes to a port that its client never had");
	if (spp)
		check_spp(sent, &client);
	expect(mark.number > now.replied[mark.origin], "a reply comes twice or too late");
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

static int any_fault(void *context, enum fake_udp_call call)
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
	/* None once the string is used up. */
	return below(15) == 14 ? errors[call][below(8)] : 0;
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
	settings->udp.idle_timeout = below(3) == 0 ? 0 : 1000 + below(20000);
	refcount_init(&now.owners[which], fixture.owner.destroy);
	udp_listener_set_settings(fixture.listener, settings);
	if (now.second != NULL)
		udp_listener_set_settings(now.second, settings);
}

static void change_kernel(void)
{
	fixture.event_start = below(16);
	fixture.event_limit = below(3) == 0 ? 1 + below(5) : 100;
	fixture.fake.at_most = below(3) == 0 ? 1 + below(6) : 0;
	if (!now.faults)
		return;
	fixture.fake.run_error = below(4) == 0 ? -EIO : 0;
	fixture.fake.mtu = below(4) == 0 ? 1000 : 0;
	fixture.fake.fault = below(3) > 0 ? any_fault : NULL;
}

static void raise_icmp_error(void)
{
	const struct address address = client_address(below(CLIENTS));
	struct fake_udp_socket *socket = fake_udp_bound_to(&fixture.fake, &address);

	if (socket != NULL)
		socket->error = -ECONNREFUSED;
}

/* A notice reaches its socket, some time. */
static void tell_some(void)
{
	for (unsigned i = 0; now.listeners > 1 && i < now.listeners; i++) {
		if (below(2) == 0)
			fixture.notices[i]->heard = true;
	}
}

static const char *const step_names[STEP_KINDS] = {
	[0 ... 2] = "clients send", [3 ... 4] = "upstreams answer", [5] = "the kernel changes",
	[6] = "time passes",        [7] = "an ICMP error comes",    [8] = "a reload",
	[9] = "notices are heard",  [10] = "a drain, or a round",   [11 ... 12] = "a round",
};

static void drain(void)
{
	if (!now.draining && below(8) == 7) {
		now.draining = true;
		udp_listener_drain(fixture.listener);
	}
	udp_fixture_round(&fixture);
}

static void step(void)
{
	unsigned what = below(STEP_KINDS);

	if (now.trace != NULL)
		fprintf(now.trace, "%zu: %s\n", now.at, step_names[what]);
	switch (what) {
	case 0:
	case 1:
	case 2:
		for (unsigned i = below(40), client = 0; i > 0; i--) {
			if (below(2) == 0)
				client = below(CLIENTS);
			send_of(client);
		}
		break;
	case 3:
	case 4:
		for (unsigned i = below(20); i > 0; i--)
			answer_any();
		break;
	case 5:
		change_kernel();
		break;
	case 6:
		udp_fixture_pass(&fixture, below(4) == 3 ? below(70000) : below(500));
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
	case 10:
		drain();
		break;
	default:
		udp_fixture_round(&fixture);
	}
	check_sent();
}

static void begin(const uint8_t *bytes, size_t length, FILE *trace)
{
	memset(&now, 0, sizeof(now));
	memset(now.at_port, 0xff, sizeof(now.at_port));
	now.bytes = bytes;
	now.length = length;
	now.trace = trace;
	now.faults = below(2) == 1;
	now.listeners = 1 + below(LISTENERS);
	udp_fixture_start(&fixture, (enum udp_framing)below(3), 1 + below(CLIENTS), now.listeners);
	now.sockets[0] = fixture.listening;
	if (now.listeners > 1)
		now.second = udp_fixture_listen(&fixture, &now.sockets[1]);
}

static uint64_t count(enum counter counter)
{
	return udp_fixture_count(&fixture, counter);
}

static uint64_t closed(enum close_reason reason)
{
	return udp_fixture_closed(&fixture, reason);
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
static void check_accounts(void)
{
	uint64_t lost = closed_of(CLOSE_KIND_FAIL) + count(COUNTER_DATAGRAMS_DROPPED_FULL) +
			count(COUNTER_DATAGRAMS_DROPPED_TOO_LARGE) +
			count(COUNTER_DATAGRAMS_DROPPED_ERROR);
	uint64_t refused = closed(CLOSE_NO_FLOW) + count(COUNTER_DATAGRAMS_DROPPED_DRAINING);
	uint64_t replies_lost = count(COUNTER_REPLIES_DROPPED_FULL) +
				count(COUNTER_REPLIES_DROPPED_TOO_LARGE) +
				count(COUNTER_REPLIES_DROPPED_ERROR);
	uint64_t up = count(COUNTER_DATAGRAMS_FROM_CLIENT);
	uint64_t down = count(COUNTER_DATAGRAMS_FROM_UPSTREAM);

	expect(closed_of(CLOSE_KIND_REFUSE) == closed(CLOSE_NO_FLOW),
	       "a datagram was refused that was good");
	expect(up + lost + refused == now.said, "not every datagram is accounted for");
	expect(down + replies_lost + fixture.fake.unread == now.answered,
	       "not every answer is accounted for");
	expect(now.faults || lost + replies_lost == closed(CLOSE_FLOW_TABLE_FULL),
	       "a datagram is lost, and nothing has failed");
	expect(fixture.fake.sent_count == up + down, "more or less was sent than is counted");
	expect(count(COUNTER_SESSIONS_RELAYED) ==
		       closed_of(CLOSE_KIND_END) + fixture.relay.session_count,
	       "flows are counted that never were, or are not");
}

const char *udp_schedule_run(const uint8_t *bytes, size_t length, FILE *trace)
{
	begin(bytes, length, trace);
	while (now.at < length && now.broken == NULL)
		step();
	udp_fixture_settle(&fixture);
	udp_fixture_wake_all(&fixture);
	check_sent();
	udp_fixture_stop(&fixture);
	check_accounts();
	for (unsigned i = 0; i < 8 && i < now.reloads; i++)
		expect(atomic_load(&now.owners[i].holders) == 1, "settings are still held");
	return now.broken;
}
