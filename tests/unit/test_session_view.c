/* SPDX-License-Identifier: MIT */
/*
 * Sessions and flows as they look from outside: what a list shows of each, whom a filter leaves in,
 * which of many stay in a bounded list, and what becomes of one that is killed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/client_totals.h"
#include "relay/session_view.h"
#include "relay/tcp_session.h"
#include "relay_fixture.h"
#include "udp_talk.h"

static struct relay_fixture tcp;
static struct session_list list;

static int start_tcp(void **state)
{
	(void)state;
	fixture_start(&tcp);
	session_list_init(&list, 100);
	return 0;
}

static int stop_tcp(void **state)
{
	(void)state;
	session_list_finish(&list);
	fixture_stop(&tcp);
	return 0;
}

static int start_udp(void **state)
{
	session_list_init(&list, 100);
	return start_every(state);
}

static int stop_udp(void **state)
{
	session_list_finish(&list);
	return stop(state);
}

/* What the relay has that matches, in the order of the list. */
static void look(const struct relay *relay, const struct session_filter *filter, size_t limit)
{
	static const struct session_filter all;

	session_list_finish(&list);
	session_list_init(&list, limit);
	assert_int_equal(session_list_fill(&list, relay, filter != NULL ? filter : &all), 0);
	session_list_sort(&list);
}

static void expect_text(const struct address *address, const char *due)
{
	char text[ADDRESS_TEXT_SIZE];

	assert_string_equal(address_format(address, text), due);
}

static void expect_reset(const struct fake_socket *socket)
{
	assert_int_equal(socket->closed, FAKE_CLOSED_RESET);
	assert_true(socket->saw_reset);
}

static void a_session_that_has_sent_no_header_has_no_client_yet(void **state)
{
	const struct session_view *view;

	(void)state;
	fake_incoming(tcp.listening, FIXTURE_BALANCER);
	fixture_pass(&tcp, 1500);
	look(&tcp.relay, NULL, 100);
	assert_int_equal(list.matched, 1);
	view = &list.views[0];
	assert_string_equal(view->state, "header");
	assert_string_equal(view->listener, "test");
	assert_null(view->header);
	expect_text(&view->client, "-");
	expect_text(&view->upstream, "-");
	expect_text(&view->balancer, FIXTURE_BALANCER);
	assert_in_range(view->age, 1499, 1501);
}

static void a_session_that_relays_shows_all_of_itself(void **state)
{
	struct fake_socket *client, *upstream;
	const struct session_view *view;

	(void)state;
	fixture_open(&tcp, &client, &upstream);
	fixture_pass(&tcp, 1000);
	fixture_send(client, 700);
	fixture_send(upstream, 90);
	fixture_pass(&tcp, 500);
	look(&tcp.relay, NULL, 100);
	assert_int_equal(list.count, 1);
	view = &list.views[0];
	assert_int_equal(view->id, fixture_session(&tcp)->id);
	assert_int_equal(view->protocol, RELAY_PROTOCOL_TCP);
	assert_string_equal(view->state, "relay");
	assert_string_equal(view->header, "v1");
	expect_text(&view->client, FIXTURE_CLIENT);
	expect_text(&view->balancer, FIXTURE_BALANCER);
	expect_text(&view->destination, "198.51.100.1:443");
	expect_text(&view->upstream, FIXTURE_UPSTREAM);
	assert_int_equal(view->bytes_from_client, 700);
	assert_int_equal(view->bytes_from_upstream, 90);
	assert_in_range(view->age, 1499, 1503);
	assert_in_range(view->idle, 499, 502);
}

static void a_closed_session_is_in_no_list_though_its_memory_is_still_there(void **state)
{
	struct fake_socket *client, *upstream;

	(void)state;
	fixture_open(&tcp, &client, &upstream);
	tcp_session_close(fixture_session(&tcp), CLOSE_FINISHED);
	look(&tcp.relay, NULL, 100);
	assert_int_equal(list.matched, 0);
	assert_false(session_kill(&tcp.relay, 1));
}

static void a_killed_session_ends_with_a_reset_to_both_sides(void **state)
{
	struct fake_socket *client, *upstream;

	(void)state;
	fixture_open(&tcp, &client, &upstream);
	assert_false(session_kill(&tcp.relay, fixture_session(&tcp)->id + 1));
	assert_true(session_kill(&tcp.relay, fixture_session(&tcp)->id));
	assert_false(session_kill(&tcp.relay, 1));
	fixture_settle(&tcp);
	assert_int_equal(close_reason_code(CLOSE_KILLED), 12);
	assert_int_equal(fixture_closed(&tcp, CLOSE_KILLED), 1);
	expect_reset(client);
	expect_reset(upstream);
}

static void a_session_can_be_killed_before_its_header_has_come(void **state)
{
	struct fake_socket *client;

	(void)state;
	client = fake_incoming(tcp.listening, FIXTURE_BALANCER);
	fake_peer_send(client, FIXTURE_V1, 10);
	fixture_settle(&tcp);
	assert_true(session_kill(&tcp.relay, fixture_session(&tcp)->id));
	fixture_settle(&tcp);
	assert_int_equal(fixture_closed(&tcp, CLOSE_KILLED), 1);
	expect_reset(client);
}

/* A filter of a client leaves out whoever has not said yet who it is. */
static void a_filter_by_client_wants_a_client_that_is_known(void **state)
{
	struct fake_socket *client, *upstream;
	struct session_filter filter = {0};

	(void)state;
	fixture_open(&tcp, &client, &upstream);
	fake_incoming(tcp.listening, FIXTURE_BALANCER);
	fixture_settle(&tcp);
	look(&tcp.relay, NULL, 100);
	assert_int_equal(list.matched, 2);
	assert_int_equal(prefix_parse("0.0.0.0/0", &filter.client), 0);
	look(&tcp.relay, &filter, 100);
	assert_int_equal(list.matched, 1);
	assert_int_equal(prefix_parse("203.0.113.9", &filter.client), 0);
	look(&tcp.relay, &filter, 100);
	assert_int_equal(list.matched, 1);
	assert_int_equal(prefix_parse("203.0.113.10", &filter.client), 0);
	look(&tcp.relay, &filter, 100);
	assert_int_equal(list.matched, 0);
	assert_int_equal(prefix_parse("::/0", &filter.client), 0);
	look(&tcp.relay, &filter, 100);
	assert_int_equal(list.matched, 0);
}

static void a_filter_by_listener_wants_the_whole_name(void **state)
{
	struct session_filter filter = {.listener = "test"};

	(void)state;
	fake_incoming(tcp.listening, FIXTURE_BALANCER);
	fixture_settle(&tcp);
	look(&tcp.relay, &filter, 100);
	assert_int_equal(list.matched, 1);
	strcpy(filter.listener, "tes");
	look(&tcp.relay, &filter, 100);
	assert_int_equal(list.matched, 0);
	strcpy(filter.listener, "test2");
	look(&tcp.relay, &filter, 100);
	assert_int_equal(list.matched, 0);
}

static void a_filter_by_age_wants_those_that_have_lived_as_long(void **state)
{
	struct session_filter filter = {.older = 2000};

	(void)state;
	fake_incoming(tcp.listening, FIXTURE_BALANCER);
	fixture_pass(&tcp, 1990);
	fake_incoming(tcp.listening, FIXTURE_BALANCER);
	fixture_settle(&tcp);
	look(&tcp.relay, &filter, 100);
	assert_int_equal(list.matched, 0);
	fixture_pass(&tcp, 20);
	look(&tcp.relay, &filter, 100);
	assert_int_equal(list.matched, 1);
}

static void a_bounded_list_keeps_the_oldest_and_counts_the_others(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		fake_incoming(tcp.listening, FIXTURE_BALANCER);
		fixture_pass(&tcp, 10);
	}
	look(&tcp.relay, NULL, 7);
	assert_int_equal(list.matched, 50);
	assert_int_equal(list.count, 7);
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(list.views[i].id, i + 1);
}

static void lists_of_several_workers_become_one_by_age(void **state)
{
	struct session_list both;

	(void)state;
	for (unsigned i = 0; i < 9; i++) {
		fake_incoming(tcp.listening, FIXTURE_BALANCER);
		fixture_pass(&tcp, 10);
	}
	session_list_init(&both, 5);
	look(&tcp.relay, NULL, 5);
	assert_int_equal(session_list_merge(&both, &list), 0);
	/* The same sessions, as if of another worker, each a little younger. */
	for (size_t i = 0; i < list.count; i++) {
		list.views[i].started++;
		list.views[i].id += 1000;
	}
	assert_int_equal(session_list_merge(&both, &list), 0);
	session_list_sort(&both);
	assert_int_equal(both.matched, 18);
	assert_int_equal(both.count, 5);
	assert_int_equal(both.views[0].id, 1);
	assert_int_equal(both.views[1].id, 1001);
	assert_int_equal(both.views[4].id, 3);
	session_list_finish(&both);
}

static void a_flow_shows_all_of_itself(void **state)
{
	const struct session_view *view;

	(void)state;
	send_as(UDP_CLIENT, "hello");
	settle();
	answer(UDP_CLIENT, "welcome!");
	pass(250);
	look(&fixture.relay, NULL, 100);
	assert_int_equal(list.count, 1);
	view = &list.views[0];
	assert_int_equal(view->protocol, RELAY_PROTOCOL_UDP);
	assert_string_equal(view->state, "relay");
	assert_string_equal(view->header, "v2");
	expect_text(&view->client, UDP_CLIENT);
	expect_text(&view->balancer, UDP_BALANCER);
	expect_text(&view->destination, UDP_DESTINATION);
	expect_text(&view->upstream, UDP_UPSTREAM);
	assert_int_equal(view->datagrams_from_client, 1);
	assert_int_equal(view->datagrams_from_upstream, 1);
	assert_int_equal(view->bytes_from_client, 5);
	assert_int_equal(view->bytes_from_upstream, 8);
	assert_in_range(view->age, 249, 252);
}

/* Queues of flows are in the order of their last use; the list is in that of their start. */
static void flows_are_listed_by_their_start_whoever_spoke_last(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		send_as(client_name(i), "x");
		pass(10);
	}
	/* Some are assured, which moves them to the other queue. */
	for (unsigned i = 0; i < 40; i += 3) {
		answer(client_name(i), "y");
		settle();
		send_as(client_name(i), "z");
		pass(10);
	}
	look(&fixture.relay, NULL, 9);
	assert_int_equal(list.matched, 40);
	assert_int_equal(list.count, 9);
	for (unsigned i = 0; i < 9; i++)
		expect_text(&list.views[i].client, client_name(i));
}

static void a_killed_flow_ends_and_its_client_begins_another(void **state)
{
	uint64_t id;

	(void)state;
	send_as(UDP_CLIENT, "hello");
	send_as("203.0.113.10:40000", "hello");
	settle();
	look(&fixture.relay, NULL, 100);
	id = list.views[0].id;
	assert_true(session_kill(&fixture.relay, id));
	assert_false(session_kill(&fixture.relay, id));
	settle();
	assert_int_equal(closed(CLOSE_KILLED), 1);
	assert_int_equal(flows(), 1);
	send_as(UDP_CLIENT, "again");
	settle();
	look(&fixture.relay, NULL, 100);
	assert_int_equal(list.count, 2);
	assert_int_not_equal(list.views[1].id, id);
}

static void clients_of_flows_are_totalled_by_address(void **state)
{
	const struct siphash_key secret = {1, 2};
	struct client_totals totals;
	struct client_total top[3];

	(void)state;
	send_as("203.0.113.9:40000", "hello");
	send_as("203.0.113.9:40001", "hello");
	send_as("203.0.113.10:40000", "hi");
	settle();
	client_totals_init(&totals, &secret);
	assert_int_equal(session_total_clients(&fixture.relay, &totals), 0);
	assert_int_equal(client_totals_top(&totals, top, 3), 2);
	assert_int_equal(top[0].sessions, 2);
	assert_int_equal(top[0].bytes_from_client, 10);
	assert_int_equal(top[1].sessions, 1);
	client_totals_finish(&totals);
}

static void a_session_without_a_client_is_nobodys(void **state)
{
	const struct siphash_key secret = {1, 2};
	struct client_totals totals;

	(void)state;
	fake_incoming(tcp.listening, FIXTURE_BALANCER);
	fixture_settle(&tcp);
	client_totals_init(&totals, &secret);
	assert_int_equal(session_total_clients(&tcp.relay, &totals), 0);
	assert_int_equal(totals.count, 0);
	client_totals_finish(&totals);
}

/* It must be the one whose relay gives out such ids. */
static void an_id_says_which_worker_has_the_session(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers < 5; workers++) {
		for (unsigned worker = 0; worker < workers; worker++) {
			struct relay relay = {
				.worker_count = workers,
				.last_session = (uint64_t)worker + 1 - workers,
			};

			for (unsigned i = 0; i < 10; i++)
				assert_int_equal(
					session_worker(relay_new_session_id(&relay), workers),
					worker);
		}
	}
}

#define TCP(name) cmocka_unit_test_setup_teardown(name, start_tcp, stop_tcp)
#define UDP(name) cmocka_unit_test_setup_teardown(name, start_udp, stop_udp)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TCP(a_session_that_has_sent_no_header_has_no_client_yet),
		TCP(a_session_that_relays_shows_all_of_itself),
		TCP(a_closed_session_is_in_no_list_though_its_memory_is_still_there),
		TCP(a_killed_session_ends_with_a_reset_to_both_sides),
		TCP(a_session_can_be_killed_before_its_header_has_come),
		TCP(a_filter_by_client_wants_a_client_that_is_known),
		TCP(a_filter_by_listener_wants_the_whole_name),
		TCP(a_filter_by_age_wants_those_that_have_lived_as_long),
		TCP(a_bounded_list_keeps_the_oldest_and_counts_the_others),
		TCP(lists_of_several_workers_become_one_by_age),
		UDP(a_flow_shows_all_of_itself),
		UDP(flows_are_listed_by_their_start_whoever_spoke_last),
		UDP(a_killed_flow_ends_and_its_client_begins_another),
		UDP(clients_of_flows_are_totalled_by_address),
		TCP(a_session_without_a_client_is_nobodys),
		cmocka_unit_test(an_id_says_which_worker_has_the_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
