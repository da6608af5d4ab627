/* SPDX-License-Identifier: MIT */
/*
 * One session and its chain of plugins, without a relay: the test asks, gives verdicts, lets time
 * pass and ends the session. Behind cmocka.h.
 */
#ifndef MMPROXY_TESTS_PLUGIN_TALK_H
#define MMPROXY_TESTS_PLUGIN_TALK_H

#include <stdlib.h>
#include <string.h>

#include "base/refcount.h"
#include "fake_loop.h"
#include "fake_plugin.h"
#include "host/plugin_session.h"
#include "host/ticket_pool.h"
#include "os/log.h"

static struct fake_plugins plugins;
static struct fake_plugin *const a = &plugins.plugins[0];
static struct fake_plugin *const b = &plugins.plugins[1];
static struct fake_plugin *const c = &plugins.plugins[2];

static struct {
	struct loop loop;
	struct refcount owner;
	struct plugin_session *session;
	unsigned decided; /* calls */
	enum plugin_ruling ruling;
} talk;

static inline void talk_keep(struct refcount *refcount)
{
	(void)refcount;
	abort(); /* The test holds it. */
}

/* The worker has not begun. */
static inline int start_apart(unsigned count)
{
	log_set_level(LOG_LEVEL_ERROR);
	memset(&talk, 0, sizeof(talk));
	list_init(&talk.loop.deferred);
	fake_loop_start(&talk.loop, 1000000);
	refcount_init(&talk.owner, talk_keep);
	fake_plugins_open(&plugins, count, &talk.owner);
	return 0;
}

static inline int start_with(unsigned count)
{
	start_apart(count);
	fake_plugins_attach(&plugins, &talk.loop);
	fake_plugins_forget(&plugins);
	return 0;
}

static inline int start_one(void **state)
{
	(void)state;
	return start_with(1);
}

static inline int start_two(void **state)
{
	(void)state;
	return start_with(2);
}

static inline int start_three(void **state)
{
	(void)state;
	return start_with(3);
}

static inline void close_session(enum close_reason reason)
{
	const struct plugin_session_end end = {.reason = reason};
	struct plugin_session *session = talk.session;

	talk.session = NULL;
	plugin_session_close(session, &end);
}

static inline int stop_apart(void **state)
{
	(void)state;
	assert_null(talk.session);
	fake_plugins_detach(&plugins);
	assert_int_equal(atomic_load(&talk.owner.holders), 1);
	fake_plugins_close(&plugins);
	return 0;
}

static inline int stop(void **state)
{
	close_session(CLOSE_SHUTDOWN);
	fake_plugins_leave(&plugins);
	return stop_apart(state);
}

static inline void talk_decided(void *owner, enum plugin_ruling ruling)
{
	assert_ptr_equal(owner, &talk);
	talk.decided++;
	talk.ruling = ruling;
}

/* A TCP session, as most tests have it. */
static inline struct plugin_session_facts facts_of(uint64_t id)
{
	const uint8_t client[4] = {203, 0, 113, 9}, balancer[4] = {192, 0, 2, 1};

	return (struct plugin_session_facts){
		.id = id,
		.started = talk.loop.now,
		.listener = "web",
		.client = address_from_ipv4(client, 40000),
		.balancer = address_from_ipv4(balancer, 50000),
		.protocol = MMPROXY_PROTOCOL_TCP,
		.header = MMPROXY_HEADER_V2,
	};
}

static inline enum plugin_ruling judge_facts(const struct plugin_session_facts *facts)
{
	assert_null(talk.session);
	talk.session =
		plugin_session_create(plugins.chain, plugins.worker, facts, talk_decided, &talk);
	assert_non_null(talk.session);
	return plugin_session_judge(talk.session);
}

/* The next session comes. */
static inline enum plugin_ruling judge(void)
{
	static uint64_t id;
	const struct plugin_session_facts facts = facts_of(++id);

	return judge_facts(&facts);
}

/* As much of a worker's round as concerns plugins. */
static inline void talk_round(void)
{
	bool woken = fake_plugins_woken(&plugins);

	timer_wheel_advance(&talk.loop.wheel, talk.loop.now);
	if (woken)
		ticket_pool_deliver(plugins.worker);
}

static inline void pass(uint64_t milliseconds)
{
	uint64_t end = talk.loop.now + milliseconds;

	while (talk.loop.now < end) {
		fake_loop_step(&talk.loop, end);
		talk_round();
	}
}

/* The verdict of the session that is awaited; it arrives. */
static inline void complete(struct fake_plugin *plugin, int verdict, const char *why)
{
	assert_int_equal(fake_plugin_complete(plugin, plugin->ticket, verdict, why), 0);
	talk_round();
}

static inline void expect_decided(enum plugin_ruling ruling)
{
	assert_int_equal(talk.decided, 1);
	assert_int_equal(talk.ruling, ruling);
}

/* Why it was refused. A `why` of NULL: nothing was said. */
static inline void expect_refusal(enum close_reason reason, const char *plugin, const char *why)
{
	const struct plugin_refusal refusal = plugin_session_refusal(talk.session);

	assert_string_equal(close_reason_name(refusal.reason), close_reason_name(reason));
	assert_string_equal(refusal.plugin, plugin);
	if (why != NULL)
		assert_string_equal(refusal.why, why);
	else
		assert_null(refusal.why);
}

/* "a.filter b.filter": what was called since the test asked last. */
#define EXPECT_CALLS(due) expect_calls(due, __FILE__, __LINE__)

static inline void expect_calls(const char *due, const char *file, int line)
{
	_assert_string_equal(plugins.calls, due, file, line);
	fake_plugins_forget(&plugins);
}

#endif
