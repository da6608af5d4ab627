/* SPDX-License-Identifier: MIT */
/* A UDP listener's settings, which a reload changes under living flows. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "udp_talk.h"

#define OTHER_CLIENT "203.0.113.10:40000"

static void new_settings_hold_for_new_flows(void **state)
{
	static struct refcount owner;
	struct relay_settings newer = fixture.settings;

	(void)state;
	send_as(UDP_CLIENT, "one");
	settle();
	newer.owner = &owner;
	newer.forward_ipv4 = udp_fixture_address("127.0.0.1:9999");
	refcount_init(&owner, fixture.owner.destroy);
	udp_listener_set_settings(fixture.listener, &newer);
	/* The old ones are held by the flow that has them, and by the test. */
	assert_int_equal(atomic_load(&fixture.owner.holders), 2);
	send_as(UDP_CLIENT, "two");
	send_as(OTHER_CLIENT, "uno");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "one|two|");
	assert_int_equal(socket_for(UDP_CLIENT)->peer.port, 8053);
	assert_int_equal(socket_for(OTHER_CLIENT)->peer.port, 9999);
	assert_int_equal(atomic_load(&owner.holders), 3);
	/* Back to the old ones, which is one hold less of the newer. */
	udp_listener_set_settings(fixture.listener, &fixture.settings);
	assert_int_equal(atomic_load(&owner.holders), 2);
	pass(60050);
	assert_int_equal(flows(), 0);
	assert_int_equal(atomic_load(&owner.holders), 1);
	assert_int_equal(atomic_load(&fixture.owner.holders), 2);
}

static void a_reload_while_flows_live_lets_every_generation_go(void **state)
{
	static struct refcount owners[20];
	static struct relay_settings settings[20];

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		settings[i] = fixture.settings;
		settings[i].owner = &owners[i];
		refcount_init(&owners[i], fixture.owner.destroy);
		udp_listener_set_settings(fixture.listener, &settings[i]);
		send_as(client_name(i / 2), "x");
		pass(1000);
	}
	udp_listener_destroy(fixture.listener);
	fixture.listener = NULL;
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(atomic_load(&owners[i].holders), 1);
	assert_int_equal(atomic_load(&fixture.owner.holders), 1);
}

/* What is written about a flow names its listener, so all of it comes before the settings go. */
static size_t sent_before_release;

static void note_release(struct refcount *refcount)
{
	(void)refcount;
	sent_before_release = fixture.fake.sent_count;
}

static void a_flow_holds_its_settings_until_its_last_answer_has_left(void **state)
{
	static struct refcount owner;
	struct relay_settings older = fixture.settings;

	(void)state;
	older.owner = &owner;
	refcount_init(&owner, note_release);
	udp_listener_set_settings(fixture.listener, &older);
	refcount_drop(&owner);
	send_as(UDP_CLIENT, "hello");
	settle();
	udp_listener_set_settings(fixture.listener, &fixture.settings);
	assert_int_equal(atomic_load(&owner.holders), 1);
	/* Another client needs its place. */
	atomic_store(&fixture.quota.flows.limit, 1);
	answer(UDP_CLIENT, "last words");
	send_as(OTHER_CLIENT, "hello");
	fixture.event_start = 1;
	settle();
	EXPECT_REPLIES(UDP_BALANCER, "last words|");
	EXPECT_HEARD(OTHER_CLIENT, "hello|");
	expect_closed(CLOSE_FLOW_EVICTED, 1);
	assert_int_equal(atomic_load(&owner.holders), 0);
	assert_int_equal(sent_before_release, 2);
}

static void use_idle_timeout(uint32_t milliseconds)
{
	static struct relay_settings changed[4];
	static unsigned next;
	struct relay_settings *newer = &changed[next++ % 4];

	*newer = fixture.settings;
	newer->udp.idle_timeout = milliseconds;
	udp_listener_set_settings(fixture.listener, newer);
}

static void a_new_idle_timeout_holds_for_flows_that_live(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	pass(5000);
	use_idle_timeout(10000);
	pass(4900);
	assert_int_equal(flows(), 1);
	use_idle_timeout(0);
	pass(1000000);
	assert_int_equal(flows(), 1);
	use_idle_timeout(1100000);
	pass(80000);
	assert_int_equal(flows(), 1);
	use_idle_timeout(1000);
	pass(10);
	assert_int_equal(flows(), 0);
	expect_closed(CLOSE_IDLE_TIMEOUT, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_every, stop)
	const struct CMUnitTest tests[] = {
		TEST(new_settings_hold_for_new_flows),
		TEST(a_reload_while_flows_live_lets_every_generation_go),
		TEST(a_flow_holds_its_settings_until_its_last_answer_has_left),
		TEST(a_new_idle_timeout_holds_for_flows_that_live),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
