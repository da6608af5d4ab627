/* SPDX-License-Identifier: MIT */
/* Numbers as decimal digits, for lines of which each session writes one. */
#ifndef MMPROXY_BASE_DECIMAL_H
#define MMPROXY_BASE_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

#define DECIMAL_DIGITS_MAX 20 /* of UINT64_MAX */

/* Writes the digits, without a NUL, and returns how many. */
size_t decimal_write(uint64_t number, char to[static DECIMAL_DIGITS_MAX]);

/* The last `digits` digits of the number, with leading zeros. */
void decimal_write_padded(uint64_t number, char *to, size_t digits);

#endif
