/* SPDX-License-Identifier: MIT */
/* The relay under test: start, clock, rounds, and the checks. */
#include "udp_fixture.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_loop.h"
#include "fake_plugin.h"
#include "host/ticket_pool.h"
#include "os/log.h"
#include "relay/udp_offload.h"
#include "relay/udp_workspace.h"

#define START      1000000 /* milliseconds on the clock */
#define EVENTS_MAX 128
/* Far more rounds without a change of the clock than any amount of datagrams here takes. */
#define ROUNDS_MAX 20000

static void expect_true(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "udp_fixture: %s\n", what);
	abort();
}

static void keep(struct refcount *refcount)
{
	(void)refcount;
	expect_true(false, "settings or own addresses were let go once too often");
}

struct address udp_fixture_address(const char *text)
{
	struct address address = {.family = ADDRESS_NONE};

	if (text != NULL)
		expect_true(address_parse_endpoint(text, &address) == 0, text);
	return address;
}

static struct prefix_set *set_of(const char *text)
{
	struct prefix_set *set = prefix_set_create();
	struct prefix prefix;

	expect_true(set != NULL && prefix_parse(text, &prefix) == 0 &&
			    prefix_set_add(set, &prefix) == 0,
		    text);
	prefix_set_seal(set);
	return set;
}

static struct udp_listener *listen_at(struct udp_fixture *fixture, unsigned member,
				      struct fake_udp_socket **listening)
{
	const struct address address = udp_fixture_address(UDP_LISTENER);
	struct udp_listener_start start = {
		.settings = &fixture->settings,
		.quota = &fixture->quota,
		.member = &fixture->quota.members[member],
	};

	expect_true(member < fixture->quota.member_count, "too many listeners");
	*listening = fake_udp_open(&fixture->fake, &address);
	start.fd = (*listening)->fd;
	return udp_listener_create(&fixture->relay, &start);
}

struct udp_listener *udp_fixture_listen(struct udp_fixture *fixture,
					struct fake_udp_socket **listening)
{
	unsigned place = 0;

	while (place < UDP_LISTENERS_MAX - 1 && fixture->others[place] != NULL)
		place++;
	assert(place < UDP_LISTENERS_MAX - 1);
	fixture->others[place] = listen_at(fixture, place + 1, listening);
	return fixture->others[place];
}

void udp_fixture_unlisten(struct udp_fixture *fixture, struct udp_listener *listener)
{
	for (unsigned i = 0; i < UDP_LISTENERS_MAX - 1; i++) {
		if (fixture->others[i] == listener)
			fixture->others[i] = NULL;
	}
	udp_listener_destroy(listener);
}

static void start_relay(struct udp_fixture *fixture)
{
	struct relay_options options = {
		.sys = &fake_udp_table,
		.worker_count = 1,
		.pipe_limit = 8,
		.descriptors = &fixture->descriptors,
		.udp_claims = &fixture->claims,
		.client_counts = &fixture->client_counts,
		.own_addresses = &fixture->own,
	};

	refcount_init(&fixture->owner, keep);
	refcount_init(&fixture->own.refcount, keep);
	fixture->own.own.addresses = set_of("198.51.100.7");
	fixture->own.own.broadcasts = set_of("198.51.100.255");
	refcount_take(&fixture->own.refcount);
	expect_true(relay_init(&fixture->relay, &options) == 0, "no relay");
	fake_loop_start(&fixture->relay.loop, START);
}

void udp_fixture_start(struct udp_fixture *fixture, enum udp_framing framing, unsigned max_flows,
		       unsigned sockets)
{
	const struct siphash_key secret = {3, 4};

	log_set_level(LOG_LEVEL_ERROR);
	*fixture = (struct udp_fixture){
		.settings =
			{
				.owner = &fixture->owner,
				.listener_name = "test",
				.protocol = RELAY_PROTOCOL_UDP,
				.forward_ipv4 = udp_fixture_address(UDP_UPSTREAM),
				.forward_ipv6 = udp_fixture_address(UDP_UPSTREAM_6),
				.max_header = 4096,
				.udp = {framing, 60000, max_flows},
			},
		.event_limit = EVENTS_MAX,
	};
	fake_udp_init(&fixture->fake);
	expect_true(udp_claims_init(&fixture->claims, max_flows, &secret) == 0, "no claims");
	expect_true(client_counts_init(&fixture->client_counts, max_flows, &secret) == 0,
		    "no counts");
	expect_true(flow_quota_init(&fixture->quota, max_flows, sockets) == 0, "no quota");
	start_relay(fixture);
	expect_true(sockets <= UDP_LISTENERS_MAX, "too many sockets");
	for (unsigned i = 0; sockets > 1 && i < sockets; i++)
		fixture->notices[i] =
			fake_udp_adopt(&fixture->fake, fixture->quota.members[i].notices);
	fixture->listener = listen_at(fixture, 0, &fixture->listening);
	expect_true(fixture->listener != NULL, "no listener");
}

void udp_fixture_use_plugins(struct udp_fixture *fixture, struct fake_plugins *plugins,
			     unsigned count)
{
	fake_plugins_open(plugins, count, &fixture->owner);
	fake_plugins_attach(plugins, &fixture->relay.loop);
	fake_plugins_forget(plugins);
	fixture->plugins = plugins;
	fixture->relay.tickets = plugins->worker;
	fixture->settings.plugins = plugins->chain;
}

unsigned udp_fixture_claims(const struct udp_fixture *fixture)
{
	unsigned count = 0;

	for (size_t i = 0; i <= fixture->claims.mask; i++) {
		const struct udp_claim *claim = fixture->claims.buckets[i];

		for (; claim != NULL; claim = claim->next)
			count++;
	}
	return count;
}

static unsigned flow_limit(const struct udp_fixture *fixture)
{
	return atomic_load(&fixture->quota.flows.limit);
}

static unsigned flows_at_most(const struct udp_fixture *fixture)
{
	unsigned limit = flow_limit(fixture);

	if (fixture->quota.member_count <= 1)
		return limit;
	return limit + (limit < FLOW_QUOTA_OVERDRAFT ? limit : FLOW_QUOTA_OVERDRAFT);
}

unsigned udp_fixture_debts(const struct udp_fixture *fixture)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < fixture->quota.member_count; i++)
		sum += atomic_load(&fixture->quota.members[i].debt);
	return sum;
}

/* What the debts will bring in: nobody pays more than it has. */
static unsigned payable(const struct udp_fixture *fixture)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < fixture->quota.member_count; i++) {
		unsigned count = atomic_load(&fixture->quota.members[i].count);
		unsigned debt = atomic_load(&fixture->quota.members[i].debt);

		sum += debt < count ? debt : count;
	}
	return sum;
}

static const struct udp_listener *listener_of(const struct udp_fixture *fixture, unsigned member)
{
	return member == 0 ? fixture->listener : fixture->others[member - 1];
}

/* Those that wait, and those that the kernel carries alone. */
static unsigned without_socket_in(const struct list *queue)
{
	unsigned count = 0;

	for (const struct list *link = queue->next; link != queue; link = link->next) {
		const struct udp_flow *flow = container_of(link, struct udp_flow, entry.link);

		expect_true(flow->fd >= 0 || flow->waiting != NULL || udp_offload_is_carried(flow),
			    "a flow has no descriptor");
		expect_true(flow->fd < 0 || flow->waiting == NULL,
			    "a flow that waits has a descriptor");
		count += flow->fd < 0;
	}
	return count;
}

static unsigned without_socket(const struct udp_fixture *fixture)
{
	unsigned count = 0;

	for (unsigned i = 0; i < fixture->quota.member_count; i++) {
		const struct udp_listener *listener = listener_of(fixture, i);

		if (listener != NULL)
			count += without_socket_in(&listener->flows.fresh) +
				 without_socket_in(&listener->flows.assured);
	}
	return count;
}

static void expect_published(const struct udp_fixture *fixture)
{
	for (unsigned i = 0; i < fixture->quota.member_count; i++) {
		const struct flow_quota_member *member = &fixture->quota.members[i];
		const struct udp_listener *listener = listener_of(fixture, i);

		expect_true(atomic_load(&member->count) ==
					    (listener != NULL ? listener->flows.count : 0) &&
				    atomic_load(&member->fresh) ==
					    (listener != NULL ? listener->flows.fresh_count : 0),
			    "a socket has not as many flows as it has published");
	}
}

/* Between rounds no flow is half made, and none is over and still there. */
static void expect_in_order(const struct udp_fixture *fixture)
{
	unsigned flows = fixture->relay.session_count;

	expect_true(fake_udp_dialled(&fixture->fake) == flows - without_socket(fixture),
		    "there is not one descriptor for each flow");
	expect_true(atomic_load(&fixture->quota.flows.used) == flows,
		    "there is not one place for each flow");
	expect_true(atomic_load(&fixture->quota.flows.alive) == flows,
		    "there are not as many flows as are counted");
	expect_true(flows <= flows_at_most(fixture), "there are too many flows");
	expect_true(flows <= flow_limit(fixture) + payable(fixture),
		    "there are more flows than the limit and nobody owes them");
	expect_published(fixture);
	expect_true(udp_fixture_claims(fixture) <= flows, "there are more claims than flows");
	expect_true(fixture->relay.udp->touched_count == 0 &&
			    fixture->relay.udp->pending_count == 0 &&
			    fixture->relay.udp->last.flow == NULL,
		    "something is pending after its batch");
	expect_true(udp_sender_empty(fixture->relay.udp->upstream) &&
			    udp_sender_empty(fixture->relay.udp->replies) &&
			    fixture->relay.udp->answers_used == 0,
		    "something is not sent after its round");
}

bool udp_fixture_round(struct udp_fixture *fixture)
{
	struct fake_udp_event events[EVENTS_MAX];
	size_t count =
		fake_udp_poll(&fixture->fake, events, fixture->event_limit, fixture->event_start);
	bool woken = fixture->plugins != NULL && fake_plugins_woken(fixture->plugins);
	bool busy = count > 0 || woken || !list_empty(&fixture->relay.loop.deferred);

	for (size_t i = 0; i < count; i++)
		events[i].source->ready(events[i].source, events[i].events);
	fake_loop_end_round(&fixture->relay.loop);
	if (woken)
		ticket_pool_deliver(fixture->relay.tickets);
	expect_in_order(fixture);
	return busy;
}

void udp_fixture_settle(struct udp_fixture *fixture)
{
	unsigned rounds = 0;

	while (udp_fixture_round(fixture))
		expect_true(++rounds < ROUNDS_MAX, "the relay spins");
}

void udp_fixture_wake(struct udp_fixture *fixture, unsigned member)
{
	udp_fixture_settle(fixture);
	fixture->notices[member]->heard = true;
	udp_fixture_settle(fixture);
}

void udp_fixture_wake_all(struct udp_fixture *fixture)
{
	for (unsigned i = 0; i < fixture->quota.member_count; i++) {
		if (fixture->notices[i] != NULL && fixture->notices[i]->watched)
			udp_fixture_wake(fixture, i);
	}
	expect_true(fixture->relay.session_count <= flow_limit(fixture), "nobody has made room");
	expect_true(udp_fixture_debts(fixture) == 0, "somebody still owes a place");
}

void udp_fixture_pass(struct udp_fixture *fixture, uint64_t milliseconds)
{
	uint64_t end = fixture->relay.loop.now + milliseconds;

	udp_fixture_settle(fixture);
	while (fixture->relay.loop.now < end) {
		fake_loop_step(&fixture->relay.loop, end);
		udp_fixture_settle(fixture);
	}
}

void udp_fixture_stop(struct udp_fixture *fixture)
{
	struct fake_udp *fake = &fixture->fake;

	if (fixture->listener != NULL)
		udp_listener_destroy(fixture->listener);
	fixture->listener = NULL;
	for (unsigned i = 0; i < UDP_LISTENERS_MAX - 1; i++) {
		if (fixture->others[i] != NULL)
			udp_fixture_unlisten(fixture, fixture->others[i]);
	}
	fake_loop_run_deferred(&fixture->relay.loop);
	if (fixture->plugins != NULL) {
		fake_plugins_leave(fixture->plugins);
		fake_plugins_detach(fixture->plugins);
	}
	expect_true(fixture->relay.session_count == 0, "flows are counted that are gone");
	expect_true(atomic_load(&fixture->quota.flows.used) == 0, "a place is not given back");
	expect_true(atomic_load(&fixture->quota.flows.alive) == 0,
		    "its flows are counted that are gone");
	expect_published(fixture);
	for (unsigned i = 0; i < fixture->quota.member_count; i++)
		expect_true(fixture->notices[i] == NULL || !fixture->notices[i]->watched,
			    "notices are watched that nobody will read");
	expect_true(udp_fixture_claims(fixture) == 0, "a claim stands that nobody has");
	for (size_t i = 0; i <= fixture->client_counts.mask; i++)
		expect_true(fixture->client_counts.buckets[i] == NULL, "a client is still counted");
	client_counts_finish(&fixture->client_counts);
	udp_finish(&fixture->relay);
	relay_finish(&fixture->relay);
	expect_true(fake->open == 0, "a descriptor is left open");
	expect_true(atomic_load(&fixture->owner.holders) == 1, "settings are still held");
	expect_true(atomic_load(&fixture->own.refcount.holders) == 1, "addresses are still held");
	if (fixture->plugins != NULL)
		fake_plugins_close(fixture->plugins);
	prefix_set_destroy((struct prefix_set *)(uintptr_t)fixture->own.own.addresses);
	prefix_set_destroy((struct prefix_set *)(uintptr_t)fixture->own.own.broadcasts);
	flow_quota_finish(&fixture->quota);
	udp_claims_finish(&fixture->claims);
	fake_udp_finish(fake);
}

static uint8_t *put_port(uint8_t *at, uint16_t port)
{
	at[0] = (uint8_t)(port >> 8);
	at[1] = (uint8_t)port;
	return at + 2;
}

size_t udp_fixture_header(uint8_t header[static UDP_HEADER_MAX], const struct address *client,
			  const struct address *destination)
{
	static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";
	size_t ip = client != NULL && client->family == ADDRESS_IPV6 ? 16 : 4;
	uint8_t *at = header + 16;

	memset(header, 0, UDP_HEADER_MAX);
	memcpy(header, signature, sizeof(signature));
	header[12] = client != NULL ? 0x21 : 0x20;
	if (client != NULL) {
		header[13] = ip == 16 ? 0x22 : 0x12;
		memcpy(at, client->ip, ip);
		memcpy(at + ip, destination->ip, ip);
		at = put_port(put_port(at + 2 * ip, client->port), destination->port);
	}
	put_port(header + 14, (uint16_t)(at - header - 16));
	return (size_t)(at - header);
}

uint64_t udp_fixture_count(const struct udp_fixture *fixture, enum counter counter)
{
	return counter_read(&fixture->relay.counters, counter);
}

uint64_t udp_fixture_closed(const struct udp_fixture *fixture, enum close_reason reason)
{
	return udp_fixture_count(fixture, counter_of_close(reason));
}
