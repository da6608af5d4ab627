/* SPDX-License-Identifier: MIT */
/*
 * A session's way through its chain of plugins: who is asked, whose word counts, and who hears of
 * what came of it. Verdicts that come later are in test_plugin_deferred.c, what holds in any order
 * in test_plugin_schedule.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "plugin_talk.h"

/* ---- Whose word counts ---- */

static void where_all_pass_the_session_does(void **state)
{
	(void)state;
	assert_int_equal(judge(), PLUGIN_PASSED);
	EXPECT_CALLS("a.filter b.filter c.filter");
	plugin_session_connected(talk.session, 0);
	EXPECT_CALLS("a.connected b.connected c.connected");
	assert_int_equal(c->error, 0);
	close_session(CLOSE_FINISHED);
	EXPECT_CALLS("a.closed b.closed c.closed");
	assert_int_equal(talk.decided, 0);
}

static void the_first_refusal_ends_it_and_the_others_hear_nothing(void **state)
{
	(void)state;
	b->answer = MMPROXY_DENY;
	c->answer = MMPROXY_RESET;
	assert_int_equal(judge(), PLUGIN_REFUSED);
	expect_refusal(CLOSE_PLUGIN_DENIED, "b", NULL);
	close_session(CLOSE_PLUGIN_DENIED);
	EXPECT_CALLS("a.filter b.filter a.closed b.closed");
	assert_int_equal(fake_plugin_count(a, INSTANCE_REFUSALS), 0);
	assert_int_equal(fake_plugin_count(b, INSTANCE_REFUSALS), 1);
	assert_int_equal(fake_plugin_count(c, INSTANCE_REFUSALS), 0);
}

static void a_refusal_by_reset_is_told_apart(void **state)
{
	(void)state;
	a->answer = MMPROXY_RESET;
	a->why = "go away";
	assert_int_equal(judge(), PLUGIN_REFUSED);
	expect_refusal(CLOSE_PLUGIN_RESET, "a", "go away");
	assert_int_equal(fake_plugin_count(a, INSTANCE_REFUSALS), 1);
	close_session(CLOSE_PLUGIN_RESET);
	EXPECT_CALLS("a.filter a.closed");
}

static void an_error_is_answered_by_on_error(void **state)
{
	(void)state;
	b->answer = -EIO;
	assert_int_equal(judge(), PLUGIN_REFUSED);
	expect_refusal(CLOSE_PLUGIN_ERROR, "b", "it failed: Input/output error");
	close_session(CLOSE_PLUGIN_ERROR);
	EXPECT_CALLS("a.filter b.filter a.closed b.closed");

	plugins.entries[1].on_error = PLUGIN_ON_ERROR_PASS;
	assert_int_equal(judge(), PLUGIN_PASSED);
	EXPECT_CALLS("a.filter b.filter c.filter");
	assert_int_equal(fake_plugin_count(b, INSTANCE_ERRORS), 2);
	assert_int_equal(fake_plugin_count(b, INSTANCE_REFUSALS), 0);
}

static void a_number_that_is_no_verdict_is_an_error(void **state)
{
	static const int numbers[] = {4, 4711, INT32_MAX};
	static const char *const due[] = {"4 is no verdict", "4711 is no verdict",
					  "2147483647 is no verdict"};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		a->answer = numbers[i];
		assert_int_equal(judge(), PLUGIN_REFUSED);
		expect_refusal(CLOSE_PLUGIN_ERROR, "a", due[i]);
		close_session(CLOSE_PLUGIN_ERROR);
	}
	assert_int_equal(fake_plugin_count(a, INSTANCE_ERRORS), 3);
	plugins.entries[0].on_error = PLUGIN_ON_ERROR_PASS;
	assert_int_equal(judge(), PLUGIN_PASSED);
}

static void a_negative_number_that_is_no_errno_is_an_error_as_well(void **state)
{
	(void)state;
	a->answer = INT32_MIN;
	assert_int_equal(judge(), PLUGIN_REFUSED);
	assert_int_equal(plugin_session_refusal(talk.session).reason, CLOSE_PLUGIN_ERROR);
	assert_non_null(plugin_session_refusal(talk.session).why);
}

static void pending_without_a_ticket_is_an_error(void **state)
{
	(void)state;
	a->answer = MMPROXY_PENDING;
	a->forgets_to_defer = true;
	assert_int_equal(judge(), PLUGIN_REFUSED);
	expect_refusal(CLOSE_PLUGIN_ERROR, "a", "it said PENDING without a ticket");
	assert_int_equal(fake_plugin_count(a, INSTANCE_ERRORS), 1);
}

static void a_plugin_without_a_filter_lets_pass_and_hears_of_the_end(void **state)
{
	(void)state;
	b->instance->module.hooks.filter = NULL;
	assert_int_equal(judge(), PLUGIN_PASSED);
	plugin_session_connected(talk.session, 0);
	close_session(CLOSE_FINISHED);
	EXPECT_CALLS("a.filter c.filter a.connected b.connected c.connected a.closed b.closed "
		     "c.closed");
}

static void a_plugin_with_no_hook_at_all_does_no_harm(void **state)
{
	(void)state;
	b->instance->module.hooks.filter = NULL;
	b->instance->module.hooks.connected = NULL;
	b->instance->module.hooks.closed = NULL;
	assert_int_equal(judge(), PLUGIN_PASSED);
	plugin_session_connected(talk.session, 0);
	close_session(CLOSE_FINISHED);
	EXPECT_CALLS("a.filter c.filter a.connected c.connected a.closed c.closed");
}

/* ---- Why ---- */

static void what_one_plugin_explained_is_not_the_next_ones_reason(void **state)
{
	(void)state;
	a->why = "a lets it pass";
	b->answer = MMPROXY_DENY;
	assert_int_equal(judge(), PLUGIN_REFUSED);
	expect_refusal(CLOSE_PLUGIN_DENIED, "b", NULL);
}

static void a_reason_is_cut_after_120_bytes(void **state)
{
	char why[300];

	(void)state;
	memset(why, 'y', sizeof(why));
	why[299] = '\0';
	a->why = why;
	a->answer = MMPROXY_DENY;
	assert_int_equal(judge(), PLUGIN_REFUSED);
	why[120] = '\0';
	expect_refusal(CLOSE_PLUGIN_DENIED, "a", why);
}

static void explain_again(struct fake_plugin *plugin, const struct mmproxy_conn *conn)
{
	plugin->of->host.functions.explain(conn, "at first");
	if (plugin->context != NULL)
		plugin->of->host.functions.explain(conn, NULL);
}

static void the_last_explanation_stands(void **state)
{
	(void)state;
	a->prepare = explain_again;
	a->why = "in the end";
	a->answer = MMPROXY_DENY;
	assert_int_equal(judge(), PLUGIN_REFUSED);
	expect_refusal(CLOSE_PLUGIN_DENIED, "a", "in the end");
	close_session(CLOSE_PLUGIN_DENIED);
	a->why = NULL;
	a->context = a;
	assert_int_equal(judge(), PLUGIN_REFUSED);
	expect_refusal(CLOSE_PLUGIN_DENIED, "a", NULL);
}

static void how_one_plugin_failed_is_not_how_the_next_one_did(void **state)
{
	(void)state;
	plugins.entries[0].on_error = PLUGIN_ON_ERROR_PASS;
	a->answer = -EIO;
	b->answer = 99;
	assert_int_equal(judge(), PLUGIN_REFUSED);
	close_session(CLOSE_PLUGIN_ERROR);
	assert_int_equal(b->end.error, 0);
}

static void a_pending_without_a_ticket_has_no_errno_of_another(void **state)
{
	(void)state;
	plugins.entries[0].on_error = PLUGIN_ON_ERROR_PASS;
	a->answer = -EIO;
	b->answer = MMPROXY_PENDING;
	b->forgets_to_defer = true;
	assert_int_equal(judge(), PLUGIN_REFUSED);
	close_session(CLOSE_PLUGIN_ERROR);
	assert_int_equal(b->end.error, 0);
}

static void a_plugin_that_explains_after_the_end_changes_nothing(void **state)
{
	(void)state;
	a->meddles = true;
	b->why = "b's own reason";
	b->answer = MMPROXY_DENY;
	assert_int_equal(judge(), PLUGIN_REFUSED);
	close_session(CLOSE_PLUGIN_DENIED);
	assert_string_equal(b->end.why, "b's own reason");
}

/* ---- What a plugin sees ---- */

static void the_conn_has_what_the_session_is(void **state)
{
	const uint8_t six[16] = {0x20, 1, 0xd, 0xb8, [15] = 9};
	struct plugin_session_facts facts = facts_of(4711);

	(void)state;
	facts.started = talk.loop.now - 300;
	facts.client = address_from_ipv6(six, 443);
	facts.protocol = MMPROXY_PROTOCOL_UDP;
	facts.header = MMPROXY_HEADER_SPP;
	assert_int_equal(judge_facts(&facts), PLUGIN_PASSED);
	assert_int_equal(a->conn.id, 4711);
	assert_int_equal(a->conn.started, talk.loop.now - 300);
	assert_int_equal(a->conn.now, talk.loop.now);
	assert_int_equal(a->conn.flags, 0);
	assert_int_equal(a->conn.protocol, MMPROXY_PROTOCOL_UDP);
	assert_int_equal(a->conn.header, MMPROXY_HEADER_SPP);
	assert_string_equal(a->conn.listener, "web");
	assert_int_equal(a->conn.client.family, AF_INET6);
	assert_int_equal(a->conn.client.port, 443);
	assert_memory_equal(a->conn.client.ip, six, 16);
	assert_int_equal(a->conn.balancer.family, AF_INET);
	assert_int_equal(a->conn.balancer.port, 50000);
	assert_memory_equal(a->conn.balancer.ip, "\xc0\0\2\1\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_int_equal(a->conn.destination.family, 0);
	assert_int_equal(a->conn.upstream.family, 0);
}

static void a_session_without_a_client_is_marked(void **state)
{
	struct plugin_session_facts facts = facts_of(1);

	(void)state;
	facts.local = true;
	assert_int_equal(judge_facts(&facts), PLUGIN_PASSED);
	assert_int_equal(a->conn.flags, MMPROXY_CONN_LOCAL);
}

static void each_plugin_has_a_slot_of_its_own_which_stays(void **state)
{
	(void)state;
	assert_int_equal(judge(), PLUGIN_PASSED);
	assert_ptr_not_equal(a->conn.slot, b->conn.slot);
	assert_ptr_not_equal(b->conn.slot, c->conn.slot);
	/* That each finds in it what it has put there is checked in fake_plugin.c. */
	pass(5000);
	plugin_session_connected(talk.session, -ECONNREFUSED);
	assert_int_equal(b->error, -ECONNREFUSED);
	close_session(CLOSE_CONNECT_REFUSED);
	EXPECT_CALLS("a.filter b.filter c.filter a.connected b.connected c.connected a.closed "
		     "b.closed c.closed");
}

/* Two of one type, an SSL TLV with two inside, and one that overruns. */
static const uint8_t tlvs[] = "\x02\0\4host" /* authority */
			      "\xe0\0\1x"
			      "\x20\0\x0f\1\0\0\0\0\x21\0\3TLS\x22\0\1c" /* SSL */
			      "\xe0\0\0"
			      "\xe0\0\x20too short";

static void look_at_tlvs(struct fake_plugin *plugin, const struct mmproxy_conn *conn)
{
	const struct mmproxy_host *host = &plugin->of->host.functions;
	static const struct {
		unsigned type, index;
		const char *due; /* NULL: there is none */
	} questions[] = {
		{0x02, 0, "host"}, {0x02, 1, NULL},  {0xe0, 0, "x"},   {0xe0, 1, ""},
		{0xe0, 2, NULL},   {0x21, 0, "TLS"}, {0x22, 0, "c"},   {0x23, 0, NULL},
		{0x2f, 0, NULL},   {0, 0, NULL},     {0x102, 0, NULL}, {0x02, UINT32_MAX, NULL},
	};
	static const unsigned walk[] = {0x02, 0xe0, 0x20, 0xe0};
	const uint8_t *value = NULL;
	unsigned type;

	for (unsigned i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		int length = host->tlv(conn, questions[i].type, questions[i].index, &value);

		if (questions[i].due == NULL)
			assert_int_equal(length, -ENOENT);
		else
			assert_int_equal(length, strlen(questions[i].due));
		if (length > 0)
			assert_memory_equal(value, questions[i].due, length);
	}
	for (unsigned i = 0; i < 4; i++) {
		assert_true(host->tlv_at(conn, i, &type, &value) >= 0);
		assert_int_equal(type, walk[i]);
	}
	assert_int_equal(host->tlv_at(conn, 4, &type, &value), -ENOENT);
	assert_int_equal(host->tlv_at(conn, UINT32_MAX, &type, &value), -ENOENT);
}

static void look_again(void *state, const struct mmproxy_conn *conn, int error)
{
	(void)error;
	look_at_tlvs(state, conn);
}

static void the_headers_tlvs_can_be_read_and_are_the_sessions_own(void **state)
{
	struct plugin_session_facts facts = facts_of(1);
	uint8_t bytes[sizeof(tlvs) - 1];
	const uint8_t *kept;
	size_t length;

	(void)state;
	memcpy(bytes, tlvs, sizeof(bytes));
	facts.tlvs = bytes;
	facts.tlvs_length = sizeof(bytes);
	a->prepare = look_at_tlvs;
	assert_int_equal(judge_facts(&facts), PLUGIN_PASSED);
	memset(bytes, 0xff, sizeof(bytes));
	a->instance->module.hooks.connected = look_again;
	plugin_session_connected(talk.session, 0);
	kept = plugin_session_tlvs(talk.session, &length);
	assert_int_equal(length, sizeof(bytes));
	assert_memory_equal(kept, tlvs, length);
}

static void look_for_none(struct fake_plugin *plugin, const struct mmproxy_conn *conn)
{
	const struct mmproxy_host *host = &plugin->of->host.functions;
	const uint8_t *value = NULL;
	unsigned type = 77;

	assert_int_equal(host->tlv(conn, 0x02, 0, &value), -ENOENT);
	assert_int_equal(host->tlv(conn, 0x21, 0, &value), -ENOENT);
	assert_int_equal(host->tlv_at(conn, 0, &type, &value), -ENOENT);
	assert_null(value);
	assert_int_equal(type, 77);
}

static void a_header_without_tlvs_has_none(void **state)
{
	(void)state;
	a->prepare = look_for_none;
	assert_int_equal(judge(), PLUGIN_PASSED);
	assert_int_equal(a->asked, 1);
}

/* ---- How it ended ---- */

static void the_end_has_the_relays_numbers(void **state)
{
	const uint8_t seen[4] = {203, 0, 113, 9};
	const struct plugin_session_end end = {
		.reason = CLOSE_CLIENT_RESET,
		.error = -ECONNRESET,
		.bytes_from_client = 1,
		.bytes_from_upstream = UINT64_MAX,
		.datagrams_from_client = 3,
		.datagrams_from_upstream = 4,
		.upstream_sees = address_from_ipv4(seen, 1024),
	};

	(void)state;
	assert_int_equal(judge(), PLUGIN_PASSED);
	plugin_session_connected(talk.session, 0);
	pass(1234);
	plugin_session_close(talk.session, &end);
	talk.session = NULL;
	assert_int_equal(a->end.flags, MMPROXY_END_CONNECTED);
	assert_int_equal(a->end.code, 2);
	assert_string_equal(a->end.reason, "client-reset");
	assert_int_equal(a->end.error, -ECONNRESET);
	assert_null(a->end.plugin);
	assert_null(a->end.why);
	assert_int_equal(a->end.duration, 1234);
	assert_int_equal(a->end.bytes_from_client, 1);
	assert_true(a->end.bytes_from_upstream == UINT64_MAX);
	assert_int_equal(a->end.datagrams_from_client, 3);
	assert_int_equal(a->end.datagrams_from_upstream, 4);
	assert_int_equal(a->end.upstream_sees.family, AF_INET);
	assert_int_equal(a->end.upstream_sees.port, 1024);
}

static void a_dial_that_failed_did_not_connect(void **state)
{
	(void)state;
	assert_int_equal(judge(), PLUGIN_PASSED);
	plugin_session_connected(talk.session, -ECONNREFUSED);
	close_session(CLOSE_CONNECT_REFUSED);
	assert_int_equal(a->end.flags, 0);
	assert_int_equal(a->end.code, 206);
	assert_int_equal(a->end.upstream_sees.family, 0);
}

static void all_who_were_asked_hear_who_refused_and_why(void **state)
{
	(void)state;
	b->answer = MMPROXY_DENY;
	b->why = "not on a Sunday";
	assert_int_equal(judge(), PLUGIN_REFUSED);
	close_session(CLOSE_PLUGIN_DENIED);
	assert_int_equal(a->end.code, 129);
	assert_string_equal(a->end.plugin, "b");
	assert_string_equal(a->end.why, "not on a Sunday");
	assert_string_equal(b->end.plugin, "b");
	assert_string_equal(b->end.why, "not on a Sunday");
}

/* A plugin let it pass and said something all the same, which is nobody's business later. */
static void a_reason_from_before_is_no_reason_of_the_end(void **state)
{
	(void)state;
	a->why = "welcome";
	assert_int_equal(judge(), PLUGIN_PASSED);
	close_session(CLOSE_FINISHED);
	assert_null(a->end.plugin);
	assert_null(a->end.why);
}

/* ---- Adopted ---- */

static void an_adopted_session_is_heard_of_at_its_end_alone(void **state)
{
	struct plugin_session_facts facts = facts_of(77);
	const struct plugin_session_end end = {
		.reason = CLOSE_FINISHED,
		.bytes_from_client = 123,
		.bytes_from_upstream = 456,
	};

	(void)state;
	facts.started = talk.loop.now - 60000;
	talk.session = plugin_session_adopt(plugins.chain, plugins.worker, &facts);
	assert_non_null(talk.session);
	EXPECT_CALLS("");
	pass(5000);
	plugin_session_close(talk.session, &end);
	talk.session = NULL;
	EXPECT_CALLS("a.closed b.closed c.closed");
	for (struct fake_plugin *plugin = a; plugin <= c; plugin++) {
		assert_int_equal(plugin->adopted, 1);
		assert_int_equal(plugin->end.flags, MMPROXY_END_ADOPTED | MMPROXY_END_CONNECTED);
		assert_int_equal(plugin->end.duration, 65000);
		assert_int_equal(plugin->end.bytes_from_client, 123);
		assert_int_equal(plugin->end.bytes_from_upstream, 456);
		assert_int_equal(plugin->conn.id, 77);
	}
}

static void no_session_need_be_closed(void **state)
{
	const struct plugin_session_end end = {.reason = CLOSE_FINISHED};

	(void)state;
	plugin_session_close(NULL, &end);
	EXPECT_CALLS("");
}

int main(void)
{
#define TEST(name, start) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(where_all_pass_the_session_does, start_three),
		TEST(the_first_refusal_ends_it_and_the_others_hear_nothing, start_three),
		TEST(a_refusal_by_reset_is_told_apart, start_two),
		TEST(an_error_is_answered_by_on_error, start_three),
		TEST(a_number_that_is_no_verdict_is_an_error, start_one),
		TEST(a_negative_number_that_is_no_errno_is_an_error_as_well, start_one),
		TEST(pending_without_a_ticket_is_an_error, start_one),
		TEST(a_plugin_without_a_filter_lets_pass_and_hears_of_the_end, start_three),
		TEST(a_plugin_with_no_hook_at_all_does_no_harm, start_three),
		TEST(what_one_plugin_explained_is_not_the_next_ones_reason, start_two),
		TEST(how_one_plugin_failed_is_not_how_the_next_one_did, start_two),
		TEST(a_pending_without_a_ticket_has_no_errno_of_another, start_two),
		TEST(a_plugin_that_explains_after_the_end_changes_nothing, start_two),
		TEST(a_reason_is_cut_after_120_bytes, start_one),
		TEST(the_last_explanation_stands, start_one),
		TEST(the_conn_has_what_the_session_is, start_one),
		TEST(a_session_without_a_client_is_marked, start_one),
		TEST(each_plugin_has_a_slot_of_its_own_which_stays, start_three),
		TEST(the_headers_tlvs_can_be_read_and_are_the_sessions_own, start_one),
		TEST(a_header_without_tlvs_has_none, start_one),
		TEST(the_end_has_the_relays_numbers, start_one),
		TEST(a_dial_that_failed_did_not_connect, start_one),
		TEST(all_who_were_asked_hear_who_refused_and_why, start_two),
		TEST(a_reason_from_before_is_no_reason_of_the_end, start_one),
		TEST(an_adopted_session_is_heard_of_at_its_end_alone, start_three),
		TEST(no_session_need_be_closed, start_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
