/* SPDX-License-Identifier: MIT */
/* Decimal digits, from the last to the first. */
#include "base/decimal.h"

void decimal_write_padded(uint64_t number, char *to, size_t digits)
{
	while (digits > 0) {
		to[--digits] = (char)('0' + number % 10);
		number /= 10;
	}
}

size_t decimal_write(uint64_t number, char to[static DECIMAL_DIGITS_MAX])
{
	size_t digits = 1;

	for (uint64_t rest = number; rest >= 10; rest /= 10)
		digits++;
	decimal_write_padded(number, to, digits);
	return digits;
}
