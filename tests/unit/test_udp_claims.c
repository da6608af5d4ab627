/* SPDX-License-Identifier: MIT */
/* Who speaks to an upstream for a client: one flow at a time, of all workers together. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "offload/udp_datapath.h"
#include "relay/udp_claims.h"

#define CLIENT      "203.0.113.1:4000"
#define UPSTREAM    "127.0.0.1:53"
#define DESTINATION "198.51.100.1:53"

#define CROWD   500
#define THREADS 4
#define CLIENTS 5
#define ROUNDS  30000

static const struct siphash_key secret = {1, 2};
static struct udp_claims claims;

static int start(void **state)
{
	(void)state;
	return udp_claims_init(&claims, 16, &secret);
}

static void expect_no_claims(void)
{
	for (size_t i = 0; i <= claims.mask; i++)
		assert_null(claims.buckets[i]);
}

static int stop(void **state)
{
	(void)state;
	expect_no_claims();
	udp_claims_finish(&claims);
	return 0;
}

static struct address endpoint(const char *text)
{
	struct address address = {.family = ADDRESS_NONE};

	if (text != NULL)
		assert_int_equal(address_parse_endpoint(text, &address), 0);
	return address;
}

static struct udp_claim claim_of(const char *client, const char *upstream, const char *destination,
				 const char *listener)
{
	return (struct udp_claim){
		.client = endpoint(client),
		.upstream = endpoint(upstream),
		.destination = endpoint(destination),
		.listener = listener,
	};
}

static struct udp_claim usual_claim(void)
{
	return claim_of(CLIENT, UPSTREAM, DESTINATION, "dns");
}

static void expect_made(struct udp_claim *claim, enum udp_claim_result due)
{
	assert_int_equal(udp_claim_make(&claims, claim), due);
	assert_int_equal(claim->stands, due != UDP_CLAIM_REFUSED);
	assert_false(udp_claim_is_lost(claim));
}

/* While the usual claim stands. */
static void expect_beside(struct udp_claim other, enum udp_claim_result due)
{
	struct udp_claim first = usual_claim();

	expect_made(&first, UDP_CLAIM_NEW);
	expect_made(&other, due);
	assert_int_equal(udp_claim_is_lost(&first), due == UDP_CLAIM_TAKEN_OVER);
	udp_claim_drop(&claims, &other);
	udp_claim_drop(&claims, &first);
	expect_no_claims();
}

static void a_claim_is_new_and_new_again_when_it_was_dropped(void **state)
{
	struct udp_claim claim = usual_claim(), second = usual_claim();

	(void)state;
	expect_made(&claim, UDP_CLAIM_NEW);
	udp_claim_drop(&claims, &claim);
	expect_made(&second, UDP_CLAIM_NEW);
	assert_false(udp_claim_is_lost(&claim));
	udp_claim_drop(&claims, &second);
}

static void other_clients_and_other_upstreams_have_claims_of_their_own(void **state)
{
	(void)state;
	expect_beside(claim_of("203.0.113.2:4000", UPSTREAM, DESTINATION, "dns"), UDP_CLAIM_NEW);
	expect_beside(claim_of("203.0.113.1:4001", UPSTREAM, DESTINATION, "dns"), UDP_CLAIM_NEW);
	expect_beside(claim_of(CLIENT, "127.0.0.2:53", DESTINATION, "dns"), UDP_CLAIM_NEW);
	expect_beside(claim_of(CLIENT, "127.0.0.1:54", DESTINATION, "dns"), UDP_CLAIM_NEW);
}

static void the_same_flow_takes_the_claim_over(void **state)
{
	(void)state;
	expect_beside(usual_claim(), UDP_CLAIM_TAKEN_OVER);
}

static void flows_without_a_destination_are_the_same(void **state)
{
	struct udp_claim first = claim_of(CLIENT, UPSTREAM, NULL, "dns"), second = first;

	(void)state;
	expect_made(&first, UDP_CLAIM_NEW);
	expect_made(&second, UDP_CLAIM_TAKEN_OVER);
	udp_claim_drop(&claims, &first);
	udp_claim_drop(&claims, &second);
}

static void a_flow_of_another_destination_is_refused(void **state)
{
	(void)state;
	expect_beside(claim_of(CLIENT, UPSTREAM, "198.51.100.2:53", "dns"), UDP_CLAIM_REFUSED);
	expect_beside(claim_of(CLIENT, UPSTREAM, "198.51.100.1:54", "dns"), UDP_CLAIM_REFUSED);
	expect_beside(claim_of(CLIENT, UPSTREAM, NULL, "dns"), UDP_CLAIM_REFUSED);
}

static void a_flow_of_another_listener_is_refused(void **state)
{
	(void)state;
	expect_beside(claim_of(CLIENT, UPSTREAM, DESTINATION, "dns2"), UDP_CLAIM_REFUSED);
	expect_beside(claim_of(CLIENT, UPSTREAM, DESTINATION, ""), UDP_CLAIM_REFUSED);
}

static void a_listener_is_known_by_its_name_not_by_where_the_name_is_kept(void **state)
{
	char copy[] = "dns";

	(void)state;
	expect_beside(claim_of(CLIENT, UPSTREAM, DESTINATION, copy), UDP_CLAIM_TAKEN_OVER);
}

static void the_loser_can_be_dropped_before_and_after_the_winner(void **state)
{
	(void)state;
	for (unsigned loser_first = 0; loser_first < 2; loser_first++) {
		struct udp_claim loser = usual_claim(), winner = usual_claim(),
				 third = usual_claim();

		expect_made(&loser, UDP_CLAIM_NEW);
		expect_made(&winner, UDP_CLAIM_TAKEN_OVER);
		assert_false(loser.stands);
		if (loser_first) {
			udp_claim_drop(&claims, &loser);
			/* The winner's claim is untouched by that. */
			expect_made(&third, UDP_CLAIM_TAKEN_OVER);
			assert_true(udp_claim_is_lost(&winner));
			udp_claim_drop(&claims, &third);
		}
		udp_claim_drop(&claims, &winner);
		udp_claim_drop(&claims, &loser);
		udp_claim_drop(&claims, &loser);
		expect_no_claims();
	}
}

static void a_claim_goes_back_and_forth_between_two_workers(void **state)
{
	struct udp_claim a = usual_claim(), b = usual_claim(), again = usual_claim();

	(void)state;
	expect_made(&a, UDP_CLAIM_NEW);
	expect_made(&b, UDP_CLAIM_TAKEN_OVER);
	udp_claim_drop(&claims, &a);
	expect_made(&again, UDP_CLAIM_TAKEN_OVER);
	assert_true(udp_claim_is_lost(&b));
	udp_claim_drop(&claims, &again);
	udp_claim_drop(&claims, &b);
}

static void a_claim_that_was_lost_can_be_made_again(void **state)
{
	struct udp_claim mine = usual_claim(), theirs = usual_claim();

	(void)state;
	assert_false(udp_claim_stands(&claims, &mine));
	expect_made(&mine, UDP_CLAIM_NEW);
	assert_true(udp_claim_stands(&claims, &mine));
	expect_made(&theirs, UDP_CLAIM_TAKEN_OVER);
	assert_false(udp_claim_stands(&claims, &mine));
	expect_made(&mine, UDP_CLAIM_TAKEN_OVER);
	assert_true(udp_claim_stands(&claims, &mine));
	assert_false(udp_claim_stands(&claims, &theirs));
	assert_true(udp_claim_is_lost(&theirs));
	udp_claim_drop(&claims, &theirs);
	udp_claim_drop(&claims, &mine);
}

static void dropping_what_was_never_made_or_refused_changes_nothing(void **state)
{
	struct udp_claim stands = usual_claim(), never = usual_claim();
	struct udp_claim refused = claim_of(CLIENT, UPSTREAM, NULL, "dns");

	(void)state;
	expect_made(&stands, UDP_CLAIM_NEW);
	expect_made(&refused, UDP_CLAIM_REFUSED);
	udp_claim_drop(&claims, &never);
	udp_claim_drop(&claims, &refused);
	assert_true(stands.stands);
	assert_false(udp_claim_is_lost(&stands));
	udp_claim_drop(&claims, &stands);
}

static void in_a_crowd_every_claim_is_kept_apart(void **state)
{
	static struct udp_claim crowd[CROWD], twins[CROWD];

	(void)state;
	for (unsigned i = 0; i < CROWD; i++) {
		crowd[i] = usual_claim();
		crowd[i].client.port = (uint16_t)(1000 + i / 2);
		crowd[i].upstream.port = (uint16_t)(i % 2);
		twins[i] = crowd[i];
		expect_made(&crowd[i], UDP_CLAIM_NEW);
	}
	for (unsigned i = 0; i < CROWD; i += 3)
		udp_claim_drop(&claims, &crowd[i]);
	for (unsigned i = 0; i < CROWD; i++)
		expect_made(&twins[i], i % 3 == 0 ? UDP_CLAIM_NEW : UDP_CLAIM_TAKEN_OVER);
	for (unsigned i = 0; i < CROWD; i++) {
		assert_int_equal(udp_claim_is_lost(&crowd[i]), i % 3 != 0);
		udp_claim_drop(&claims, &twins[i]);
	}
}

/* Who has won each client of late, counted up by whoever makes the claim. */
static atomic_uint made[CLIENTS], lost[CLIENTS], dropped[CLIENTS];
static pthread_barrier_t all_there;

static void *work(void *argument)
{
	/* Freed at once, so that a sanitizer sees who still looks at a claim that is gone. */
	struct udp_claim *own[CLIENTS] = {NULL};
	uint64_t random = (uint64_t)(uintptr_t)argument + 1;

	pthread_barrier_wait(&all_there);
	for (unsigned i = 0; i < ROUNDS + CLIENTS; i++) {
		unsigned which;

		/* Though there may be fewer processors than threads. */
		if (i % 32 == 0)
			sched_yield();
		random = random * 6364136223846793005u + 1442695040888963407u;
		which = i < ROUNDS ? (unsigned)(random >> 33) % CLIENTS : i - ROUNDS;
		if (own[which] != NULL) {
			udp_claim_drop(&claims, own[which]);
			/* Nobody can take it any more. */
			atomic_fetch_add(
				udp_claim_is_lost(own[which]) ? &lost[which] : &dropped[which], 1);
			free(own[which]);
			own[which] = NULL;
		} else if (i < ROUNDS) {
			own[which] = malloc(sizeof(**own));
			*own[which] = (struct udp_claim){
				.client = {.port = (uint16_t)which, .family = ADDRESS_IPV4},
				.listener = "dns",
			};
			if (udp_claim_make(&claims, own[which]) != UDP_CLAIM_REFUSED)
				atomic_fetch_add(&made[which], 1);
		}
	}
	return NULL;
}

static void threads_that_fight_over_claims_lose_or_drop_each_once(void **state)
{
	pthread_t threads[THREADS];
	unsigned fights = 0;

	(void)state;
	pthread_barrier_init(&all_there, NULL, THREADS);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)i), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < CLIENTS; i++) {
		assert_int_equal(atomic_load(&lost[i]) + atomic_load(&dropped[i]),
				 atomic_load(&made[i]));
		fights += atomic_load(&lost[i]);
	}
	assert_true(fights > 0);
	pthread_barrier_destroy(&all_there);
}

/* A kernel that has flows, by their number alone. */
static uint64_t carried; /* one bit each */
static int give_result;

static int fake_give(struct datapath *datapath, const struct udp_places *places,
		     const struct offload_udp_flow *flow, const struct offload_udp_record *record)
{
	(void)datapath;
	(void)flow;
	(void)record;
	if (give_result == 0)
		carried |= UINT64_C(1) << places->id;
	return give_result;
}

static void fake_take(struct datapath *datapath, const struct udp_places *places)
{
	(void)datapath;
	assert_true(carried >> places->id & 1);
	carried &= ~(UINT64_C(1) << places->id);
}

static const struct udp_datapath_calls fake_calls = {.give = fake_give, .take = fake_take};
static struct datapath fake_datapath = {.udp = &fake_calls};

static int hand_over(struct udp_claim *claim, const struct udp_places *places)
{
	return udp_claim_hand_over(&claims, claim, &fake_datapath, places, NULL, NULL);
}

static void a_flow_that_was_handed_over_is_taken_back_once(void **state)
{
	const struct udp_places places = {.id = 1};
	struct udp_claim claim = usual_claim();

	(void)state;
	expect_made(&claim, UDP_CLAIM_NEW);
	assert_int_equal(hand_over(&claim, &places), 0);
	assert_int_equal(carried, 2);
	udp_claim_take_back(&claims, &claim);
	udp_claim_take_back(&claims, &claim);
	assert_int_equal(carried, 0);
	assert_true(udp_claim_stands(&claims, &claim));
	udp_claim_drop(&claims, &claim);
}

static void whoever_takes_a_claim_over_takes_the_flow_from_the_kernel(void **state)
{
	const struct udp_places places = {.id = 1}, others = {.id = 2};
	struct udp_claim first = usual_claim(), second = usual_claim();

	(void)state;
	expect_made(&first, UDP_CLAIM_NEW);
	assert_int_equal(hand_over(&first, &places), 0);
	expect_made(&second, UDP_CLAIM_TAKEN_OVER);
	assert_int_equal(carried, 0);
	/* What lost it can have it no more. */
	assert_int_equal(hand_over(&first, &places), -ESTALE);
	assert_int_equal(hand_over(&second, &others), 0);
	udp_claim_take_back(&claims, &first);
	assert_int_equal(carried, 4);
	udp_claim_drop(&claims, &first);
	assert_int_equal(carried, 4);
	udp_claim_drop(&claims, &second);
	assert_int_equal(carried, 0);
}

static void what_the_kernel_refused_is_not_taken_back(void **state)
{
	const struct udp_places places = {.id = 1};
	struct udp_claim claim = usual_claim();

	(void)state;
	expect_made(&claim, UDP_CLAIM_NEW);
	give_result = -E2BIG;
	assert_int_equal(hand_over(&claim, &places), -E2BIG);
	give_result = 0;
	udp_claim_take_back(&claims, &claim);
	udp_claim_drop(&claims, &claim);
}

static void a_claim_is_found_by_its_owner_alone(void **state)
{
	const struct address client = endpoint(CLIENT), upstream = endpoint(UPSTREAM);
	const struct address nobody = endpoint("203.0.113.1:4001");
	struct udp_claim claim = usual_claim();

	(void)state;
	claim.owner = &claims;
	assert_false(udp_claim_exists(&claims, &client, &upstream));
	expect_made(&claim, UDP_CLAIM_NEW);
	assert_true(udp_claim_exists(&claims, &client, &upstream));
	assert_false(udp_claim_exists(&claims, &nobody, &upstream));
	assert_ptr_equal(udp_claim_find(&claims, &client, &upstream, &claims), &claim);
	assert_null(udp_claim_find(&claims, &client, &upstream, &claim));
	assert_null(udp_claim_find(&claims, &nobody, &upstream, &claims));
	udp_claim_drop(&claims, &claim);
	assert_null(udp_claim_find(&claims, &client, &upstream, &claims));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(a_claim_is_new_and_new_again_when_it_was_dropped),
		TEST(other_clients_and_other_upstreams_have_claims_of_their_own),
		TEST(the_same_flow_takes_the_claim_over),
		TEST(flows_without_a_destination_are_the_same),
		TEST(a_flow_of_another_destination_is_refused),
		TEST(a_flow_of_another_listener_is_refused),
		TEST(a_listener_is_known_by_its_name_not_by_where_the_name_is_kept),
		TEST(the_loser_can_be_dropped_before_and_after_the_winner),
		TEST(a_claim_goes_back_and_forth_between_two_workers),
		TEST(a_claim_that_was_lost_can_be_made_again),
		TEST(dropping_what_was_never_made_or_refused_changes_nothing),
		TEST(a_flow_that_was_handed_over_is_taken_back_once),
		TEST(whoever_takes_a_claim_over_takes_the_flow_from_the_kernel),
		TEST(what_the_kernel_refused_is_not_taken_back),
		TEST(a_claim_is_found_by_its_owner_alone),
		TEST(in_a_crowd_every_claim_is_kept_apart),
		TEST(threads_that_fight_over_claims_lose_or_drop_each_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
