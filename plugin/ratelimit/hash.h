/* SPDX-License-Identifier: MIT */
/*
 * SipHash-1-3 of the 16 bytes that a client is known by. Clients choose their addresses, many of
 * them in an IPv6 network; who does not know the key cannot choose any that meet in the table.
 *
 * Specification: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), section 2, with
 * one round a word and three at the end, as other hash tables have it.
 */
#ifndef RATELIMIT_HASH_H
#define RATELIMIT_HASH_H

#include <stdint.h>

/* 128 random bits. */
struct ratelimit_key {
	uint64_t halves[2];
};

uint64_t ratelimit_hash(const struct ratelimit_key *key, const uint8_t client[static 16]);

#endif
