/* SPDX-License-Identifier: MIT */
/*
 * From open to close: in which order plugins come and go, and between which calls a worker and its
 * sessions hold them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugin_talk.h"

static int start_two_apart(void **state)
{
	(void)state;
	return start_apart(2);
}

static unsigned holders(void)
{
	return atomic_load(&talk.owner.holders);
}

static void plugins_open_in_order_and_close_in_the_other(void **state)
{
	(void)state;
	EXPECT_CALLS("a.open b.open");
	fake_plugins_close(&plugins);
	EXPECT_CALLS("b.close a.close");
	fake_plugins_open(&plugins, 2, &talk.owner);
}

static void a_worker_starts_before_its_first_session_and_stops_behind_its_last(void **state)
{
	(void)state;
	fake_plugins_forget(&plugins);
	fake_plugins_attach(&plugins, &talk.loop);
	EXPECT_CALLS("a.start b.start");
	assert_int_equal(judge(), PLUGIN_PASSED);
	close_session(CLOSE_FINISHED);
	EXPECT_CALLS("a.filter b.filter a.closed b.closed");
	fake_plugins_leave(&plugins);
	EXPECT_CALLS("a.stop b.stop");
}

/* A reload: the worker has another generation, and a session of this one goes on. */
static void a_session_keeps_the_seat_that_the_worker_has_left(void **state)
{
	struct plugin_session *first;

	(void)state;
	fake_plugins_attach(&plugins, &talk.loop);
	assert_int_equal(judge(), PLUGIN_PASSED);
	first = talk.session;
	talk.session = NULL;
	assert_int_equal(judge(), PLUGIN_PASSED);
	fake_plugins_forget(&plugins);
	fake_plugins_leave(&plugins);
	EXPECT_CALLS("");
	close_session(CLOSE_FINISHED);
	EXPECT_CALLS("a.closed b.closed");
	talk.session = first;
	close_session(CLOSE_FINISHED);
	EXPECT_CALLS("a.closed b.closed a.stop b.stop");
}

static void a_session_that_waits_keeps_the_seat_as_well(void **state)
{
	(void)state;
	fake_plugins_attach(&plugins, &talk.loop);
	a->answer = MMPROXY_PENDING;
	assert_int_equal(judge(), PLUGIN_AWAITED);
	fake_plugins_leave(&plugins);
	fake_plugins_forget(&plugins);
	complete(a, MMPROXY_PASS, NULL);
	EXPECT_CALLS("b.filter");
	close_session(CLOSE_FINISHED);
	EXPECT_CALLS("a.closed b.closed a.stop b.stop");
}

static void an_adopted_session_keeps_the_seat_as_well(void **state)
{
	const struct plugin_session_facts facts = facts_of(1);

	(void)state;
	fake_plugins_attach(&plugins, &talk.loop);
	talk.session = plugin_session_adopt(plugins.chain, plugins.worker, &facts);
	assert_non_null(talk.session);
	fake_plugins_leave(&plugins);
	fake_plugins_forget(&plugins);
	close_session(CLOSE_FINISHED);
	EXPECT_CALLS("a.closed b.closed a.stop b.stop");
}

static void a_seat_holds_the_owner_until_it_ends(void **state)
{
	(void)state;
	assert_int_equal(holders(), 1);
	fake_plugins_attach(&plugins, &talk.loop);
	assert_int_equal(holders(), 2);
	assert_int_equal(judge(), PLUGIN_PASSED);
	assert_int_equal(holders(), 2);
	fake_plugins_leave(&plugins);
	assert_int_equal(holders(), 2);
	close_session(CLOSE_FINISHED);
	assert_int_equal(holders(), 1);
}

static void a_worker_may_take_its_seat_again(void **state)
{
	(void)state;
	fake_plugins_forget(&plugins);
	for (unsigned i = 0; i < 3; i++) {
		fake_plugins_attach(&plugins, &talk.loop);
		fake_plugins_leave(&plugins);
		EXPECT_CALLS("a.start b.start a.stop b.stop");
		assert_int_equal(holders(), 1);
	}
}

static void where_there_are_no_plugins_there_are_no_seats(void **state)
{
	(void)state;
	plugin_set_seat_take(NULL, plugins.worker);
	plugin_set_seat_share(NULL, plugins.worker);
	plugin_set_seat_leave(NULL, plugins.worker);
	plugin_set_destroy(NULL);
	assert_int_equal(holders(), 1);
}

static void the_host_hands_out_what_it_has(void **state)
{
	const struct mmproxy_host *host = &plugins.host.functions;

	(void)state;
	assert_int_equal(host->size, sizeof(*host));
	assert_int_equal(host->abi_major, MMPROXY_ABI_MAJOR);
	assert_int_equal(host->abi_minor, MMPROXY_ABI_MINOR);
	assert_int_equal(host->workers, 1);
	assert_int_equal(host->reserved, 0);
	assert_non_null(host->version);
	/* The last function is there, and so are those before it. */
	for (const char *at = (const char *)&host->log; at <= (const char *)&host->complete;
	     at += sizeof(host->log))
		assert_non_null(*(void *const *)(const void *)at);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_two_apart, stop_apart)
	const struct CMUnitTest tests[] = {
		TEST(plugins_open_in_order_and_close_in_the_other),
		TEST(a_worker_starts_before_its_first_session_and_stops_behind_its_last),
		TEST(a_session_keeps_the_seat_that_the_worker_has_left),
		TEST(a_session_that_waits_keeps_the_seat_as_well),
		TEST(an_adopted_session_keeps_the_seat_as_well),
		TEST(a_seat_holds_the_owner_until_it_ends),
		TEST(a_worker_may_take_its_seat_again),
		TEST(where_there_are_no_plugins_there_are_no_seats),
		TEST(the_host_hands_out_what_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
