/* SPDX-License-Identifier: MIT */
/*
 * Verdicts that come later: by complete(), or not at all, or when nobody waits any more; and what
 * each side is told of that.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plugin_talk.h"

static void let_wait(struct fake_plugin *plugin)
{
	plugin->answer = MMPROXY_PENDING;
}

/* ---- It comes ---- */

static void a_session_waits_until_its_verdict_comes(void **state)
{
	(void)state;
	let_wait(b);
	assert_int_equal(judge(), PLUGIN_AWAITED);
	EXPECT_CALLS("a.filter b.filter");
	pass(FAKE_PLUGINS_TIMEOUT - 1);
	assert_int_equal(talk.decided, 0);
	complete(b, MMPROXY_PASS, NULL);
	expect_decided(PLUGIN_PASSED);
	EXPECT_CALLS("c.filter");
	pass(10 * FAKE_PLUGINS_TIMEOUT);
	assert_int_equal(talk.decided, 1);
	close_session(CLOSE_FINISHED);
	EXPECT_CALLS("a.closed b.closed c.closed");
}

static void a_refusal_that_comes_later_is_one(void **state)
{
	static const int verdicts[] = {MMPROXY_DENY, MMPROXY_RESET};
	static const enum close_reason reasons[] = {CLOSE_PLUGIN_DENIED, CLOSE_PLUGIN_RESET};

	(void)state;
	let_wait(b);
	for (unsigned i = 0; i < 2; i++) {
		talk.decided = 0;
		assert_int_equal(judge(), PLUGIN_AWAITED);
		complete(b, verdicts[i], "I have thought it over");
		expect_decided(PLUGIN_REFUSED);
		expect_refusal(reasons[i], "b", "I have thought it over");
		close_session(reasons[i]);
		EXPECT_CALLS("a.filter b.filter a.closed b.closed");
	}
	assert_int_equal(fake_plugin_count(b, INSTANCE_REFUSALS), 2);
}

static void a_verdict_that_is_none_is_an_error(void **state)
{
	static const int verdicts[] = {MMPROXY_PENDING, 99, -EIO};
	static const char *const due[] = {"3 is no verdict", "99 is no verdict",
					  "it failed: Input/output error"};

	(void)state;
	let_wait(a);
	for (unsigned i = 0; i < 3; i++) {
		talk.decided = 0;
		assert_int_equal(judge(), PLUGIN_AWAITED);
		complete(a, verdicts[i], NULL);
		expect_decided(PLUGIN_REFUSED);
		expect_refusal(CLOSE_PLUGIN_ERROR, "a", due[i]);
		close_session(CLOSE_PLUGIN_ERROR);
	}
	plugins.entries[0].on_error = PLUGIN_ON_ERROR_PASS;
	talk.decided = 0;
	assert_int_equal(judge(), PLUGIN_AWAITED);
	complete(a, MMPROXY_PENDING, NULL);
	expect_decided(PLUGIN_PASSED);
	assert_int_equal(fake_plugin_count(a, INSTANCE_ERRORS), 4);
}

static void each_of_the_chain_may_take_its_time(void **state)
{
	(void)state;
	let_wait(a);
	let_wait(b);
	let_wait(c);
	assert_int_equal(judge(), PLUGIN_AWAITED);
	complete(a, MMPROXY_PASS, NULL);
	complete(b, MMPROXY_PASS, NULL);
	assert_int_equal(talk.decided, 0);
	complete(c, MMPROXY_PASS, NULL);
	expect_decided(PLUGIN_PASSED);
	EXPECT_CALLS("a.filter b.filter c.filter");
}

static void the_next_one_may_refuse_what_was_waited_for(void **state)
{
	(void)state;
	let_wait(a);
	b->answer = MMPROXY_RESET;
	b->why = "no";
	assert_int_equal(judge(), PLUGIN_AWAITED);
	complete(a, MMPROXY_PASS, "yes");
	expect_decided(PLUGIN_REFUSED);
	expect_refusal(CLOSE_PLUGIN_RESET, "b", "no");
	close_session(CLOSE_PLUGIN_RESET);
	EXPECT_CALLS("a.filter b.filter a.closed b.closed");
}

/* In one round both verdicts arrive, the second while the first is being handed out. */
static void a_verdict_may_come_while_another_is_handed_out(void **state)
{
	(void)state;
	let_wait(a);
	let_wait(b);
	b->hurries = true;
	b->hurried = MMPROXY_DENY;
	assert_int_equal(judge(), PLUGIN_AWAITED);
	complete(a, MMPROXY_PASS, NULL);
	expect_decided(PLUGIN_REFUSED);
	expect_refusal(CLOSE_PLUGIN_DENIED, "b", NULL);
}

/* ---- Before filter has returned ---- */

static void a_verdict_from_before_filter_returned_still_comes_later(void **state)
{
	(void)state;
	let_wait(a);
	a->hurries = true;
	a->hurried = MMPROXY_PASS;
	assert_int_equal(judge(), PLUGIN_AWAITED);
	assert_int_equal(talk.decided, 0);
	talk_round();
	expect_decided(PLUGIN_PASSED);
	assert_int_equal(a->cancelled, 0);
}

/* `filter` took a ticket and answered itself: nobody waits, and nobody needs to be told. */
static void expect_void_ticket(int answer, enum plugin_ruling ruling)
{
	a->defers = true;
	a->answer = answer;
	assert_int_equal(judge(), ruling);
	assert_int_equal(fake_plugin_complete(a, a->ticket, MMPROXY_DENY, NULL), -ESTALE);
	pass(10 * FAKE_PLUGINS_TIMEOUT);
	assert_int_equal(talk.decided, 0);
	close_session(CLOSE_FINISHED);
	assert_int_equal(a->cancelled, 0);
}

static void a_ticket_is_void_when_filter_answers_itself(void **state)
{
	(void)state;
	expect_void_ticket(MMPROXY_PASS, PLUGIN_PASSED);
	expect_void_ticket(MMPROXY_DENY, PLUGIN_REFUSED);
	expect_void_ticket(-EIO, PLUGIN_REFUSED);
	assert_int_equal(fake_plugin_count(a, INSTANCE_STALE_VERDICTS), 3);
}

static void filters_own_answer_counts_though_it_has_completed_its_ticket(void **state)
{
	(void)state;
	a->defers = a->hurries = true;
	a->hurried = MMPROXY_DENY;
	assert_int_equal(judge(), PLUGIN_PASSED);
	talk_round();
	assert_int_equal(talk.decided, 0);
	close_session(CLOSE_FINISHED);
	a->hurried = MMPROXY_PASS;
	a->answer = MMPROXY_RESET;
	assert_int_equal(judge(), PLUGIN_REFUSED);
	expect_refusal(CLOSE_PLUGIN_RESET, "a", NULL);
	talk_round();
	assert_int_equal(talk.decided, 0);
}

/* ---- Why ---- */

static void what_filter_explained_stands_where_complete_says_nothing(void **state)
{
	(void)state;
	let_wait(a);
	a->why = "I was going to ask";
	assert_int_equal(judge(), PLUGIN_AWAITED);
	complete(a, MMPROXY_DENY, NULL);
	expect_refusal(CLOSE_PLUGIN_DENIED, "a", "I was going to ask");
}

static void what_complete_says_is_the_reason(void **state)
{
	char why[300];

	(void)state;
	memset(why, 'z', sizeof(why));
	why[299] = '\0';
	let_wait(a);
	a->why = "I was going to ask";
	assert_int_equal(judge(), PLUGIN_AWAITED);
	complete(a, MMPROXY_DENY, why);
	why[120] = '\0';
	expect_refusal(CLOSE_PLUGIN_DENIED, "a", why);
}

/* ---- It does not come ---- */

static void without_a_verdict_in_time_the_session_is_refused(void **state)
{
	(void)state;
	plugins.entries[1].timeout = 70;
	let_wait(b);
	assert_int_equal(judge(), PLUGIN_AWAITED);
	pass(70);
	assert_int_equal(talk.decided, 0);
	pass(1);
	expect_decided(PLUGIN_REFUSED);
	expect_refusal(CLOSE_PLUGIN_TIMEOUT, "b", "no verdict within its timeout");
	assert_int_equal(b->given_up, b->ticket);
	close_session(CLOSE_PLUGIN_TIMEOUT);
	EXPECT_CALLS("a.filter b.filter b.cancel a.closed b.closed");
	assert_int_equal(b->end.code, 132);
	assert_string_equal(b->end.plugin, "b");
	assert_int_equal(fake_plugin_count(b, INSTANCE_TIMEOUTS), 1);
	assert_int_equal(fake_plugin_count(b, INSTANCE_ERRORS), 0);
}

static void without_a_verdict_in_time_it_passes_where_on_error_says_so(void **state)
{
	(void)state;
	plugins.entries[0].on_error = PLUGIN_ON_ERROR_PASS;
	let_wait(a);
	let_wait(b);
	assert_int_equal(judge(), PLUGIN_AWAITED);
	pass(FAKE_PLUGINS_TIMEOUT + 1);
	EXPECT_CALLS("a.filter a.cancel b.filter");
	assert_int_equal(talk.decided, 0);
	/* The next one has the whole of its own time. */
	pass(FAKE_PLUGINS_TIMEOUT);
	assert_int_equal(talk.decided, 0);
	complete(b, MMPROXY_PASS, NULL);
	expect_decided(PLUGIN_PASSED);
	EXPECT_CALLS("c.filter");
}

static void a_verdict_behind_the_timeout_is_stale_and_counted(void **state)
{
	(void)state;
	plugins.entries[0].on_error = PLUGIN_ON_ERROR_PASS;
	let_wait(a);
	assert_int_equal(judge(), PLUGIN_AWAITED);
	pass(FAKE_PLUGINS_TIMEOUT + 1);
	expect_decided(PLUGIN_PASSED);
	assert_int_equal(fake_plugin_complete(a, a->ticket, MMPROXY_DENY, NULL), -ESTALE);
	talk_round();
	assert_int_equal(talk.decided, 1);
	assert_int_equal(fake_plugin_count(a, INSTANCE_STALE_VERDICTS), 1);
}

/* The worker was held up: verdict and deadline are there at once. */
static void a_verdict_that_was_there_before_the_deadline_counts(void **state)
{
	(void)state;
	let_wait(a);
	assert_int_equal(judge(), PLUGIN_AWAITED);
	assert_int_equal(fake_plugin_complete(a, a->ticket, MMPROXY_DENY, "in time"), 0);
	talk.loop.now += 5 * FAKE_PLUGINS_TIMEOUT;
	talk_round();
	expect_decided(PLUGIN_REFUSED);
	expect_refusal(CLOSE_PLUGIN_DENIED, "a", "in time");
	talk_round();
	assert_int_equal(talk.decided, 1);
	assert_int_equal(a->cancelled, 0);
	assert_int_equal(fake_plugin_count(a, INSTANCE_TIMEOUTS), 0);
}

/* ---- Nobody waits any more ---- */

static void a_session_that_ends_first_cancels_what_is_awaited(void **state)
{
	(void)state;
	let_wait(b);
	assert_int_equal(judge(), PLUGIN_AWAITED);
	close_session(CLOSE_CLIENT_LEFT);
	EXPECT_CALLS("a.filter b.filter b.cancel a.closed b.closed");
	assert_int_equal(b->end.code, 205);
	assert_null(b->end.plugin);
	assert_int_equal(fake_plugin_complete(b, b->ticket, MMPROXY_PASS, NULL), -ESTALE);
	pass(10 * FAKE_PLUGINS_TIMEOUT);
	assert_int_equal(talk.decided, 0);
	assert_int_equal(fake_plugin_count(b, INSTANCE_TIMEOUTS), 0);
}

static void a_verdict_that_is_on_its_way_then_is_not_cancelled(void **state)
{
	(void)state;
	let_wait(a);
	assert_int_equal(judge(), PLUGIN_AWAITED);
	assert_int_equal(fake_plugin_complete(a, a->ticket, MMPROXY_DENY, NULL), 0);
	close_session(CLOSE_CLIENT_LEFT);
	EXPECT_CALLS("a.filter a.closed");
	talk_round();
	assert_int_equal(talk.decided, 0);
	assert_int_equal(fake_plugin_count(a, INSTANCE_REFUSALS), 0);
}

static void (*cancel_of_the_fake)(void *state, const struct mmproxy_conn *conn,
				  mmproxy_ticket ticket);

static void complete_in_cancel(void *state, const struct mmproxy_conn *conn, mmproxy_ticket ticket)
{
	struct fake_plugin *plugin = state;

	cancel_of_the_fake(state, conn, ticket);
	assert_int_equal(fake_plugin_complete(plugin, ticket, MMPROXY_PASS, NULL), -ESTALE);
}

static void within_cancel_it_is_too_late(void **state)
{
	(void)state;
	cancel_of_the_fake = a->instance->module.hooks.cancel;
	a->instance->module.hooks.cancel = complete_in_cancel;
	let_wait(a);
	assert_int_equal(judge(), PLUGIN_AWAITED);
	pass(FAKE_PLUGINS_TIMEOUT + 1);
	expect_decided(PLUGIN_REFUSED);
	close_session(CLOSE_PLUGIN_TIMEOUT);
	assert_int_equal(judge(), PLUGIN_AWAITED);
	close_session(CLOSE_CLIENT_LEFT);
	assert_int_equal(fake_plugin_count(a, INSTANCE_STALE_VERDICTS), 2);
}

static void without_a_cancel_hook_nobody_is_told(void **state)
{
	(void)state;
	a->instance->module.hooks.cancel = NULL;
	a->instance->module.hooks.closed = NULL;
	let_wait(a);
	assert_int_equal(judge(), PLUGIN_AWAITED);
	pass(FAKE_PLUGINS_TIMEOUT + 1);
	expect_decided(PLUGIN_REFUSED);
	/* As the fake would have done it. */
	free(container_of(a->visits.next, struct fake_visit, link));
	list_init(&a->visits);
	a->closed++;
}

/* ---- Whose ticket ---- */

static void another_plugin_of_the_chain_cannot_give_the_verdict(void **state)
{
	(void)state;
	let_wait(a);
	assert_int_equal(judge(), PLUGIN_AWAITED);
	assert_int_equal(fake_plugin_complete(b, a->ticket, MMPROXY_DENY, NULL), -ESTALE);
	talk_round();
	assert_int_equal(talk.decided, 0);
	assert_int_equal(fake_plugin_count(b, INSTANCE_STALE_VERDICTS), 1);
	assert_int_equal(fake_plugin_count(a, INSTANCE_STALE_VERDICTS), 0);
}

static void a_ticket_of_a_worker_that_there_is_not_is_stale(void **state)
{
	(void)state;
	let_wait(a);
	assert_int_equal(judge(), PLUGIN_AWAITED);
	for (mmproxy_ticket worker = 1; worker < 256; worker++)
		assert_int_equal(
			fake_plugin_complete(a, a->ticket ^ worker << 12, MMPROXY_DENY, NULL),
			-ESTALE);
	assert_int_equal(fake_plugin_complete(a, 0, MMPROXY_DENY, NULL), -ESTALE);
	assert_int_equal(fake_plugin_count(a, INSTANCE_STALE_VERDICTS), 256);
}

static void when_all_tickets_are_out_on_error_decides(void **state)
{
	static struct plugin_session *waiting[TICKET_POOL_SIZE];

	(void)state;
	let_wait(a);
	for (unsigned i = 0; i < TICKET_POOL_SIZE; i++) {
		assert_int_equal(judge(), PLUGIN_AWAITED);
		waiting[i] = talk.session;
		talk.session = NULL;
	}
	assert_int_equal(judge(), PLUGIN_REFUSED);
	expect_refusal(CLOSE_PLUGIN_ERROR, "a", "it failed: Device or resource busy");
	close_session(CLOSE_PLUGIN_ERROR);
	plugins.entries[0].on_error = PLUGIN_ON_ERROR_PASS;
	assert_int_equal(judge(), PLUGIN_PASSED);
	close_session(CLOSE_FINISHED);
	for (unsigned i = 0; i < TICKET_POOL_SIZE; i++) {
		talk.session = waiting[i];
		close_session(CLOSE_CLIENT_LEFT);
		assert_int_equal(a->cancelled, i + 1);
	}
	assert_int_equal(judge(), PLUGIN_AWAITED);
}

int main(void)
{
#define TEST(name, start) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(a_session_waits_until_its_verdict_comes, start_three),
		TEST(a_refusal_that_comes_later_is_one, start_three),
		TEST(a_verdict_that_is_none_is_an_error, start_one),
		TEST(each_of_the_chain_may_take_its_time, start_three),
		TEST(the_next_one_may_refuse_what_was_waited_for, start_three),
		TEST(a_verdict_may_come_while_another_is_handed_out, start_two),
		TEST(a_verdict_from_before_filter_returned_still_comes_later, start_one),
		TEST(a_ticket_is_void_when_filter_answers_itself, start_one),
		TEST(filters_own_answer_counts_though_it_has_completed_its_ticket, start_one),
		TEST(what_filter_explained_stands_where_complete_says_nothing, start_one),
		TEST(what_complete_says_is_the_reason, start_one),
		TEST(without_a_verdict_in_time_the_session_is_refused, start_three),
		TEST(without_a_verdict_in_time_it_passes_where_on_error_says_so, start_three),
		TEST(a_verdict_behind_the_timeout_is_stale_and_counted, start_one),
		TEST(a_verdict_that_was_there_before_the_deadline_counts, start_one),
		TEST(a_session_that_ends_first_cancels_what_is_awaited, start_three),
		TEST(a_verdict_that_is_on_its_way_then_is_not_cancelled, start_one),
		TEST(within_cancel_it_is_too_late, start_one),
		TEST(without_a_cancel_hook_nobody_is_told, start_one),
		TEST(another_plugin_of_the_chain_cannot_give_the_verdict, start_two),
		TEST(a_ticket_of_a_worker_that_there_is_not_is_stale, start_one),
		TEST(when_all_tickets_are_out_on_error_decides, start_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
