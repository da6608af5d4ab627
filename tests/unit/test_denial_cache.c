/* SPDX-License-Identifier: MIT */
/* UDP clients that were refused a moment ago: how long they are remembered, and how many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/denial_cache.h"

#define SETS (DENIAL_CACHE_PLACES / DENIAL_CACHE_WAYS)
#define NOW  1000000

static struct denial_cache *cache;

static int start(void **state)
{
	(void)state;
	cache = calloc(1, sizeof(*cache));
	return cache != NULL ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	free(cache);
	return 0;
}

static struct address client(unsigned number)
{
	const uint8_t ip[4] = {203, 0, (uint8_t)(number >> 8), (uint8_t)number};

	return address_from_ipv4(ip, (uint16_t)(40000 + number));
}

static struct flow_key key_of(unsigned number)
{
	return (struct flow_key){.source = client(number)};
}

/* Keys of the same hash share their places; the clients are the keys'. */
static void deny(unsigned number, uint64_t hash, uint64_t now)
{
	const struct flow_key key = key_of(number);

	denial_cache_add(cache, &key, hash, &key, now);
}

static bool is_denied(unsigned number, uint64_t hash, uint64_t now)
{
	const struct flow_key key = key_of(number);
	const struct flow_key *found = denial_cache_find(cache, &key, hash, now);

	if (found != NULL)
		assert_true(flow_key_equal(found, &key));
	return found != NULL;
}

static void who_was_refused_is_remembered_for_its_time(void **state)
{
	(void)state;
	assert_false(is_denied(1, 7, NOW));
	deny(1, 7, NOW);
	assert_true(is_denied(1, 7, NOW));
	assert_true(is_denied(1, 7, NOW + DENIAL_CACHE_MEMORY - 1));
	assert_false(is_denied(1, 7, NOW + DENIAL_CACHE_MEMORY));
	assert_false(is_denied(1, 7, NOW + 100 * DENIAL_CACHE_MEMORY));
}

static void to_ask_does_not_prolong_it(void **state)
{
	(void)state;
	deny(1, 7, NOW);
	for (unsigned i = 0; i < DENIAL_CACHE_MEMORY; i += 100)
		assert_true(is_denied(1, 7, NOW + i));
	assert_false(is_denied(1, 7, NOW + DENIAL_CACHE_MEMORY));
}

static void to_be_refused_again_does(void **state)
{
	(void)state;
	deny(1, 7, NOW);
	deny(1, 7, NOW + 3000);
	assert_true(is_denied(1, 7, NOW + 3000 + DENIAL_CACHE_MEMORY - 1));
	assert_false(is_denied(1, 7, NOW + 3000 + DENIAL_CACHE_MEMORY));
}

static void another_source_or_destination_is_another_key(void **state)
{
	struct flow_key key = key_of(1), other = key;

	(void)state;
	key.destination = client(50);
	denial_cache_add(cache, &key, 7, &key, NOW);
	other.destination = client(51);
	assert_null(denial_cache_find(cache, &other, 7, NOW));
	other = key;
	other.source.port++;
	assert_null(denial_cache_find(cache, &other, 7, NOW));
	assert_non_null(denial_cache_find(cache, &key, 7, NOW));
}

/* Where only the first datagram has a header, the key is the balancer's port. */
static void under_one_key_the_client_that_was_refused_last_stands(void **state)
{
	const struct flow_key key = key_of(1);
	const struct flow_key first = key_of(2), second = key_of(3);

	(void)state;
	denial_cache_add(cache, &key, 7, &first, NOW);
	assert_true(flow_key_equal(denial_cache_find(cache, &key, 7, NOW), &first));
	denial_cache_add(cache, &key, 7, &second, NOW + 1);
	assert_true(flow_key_equal(denial_cache_find(cache, &key, 7, NOW + 1), &second));
}

static void one_key_has_one_place_however_often_it_is_refused(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		deny(0, 7, NOW + i);
	for (unsigned i = 1; i < DENIAL_CACHE_WAYS; i++)
		deny(i, 7, NOW + 10 + i);
	deny(0, 7, NOW + 20);
	for (unsigned i = 0; i < DENIAL_CACHE_WAYS; i++)
		assert_true(is_denied(i, 7, NOW + 20));
}

static void where_there_is_no_room_the_one_that_is_over_first_goes(void **state)
{
	static const unsigned order[DENIAL_CACHE_WAYS] = {2, 0, 3, 1};

	(void)state;
	for (unsigned i = 0; i < DENIAL_CACHE_WAYS; i++)
		deny(order[i], 7, NOW + i);
	for (unsigned i = 0; i < DENIAL_CACHE_WAYS; i++) {
		deny(10 + i, 7, NOW + 10 + i);
		for (unsigned j = 0; j < DENIAL_CACHE_WAYS; j++)
			assert_int_equal(is_denied(order[j], 7, NOW + 10 + i), j > i);
		assert_true(is_denied(10 + i, 7, NOW + 10 + i));
	}
}

static void who_is_over_already_makes_room_first(void **state)
{
	const uint64_t later = NOW + DENIAL_CACHE_MEMORY;

	(void)state;
	deny(0, 7, NOW);
	for (unsigned i = 1; i < DENIAL_CACHE_WAYS; i++)
		deny(i, 7, later - 10);
	deny(9, 7, later);
	for (unsigned i = 1; i < DENIAL_CACHE_WAYS; i++)
		assert_true(is_denied(i, 7, later));
	assert_true(is_denied(9, 7, later));
}

static void each_hash_has_places_of_its_own(void **state)
{
	(void)state;
	for (uint64_t hash = 0; hash < SETS; hash++) {
		for (unsigned i = 0; i < DENIAL_CACHE_WAYS; i++)
			deny((unsigned)hash * DENIAL_CACHE_WAYS + i, hash, NOW);
	}
	for (uint64_t hash = 0; hash < SETS; hash++) {
		for (unsigned i = 0; i < DENIAL_CACHE_WAYS; i++)
			assert_true(
				is_denied((unsigned)hash * DENIAL_CACHE_WAYS + i, hash, NOW + 1));
	}
	deny(60000, UINT64_MAX, NOW + 1);
	assert_true(is_denied(60000, UINT64_MAX, NOW + 1));
	assert_false(is_denied((SETS - 1) * DENIAL_CACHE_WAYS, SETS - 1, NOW + 1));
}

static void without_a_cache_nobody_was_refused(void **state)
{
	const struct flow_key key = key_of(1);

	(void)state;
	assert_null(denial_cache_find(NULL, &key, 7, NOW));
}

/* What a set should hold: the keys by the time at which they are over. */
struct model {
	unsigned keys[DENIAL_CACHE_WAYS];
	uint64_t until[DENIAL_CACHE_WAYS]; /* all different; 0: nobody */
};

static void model_deny(struct model *model, unsigned key, uint64_t until)
{
	unsigned place = 0;

	for (unsigned i = 0; i < DENIAL_CACHE_WAYS; i++) {
		if (model->until[i] < model->until[place])
			place = i;
	}
	for (unsigned i = 0; i < DENIAL_CACHE_WAYS; i++) {
		if (model->until[i] != 0 && model->keys[i] == key)
			place = i;
	}
	model->keys[place] = key;
	model->until[place] = until;
}

static bool model_is_denied(const struct model *model, unsigned key, uint64_t now)
{
	for (unsigned i = 0; i < DENIAL_CACHE_WAYS; i++) {
		if (model->until[i] > now && model->keys[i] == key)
			return true;
	}
	return false;
}

static void in_any_order_it_holds_what_it_should(void **state)
{
	struct model model = {.until = {0}};
	uint64_t random = 1, now = NOW;

	(void)state;
	for (unsigned step = 0; step < 20000; step++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		now += 1 + (random >> 40) % 2000;
		if ((random >> 33) % 2 == 0) {
			unsigned key = (unsigned)(random >> 58) % 8;

			deny(key, 7, now);
			model_deny(&model, key, now + DENIAL_CACHE_MEMORY);
		}
		for (unsigned key = 0; key < 8; key++) {
			if (is_denied(key, 7, now) != model_is_denied(&model, key, now))
				fail_msg("step %u: client %u", step, key);
		}
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(who_was_refused_is_remembered_for_its_time),
		TEST(to_ask_does_not_prolong_it),
		TEST(to_be_refused_again_does),
		TEST(another_source_or_destination_is_another_key),
		TEST(under_one_key_the_client_that_was_refused_last_stands),
		TEST(one_key_has_one_place_however_often_it_is_refused),
		TEST(where_there_is_no_room_the_one_that_is_over_first_goes),
		TEST(who_is_over_already_makes_room_first),
		TEST(each_hash_has_places_of_its_own),
		TEST(without_a_cache_nobody_was_refused),
		TEST(in_any_order_it_holds_what_it_should),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
