/* SPDX-License-Identifier: MIT */
/*
 * The table of flows: keys that differ in one byte are different flows, every flow is found however
 * crowded its bucket is, and the one that leaves is the right one. Last, against a plain array.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/flow_table.h"

#define CROWD      3000
#define MODEL_SIZE 60
#define OPERATIONS 20000

static const struct siphash_key secret = {0x0123456789abcdef, 0xfedcba9876543210};
static struct flow_table table;

static int start(void **state)
{
	(void)state;
	return flow_table_init(&table, 16, &secret);
}

static int stop(void **state)
{
	(void)state;
	flow_table_finish(&table);
	return 0;
}

static struct address endpoint(const char *text)
{
	struct address address;

	assert_int_equal(address_parse_endpoint(text, &address), 0);
	return address;
}

static struct flow_key key_of(const char *source, const char *destination)
{
	return (struct flow_key){endpoint(source), endpoint(destination)};
}

/* A client of its own for each number. */
static struct flow_key numbered_key(unsigned number)
{
	struct flow_key key = key_of("203.0.113.1:4000", "198.51.100.1:53");

	key.source.ip[2] = (uint8_t)(number >> 8);
	key.source.ip[3] = (uint8_t)number;
	return key;
}

static struct flow_entry *find(const struct flow_key *key)
{
	return flow_table_find(&table, key, flow_table_hash(&table, key));
}

static void add(struct flow_entry *entry, const struct flow_key *key, uint64_t now)
{
	flow_table_add(&table, entry, key, flow_table_hash(&table, key), now);
}

static void add_numbered(struct flow_entry *entries, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const struct flow_key key = numbered_key(i);

		add(&entries[i], &key, i);
	}
}

/* Padding and all, as a key that somebody built on an untidy stack. */
static struct flow_key padded_with(uint8_t padding, const struct flow_key *key)
{
	const struct address *from[] = {&key->source, &key->destination};
	struct flow_key padded;
	struct address *to[] = {&padded.source, &padded.destination};

	memset(&padded, padding, sizeof(padded));
	for (unsigned i = 0; i < 2; i++) {
		memcpy(to[i]->ip, from[i]->ip, sizeof(from[i]->ip));
		to[i]->port = from[i]->port;
		to[i]->family = from[i]->family;
	}
	return padded;
}

static void what_was_added_is_found_until_it_is_removed(void **state)
{
	const struct flow_key key = key_of("203.0.113.1:4000", "198.51.100.1:53");
	struct flow_entry entry;

	(void)state;
	assert_null(find(&key));
	memset(&entry, 0xa5, sizeof(entry));
	add(&entry, &key, 77);
	assert_ptr_equal(find(&key), &entry);
	assert_int_equal(table.count, 1);
	assert_int_equal(entry.last_used, 77);
	assert_false(entry.assured);
	assert_true(address_equal(&entry.key.source, &key.source));
	assert_true(address_equal(&entry.key.destination, &key.destination));
	flow_table_remove(&table, &entry);
	assert_null(find(&key));
	assert_int_equal(table.count, 0);
}

/* Is the flow of `other` another one than that of `key`, in a search and in the hash? */
static void expect_distinct(const struct flow_key *key, const struct flow_key *other)
{
	uint64_t hash = flow_table_hash(&table, key);
	struct flow_entry entry;

	add(&entry, key, 0);
	assert_int_not_equal(flow_table_hash(&table, other), hash);
	assert_null(find(other));
	/* Should two hashes ever be the same, the addresses decide. */
	assert_null(flow_table_find(&table, other, hash));
	assert_ptr_equal(find(key), &entry);
	flow_table_remove(&table, &entry);
}

static void keys_that_differ_in_one_byte_of_an_address_are_two_flows(void **state)
{
	const struct flow_key key = key_of("[2001:db8::1]:4000", "[2001:db8::2]:53");

	(void)state;
	for (unsigned i = 0; i < sizeof(key.source.ip); i++) {
		struct flow_key other = key;

		other.source.ip[i] ^= 1;
		expect_distinct(&key, &other);
		other = key;
		other.destination.ip[i] ^= 0x80;
		expect_distinct(&key, &other);
	}
}

static void keys_that_differ_in_a_port_or_a_family_are_two_flows(void **state)
{
	const struct flow_key key = key_of("203.0.113.1:4000", "198.51.100.1:53");

	(void)state;
	for (unsigned bit = 0; bit < 16; bit++) {
		struct flow_key other = key;

		other.source.port ^= (uint16_t)(1u << bit);
		expect_distinct(&key, &other);
		other = key;
		other.destination.port ^= (uint16_t)(1u << bit);
		expect_distinct(&key, &other);
	}
	for (unsigned family = 0; family < 256; family++) {
		struct flow_key other = key;

		other.source.family = (uint8_t)family;
		if (family != key.source.family)
			expect_distinct(&key, &other);
		other = key;
		other.destination.family = (uint8_t)family;
		if (family != key.destination.family)
			expect_distinct(&key, &other);
	}
}

static void source_and_destination_are_not_the_same_the_other_way_round(void **state)
{
	const struct flow_key key = key_of("203.0.113.1:4000", "198.51.100.1:53");
	const struct flow_key turned = {key.destination, key.source};
	const struct flow_key alone = {.source = key.source};

	(void)state;
	expect_distinct(&key, &turned);
	expect_distinct(&key, &alone);
	expect_distinct(&alone, &key);
}

static void padding_in_a_key_does_not_matter(void **state)
{
	const struct flow_key key = key_of("[2001:db8::1]:4000", "203.0.113.5:53");
	const struct flow_key zeros = padded_with(0x00, &key), ones = padded_with(0xff, &key);
	struct flow_entry entry;

	(void)state;
	assert_int_equal(flow_table_hash(&table, &ones), flow_table_hash(&table, &zeros));
	add(&entry, &ones, 0);
	assert_ptr_equal(find(&zeros), &entry);
	assert_ptr_equal(find(&key), &entry);
	flow_table_remove(&table, &entry);
}

static void the_hash_depends_on_every_bit_of_the_secret(void **state)
{
	const struct flow_key key = key_of("203.0.113.1:4000", "198.51.100.1:53");
	uint64_t before = flow_table_hash(&table, &key);

	(void)state;
	for (unsigned bit = 0; bit < 128; bit++) {
		struct siphash_key other = secret;
		struct flow_table second;

		*(bit < 64 ? &other.k0 : &other.k1) ^= UINT64_C(1) << bit % 64;
		assert_int_equal(flow_table_init(&second, 1, &other), 0);
		assert_int_not_equal(flow_table_hash(&second, &key), before);
		flow_table_finish(&second);
	}
}

static void in_a_crowded_table_every_flow_is_still_found(void **state)
{
	struct flow_entry *entries = calloc(CROWD, sizeof(*entries));

	(void)state;
	assert_non_null(entries);
	add_numbered(entries, CROWD);
	assert_int_equal(table.count, CROWD);
	/* Of three the middle one goes, wherever in its bucket it stands. */
	for (unsigned i = 1; i < CROWD; i += 3)
		flow_table_remove(&table, &entries[i]);
	for (unsigned i = 0; i < CROWD; i++) {
		const struct flow_key key = numbered_key(i);

		assert_ptr_equal(find(&key), i % 3 == 1 ? NULL : &entries[i]);
	}
	assert_int_equal(table.count, CROWD - CROWD / 3);
	free(entries);
}

/* Were the hash as good as constant, nothing but the time it takes would show it. */
static void clients_that_follow_one_another_spread_over_the_buckets(void **state)
{
	struct flow_entry *entries = calloc(CROWD, sizeof(*entries));
	unsigned used = 0;

	(void)state;
	assert_non_null(entries);
	flow_table_finish(&table);
	assert_int_equal(flow_table_init(&table, CROWD, &secret), 0);
	add_numbered(entries, CROWD);
	for (size_t i = 0; i <= table.mask; i++)
		used += table.buckets[i] != NULL;
	/* Of 4096 buckets 2127 are due, give or take 30. */
	assert_in_range(used, 1900, 2350);
	free(entries);
}

static void expect_next(const struct flow_entry *expendable, const struct flow_entry *oldest)
{
	assert_ptr_equal(flow_table_expendable(&table), expendable);
	assert_ptr_equal(flow_table_oldest(&table), oldest);
}

static void an_empty_table_has_nobody_to_let_go(void **state)
{
	(void)state;
	expect_next(NULL, NULL);
}

static void whoever_was_used_least_recently_leaves_first(void **state)
{
	struct flow_entry entries[3];

	(void)state;
	add_numbered(entries, 3);
	expect_next(&entries[0], &entries[0]);
	flow_table_touch(&table, &entries[0], 10);
	assert_int_equal(entries[0].last_used, 10);
	expect_next(&entries[1], &entries[1]);
	flow_table_touch(&table, &entries[1], 11);
	expect_next(&entries[2], &entries[2]);
	flow_table_remove(&table, &entries[2]);
	expect_next(&entries[0], &entries[0]);
	flow_table_remove(&table, &entries[0]);
	flow_table_remove(&table, &entries[1]);
	expect_next(NULL, NULL);
}

static void a_use_that_is_told_later_has_its_place_among_the_others(void **state)
{
	struct flow_entry entries[4];

	(void)state;
	add_numbered(entries, 4);
	for (unsigned i = 1; i < 4; i++)
		flow_table_touch(&table, &entries[i], 10 * i);
	/* Between 1, which was used at 10, and 2; and not before the one of the same moment. */
	flow_table_touch_at(&table, &entries[0], 15);
	expect_next(&entries[1], &entries[1]);
	flow_table_touch_at(&table, &entries[1], 15);
	assert_int_equal(entries[1].last_used, 15);
	expect_next(&entries[0], &entries[0]);
	flow_table_touch_at(&table, &entries[0], 40);
	expect_next(&entries[1], &entries[1]);
	flow_table_touch_at(&table, &entries[1], 35);
	expect_next(&entries[2], &entries[2]);
	for (unsigned i = 0; i < 4; i++)
		flow_table_remove(&table, &entries[(i + 2) % 4]);
	expect_next(NULL, NULL);
}

static void among_many_it_is_as_if_used_with_the_last_that_was_looked_at(void **state)
{
	struct flow_entry entries[FLOW_TABLE_STEPS + 10];
	const unsigned count = sizeof(entries) / sizeof(entries[0]);

	(void)state;
	add_numbered(entries, count);
	flow_table_touch_at(&table, &entries[0], 1);
	/* The last one was used at count - 1. */
	assert_int_equal(entries[0].last_used, count - FLOW_TABLE_STEPS);
	for (unsigned i = 1; i <= count - FLOW_TABLE_STEPS; i++) {
		expect_next(&entries[i], &entries[i]);
		flow_table_remove(&table, &entries[i]);
	}
	expect_next(&entries[0], &entries[0]);
	flow_table_remove(&table, &entries[0]);
	for (unsigned i = count - FLOW_TABLE_STEPS + 1; i < count; i++)
		flow_table_remove(&table, &entries[i]);
}

static void a_use_that_is_told_later_moves_nobody_to_the_other_queue(void **state)
{
	struct flow_entry entries[2];

	(void)state;
	add_numbered(entries, 2);
	flow_table_assure(&table, &entries[0], 5);
	flow_table_touch_at(&table, &entries[0], 7);
	flow_table_touch_at(&table, &entries[1], 9);
	assert_int_equal(table.fresh_count, 1);
	expect_next(&entries[1], &entries[0]);
	flow_table_remove(&table, &entries[0]);
	flow_table_remove(&table, &entries[1]);
}

static void an_assured_flow_stays_while_there_is_one_that_is_not(void **state)
{
	struct flow_entry entries[3];

	(void)state;
	add_numbered(entries, 3);
	flow_table_assure(&table, &entries[0], 20);
	assert_true(entries[0].assured);
	assert_int_equal(entries[0].last_used, 20);
	expect_next(&entries[1], &entries[1]);
	flow_table_touch(&table, &entries[1], 30);
	expect_next(&entries[2], &entries[2]);
	flow_table_assure(&table, &entries[2], 31);
	/* The last one that is not assured leaves, however lately it was used. */
	expect_next(&entries[1], &entries[0]);
	flow_table_remove(&table, &entries[1]);
	expect_next(&entries[0], &entries[0]);
	flow_table_touch(&table, &entries[0], 32);
	expect_next(&entries[2], &entries[2]);
}

static void fresh_flows_are_counted_until_they_are_assured_or_leave(void **state)
{
	struct flow_entry entries[3];

	(void)state;
	assert_int_equal(table.fresh_count, 0);
	add_numbered(entries, 3);
	assert_int_equal(table.fresh_count, 3);
	flow_table_touch(&table, &entries[0], 10);
	assert_int_equal(table.fresh_count, 3);
	flow_table_assure(&table, &entries[0], 11);
	assert_int_equal(table.fresh_count, 2);
	flow_table_touch(&table, &entries[0], 12);
	flow_table_remove(&table, &entries[0]);
	assert_int_equal(table.fresh_count, 2);
	flow_table_remove(&table, &entries[1]);
	assert_int_equal(table.fresh_count, 1);
	flow_table_remove(&table, &entries[2]);
	assert_int_equal(table.fresh_count, 0);
}

static void a_flow_that_is_added_again_is_not_assured_any_more(void **state)
{
	const struct flow_key key = numbered_key(0), other = numbered_key(1);
	struct flow_entry entry, second;

	(void)state;
	add(&entry, &key, 0);
	flow_table_assure(&table, &entry, 0);
	flow_table_remove(&table, &entry);
	add(&second, &other, 1);
	flow_table_assure(&table, &second, 1);
	add(&entry, &key, 2);
	assert_false(entry.assured);
	expect_next(&entry, &second);
}

/* The model: an array, and what each place knows. */
struct place {
	struct flow_entry entry;
	bool present, assured;
	uint64_t used;
	uint64_t order; /* among those of the same queue: of the last move to its end */
};

static uint64_t random_state;

static unsigned random_below(unsigned limit)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(random_state >> 33) % limit;
}

static struct place *first_of(struct place *places, bool assured)
{
	struct place *first = NULL;

	for (unsigned i = 0; i < MODEL_SIZE; i++) {
		struct place *place = &places[i];

		if (place->present && place->assured == assured &&
		    (first == NULL || place->order < first->order))
			first = place;
	}
	return first;
}

static void expect_like(struct place *places)
{
	struct place *fresh = first_of(places, false), *assured = first_of(places, true);
	struct place *oldest = fresh;
	unsigned count = 0, fresh_count = 0;

	for (unsigned i = 0; i < MODEL_SIZE; i++) {
		const struct flow_key key = numbered_key(i);

		assert_ptr_equal(find(&key), places[i].present ? &places[i].entry : NULL);
		count += places[i].present;
		fresh_count += places[i].present && !places[i].assured;
	}
	assert_int_equal(table.count, count);
	assert_int_equal(table.fresh_count, fresh_count);
	if (fresh == NULL || (assured != NULL && assured->used < fresh->used))
		oldest = assured;
	if (fresh == NULL)
		fresh = assured;
	expect_next(fresh != NULL ? &fresh->entry : NULL, oldest != NULL ? &oldest->entry : NULL);
}

static void operate(struct place *places, uint64_t now)
{
	unsigned number = random_below(MODEL_SIZE);
	struct place *place = &places[number];
	const struct flow_key key = numbered_key(number);

	if (!place->present) {
		add(&place->entry, &key, now);
		place->present = true;
		place->assured = false;
		place->used = place->order = now;
		return;
	}
	if (random_below(4) == 0) {
		flow_table_remove(&table, &place->entry);
		place->present = false;
		return;
	}
	if (random_below(3) == 0 && !place->assured) {
		flow_table_assure(&table, &place->entry, now);
		place->assured = true;
	} else {
		flow_table_touch(&table, &place->entry, now);
	}
	place->used = place->order = now;
}

static void any_sequence_of_operations_gives_what_an_array_gives(void **state)
{
	struct place *places = calloc(MODEL_SIZE, sizeof(*places));

	(void)state;
	assert_non_null(places);
	random_state = 1;
	for (uint64_t now = 1; now <= OPERATIONS; now++) {
		operate(places, now);
		expect_like(places);
	}
	free(places);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(what_was_added_is_found_until_it_is_removed),
		TEST(keys_that_differ_in_one_byte_of_an_address_are_two_flows),
		TEST(keys_that_differ_in_a_port_or_a_family_are_two_flows),
		TEST(source_and_destination_are_not_the_same_the_other_way_round),
		TEST(padding_in_a_key_does_not_matter),
		TEST(the_hash_depends_on_every_bit_of_the_secret),
		TEST(in_a_crowded_table_every_flow_is_still_found),
		TEST(clients_that_follow_one_another_spread_over_the_buckets),
		TEST(an_empty_table_has_nobody_to_let_go),
		TEST(whoever_was_used_least_recently_leaves_first),
		TEST(a_use_that_is_told_later_has_its_place_among_the_others),
		TEST(among_many_it_is_as_if_used_with_the_last_that_was_looked_at),
		TEST(a_use_that_is_told_later_moves_nobody_to_the_other_queue),
		TEST(an_assured_flow_stays_while_there_is_one_that_is_not),
		TEST(fresh_flows_are_counted_until_they_are_assured_or_leave),
		TEST(a_flow_that_is_added_again_is_not_assured_any_more),
		TEST(any_sequence_of_operations_gives_what_an_array_gives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
