/* SPDX-License-Identifier: MIT */
/*
 * SipHash: a keyed hash for tables whose keys come from outside. Who does not know the key cannot
 * choose entries that fall into one bucket, as long as no hash is shown to anyone.
 *
 * Specification: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), section 2;
 * https://www.aumasson.jp/siphash/siphash.pdf. The name says the rounds: c a word, d at the end.
 */
#ifndef MMPROXY_BASE_SIPHASH_H
#define MMPROXY_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* 128 random bits; k0 is the key's first eight bytes, read as little-endian. */
struct siphash_key {
	uint64_t k0, k1;
};

/* Both take bytes of any alignment, and hash alike on hosts of either byte order. */
uint64_t siphash_1_3(const struct siphash_key *key, const void *bytes, size_t length);
uint64_t siphash_2_4(const struct siphash_key *key, const void *bytes, size_t length);

#endif
