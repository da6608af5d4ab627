/* SPDX-License-Identifier: MIT */
/*
 * Tickets: taken and given back by a worker, completed by any thread. The sessions here are the
 * test's own; what the host does with a verdict is tested elsewhere.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_loop.h"
#include "host/plugin_session.h"
#include "host/ticket_pool.h"

#define WORKER 5

/* Opaque to the pool: what became of each ticket of a test's session. */
struct plugin_session {
	unsigned completed, expired;
	int verdict;
	char why[TICKET_WHY_SIZE];
	struct ticket *voids; /* a verdict makes this one void, too */
};

static struct ticket_pool pool;
static struct loop loop;
static int wake;
/* Two plugins; the pool looks at their addresses alone. */
static char instances[2];
#define HERS ((struct mmproxy_instance *)(void *)&instances[0])
#define HIS  ((struct mmproxy_instance *)(void *)&instances[1])

static void ticket_completed(struct ticket *ticket)
{
	struct plugin_session *session = ticket->session;

	session->completed++;
	session->verdict = ticket->verdict;
	memcpy(session->why, ticket->why, sizeof(session->why));
	assert_int_equal(ticket_pool_release(&pool, ticket), TICKET_COMPLETED);
	if (session->voids != NULL)
		assert_int_equal(ticket_pool_release(&pool, session->voids), TICKET_COMPLETED);
}

static void ticket_expired(struct timer *timer)
{
	struct ticket *ticket = container_of(timer, struct ticket, timer);

	ticket->session->expired++;
}

static const struct ticket_fate fate = {ticket_completed, ticket_expired};

static int start_unattached(void **state)
{
	(void)state;
	wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ticket_pool_init(&pool, WORKER);
	fake_loop_start(&loop, 1000);
	return wake >= 0 ? 0 : -1;
}

static int start(void **state)
{
	int result = start_unattached(state);

	ticket_pool_attach(&pool, &loop, wake);
	return result;
}

static int stop(void **state)
{
	(void)state;
	ticket_pool_detach(&pool);
	ticket_pool_finish(&pool);
	return close(wake);
}

static bool was_woken(void)
{
	eventfd_t count;

	return eventfd_read(wake, &count) == 0;
}

static struct ticket *take(struct plugin_session *session)
{
	return ticket_pool_take(&pool, session, HERS, &fate);
}

static int complete(const struct ticket *ticket, int verdict, const char *why)
{
	return ticket_pool_complete(&pool, HERS, ticket_number(&pool, ticket), verdict, why);
}

static void expect_stale(mmproxy_ticket number)
{
	if (ticket_pool_complete(&pool, HERS, number, MMPROXY_PASS, NULL) != -ESTALE)
		fail_msg("%#llx is no ticket, and was taken for one", (unsigned long long)number);
}

static void a_completed_ticket_wakes_the_worker_and_reaches_its_session(void **state)
{
	struct plugin_session session = {0};
	struct ticket *ticket = take(&session);

	(void)state;
	assert_non_null(ticket);
	assert_false(was_woken());
	assert_int_equal(complete(ticket, MMPROXY_DENY, "not you"), 0);
	assert_true(was_woken());
	assert_int_equal(session.completed, 0);
	ticket_pool_deliver(&pool);
	assert_int_equal(session.completed, 1);
	assert_int_equal(session.verdict, MMPROXY_DENY);
	assert_string_equal(session.why, "not you");
	ticket_pool_deliver(&pool);
	assert_int_equal(session.completed, 1);
}

static void verdicts_are_handed_out_in_the_order_in_which_they_came(void **state)
{
	struct plugin_session sessions[3] = {{0}};
	struct ticket *tickets[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		tickets[i] = take(&sessions[i]);
	/* The last one's verdict voids the second's, which therefore must not have come before. */
	sessions[2].voids = tickets[1];
	assert_int_equal(complete(tickets[2], 2, NULL), 0);
	assert_int_equal(complete(tickets[1], 1, NULL), 0);
	assert_int_equal(complete(tickets[0], 0, NULL), 0);
	ticket_pool_deliver(&pool);
	assert_int_equal(sessions[0].completed, 1);
	assert_int_equal(sessions[1].completed, 0);
	assert_int_equal(sessions[2].completed, 1);
}

static void a_number_is_never_zero_and_names_its_worker(void **state)
{
	struct plugin_session session = {0};

	(void)state;
	for (unsigned i = 0; i < TICKET_POOL_SIZE; i++) {
		mmproxy_ticket number = ticket_number(&pool, take(&session));

		assert_int_not_equal(number, 0);
		assert_int_equal(ticket_worker(number), WORKER);
	}
}

static void no_two_numbers_are_alike_of_whichever_worker_they_are(void **state)
{
	static mmproxy_ticket seen[3 * TICKET_POOL_SIZE];
	struct plugin_session session = {0};
	struct ticket_pool other;
	size_t count = 0;

	(void)state;
	ticket_pool_init(&other, 255);
	for (unsigned i = 0; i < 3 * TICKET_POOL_SIZE; i++) {
		struct ticket_pool *of = i % 3 == 0 ? &other : &pool;
		struct ticket *ticket = ticket_pool_take(of, &session, HERS, &fate);

		seen[count] = ticket_number(of, ticket);
		assert_int_equal(ticket_worker(seen[count]), of->worker);
		for (size_t j = 0; j < count; j++)
			assert_int_not_equal(seen[j], seen[count]);
		count++;
		/* Half of the places are used again. */
		if (i % 2 == 0)
			ticket_pool_release(of, ticket);
	}
	ticket_pool_finish(&other);
}

static void a_ticket_that_was_used_is_stale(void **state)
{
	struct plugin_session session = {0};
	struct ticket *ticket = take(&session);
	mmproxy_ticket number = ticket_number(&pool, ticket);

	(void)state;
	assert_int_equal(complete(ticket, MMPROXY_PASS, "first"), 0);
	assert_int_equal(complete(ticket, MMPROXY_DENY, "second"), -ESTALE);
	ticket_pool_deliver(&pool);
	expect_stale(number);
	ticket_pool_deliver(&pool);
	assert_int_equal(session.completed, 1);
	assert_int_equal(session.verdict, MMPROXY_PASS);
	assert_string_equal(session.why, "first");
}

static void a_ticket_that_was_given_back_is_stale_and_wakes_nobody(void **state)
{
	struct plugin_session session = {0};
	struct ticket *ticket = take(&session);

	(void)state;
	assert_int_equal(ticket_pool_release(&pool, ticket), TICKET_AWAITED);
	assert_int_equal(complete(ticket, MMPROXY_PASS, NULL), -ESTALE);
	assert_false(was_woken());
	ticket_pool_deliver(&pool);
	assert_int_equal(session.completed, 0);
}

static void a_ticket_whose_place_is_used_again_is_stale(void **state)
{
	struct plugin_session session = {0};
	struct ticket *first = take(&session), *again;
	mmproxy_ticket number = ticket_number(&pool, first);

	(void)state;
	ticket_pool_release(&pool, first);
	do
		again = take(&session);
	while (again != first);
	assert_int_not_equal(ticket_number(&pool, again), number);
	expect_stale(number);
	assert_int_equal(complete(again, MMPROXY_PASS, NULL), 0);
}

static void another_plugin_cannot_use_a_ticket(void **state)
{
	struct plugin_session session = {0};
	struct ticket *ticket = take(&session);
	mmproxy_ticket number = ticket_number(&pool, ticket);

	(void)state;
	assert_int_equal(ticket_pool_complete(&pool, HIS, number, MMPROXY_PASS, NULL), -ESTALE);
	assert_int_equal(ticket_pool_complete(&pool, NULL, number, MMPROXY_PASS, NULL), -ESTALE);
	assert_false(was_woken());
	assert_int_equal(complete(ticket, MMPROXY_PASS, NULL), 0);
}

static void before_the_first_ticket_every_number_is_stale(void **state)
{
	(void)state;
	expect_stale(0);
	expect_stale(1);
	expect_stale(UINT64_MAX);
	expect_stale((UINT64_C(1) << 20) | (WORKER << 12));
}

static void numbers_that_somebody_made_up_are_stale(void **state)
{
	struct plugin_session session = {0};
	mmproxy_ticket number = 0, random = 1;

	(void)state;
	for (unsigned i = 0; i < TICKET_POOL_SIZE; i++)
		number = ticket_number(&pool, take(&session));
	for (unsigned bit = 0; bit < 64; bit++) {
		mmproxy_ticket made_up = number ^ UINT64_C(1) << bit;

		/* The low bits name other places, whose tickets are out, too. */
		if (bit < 10)
			assert_int_equal(
				ticket_pool_complete(&pool, HERS, made_up, MMPROXY_PASS, NULL), 0);
		else
			expect_stale(made_up);
	}
	expect_stale(0);
	expect_stale(UINT64_MAX);
	expect_stale(number + 1);
	for (unsigned place = TICKET_POOL_SIZE; place < 4096; place++)
		expect_stale((number & ~UINT64_C(0xfff)) | place);
	for (unsigned i = 0; i < 100000; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		if (random >> 12 != number >> 12)
			expect_stale(random);
	}
	assert_int_equal(ticket_pool_complete(&pool, HERS, number, MMPROXY_PASS, NULL), 0);
}

static void to_give_back_a_completed_ticket_takes_it_out_of_the_inbox(void **state)
{
	struct plugin_session session = {0};
	struct ticket *ticket = take(&session);

	(void)state;
	assert_int_equal(complete(ticket, MMPROXY_DENY, "too late"), 0);
	assert_int_equal(ticket_pool_release(&pool, ticket), TICKET_COMPLETED);
	ticket_pool_deliver(&pool);
	assert_int_equal(session.completed, 0);
}

static void when_all_are_out_there_is_none_until_one_comes_back(void **state)
{
	struct plugin_session session = {0};

	(void)state;
	for (unsigned i = 0; i < TICKET_POOL_SIZE; i++)
		assert_non_null(take(&session));
	for (unsigned i = 0; i < 3; i++) {
		assert_null(take(&session));
		ticket_pool_release(&pool, &pool.tickets[100 * i]);
		assert_ptr_equal(take(&session), &pool.tickets[100 * i]);
	}
	/* One that is completed is still out. */
	assert_int_equal(complete(&pool.tickets[7], MMPROXY_PASS, NULL), 0);
	assert_null(take(&session));
	ticket_pool_deliver(&pool);
	assert_ptr_equal(take(&session), &pool.tickets[7]);
	assert_null(take(&session));
}

static void a_place_rests_for_as_long_as_there_are_others(void **state)
{
	struct plugin_session session = {0};
	struct ticket *first = take(&session);

	(void)state;
	ticket_pool_release(&pool, first);
	for (unsigned i = 1; i < TICKET_POOL_SIZE; i++) {
		struct ticket *ticket = take(&session);

		assert_ptr_not_equal(ticket, first);
		ticket_pool_release(&pool, ticket);
	}
	assert_ptr_equal(take(&session), first);
}

static void a_reason_is_cut_and_none_is_none(void **state)
{
	struct plugin_session session = {0};
	struct ticket *ticket;
	char why[3 * TICKET_WHY_SIZE];

	(void)state;
	memset(why, 'y', sizeof(why));
	why[sizeof(why) - 1] = '\0';
	ticket = take(&session);
	assert_int_equal(complete(ticket, MMPROXY_DENY, why), 0);
	ticket_pool_deliver(&pool);
	assert_int_equal(strlen(session.why), TICKET_WHY_SIZE - 1);
	/* The next one in this place has not the reason of the last. */
	while (take(&session) != ticket)
		continue;
	assert_string_equal(ticket->why, "");
	assert_int_equal(complete(ticket, MMPROXY_DENY, NULL), 0);
	ticket_pool_deliver(&pool);
	assert_string_equal(session.why, "");
}

static void a_ticket_that_comes_back_has_no_deadline_any_more(void **state)
{
	struct plugin_session session = {0};
	struct ticket *kept = take(&session), *returned = take(&session);

	(void)state;
	loop_timer_set(&loop, &kept->timer, 100);
	loop_timer_set(&loop, &returned->timer, 100);
	ticket_pool_release(&pool, returned);
	timer_wheel_advance(&loop.wheel, loop.now + 1000);
	assert_int_equal(session.expired, 1);
	assert_false(timer_is_set(&kept->timer));
}

/* Nobody is there yet to be woken, so the verdict is found when the worker looks. */
static void a_verdict_from_before_the_worker_is_not_lost(void **state)
{
	struct plugin_session session = {0};
	struct ticket *ticket = take(&session);

	(void)state;
	assert_int_equal(complete(ticket, MMPROXY_PASS, "early"), 0);
	assert_false(was_woken());
	ticket_pool_attach(&pool, &loop, wake);
	ticket_pool_deliver(&pool);
	assert_int_equal(session.completed, 1);
	assert_string_equal(session.why, "early");
}

static void behind_the_worker_nobody_is_woken(void **state)
{
	struct plugin_session session = {0};
	struct ticket *ticket = take(&session);
	mmproxy_ticket number = ticket_number(&pool, ticket);

	(void)state;
	ticket_pool_release(&pool, ticket);
	ticket_pool_detach(&pool);
	expect_stale(number);
	assert_false(was_woken());
}

/* ---- Threads ---- */

#define THREADS 3
#define ENOUGH  1000 /* of each way in which a ticket may end */
#define OUT     8    /* tickets at once, each known to all threads */

static _Atomic mmproxy_ticket known[OUT];
static atomic_bool over;

/* What a thread says about a ticket can be told from what it says about any other. */
static int verdict_for(mmproxy_ticket number)
{
	return (int)(number >> 20 & 0xffffff) + 1;
}

/* Each tries to complete all that it sees; returns how often it was the one. */
static void *complete_all(void *argument)
{
	uintptr_t *used_up = argument;
	char why[TICKET_WHY_SIZE];

	while (!atomic_load(&over)) {
		for (unsigned i = 0; i < OUT; i++) {
			mmproxy_ticket number = atomic_load(&known[i]);
			int error;

			snprintf(why, sizeof(why), "ticket %llu", (unsigned long long)number);
			error = ticket_pool_complete(&pool, HERS, number, verdict_for(number), why);
			if (error == 0)
				(*used_up)++;
			else if (error != -ESTALE)
				*used_up = UINTPTR_MAX / 2;
			sched_yield();
		}
	}
	return NULL;
}

/* A session at a place of `known`; what arrives for it is looked at before it gets its next. */
static void expect_own_verdict(const struct plugin_session *session, mmproxy_ticket number)
{
	char due[TICKET_WHY_SIZE];

	snprintf(due, sizeof(due), "ticket %llu", (unsigned long long)number);
	assert_int_equal(session->completed, 1);
	assert_int_equal(session->verdict, verdict_for(number));
	assert_string_equal(session->why, due);
}

static void one_thread_completes_a_ticket_or_its_worker_gives_it_back(void **state)
{
	struct plugin_session sessions[OUT] = {{0}};
	struct ticket *tickets[OUT];
	pthread_t threads[THREADS];
	uintptr_t used_up[THREADS] = {0}, sum = 0;
	uintptr_t delivered = 0, too_late = 0, in_vain = 0;
	unsigned random = 1;

	(void)state;
	atomic_store(&over, false);
	for (unsigned i = 0; i < OUT; i++) {
		tickets[i] = take(&sessions[i]);
		atomic_store(&known[i], ticket_number(&pool, tickets[i]));
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, complete_all, &used_up[i]), 0);
	while (delivered < ENOUGH || too_late < ENOUGH || in_vain < ENOUGH) {
		unsigned place = (random = random * 1103515245u + 12345u) >> 16 & (OUT - 1);

		if (random >> 24 & 1)
			ticket_pool_deliver(&pool);
		if (sessions[place].completed > 0) {
			expect_own_verdict(&sessions[place], atomic_load(&known[place]));
			delivered++;
		} else if (ticket_pool_release(&pool, tickets[place]) == TICKET_COMPLETED) {
			too_late++;
		} else {
			in_vain++;
		}
		sessions[place] = (struct plugin_session){0};
		tickets[place] = take(&sessions[place]);
		assert_non_null(tickets[place]);
		atomic_store(&known[place], ticket_number(&pool, tickets[place]));
		sched_yield();
	}
	atomic_store(&over, true);
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		sum += used_up[i];
	}
	ticket_pool_deliver(&pool);
	for (unsigned i = 0; i < OUT; i++)
		delivered += sessions[i].completed;
	assert_int_equal(sum, delivered + too_late);
	assert_true(was_woken());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(a_completed_ticket_wakes_the_worker_and_reaches_its_session),
		TEST(verdicts_are_handed_out_in_the_order_in_which_they_came),
		TEST(a_number_is_never_zero_and_names_its_worker),
		TEST(no_two_numbers_are_alike_of_whichever_worker_they_are),
		TEST(a_ticket_that_was_used_is_stale),
		TEST(a_ticket_that_was_given_back_is_stale_and_wakes_nobody),
		TEST(a_ticket_whose_place_is_used_again_is_stale),
		TEST(another_plugin_cannot_use_a_ticket),
		TEST(before_the_first_ticket_every_number_is_stale),
		TEST(numbers_that_somebody_made_up_are_stale),
		TEST(to_give_back_a_completed_ticket_takes_it_out_of_the_inbox),
		TEST(when_all_are_out_there_is_none_until_one_comes_back),
		TEST(a_place_rests_for_as_long_as_there_are_others),
		TEST(a_reason_is_cut_and_none_is_none),
		TEST(a_ticket_that_comes_back_has_no_deadline_any_more),
		cmocka_unit_test_setup_teardown(a_verdict_from_before_the_worker_is_not_lost,
						start_unattached, stop),
		TEST(behind_the_worker_nobody_is_woken),
		TEST(one_thread_completes_a_ticket_or_its_worker_gives_it_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
