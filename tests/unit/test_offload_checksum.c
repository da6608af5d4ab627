/* SPDX-License-Identifier: MIT */
/* The sums of offload/bpf/checksum.h, which the kernel's programs rely on, beside arithmetic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "offload/bpf/checksum.h"

#define RANDOM_SUMS 1000000

/* Ones' complement of 16 bits is arithmetic modulo 65535, in which zero has two names. */
static void assert_folded(uint64_t sum)
{
	uint16_t found = folded(sum);

	assert_int_equal(found % 0xffff, sum % 0xffff);
	assert_int_equal(found == 0, sum == 0);
}

static void every_carry_is_added(void **state)
{
	(void)state;
	/* Around each number of which a fold carries. */
	for (unsigned high = 0; high < 64; high++)
		for (unsigned low = 0; low < 64; low++)
			for (int off = -2; off <= 2; off++) {
				const uint64_t sum = (UINT64_C(1) << high) + (UINT64_C(1) << low);

				assert_folded(sum + (uint64_t)off);
				assert_folded(sum * 0xffff + (uint64_t)off);
			}
	for (uint64_t sum = 0; sum < 0x30000; sum++)
		assert_folded(sum);
	assert_folded(UINT64_MAX);
}

/* Knuth's generator: the upper half of what it gives is good enough. */
static uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 32);
}

static void a_header_whose_words_are_replaced_keeps_a_right_checksum(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (int i = 0; i < RANDOM_SUMS; i++) {
		__u32 words[5];
		__u64 sum = 0, difference = 0;
		uint16_t checksum;

		for (int j = 0; j < 5; j++)
			sum += words[j] = next_random(&seed);
		checksum = (uint16_t)~folded(sum);
		for (int j = 1; j < 4; j++)
			replace_word(&words[j], next_random(&seed), &difference);
		checksum = changed_checksum(checksum, difference);
		sum = checksum;
		for (int j = 0; j < 5; j++)
			sum += words[j];
		assert_int_equal(folded(sum), 0xffff);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_carry_is_added),
		cmocka_unit_test(a_header_whose_words_are_replaced_keeps_a_right_checksum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
