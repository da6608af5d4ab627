/* SPDX-License-Identifier: MIT */
/*
 * A flow that begins anew is judged anew: one whose client has come by another worker's socket and
 * comes back, and what a plugin then sees of the header, which may have come long ago.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_plugin.h"
#include "udp_talk.h"

static struct fake_plugins plugins;
static struct fake_plugin *const a = &plugins.plugins[0];

/* Another socket of the listener, as another worker has it. */
static struct fake_udp_socket *second;

/* The TLV 0xe0 that the plugin saw last: "" for none. */
static char seen[64];

static void read_tlv(struct fake_plugin *plugin, const struct mmproxy_conn *conn)
{
	const uint8_t *value;
	int length = plugin->of->host.functions.tlv(conn, 0xe0, 0, &value);

	snprintf(seen, sizeof(seen), "%.*s", length > 0 ? length : 0,
		 length > 0 ? (const char *)value : "");
}

static int start_two(enum udp_framing framing)
{
	send_to = NULL;
	udp_fixture_start(&fixture, framing, 1000, 2);
	udp_fixture_use_plugins(&fixture, &plugins, 1);
	a->prepare = read_tlv;
	return udp_fixture_listen(&fixture, &second) != NULL ? 0 : -1;
}

static int start_every_two(void **state)
{
	(void)state;
	return start_two(UDP_FRAMING_EVERY);
}

static int start_first_two(void **state)
{
	(void)state;
	return start_two(UDP_FRAMING_FIRST);
}

/* By which socket the next datagrams come. */
static void by(struct fake_udp_socket *socket)
{
	send_to = socket;
}

/* A datagram whose header has a TLV 0xe0. */
static void say_with(const char *tag, const char *text)
{
	uint8_t bytes[UDP_HEADER_MAX + 128];
	size_t length = write_header(bytes, UDP_CLIENT, UDP_DESTINATION);

	bytes[length++] = 0xe0;
	bytes[length++] = 0;
	bytes[length++] = (uint8_t)strlen(tag);
	memcpy(bytes + length, tag, strlen(tag));
	length += strlen(tag);
	bytes[15] = (uint8_t)(length - 16);
	memcpy(bytes + length, text, strlen(text));
	balancer_sends(UDP_BALANCER, bytes, length + strlen(text));
	settle();
}

static void expect_calls(const char *due)
{
	assert_string_equal(plugins.calls, due);
	fake_plugins_forget(&plugins);
}

static void expect_seen(const char *due)
{
	assert_string_equal(seen, due);
	strcpy(seen, "nothing new");
}

static void a_plugin_sees_the_tlvs_of_the_flows_header(void **state)
{
	(void)state;
	say_with("tag", "one");
	EXPECT_HEARD(UDP_CLIENT, "one|");
	expect_seen("tag");
	send_as("203.0.113.10:40000", "no tag");
	settle();
	expect_seen("");
}

static void a_flow_that_moved_is_judged_again_with_the_tlvs_that_it_had(void **state)
{
	(void)state;
	say_with("tag", "one");
	expect_seen("tag");
	by(second);
	say_with("other", "two");
	expect_seen("other");
	expect_calls("a.filter a.connected a.filter a.connected");
	for (unsigned i = 0; i < 3; i++) {
		by(NULL);
		say_with("tag", "three");
		expect_seen("tag");
		expect_calls("a.closed a.filter a.connected");
		by(second);
		say_with("other", "four");
		expect_seen("other");
		expect_calls("a.closed a.filter a.connected");
	}
	EXPECT_HEARD(UDP_CLIENT, "one|two|three|four|three|four|three|four|");
	assert_int_equal(closed(CLOSE_FLOW_MOVED), 6);
}

/* What comes now has no header at all. */
static void what_has_only_a_sender_is_judged_by_the_header_that_it_had(void **state)
{
	(void)state;
	say_with("tag", "one");
	by(second);
	say_with("other", "two");
	by(NULL);
	expect_seen("other");
	send_bare(UDP_BALANCER, "three");
	settle();
	expect_seen("tag");
	by(second);
	send_bare(UDP_BALANCER, "four");
	settle();
	expect_seen("other");
	EXPECT_HEARD(UDP_CLIENT, "one|two|three|four|");
	assert_int_equal(a->conn.client.port, 40000);
	assert_int_equal(a->conn.destination.port, 53);
	assert_int_equal(a->conn.header, MMPROXY_HEADER_V2);
}

static void a_flow_that_moved_may_be_refused_this_time(void **state)
{
	(void)state;
	say_with("tag", "one");
	by(second);
	say_with("tag", "two");
	by(NULL);
	a->answer = MMPROXY_DENY;
	fake_plugins_forget(&plugins);
	say_with("tag", "three");
	expect_calls("a.closed a.filter a.closed");
	say_with("tag", "four");
	expect_calls("");
	EXPECT_HEARD(UDP_CLIENT, "one|two|");
	assert_int_equal(closed(CLOSE_FLOW_MOVED), 1);
	assert_int_equal(closed(CLOSE_PLUGIN_DENIED), 1);
	assert_int_equal(count(COUNTER_DATAGRAMS_DROPPED_DENIED), 1);
	/* Where it is let pass it goes on. */
	by(second);
	a->answer = MMPROXY_PASS;
	say_with("tag", "five");
	EXPECT_HEARD(UDP_CLIENT, "five|");
}

static void a_flow_that_moved_may_have_to_wait_this_time(void **state)
{
	(void)state;
	say_with("tag", "one");
	by(second);
	say_with("tag", "two");
	by(NULL);
	a->answer = MMPROXY_PENDING;
	fake_plugins_forget(&plugins);
	say_with("tag", "three");
	say_with("tag", "four");
	expect_calls("a.closed a.filter");
	expect_seen("tag");
	EXPECT_HEARD(UDP_CLIENT, "one|two|");
	assert_int_equal(fake_plugin_complete(a, a->ticket, MMPROXY_PASS, NULL), 0);
	settle();
	EXPECT_HEARD(UDP_CLIENT, "three|four|");
	expect_calls("a.connected");
}

/* A client waits at one socket while it is let pass at another: the last word has the port. */
static void a_verdict_takes_over_the_port_from_the_flow_that_was_quicker(void **state)
{
	mmproxy_ticket ticket;

	(void)state;
	a->answer = MMPROXY_PENDING;
	say_with("tag", "one");
	ticket = a->ticket;
	a->answer = MMPROXY_PASS;
	by(second);
	say_with("tag", "two");
	EXPECT_HEARD(UDP_CLIENT, "two|");
	assert_int_equal(fake_plugin_complete(a, ticket, MMPROXY_PASS, NULL), 0);
	settle();
	EXPECT_HEARD(UDP_CLIENT, "one|");
	assert_int_equal(count(COUNTER_PORT_CONFLICTS), 0);
	assert_int_equal(udp_fixture_claims(&fixture), 1);
	assert_int_equal(flows(), 2);
	say_with("tag", "three");
	EXPECT_HEARD(UDP_CLIENT, "three|");
	assert_int_equal(closed(CLOSE_FLOW_MOVED), 1);
}

/* A reload that takes the plugins away: who was let pass still hears of its end. */
static void behind_a_reload_the_flows_that_were_judged_are_closed_as_such(void **state)
{
	static struct refcount owner;
	static struct relay_settings newer;

	(void)state;
	say_with("tag", "one");
	newer = fixture.settings;
	newer.owner = &owner;
	newer.plugins = NULL;
	refcount_init(&owner, fixture.owner.destroy);
	udp_listener_set_settings(fixture.listener, &newer);
	send_as("203.0.113.10:40000", "uno");
	say_with("tag", "two");
	expect_calls("a.filter a.connected");
	EXPECT_HEARD(UDP_CLIENT, "one|two|");
	EXPECT_HEARD("203.0.113.10:40000", "uno|");
	pass(60050);
	expect_calls("a.closed");
	assert_int_equal(flows(), 0);
}

int main(void)
{
#define TEST(name, start) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(a_plugin_sees_the_tlvs_of_the_flows_header, start_every_two),
		TEST(a_flow_that_moved_is_judged_again_with_the_tlvs_that_it_had, start_every_two),
		TEST(what_has_only_a_sender_is_judged_by_the_header_that_it_had, start_first_two),
		TEST(a_flow_that_moved_may_be_refused_this_time, start_every_two),
		TEST(a_flow_that_moved_may_have_to_wait_this_time, start_every_two),
		TEST(a_verdict_takes_over_the_port_from_the_flow_that_was_quicker, start_every_two),
		TEST(behind_a_reload_the_flows_that_were_judged_are_closed_as_such,
		     start_every_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
