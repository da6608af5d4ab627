/* SPDX-License-Identifier: MIT */
/*
 * A token bucket, kept as one number: the time at which it is full again. A session moves that time
 * on by what a token takes to grow; it may, as long as the bucket would be empty at the most. So
 * nothing has to be refilled, and a clock that is a little behind another only makes it stricter:
 * the time of being full never moves back.
 */
#ifndef RATELIMIT_BUCKET_H
#define RATELIMIT_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/* All times are nanoseconds of one clock. */
struct ratelimit_rate {
	uint64_t token; /* what a token takes to grow; 0: as many as anybody wants */
	uint64_t whole; /* what the whole bucket takes: burst times that */
};

/* `rate` is tokens a second, 0.001 to 1,000,000, or 0: unlimited; `burst` 1 to 1,000,000. */
static inline struct ratelimit_rate ratelimit_rate_of(double rate, uint32_t burst)
{
	uint64_t token = rate > 0 ? (uint64_t)(1e9 / rate + 0.5) : 0;

	return (struct ratelimit_rate){.token = token, .whole = token * burst};
}

/* Takes a token at `now`, if there is one. *full_at of a bucket that was never used is 0. */
static inline bool ratelimit_bucket_take(uint64_t *full_at, const struct ratelimit_rate *rate,
					 uint64_t now)
{
	uint64_t from = *full_at > now ? *full_at : now;

	if (rate->token == 0)
		return true;
	if (from - now + rate->token > rate->whole)
		return false;
	*full_at = from + rate->token;
	return true;
}

#endif
