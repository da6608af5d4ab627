/* SPDX-License-Identifier: MIT */
/* Decimal digits. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/decimal.h"

static void expect(uint64_t number)
{
	/* As long as the digits, so that AddressSanitizer finds one too many. */
	char due[DECIMAL_DIGITS_MAX + 1], *text;
	int length = snprintf(due, sizeof(due), "%" PRIu64, number);

	text = malloc((size_t)length);
	assert_non_null(text);
	assert_int_equal(decimal_write(number, text), length);
	assert_memory_equal(text, due, length);
	free(text);
}

static void numbers_of_each_length_are_as_printf_has_them(void **state)
{
	uint64_t power = 1;

	(void)state;
	expect(0);
	for (int digits = 1; digits <= DECIMAL_DIGITS_MAX; digits++, power *= 10) {
		expect(power - 1);
		expect(power);
		expect(power + 7);
	}
	expect(UINT64_MAX);
}

static void padded_numbers_have_leading_zeros_and_their_last_digits(void **state)
{
	char text[4] = "....";

	(void)state;
	decimal_write_padded(7, text, 3);
	assert_memory_equal(text, "007.", 4);
	decimal_write_padded(0, text, 3);
	assert_memory_equal(text, "000.", 4);
	decimal_write_padded(98765, text, 3);
	assert_memory_equal(text, "765.", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_of_each_length_are_as_printf_has_them),
		cmocka_unit_test(padded_numbers_have_leading_zeros_and_their_last_digits),
	};

	return cmocka_run_group_tests_name("decimal", tests, NULL, NULL);
}
