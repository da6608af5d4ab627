/* SPDX-License-Identifier: MIT */
/* How many sessions a client has at a listener: of all workers, and of what counts as one client.
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
#include <stdlib.h>

#include <cmocka.h>

#include "base/address.h"
#include "relay/client_counts.h"

#define CROWD   5000
#define THREADS 4
#define CLIENTS 7
#define LIMIT   3
#define ROUNDS  20000

static const struct siphash_key secret = {1, 2};
static struct client_counts counts;
static const int web, mail; /* two listeners */

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
	return client_counts_init(&counts, 16, &secret);
}

static void expect_nobody(void)
{
	for (size_t i = 0; i <= counts.mask; i++)
		assert_null(counts.buckets[i]);
}

static int stop(void **state)
{
	(void)state;
	expect_nobody();
	client_counts_finish(&counts);
	return 0;
}

static struct address client_of(const char *ip)
{
	struct address client;

	assert_int_equal(address_parse_ip(ip, &client), 0);
	client.port = 4000;
	return client;
}

static int take(const void *listener, const char *ip, unsigned limit, struct client_count **count)
{
	const struct address client = client_of(ip);

	return client_counts_take(&counts, listener, &client, limit, count);
}

static void give_back(struct client_count *count)
{
	client_counts_give_back(&counts, count);
}

static void a_client_has_so_many_and_not_one_more(void **state)
{
	struct client_count *held[LIMIT], *more;

	(void)state;
	for (unsigned i = 0; i < LIMIT; i++)
		assert_int_equal(take(&web, "203.0.113.1", LIMIT, &held[i]), 0);
	assert_int_equal(take(&web, "203.0.113.1", LIMIT, &more), -EDQUOT);
	assert_null(more);
	give_back(more);
	assert_int_equal(take(&web, "203.0.113.1", LIMIT, &more), -EDQUOT);
	give_back(held[1]);
	assert_int_equal(take(&web, "203.0.113.1", LIMIT, &held[1]), 0);
	for (unsigned i = 0; i < LIMIT; i++)
		give_back(held[i]);
}

static void a_limit_that_was_changed_holds_for_the_next(void **state)
{
	struct client_count *held[3];

	(void)state;
	assert_int_equal(take(&web, "203.0.113.1", 0, &held[0]), 0);
	assert_int_equal(take(&web, "203.0.113.1", 1, &held[1]), -EDQUOT);
	assert_int_equal(take(&web, "203.0.113.1", 3, &held[1]), 0);
	assert_int_equal(take(&web, "203.0.113.1", 1, &held[2]), -EDQUOT);
	give_back(held[0]);
	assert_int_equal(take(&web, "203.0.113.1", 1, &held[2]), -EDQUOT);
	give_back(held[1]);
	assert_int_equal(take(&web, "203.0.113.1", 1, &held[2]), 0);
	give_back(held[2]);
}

static void expect_apart(const void *listener, const char *ip, const void *other_listener,
			 const char *other_ip, bool apart)
{
	struct client_count *one, *other;

	assert_int_equal(take(listener, ip, 1, &one), 0);
	assert_int_equal(take(other_listener, other_ip, 1, &other), apart ? 0 : -EDQUOT);
	give_back(other);
	give_back(one);
	expect_nobody();
}

static void listeners_count_apart(void **state)
{
	(void)state;
	expect_apart(&web, "203.0.113.1", &mail, "203.0.113.1", true);
}

static void a_client_is_an_ipv4_address(void **state)
{
	(void)state;
	expect_apart(&web, "203.0.113.1", &web, "203.0.113.1", false);
	expect_apart(&web, "203.0.113.1", &web, "203.0.113.2", true);
	expect_apart(&web, "203.0.113.1", &web, "203.0.112.1", true);
}

static void a_client_is_a_64_of_ipv6(void **state)
{
	(void)state;
	expect_apart(&web, "2001:db8::1", &web, "2001:db8::ffff:ffff:ffff:ffff", false);
	expect_apart(&web, "2001:db8::1", &web, "2001:db8:0:1::1", true);
	expect_apart(&web, "2001:db8::1", &web, "2001:db9::1", true);
}

static void the_families_count_apart(void **state)
{
	(void)state;
	/* The same bytes where they are compared: 32.1.13.184 and 2001:db8::. */
	expect_apart(&web, "32.1.13.184", &web, "2001:db8::1", true);
}

static void a_mapped_address_is_the_ipv4_client(void **state)
{
	(void)state;
	expect_apart(&web, "203.0.113.1", &web, "::ffff:203.0.113.1", false);
}

static void many_clients_in_few_buckets_are_kept_apart(void **state)
{
	static struct client_count *held[CROWD];
	char ip[32];

	(void)state;
	for (unsigned i = 0; i < CROWD; i++) {
		snprintf(ip, sizeof(ip), "203.%u.%u.1", i / 256, i % 256);
		assert_int_equal(take(&web, ip, 1, &held[i]), 0);
	}
	for (unsigned i = 0; i < CROWD; i += 2)
		give_back(held[i]);
	for (unsigned i = 0; i < CROWD; i++) {
		struct client_count *more;

		snprintf(ip, sizeof(ip), "203.%u.%u.1", i / 256, i % 256);
		assert_int_equal(take(&web, ip, 1, &more), i % 2 == 0 ? 0 : -EDQUOT);
		give_back(more);
	}
	for (unsigned i = 1; i < CROWD; i += 2)
		give_back(held[i]);
}

static void without_memory_it_says_so(void **state)
{
	struct client_count *held, *more;

	(void)state;
	assert_int_equal(take(&web, "203.0.113.1", 2, &held), 0);
	no_memory = true;
	assert_int_equal(take(&web, "203.0.113.2", 2, &more), -ENOMEM);
	assert_null(more);
	/* Who has a place needs no other. */
	assert_int_equal(take(&web, "203.0.113.1", 2, &more), 0);
	no_memory = false;
	give_back(more);
	give_back(held);
}

static atomic_uint alive[CLIENTS], broken;

static void *come_and_go(void *argument)
{
	unsigned random = *(const unsigned *)argument;
	char ip[32];

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct address client;
		struct client_count *count;
		unsigned which;

		random = random * 1103515245 + 12345;
		which = random / 65536 % CLIENTS;
		snprintf(ip, sizeof(ip), "203.0.113.%u", which);
		address_parse_ip(ip, &client);
		if (client_counts_take(&counts, &web, &client, LIMIT, &count) < 0)
			continue;
		/* Raised once it is ours, lowered before it no longer is. */
		if (atomic_fetch_add(&alive[which], 1) >= LIMIT)
			atomic_fetch_add(&broken, 1);
		if (random % 3 == 0)
			sched_yield();
		atomic_fetch_sub(&alive[which], 1);
		client_counts_give_back(&counts, count);
	}
	return NULL;
}

static void workers_never_let_a_client_have_more_together(void **state)
{
	static unsigned seeds[THREADS] = {1, 2, 3, 4};
	pthread_t threads[THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &seeds[i]), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&broken), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(a_client_has_so_many_and_not_one_more),
		TEST(a_limit_that_was_changed_holds_for_the_next),
		TEST(listeners_count_apart),
		TEST(a_client_is_an_ipv4_address),
		TEST(a_client_is_a_64_of_ipv6),
		TEST(the_families_count_apart),
		TEST(a_mapped_address_is_the_ipv4_client),
		TEST(many_clients_in_few_buckets_are_kept_apart),
		TEST(without_memory_it_says_so),
		TEST(workers_never_let_a_client_have_more_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
