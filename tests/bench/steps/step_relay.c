/* SPDX-License-Identifier: MIT */
/* The relay under the steps: made, driven round by round, taken down. */
#include "step_relay.h"

#include <err.h>
#include <stdlib.h>

#include "base/prefix_set.h"
#include "fake_loop.h"
#include "relay/tcp.h"
#include "relay/tcp_listener.h"
#include "relay/udp.h"

#define START 1000000 /* milliseconds on the clock */

static void expect(bool holds, const char *what)
{
	if (!holds)
		errx(EXIT_FAILURE, "%s", what);
}

/* What the steps' relay only borrows is never let go by its last holder. */
static void keep(struct refcount *refcount)
{
	(void)refcount;
	expect(false, "settings or own addresses were let go once too often");
}

static struct address endpoint(const char *text)
{
	struct address address;

	expect(address_parse_endpoint(text, &address) == 0, text);
	return address;
}

static const struct prefix_set *set_of(const char *text)
{
	struct prefix_set *set = prefix_set_create();
	struct prefix prefix;

	expect(set != NULL && prefix_parse(text, &prefix) == 0 && prefix_set_add(set, &prefix) == 0,
	       text);
	prefix_set_seal(set);
	return set;
}

static void set_destroy(const struct prefix_set *set)
{
	prefix_set_destroy((struct prefix_set *)(uintptr_t)set);
}

/* As config/settings.def has them. */
static struct relay_settings default_settings(struct refcount *owner)
{
	return (struct relay_settings){
		.owner = owner,
		.listener_name = "steps",
		.forward_ipv4 = endpoint("127.0.0.1:8080"),
		.forward_ipv6 = endpoint("[::1]:8080"),
		.subnets = set_of("192.0.2.0/24"),
		.header_timeout = 5000,
		.connect_timeout = 5000,
		.user_timeout = 30000,
		.keepalive = 60000,
		.max_header = 4096,
		.udp = {.framing = UDP_FRAMING_EVERY, .idle_timeout = 60000, .max_flows = 65536},
	};
}

static void start_relay(struct step_relay *on)
{
	const struct relay_options options = {
		.sys = &null_table,
		.worker_count = 1,
		.pipe_limit = 8,
		.descriptors = &on->descriptors,
		.udp_claims = &on->claims,
		.own_addresses = &on->own,
	};

	refcount_init(&on->own.refcount, keep);
	refcount_take(&on->own.refcount);
	on->own.own.addresses = set_of("198.51.100.7");
	on->own.own.broadcasts = set_of("198.51.100.255");
	expect(relay_init(&on->relay, &options) == 0, "no relay");
	fake_loop_start(&on->relay.loop, START);
}

void step_relay_start(struct step_relay *on)
{
	const struct siphash_key secret = {3, 4};
	const struct address balancer = endpoint("192.0.2.1:50000");
	unsigned max_flows;

	*on = (struct step_relay){.settings = default_settings(&on->owner)};
	max_flows = on->settings.udp.max_flows;
	null_init(&balancer);
	header_queue_init(&on->header_queue);
	refcount_init(&on->owner, keep);
	expect(udp_claims_init(&on->claims, max_flows, &secret) == 0, "no claims");
	expect(flow_quota_init(&on->quota, max_flows, 1) == 0, "no quota");
	start_relay(on);
}

void step_relay_use_plugins(struct step_relay *on)
{
	passing_plugins_open(&on->plugins, &on->relay.loop, &on->owner);
	on->relay.tickets = on->plugins.worker;
	on->settings.plugins = on->plugins.chain;
}

void step_relay_listen_tcp(struct step_relay *on)
{
	const struct tcp_listener_start start = {
		.fd = NULL_LISTENER,
		.settings = &on->settings,
		.budget = &on->sessions,
		.header_queue = &on->header_queue,
	};

	on->tcp = tcp_listener_create(&on->relay, &start);
	expect(on->tcp != NULL, "no listener");
}

void step_relay_listen_udp(struct step_relay *on)
{
	const struct udp_listener_start start = {
		.fd = NULL_LISTENER,
		.settings = &on->settings,
		.quota = &on->quota,
		.member = &on->quota.members[0],
	};

	on->settings.protocol = RELAY_PROTOCOL_UDP;
	on->udp = udp_listener_create(&on->relay, &start);
	expect(on->udp != NULL, "no listener");
}

void step_relay_stop(struct step_relay *on)
{
	if (on->tcp != NULL)
		tcp_listener_destroy(on->tcp);
	tcp_close_all(&on->relay);
	if (on->udp != NULL)
		udp_listener_destroy(on->udp);
	fake_loop_run_deferred(&on->relay.loop);
	udp_finish(&on->relay);
	if (on->settings.plugins != NULL)
		passing_plugins_close(&on->plugins);
	expect(on->relay.session_count == 0, "sessions are counted that are gone");
	relay_finish(&on->relay);
	set_destroy(on->settings.subnets);
	set_destroy(on->own.own.addresses);
	set_destroy(on->own.own.broadcasts);
	flow_quota_finish(&on->quota);
	udp_claims_finish(&on->claims);
}

void step_relay_report(struct step_relay *on, enum null_fd fd, uint32_t events)
{
	on->relay.loop.now++;
	null_report(fd, events);
	fake_loop_end_round(&on->relay.loop);
}

void step_relay_pass(struct step_relay *on, uint32_t milliseconds)
{
	on->relay.loop.now += milliseconds;
	fake_loop_end_round(&on->relay.loop);
}
