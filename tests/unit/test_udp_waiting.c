/* SPDX-License-Identifier: MIT */
/* Datagrams that wait for a verdict: which fit, and that they stay as they came. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay/udp_waiting.h"

#define LARGEST 65535

static struct udp_waiting *waiting;
static uint8_t bytes[LARGEST + 1];

static int start(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 2654435761u >> 24);
	waiting = udp_waiting_create();
	return waiting != NULL ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	udp_waiting_destroy(waiting);
	return 0;
}

static void expect_datagram(unsigned index, const void *due, size_t length)
{
	const uint8_t *at = waiting->bytes;

	assert_true(index < waiting->count);
	for (unsigned i = 0; i < index; i++)
		at += waiting->lengths[i];
	assert_int_equal(waiting->lengths[index], length);
	if (length > 0)
		assert_memory_equal(at, due, length);
}

static void they_stay_in_order_as_they_came(void **state)
{
	char text[16] = "first";

	(void)state;
	assert_true(udp_waiting_add(waiting, (const uint8_t *)text, 5));
	strcpy(text, "the second");
	assert_true(udp_waiting_add(waiting, (const uint8_t *)text, 10));
	memset(text, 0, sizeof(text));
	assert_true(udp_waiting_add(waiting, bytes, 1000));
	assert_int_equal(waiting->count, 3);
	assert_int_equal(waiting->length, 1015);
	expect_datagram(0, "first", 5);
	expect_datagram(1, "the second", 10);
	expect_datagram(2, bytes, 1000);
}

static void so_many_fit_and_no_more(void **state)
{
	(void)state;
	for (unsigned i = 0; i < UDP_WAITING_DATAGRAMS; i++)
		assert_true(udp_waiting_add(waiting, bytes + i, i));
	assert_false(udp_waiting_add(waiting, bytes, 1));
	assert_false(udp_waiting_add(waiting, bytes, 0));
	assert_int_equal(waiting->count, UDP_WAITING_DATAGRAMS);
	for (unsigned i = 0; i < UDP_WAITING_DATAGRAMS; i++)
		expect_datagram(i, bytes + i, i);
}

static void the_largest_datagram_fits(void **state)
{
	(void)state;
	assert_true(udp_waiting_add(waiting, bytes, LARGEST));
	expect_datagram(0, bytes, LARGEST);
	/* And one byte more, since the room is even; then only what has none. */
	assert_true(udp_waiting_add(waiting, bytes, UDP_WAITING_BYTES - LARGEST));
	assert_false(udp_waiting_add(waiting, bytes, 1));
	assert_true(udp_waiting_add(waiting, bytes, 0));
	assert_int_equal(waiting->count, 3);
	expect_datagram(0, bytes, LARGEST);
}

static void one_that_does_not_fit_leaves_room_for_a_smaller_one(void **state)
{
	(void)state;
	assert_true(udp_waiting_add(waiting, bytes, 40000));
	assert_false(udp_waiting_add(waiting, bytes, UDP_WAITING_BYTES - 40000 + 1));
	assert_int_equal(waiting->count, 1);
	assert_true(udp_waiting_add(waiting, bytes + 1, UDP_WAITING_BYTES - 40000));
	assert_int_equal(waiting->length, UDP_WAITING_BYTES);
	expect_datagram(0, bytes, 40000);
	expect_datagram(1, bytes + 1, UDP_WAITING_BYTES - 40000);
}

static void empty_datagrams_are_datagrams(void **state)
{
	(void)state;
	assert_true(udp_waiting_add(waiting, bytes, 0));
	assert_true(udp_waiting_add(waiting, bytes, 3));
	assert_true(udp_waiting_add(waiting, bytes, 0));
	assert_int_equal(waiting->count, 3);
	assert_int_equal(waiting->length, 3);
	expect_datagram(0, NULL, 0);
	expect_datagram(1, bytes, 3);
	expect_datagram(2, NULL, 0);
}

static void nothing_can_be_destroyed(void **state)
{
	(void)state;
	udp_waiting_destroy(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(they_stay_in_order_as_they_came),
		TEST(so_many_fit_and_no_more),
		TEST(the_largest_datagram_fits),
		TEST(one_that_does_not_fit_leaves_room_for_a_smaller_one),
		TEST(empty_datagrams_are_datagrams),
		cmocka_unit_test(nothing_can_be_destroyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
