/* SPDX-License-Identifier: MIT */
/* What is done with a table of nftables that is there, is not, or cannot be asked for. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "routing/nft.h"
#include "routing/return_item.h"

char *__wrap_nft_mark_list(uint32_t mark);
bool __wrap_nft_mark_is_ours(const char *listing);
bool __wrap_nft_mark_is_whole(uint32_t mark, const char *listing);
int __wrap_nft_mark_apply(uint32_t mark, char error[static NFT_ERROR_SIZE]);
int __wrap_nft_mark_remove(uint32_t mark, char error[static NFT_ERROR_SIZE]);

static bool there, whole;
static bool stripped_at_once; /* by somebody, as soon as it has been put in place */
static int list_error;        /* 0: nftables says what there is */
static unsigned applied, removed;
static struct return_item item;
static char problem[RETURN_PROBLEM_SIZE];

char *__wrap_nft_mark_list(uint32_t mark)
{
	assert_int_equal(mark, 123);
	errno = list_error != 0 ? list_error : ENOENT;
	return there && list_error == 0 ? strdup("the table") : NULL;
}

bool __wrap_nft_mark_is_ours(const char *listing)
{
	assert_string_equal(listing, "the table");
	return true;
}

bool __wrap_nft_mark_is_whole(uint32_t mark, const char *listing)
{
	(void)mark;
	assert_string_equal(listing, "the table");
	return whole;
}

int __wrap_nft_mark_apply(uint32_t mark, char error[static NFT_ERROR_SIZE])
{
	(void)mark;
	(void)error;
	there = true;
	whole = !stripped_at_once;
	applied++;
	return 0;
}

int __wrap_nft_mark_remove(uint32_t mark, char error[static NFT_ERROR_SIZE])
{
	(void)mark;
	(void)error;
	there = false;
	removed++;
	return 0;
}

static int begin(void **state)
{
	(void)state;
	there = whole = stripped_at_once = false;
	list_error = 0;
	applied = removed = 0;
	item = (struct return_item){.kind = RETURN_ITEM_TABLE};
	item.table.mark = 123;
	memset(problem, 0, sizeof(problem));
	return 0;
}

static int finish(void **state)
{
	(void)state;
	return_item_finish(&item);
	return 0;
}

static int ensure(void)
{
	return return_item_ensure(&item, NULL, false, problem);
}

/* Where others may have the same item: at a start, and whenever it is looked at again. */
static int look(void)
{
	return return_item_ensure(&item, NULL, true, problem);
}

static int take_away(void)
{
	return return_item_remove(&item, NULL, problem);
}

static void a_table_is_put_in_place_once_and_goes(void **state)
{
	(void)state;
	assert_int_equal(ensure(), 1);
	assert_int_equal(ensure(), 0);
	assert_int_equal(applied, 1);
	assert_int_equal(take_away(), 1);
	assert_int_equal(take_away(), 0);
	assert_int_equal(removed, 1);
}

static void a_table_that_was_removed_is_put_back(void **state)
{
	(void)state;
	assert_int_equal(ensure(), 1);
	there = false;
	assert_int_equal(ensure(), 1);
	assert_int_equal(applied, 2);
}

static void one_that_was_stripped_at_once_is_put_back(void **state)
{
	(void)state;
	stripped_at_once = true;
	assert_int_equal(ensure(), 1);
	stripped_at_once = false;
	assert_int_equal(look(), 1);
	assert_int_equal(applied, 2);
	assert_int_equal(look(), 0);
	assert_int_equal(applied, 2);
}

static void what_is_left_of_another_instances_table_is_replaced(void **state)
{
	(void)state;
	there = true;
	assert_int_equal(look(), 0);
	assert_int_equal(applied, 1);
	assert_int_equal(look(), 0);
	assert_int_equal(applied, 1);
}

static void a_table_that_cannot_be_asked_for_was_not_removed(void **state)
{
	(void)state;
	assert_int_equal(ensure(), 1);
	list_error = ENOBUFS;
	assert_int_equal(ensure(), -EIO);
	assert_string_equal(problem, "nftables cannot be asked: No buffer space available");
	assert_int_equal(applied, 1);
	list_error = 0;
	assert_int_equal(ensure(), 0);
}

static void a_table_that_may_be_left_is_told(void **state)
{
	(void)state;
	assert_int_equal(ensure(), 1);
	list_error = ENOMEM;
	assert_int_equal(take_away(), -EIO);
	assert_string_equal(problem, "nftables cannot be asked: Cannot allocate memory");
	assert_int_equal(removed, 0);
}

/* Nor is what somebody may have by that name replaced unseen. */
static void a_table_that_never_was_in_place_is_told_once(void **state)
{
	(void)state;
	list_error = ENFILE;
	assert_int_equal(ensure(), -EIO);
	assert_int_equal(applied, 0);
	assert_int_equal(take_away(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_table_is_put_in_place_once_and_goes, begin,
						finish),
		cmocka_unit_test_setup_teardown(a_table_that_was_removed_is_put_back, begin,
						finish),
		cmocka_unit_test_setup_teardown(one_that_was_stripped_at_once_is_put_back, begin,
						finish),
		cmocka_unit_test_setup_teardown(what_is_left_of_another_instances_table_is_replaced,
						begin, finish),
		cmocka_unit_test_setup_teardown(a_table_that_cannot_be_asked_for_was_not_removed,
						begin, finish),
		cmocka_unit_test_setup_teardown(a_table_that_may_be_left_is_told, begin, finish),
		cmocka_unit_test_setup_teardown(a_table_that_never_was_in_place_is_told_once, begin,
						finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
