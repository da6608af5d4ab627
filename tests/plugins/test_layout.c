/* SPDX-License-Identifier: MIT */
/*
 * The promise of the plugin interface, byte by byte: what ABI 1.0 has stands where it stood. The
 * header in abi-1.0 is as it was when 1.0 was given out and is never changed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "layout.h"

static void all_that_1_0_has_stands_where_it_stood(void **state)
{
	size_t count = 0;

	(void)state;
	for (; layout_1_0[count].name != NULL; count++) {
		const struct layout_entry *then = &layout_1_0[count];
		const struct layout_entry *now = &layout_now[count];

		assert_string_equal(then->name, now->name);
		if (then->offset != now->offset || then->size != now->size)
			fail_msg("%s was %lld, %lld bytes, and is %lld, %lld bytes", then->name,
				 then->offset, then->size, now->offset, now->size);
	}
	assert_null(layout_now[count].name);
}

/* A table of nothing would agree with any other. On a 64-bit machine, as numbers. */
static void the_tables_say_what_the_header_says(void **state)
{
	const struct layout_entry *last = layout_1_0;

	(void)state;
	while (last[1].name != NULL)
		last++;
	assert_string_equal(last->name, "mmproxy_plugin.closed");
	assert_int_equal(last->size, sizeof(void (*)(void)));
	if (sizeof(void *) == 8)
		assert_int_equal(last->offset, 96);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_that_1_0_has_stands_where_it_stood),
		cmocka_unit_test(the_tables_say_what_the_header_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
