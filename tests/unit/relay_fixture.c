/* SPDX-License-Identifier: MIT */
/* The relay under test: start, clock, rounds, and the checks at the end. */
#include "relay_fixture.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_datapath.h"
#include "fake_loop.h"
#include "fake_plugin.h"
#include "host/ticket_pool.h"
#include "os/log.h"
#include "relay/tcp.h"
#include "relay/tcp_listener.h"
#include "relay/tcp_session.h"

#define START      1000000 /* milliseconds on the clock */
#define EVENTS_MAX 128
/* Far more rounds without a change of the clock than any amount of bytes here takes. */
#define ROUNDS_MAX   20000
#define PATTERN_SIZE (1 << 20)

static void expect_true(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "relay_fixture: %s\n", what);
	abort();
}

static void keep(struct refcount *refcount)
{
	(void)refcount;
	expect_true(false, "settings or own addresses were let go once too often");
}

static struct address endpoint(const char *text)
{
	struct address address;

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

void fixture_start(struct relay_fixture *fixture)
{
	const struct siphash_key secret = {5, 6};
	struct relay_options options = {
		.sys = &fake_table,
		.worker_count = 1,
		.pipe_limit = 8,
	};

	log_set_level(LOG_LEVEL_ERROR);
	*fixture = (struct relay_fixture){
		.settings =
			{
				.listener_name = "test",
				.forward_ipv4 = endpoint(FIXTURE_UPSTREAM),
				.forward_ipv6 = endpoint("[::1]:8080"),
				.header_timeout = 5000,
				.connect_timeout = 10000,
				.user_timeout = 30000,
				.keepalive = 60000,
				.max_header = 4096,
			},
		.event_limit = EVENTS_MAX,
	};
	fake_init(&fixture->fake);
	refcount_init(&fixture->owner, keep);
	refcount_init(&fixture->own.refcount, keep);
	fixture->own.own.addresses = set_of("198.51.100.7");
	fixture->own.own.broadcasts = set_of("198.51.100.255");
	fixture->settings.owner = &fixture->owner;
	options.descriptors = &fixture->descriptors;
	header_queue_init(&fixture->header_queue);
	expect_true(client_counts_init(&fixture->client_counts, 64, &secret) == 0, "no counts");
	options.client_counts = &fixture->client_counts;
	refcount_take(&fixture->own.refcount);
	options.own_addresses = &fixture->own;
	expect_true(relay_init(&fixture->relay, &options) == 0, "no relay");

	fake_loop_start(&fixture->relay.loop, START);
	fixture->fake.now = START;
	fixture->listening = fake_listen(&fixture->fake);
	fixture->listener =
		tcp_listener_create(&fixture->relay, &(struct tcp_listener_start){
							     .fd = fixture->listening->fd,
							     .settings = &fixture->settings,
							     .budget = &fixture->sessions,
							     .header_queue = &fixture->header_queue,
						     });
	expect_true(fixture->listener != NULL, "no listener");
}

void fixture_use_plugins(struct relay_fixture *fixture, struct fake_plugins *plugins,
			 unsigned count)
{
	fake_plugins_open(plugins, count, &fixture->owner);
	fake_plugins_attach(plugins, &fixture->relay.loop);
	fake_plugins_forget(plugins);
	fixture->plugins = plugins;
	fixture->relay.tickets = plugins->worker;
	fixture->settings.plugins = plugins->chain;
}

void fixture_use_datapath(struct relay_fixture *fixture, struct fake_datapath *datapath)
{
	fake_datapath_init(datapath, &fixture->fake);
	fixture->datapath = datapath;
	fixture->relay.datapath = &datapath->datapath;
	fixture->settings.offload = true;
}

/* The main thread has been told of them, and tells the worker. */
static bool deliver_ends(struct relay_fixture *fixture)
{
	uint64_t session;
	bool any = false;

	while (fixture->datapath != NULL && fake_datapath_event(fixture->datapath, &session)) {
		tcp_offload_ended(&fixture->relay, session);
		any = true;
	}
	return any;
}

bool fixture_round(struct relay_fixture *fixture)
{
	struct loop *loop = &fixture->relay.loop;
	struct fake_event events[EVENTS_MAX];
	size_t count = fake_poll(&fixture->fake, events, fixture->event_limit);
	bool woken = fixture->plugins != NULL && fake_plugins_woken(fixture->plugins);
	bool busy = count > 0 || woken || !list_empty(&loop->deferred);

	for (size_t i = 0; i < count; i++)
		events[i].source->ready(events[i].source, events[i].events);
	fake_loop_end_round(loop);
	if (woken)
		ticket_pool_deliver(fixture->relay.tickets);
	/* What it closes is freed in the next round. */
	return deliver_ends(fixture) || busy;
}

void fixture_settle(struct relay_fixture *fixture)
{
	unsigned rounds = 0;

	while (fixture_round(fixture))
		expect_true(++rounds < ROUNDS_MAX, "the relay spins");
}

void fixture_pass(struct relay_fixture *fixture, uint64_t milliseconds)
{
	struct loop *loop = &fixture->relay.loop;
	uint64_t end = loop->now + milliseconds;

	fixture_settle(fixture);
	while (loop->now < end) {
		fake_pass(&fixture->fake, fake_loop_step(loop, end));
		fixture_settle(fixture);
	}
}

void fixture_stop(struct relay_fixture *fixture)
{
	struct fake_sys *fake = &fixture->fake;

	if (fixture->listener != NULL)
		tcp_listener_destroy(fixture->listener);
	tcp_close_all(&fixture->relay);
	fake_loop_run_deferred(&fixture->relay.loop);
	if (fixture->plugins != NULL) {
		fake_plugins_leave(fixture->plugins);
		fake_plugins_detach(fixture->plugins);
	}
	expect_true(fixture->relay.session_count == 0, "sessions are counted that are gone");
	expect_true(atomic_load(&fixture->descriptors.used) == 0, "a descriptor is not given back");
	expect_true(atomic_load(&fixture->sessions.used) == 0, "a session is not given back");
	expect_true(atomic_load(&fixture->sessions.alive) == 0,
		    "its sessions are counted that are gone");
	expect_true(list_empty(&fixture->header_queue.sessions) && fixture->header_queue.count == 0,
		    "a header is waited for by nobody");
	for (size_t i = 0; i <= fixture->client_counts.mask; i++)
		expect_true(fixture->client_counts.buckets[i] == NULL, "a client is still counted");
	client_counts_finish(&fixture->client_counts);
	relay_finish(&fixture->relay);
	expect_true(fixture->relay.pipes.alive == 0, "a pipe is lost");
	expect_true(fake->open == 0, "a descriptor is left open");
	expect_true(fixture->relay.offloads == NULL, "a session is still found by its number");
	expect_true(fixture->datapath == NULL || fixture->relay.leaving ||
			    fake_datapath_count(fixture->datapath) == 0,
		    "the kernel is left with a session");
	expect_true(atomic_load(&fixture->owner.holders) == 1, "settings are still held");
	expect_true(atomic_load(&fixture->own.refcount.holders) == 1, "addresses are still held");
	if (fixture->plugins != NULL)
		fake_plugins_close(fixture->plugins);
	prefix_set_destroy((struct prefix_set *)(uintptr_t)fixture->own.own.addresses);
	prefix_set_destroy((struct prefix_set *)(uintptr_t)fixture->own.own.broadcasts);
	fake_finish(fake);
}

struct tcp_session *fixture_session(struct relay_fixture *fixture)
{
	struct list *sessions = &fixture->relay.sessions;

	if (list_empty(sessions))
		return NULL;
	return container_of(sessions->next, struct tcp_session, link);
}

void fixture_open(struct relay_fixture *fixture, struct fake_socket **client,
		  struct fake_socket **upstream)
{
	*client = fake_incoming(fixture->listening, FIXTURE_BALANCER);
	fake_peer_send(*client, FIXTURE_V1, FIXTURE_V1_SIZE);
	fixture_settle(fixture);
	*upstream = fake_dialled(&fixture->fake);
	expect_true(*upstream != NULL && (*upstream)->state == FAKE_CONNECTED,
		    "no session came about");
}

uint64_t fixture_count(const struct relay_fixture *fixture, enum counter counter)
{
	return counter_read(&fixture->relay.counters, counter);
}

uint64_t fixture_closed(const struct relay_fixture *fixture, enum close_reason reason)
{
	return fixture_count(fixture, counter_of_close(reason));
}

void fixture_send(struct fake_socket *peer, size_t length)
{
	static uint8_t pattern[PATTERN_SIZE];

	if (pattern[1] == 0) {
		for (uint64_t i = 0; i < PATTERN_SIZE; i++)
			pattern[i] = (uint8_t)(i * UINT64_C(0x9e3779b97f4a7c15) >> 56);
	}
	while (length > 0) {
		size_t start = peer->in.length % PATTERN_SIZE, size = PATTERN_SIZE - start;

		if (size > length)
			size = length;
		fake_peer_send(peer, pattern + start, size);
		length -= size;
	}
}
