/* SPDX-License-Identifier: MIT */
/*
 * A listener: whom it accepts, how it pauses where there is no room instead of spinning or
 * refusing, and how it changes its settings and ends without harm to anyone who waits.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>

#include <cmocka.h>

#include "relay/tcp_listener.h"
#include "relay/tcp_session.h"
#include "relay_checks.h"
#include "relay_fixture.h"

static struct relay_fixture fixture;
static struct fake_socket *clients[1000];

static bool no_memory;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
	return no_memory ? NULL : __real_calloc(count, size);
}

static int start(void **state)
{
	(void)state;
	fixture_start(&fixture);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	fixture_stop(&fixture);
	return 0;
}

static void connect_clients(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		clients[i] = fake_incoming(fixture.listening, FIXTURE_BALANCER);
		fake_peer_send(clients[i], FIXTURE_V1, FIXTURE_V1_SIZE);
	}
	fixture_settle(&fixture);
}

static void leave(unsigned which)
{
	fake_peer_reset(clients[which]);
	fixture_settle(&fixture);
}

static uint64_t accepted(void)
{
	return fixture_count(&fixture, COUNTER_SESSIONS_ACCEPTED);
}

static uint64_t paused(void)
{
	return fixture_count(&fixture, COUNTER_ACCEPT_PAUSED);
}

static struct prefix_set *set_of(const char *text)
{
	struct prefix_set *set = prefix_set_create();
	struct prefix prefix;

	assert_non_null(set);
	assert_int_equal(prefix_parse(text, &prefix), 0);
	assert_int_equal(prefix_set_add(set, &prefix), 0);
	prefix_set_seal(set);
	return set;
}

static void all_who_wait_are_accepted(void **state)
{
	(void)state;
	connect_clients(1000);
	assert_int_equal(accepted(), 1000);
	assert_int_equal(fixture.relay.session_count, 1000);
	assert_int_equal(atomic_load(&fixture.descriptors.used), 1000);
	assert_int_equal(atomic_load(&fixture.sessions.used), 1000);
	assert_int_equal(paused(), 0);
}

/* What the budget says while it is not known yet whether somebody waits. */
static unsigned most_used, most_alive;

static int look_and_accept(int fd, struct sockaddr_storage *peer)
{
	unsigned used = atomic_load(&fixture.sessions.used);
	unsigned alive = atomic_load(&fixture.sessions.alive);

	most_used = used > most_used ? used : most_used;
	most_alive = alive > most_alive ? alive : most_alive;
	return fake_table.accept(fd, peer);
}

static void a_place_that_is_taken_for_nobody_is_no_session(void **state)
{
	struct sys looking = fake_table;

	(void)state;
	looking.accept = look_and_accept;
	fixture.relay.sys = &looking;
	most_used = most_alive = 0;
	connect_clients(3);
	assert_int_equal(most_used, 4);
	assert_int_equal(most_alive, 3);
	assert_int_equal(atomic_load(&fixture.sessions.alive), 3);
	leave(1);
	assert_int_equal(atomic_load(&fixture.sessions.alive), 2);
	fixture.relay.sys = &fake_table;
}

static void every_session_has_a_number_of_its_own(void **state)
{
	uint64_t last = 0;

	(void)state;
	connect_clients(10);
	for (struct list *link = fixture.relay.sessions.next; link != &fixture.relay.sessions;
	     link = link->next) {
		uint64_t id = container_of(link, struct tcp_session, link)->id;

		assert_true(id > last);
		last = id;
	}
}

static void a_crowd_does_not_keep_living_sessions_waiting(void **state)
{
	struct fake_socket *client, *upstream;

	(void)state;
	fixture_open(&fixture, &client, &upstream);
	for (unsigned i = 0; i < 1000; i++)
		fake_incoming(fixture.listening, FIXTURE_BALANCER);
	fixture_send(client, 100);
	fixture_round(&fixture);
	expect_all(upstream, client, FIXTURE_V1_SIZE);
	assert_true(accepted() < 500);
	fixture_settle(&fixture);
	assert_int_equal(accepted(), 1001);
}

static void a_listener_at_its_limit_lets_the_rest_wait(void **state)
{
	(void)state;
	atomic_store(&fixture.sessions.limit, 3);
	connect_clients(10);
	assert_int_equal(accepted(), 3);
	assert_int_equal(paused(), 1);
	assert_false(fixture.listening->watch.active);
	/* Nobody was refused or reset. */
	for (unsigned i = 3; i < 10; i++)
		assert_false(clients[i]->saw_reset || clients[i]->fin_delivered);
}

static void a_session_that_ends_makes_room_for_one_who_waits(void **state)
{
	(void)state;
	atomic_store(&fixture.sessions.limit, 3);
	connect_clients(10);
	for (unsigned i = 0; i < 7; i++) {
		leave(i);
		assert_int_equal(accepted(), 4 + i);
		assert_int_equal(atomic_load(&fixture.sessions.used), 3);
	}
}

static void the_limit_of_all_listeners_together_holds(void **state)
{
	(void)state;
	atomic_store(&fixture.descriptors.limit, 5);
	connect_clients(10);
	assert_int_equal(accepted(), 5);
	/* What was taken of the listener's own budget for the sixth is given back. */
	assert_int_equal(atomic_load(&fixture.sessions.used), 5);
	leave(0);
	assert_int_equal(accepted(), 6);
}

static void a_limit_that_was_raised_is_noticed_while_paused(void **state)
{
	(void)state;
	atomic_store(&fixture.descriptors.limit, 5);
	connect_clients(10);
	atomic_store(&fixture.descriptors.limit, 0);
	fixture_pass(&fixture, 100);
	assert_int_equal(accepted(), 10);
}

static void a_want_of_descriptors_pauses_and_does_not_spin(void **state)
{
	static const int errors[] = {-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		unsigned before = fixture.fake.calls[FAKE_ACCEPT];

		fake_fail(&fixture.fake, FAKE_ACCEPT, 1, errors[i]);
		connect_clients(1);
		assert_int_equal(accepted(), i);
		assert_int_equal(paused(), i + 1);
		assert_int_equal(fixture.fake.calls[FAKE_ACCEPT] - before, 1);
		/* Free again within 100 ms, whoever freed it. */
		fixture_pass(&fixture, 100);
		assert_int_equal(accepted(), i + 1);
	}
}

static void a_lasting_want_of_descriptors_costs_few_calls(void **state)
{
	unsigned before;

	(void)state;
	fixture.fake.descriptor_limit = fixture.fake.open + 4;
	connect_clients(50);
	assert_int_equal(fixture.relay.session_count, 2);
	before = fixture.fake.calls[FAKE_ACCEPT];
	fixture_pass(&fixture, 1000);
	assert_true(fixture.fake.calls[FAKE_ACCEPT] - before <= 100);
	assert_int_equal(paused(), fixture_count(&fixture, COUNTER_ACCEPT_PAUSED));
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(clients[i]->closed, FAKE_OPEN);
	fixture.fake.descriptor_limit = UINT32_MAX;
	fixture_pass(&fixture, 100);
	assert_int_equal(fixture.relay.session_count, 50);
}

static void a_connection_that_broke_while_it_waited_is_counted_and_passed_over(void **state)
{
	static const int errors[] = {-ECONNABORTED, -EPROTO, -EINTR, -ENETDOWN, -EPERM};

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		fake_fail(&fixture.fake, FAKE_ACCEPT, i + 1, errors[i]);
	connect_clients(3);
	assert_int_equal(accepted(), 3);
	assert_int_equal(fixture_count(&fixture, COUNTER_ACCEPT_ERRORS), 5);
	assert_int_equal(atomic_load(&fixture.sessions.used), 3);
}

static void a_balancer_outside_the_subnets_is_closed_and_counted(void **state)
{
	struct prefix_set *subnets = set_of("198.51.100.0/24");

	(void)state;
	fixture.settings.subnets = subnets;
	connect_clients(3);
	assert_int_equal(fixture_closed(&fixture, CLOSE_BALANCER_NOT_ALLOWED), 3);
	assert_int_equal(accepted(), 0);
	assert_int_equal(fake_dial_count(&fixture.fake), 0);
	assert_int_equal(atomic_load(&fixture.sessions.used), 0);
	assert_int_equal(atomic_load(&fixture.descriptors.used), 0);
	prefix_set_destroy(subnets);
}

static void a_balancer_within_the_subnets_is_accepted(void **state)
{
	struct prefix_set *subnets = set_of("192.0.2.0/24");

	(void)state;
	fixture.settings.subnets = subnets;
	connect_clients(3);
	assert_int_equal(accepted(), 3);
	prefix_set_destroy(subnets);
}

static void on_a_dual_stack_socket_ipv4_balancers_are_judged_as_ipv4(void **state)
{
	struct prefix_set *subnets = set_of("192.0.2.0/24");

	(void)state;
	fixture.settings.subnets = subnets;
	fixture.fake.dual_stack = true;
	connect_clients(3);
	assert_int_equal(accepted(), 3);
	fake_incoming(fixture.listening, "203.0.113.1:50000");
	fixture_settle(&fixture);
	assert_int_equal(fixture_closed(&fixture, CLOSE_BALANCER_NOT_ALLOWED), 1);
	prefix_set_destroy(subnets);
}

static void new_settings_hold_for_new_sessions_alone(void **state)
{
	static struct relay_settings newer;
	static struct refcount owner;

	(void)state;
	connect_clients(1);
	newer = fixture.settings;
	newer.owner = &owner;
	refcount_init(&owner, fixture.owner.destroy);
	address_parse_endpoint("127.0.0.1:9999", &newer.forward_ipv4);
	tcp_listener_set_settings(fixture.listener, &newer, &fixture.sessions,
				  &fixture.header_queue);
	/* The old ones are held by the session that has them, and by the test. */
	assert_int_equal(atomic_load(&fixture.owner.holders), 2);
	connect_clients(1);
	assert_int_equal(fake_dialled(&fixture.fake)->peer.port, 9999);
	assert_int_equal(atomic_load(&owner.holders), 3);
	tcp_listener_destroy(fixture.listener);
	fixture.listener = NULL;
	assert_int_equal(atomic_load(&owner.holders), 2);
	leave(0);
	assert_int_equal(atomic_load(&owner.holders), 1);
}

static void a_listener_that_ends_accepts_who_still_waits(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 200; i++)
		clients[i] = fake_incoming(fixture.listening, FIXTURE_BALANCER);
	tcp_listener_destroy(fixture.listener);
	fixture.listener = NULL;
	assert_int_equal(accepted(), 200);
	for (unsigned i = 0; i < 200; i++)
		fake_peer_send(clients[i], FIXTURE_V1, FIXTURE_V1_SIZE);
	fixture_settle(&fixture);
	assert_int_equal(fake_dial_count(&fixture.fake), 200);
}

static void a_paused_listener_can_end(void **state)
{
	(void)state;
	atomic_store(&fixture.descriptors.limit, 1);
	connect_clients(3);
	tcp_listener_destroy(fixture.listener);
	fixture.listener = NULL;
	assert_int_equal(fixture.relay.paused, 0);
	assert_int_equal(accepted(), 1);
	leave(0);
	assert_int_equal(fixture.relay.session_count, 0);
}

static void all_paused_listeners_resume(void **state)
{
	struct fake_socket *second = fake_listen(&fixture.fake);
	struct budget budget = {0};
	const struct tcp_listener_start start = {.fd = second->fd,
						 .settings = &fixture.settings,
						 .budget = &budget,
						 .header_queue = &fixture.header_queue};
	struct tcp_listener *listener = tcp_listener_create(&fixture.relay, &start);

	(void)state;
	assert_non_null(listener);
	atomic_store(&fixture.descriptors.limit, 1);
	connect_clients(2);
	fake_incoming(second, FIXTURE_BALANCER);
	fixture_settle(&fixture);
	assert_int_equal(fixture.relay.paused, 2);
	atomic_store(&fixture.descriptors.limit, 3);
	leave(0);
	assert_int_equal(accepted(), 3);
	assert_int_equal(fixture.relay.paused, 0);
	leave(1);
	fixture_pass(&fixture, 6000);
	tcp_listener_destroy(listener);
	assert_int_equal(atomic_load(&budget.used), 0);
}

static void a_listener_that_cannot_be_watched_is_not_made(void **state)
{
	struct fake_socket *second = fake_listen(&fixture.fake);
	struct budget budget = {0};
	const struct tcp_listener_start start = {.fd = second->fd,
						 .settings = &fixture.settings,
						 .budget = &budget,
						 .header_queue = &fixture.header_queue};

	(void)state;
	fake_fail(&fixture.fake, FAKE_WATCH, 1, -ENOMEM);
	assert_null(tcp_listener_create(&fixture.relay, &start));
	assert_int_not_equal(second->closed, FAKE_OPEN);
	assert_int_equal(atomic_load(&fixture.owner.holders), 2);
}

static void a_pause_that_epoll_will_not_end_is_tried_again(void **state)
{
	(void)state;
	atomic_store(&fixture.sessions.limit, 1);
	connect_clients(2);
	assert_int_equal(accepted(), 1);
	fake_fail(&fixture.fake, FAKE_WATCH, 1, -ENOMEM);
	leave(0);
	fixture_pass(&fixture, 1000);
	assert_int_equal(accepted(), 2);
}

static void a_session_that_cannot_be_watched_is_closed(void **state)
{
	(void)state;
	fake_fail(&fixture.fake, FAKE_WATCH, 1, -ENOSPC);
	clients[0] = fake_incoming(fixture.listening, FIXTURE_BALANCER);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_SYSTEM_ERROR);
	expect_end(clients[0], FAKE_CLOSED_RESET);
}

/* Memory runs out for all of a flood, and its balancer is to be heard of all the same. */
static void a_want_of_memory_is_counted_for_each_and_not_logged_for_each(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++)
		clients[i] = fake_incoming(fixture.listening, FIXTURE_BALANCER);
	no_memory = true;
	fixture_settle(&fixture);
	no_memory = false;
	assert_int_equal(fixture_closed(&fixture, CLOSE_NO_MEMORY), 20);
	assert_int_equal(fixture_count(&fixture, COUNTER_LOG_SUPPRESSED), 20 - LOG_LIMITER_BURST);
	for (unsigned i = 0; i < 20; i++)
		assert_int_not_equal(clients[i]->closed, FAKE_OPEN);
	/* Their places are free again. */
	connect_clients(1);
	assert_int_equal(clients[0]->closed, FAKE_OPEN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(all_who_wait_are_accepted),
		TEST(a_place_that_is_taken_for_nobody_is_no_session),
		TEST(every_session_has_a_number_of_its_own),
		TEST(a_crowd_does_not_keep_living_sessions_waiting),
		TEST(a_listener_at_its_limit_lets_the_rest_wait),
		TEST(a_session_that_ends_makes_room_for_one_who_waits),
		TEST(the_limit_of_all_listeners_together_holds),
		TEST(a_limit_that_was_raised_is_noticed_while_paused),
		TEST(a_want_of_descriptors_pauses_and_does_not_spin),
		TEST(a_lasting_want_of_descriptors_costs_few_calls),
		TEST(a_connection_that_broke_while_it_waited_is_counted_and_passed_over),
		TEST(a_balancer_outside_the_subnets_is_closed_and_counted),
		TEST(a_balancer_within_the_subnets_is_accepted),
		TEST(on_a_dual_stack_socket_ipv4_balancers_are_judged_as_ipv4),
		TEST(new_settings_hold_for_new_sessions_alone),
		TEST(a_listener_that_ends_accepts_who_still_waits),
		TEST(a_paused_listener_can_end),
		TEST(all_paused_listeners_resume),
		TEST(a_listener_that_cannot_be_watched_is_not_made),
		TEST(a_pause_that_epoll_will_not_end_is_tried_again),
		TEST(a_session_that_cannot_be_watched_is_closed),
		TEST(a_want_of_memory_is_counted_for_each_and_not_logged_for_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
