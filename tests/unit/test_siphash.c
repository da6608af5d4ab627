/* SPDX-License-Identifier: MIT */
/*
 * SipHash-2-4 against the paper's vector and SipHash-1-3 against another implementation: CPython's,
 * whose hash() of bytes it is since 3.11 (sys.hash_info.algorithm is 'siphash13'), under
 * PYTHONHASHSEED=0, a key of zeros, and PYTHONHASHSEED=1, the key given below. CPython hashes no
 * bytes to 0 by decree; those two values are from a transcription of the paper in Python that
 * agrees with all the others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/siphash.h"

#define LENGTHS 65

/* The key 00, 01, ... 0f of the paper. */
static const struct siphash_key paper_key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

/*
 * The hash of the bytes 0, 1, 2, ... for each length from 0 to 64, as
 * PYTHONHASHSEED=0 python3 -c 'for n in range(65): print(hex(hash(bytes(range(n))) % 2**64))'
 */
static const struct {
	struct siphash_key key;
	uint64_t hashes[LENGTHS];
} cpython[] = {
	{{0, 0},
	 {
		 0xd1fba762150c532c, 0x68a914128e01e473, 0x010bac45c41e3669, 0x4d4c9a4a8ef6e0ad,
		 0x7cc43f98813e4dbd, 0x5abe2169dff36275, 0xe3c25f87624f1cdb, 0x2f098ab0c751325a,
		 0xead411e67ebe2eea, 0x75927f9d95124362, 0xaf9f77a65ab51a1d, 0xfe64ce8b6617fcff,
		 0xa6baf4fb0f9fe1c2, 0xa0cf3211850f8e0d, 0x7f86049379fbfe67, 0xf30eb725bb91c9ea,
		 0x8972188433a5c5b7, 0x4883c49a2c009c1d, 0xadc2c0b63044067d, 0x091f4a3329f87d19,
		 0x639e355ae68c0100, 0xb17bef2cb5213239, 0xf8aeb1066236ccfe, 0x37332b1389daa4ff,
		 0x31185a47af932f3a, 0xebf352e82ae23e2f, 0xed36ff242fe478b2, 0x2454d97d299299df,
		 0x8cd57fe8130d0ac7, 0xbe98eb2faf0a0e85, 0xd427c34ee09470c6, 0x169739443111d49b,
		 0x31ef8061c910629b, 0x7fb71d24dfa4c9f6, 0x92771f49e836d389, 0x3c393cf6f0853bc3,
		 0xac77921fcc642bd3, 0x422a9751192ff266, 0xc680ae8a8c584ddf, 0x6c76b6d34bb6d26b,
		 0x95bc321ab41d8206, 0x908a3a97a6d37669, 0xfcaf3c64874dd0b4, 0xf689479b32b84a44,
		 0xd857641079efd1fd, 0x8b581578722633f7, 0x83cb09d35ea7bcd4, 0x8485f7f5ae725a0d,
		 0xfe1f2445ba50237f, 0x23cece041d7866b0, 0x416687480b336c09, 0xf15960da7e7f3892,
		 0xded6177b9826835a, 0xf80dae51668be6be, 0x17ecc6ee6647df18, 0x5220d642b4a52110,
		 0xa4f0cf4ba4adc016, 0xe5125bb26d1f2976, 0x851b0e75f580d256, 0x12605250a37e39ac,
		 0xd95a713568daebf1, 0xcdcf4a42ec0dd605, 0xa5c708712b617164, 0x385d3e39e5f37359,
		 0x75e05fd5bbc870c6,
	 }},
	{{0xaed66ce184be2329, 0xebe9bbf1f1499052},
	 {
		 0x96a9733ef308a1d7, 0xecd3e5afcecda4b9, 0xbf360f1ea1745965, 0x8d5b20ab227ba858,
		 0x968a3280faeeb716, 0xbbda3b5f513c3d69, 0xa77f099d6ffed90e, 0xfd15e78052a69ddf,
		 0xc0b5739e7e28dd01, 0x208a1a5a0cbbf778, 0xb99907ab3e3e597c, 0x4d9ec6e9c5127521,
		 0x9b07906e87e344ad, 0x75973ed5708eb192, 0x3a6b5d52e1c90862, 0xfa87985f39e97a53,
		 0x12e9d283f9f37002, 0x9f5bb4237f61907f, 0xc8481dd155697ab5, 0xea61ba56131a6619,
		 0xcd48cd0e7a31cb04, 0x6194f8d23abbab99, 0x8d7773f9524a6d91, 0xf7cea028f939ae8c,
		 0x19b4e5f288f874ce, 0x50b56154544f388a, 0x77496e873461377f, 0x6d4615212085f9ad,
		 0x6a5c3ee2b7a57839, 0x36b3d9ecaf57a817, 0xc835e0d53af23864, 0xb8c17103f21d8810,
		 0xf78bafba3c64318e, 0x936512292dbf5292, 0xf63914dd809bd6ab, 0x2354e6a0cbd484d9,
		 0x93fbdf55374406c1, 0x34fc9e9b6378daf4, 0xabd250c1d59c6915, 0x8007881b2e60feb5,
		 0xdb056b8b4f38310b, 0xfe17eabf81e4441f, 0x66f2754501c5d69b, 0x127212ea4d69e4f8,
		 0xc3509aecc2c5c591, 0x5c740871eb467b9c, 0x4ff12bec78680a4e, 0xacd7205078164704,
		 0xe29343c400d583a7, 0x244adbfcbf30eafb, 0xc671475c59b87490, 0xc633d235edae7e87,
		 0x79b978091f1bd2ef, 0x328e0c2d2169873b, 0x68a800cc80990278, 0x03ae1ab550cf8bfb,
		 0xc2fa1af5b2d267ca, 0xe1b2200d147d8cf0, 0x73d7c5272b8f916d, 0x32b56d696fd24742,
		 0x170b665166692c85, 0x1d069a16efd713d7, 0xd0b0b38a3f95181d, 0x542052345bc68274,
		 0x7e644b6edc375dc8,
	 }},
};

static void fill_rising(uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)i;
}

static void siphash_2_4_gives_the_value_of_the_paper(void **state)
{
	uint8_t bytes[15];

	(void)state;
	fill_rising(bytes, sizeof(bytes));
	assert_int_equal(siphash_2_4(&paper_key, bytes, sizeof(bytes)), 0xa129ca6149be45e5);
}

static void siphash_1_3_gives_the_values_of_cpython(void **state)
{
	uint8_t bytes[LENGTHS];

	(void)state;
	fill_rising(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(cpython) / sizeof(cpython[0]); i++)
		for (size_t length = 0; length < LENGTHS; length++)
			assert_int_equal(siphash_1_3(&cpython[i].key, bytes, length),
					 cpython[i].hashes[length]);
}

static void every_alignment_gives_the_same_and_reads_no_further(void **state)
{
	(void)state;
	for (size_t start = 0; start < 16; start++) {
		for (size_t length = 0; length < LENGTHS; length++) {
			/* The memory ends where the bytes end. */
			uint8_t *block = malloc(start + length + 1);

			assert_non_null(block);
			fill_rising(block + start + 1, length);
			assert_int_equal(siphash_1_3(&cpython[0].key, block + start + 1, length),
					 cpython[0].hashes[length]);
			free(block);
		}
	}
}

static void no_bytes_may_be_a_null_pointer(void **state)
{
	(void)state;
	assert_int_equal(siphash_1_3(&cpython[0].key, NULL, 0), cpython[0].hashes[0]);
	assert_int_equal(siphash_2_4(&paper_key, NULL, 0), siphash_2_4(&paper_key, "", 0));
}

static void any_one_bit_of_the_message_changes_the_value(void **state)
{
	uint8_t bytes[LENGTHS];

	(void)state;
	fill_rising(bytes, sizeof(bytes));
	for (size_t length = 1; length < LENGTHS; length++) {
		const uint64_t before_1_3 = siphash_1_3(&paper_key, bytes, length);
		const uint64_t before_2_4 = siphash_2_4(&paper_key, bytes, length);

		for (size_t bit = 0; bit < length * 8; bit++) {
			bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_int_not_equal(siphash_1_3(&paper_key, bytes, length), before_1_3);
			assert_int_not_equal(siphash_2_4(&paper_key, bytes, length), before_2_4);
			bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
}

static void any_one_bit_of_the_key_changes_the_value(void **state)
{
	uint8_t bytes[40];
	uint64_t before_1_3, before_2_4;

	(void)state;
	fill_rising(bytes, sizeof(bytes));
	before_1_3 = siphash_1_3(&paper_key, bytes, sizeof(bytes));
	before_2_4 = siphash_2_4(&paper_key, bytes, sizeof(bytes));
	for (unsigned bit = 0; bit < 128; bit++) {
		struct siphash_key key = paper_key;

		*(bit < 64 ? &key.k0 : &key.k1) ^= UINT64_C(1) << bit % 64;
		assert_int_not_equal(siphash_1_3(&key, bytes, sizeof(bytes)), before_1_3);
		assert_int_not_equal(siphash_2_4(&key, bytes, sizeof(bytes)), before_2_4);
	}
}

static void trailing_zeros_count(void **state)
{
	static const uint8_t zeros[600];

	(void)state;
	for (size_t length = 1; length <= sizeof(zeros); length++)
		assert_int_not_equal(siphash_1_3(&paper_key, zeros, length),
				     siphash_1_3(&paper_key, zeros, length - 1));
}

/*
 * What a table needs: keys that differ in little fall on buckets evenly, whichever bits choose the
 * bucket. 65536 ports over 256 buckets are 256 a bucket, give or take 16 (one standard deviation).
 */
static void neighbouring_keys_spread_over_all_buckets(void **state)
{
	uint8_t bytes[40] = {0};

	(void)state;
	for (unsigned shift = 0; shift < 64; shift += 8) {
		unsigned buckets[256] = {0};

		for (unsigned port = 0; port < 65536; port++) {
			bytes[16] = (uint8_t)(port >> 8);
			bytes[17] = (uint8_t)port;
			buckets[siphash_1_3(&paper_key, bytes, sizeof(bytes)) >> shift & 0xff]++;
		}
		for (size_t i = 0; i < 256; i++)
			assert_in_range(buckets[i], 256 - 6 * 16, 256 + 6 * 16);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash_2_4_gives_the_value_of_the_paper),
		cmocka_unit_test(siphash_1_3_gives_the_values_of_cpython),
		cmocka_unit_test(every_alignment_gives_the_same_and_reads_no_further),
		cmocka_unit_test(no_bytes_may_be_a_null_pointer),
		cmocka_unit_test(any_one_bit_of_the_message_changes_the_value),
		cmocka_unit_test(any_one_bit_of_the_key_changes_the_value),
		cmocka_unit_test(trailing_zeros_count),
		cmocka_unit_test(neighbouring_keys_spread_over_all_buckets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
