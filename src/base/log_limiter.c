/* SPDX-License-Identifier: MIT */
/* A token bucket for each peer and subject, in a table with one place per hash. */
#include "base/log_limiter.h"

static unsigned place_of(const struct address *peer, unsigned subject)
{
	uint32_t hash = 2166136261U ^ subject; /* FNV-1a */

	for (unsigned i = 0; i < sizeof(peer->ip); i++)
		hash = (hash ^ peer->ip[i]) * 16777619U;
	return hash % LOG_LIMITER_PLACES;
}

bool log_limiter_admit(struct log_limiter *limiter, const struct address *peer, unsigned subject,
		       uint64_t now, uint64_t *suppressed)
{
	struct log_limiter_place *place = &limiter->places[place_of(peer, subject)];
	uint64_t refill;

	*suppressed = 0;
	if (place->subject != subject || !address_equal_ip(&place->peer, peer)) {
		*place = (struct log_limiter_place){
			.peer = *peer,
			.subject = subject,
			.lines = LOG_LIMITER_BURST,
			.refilled = now,
		};
	}
	refill = (now - place->refilled) / LOG_LIMITER_INTERVAL_MS;
	if (refill > 0) {
		place->refilled += refill * LOG_LIMITER_INTERVAL_MS;
		refill += place->lines;
		place->lines = refill < LOG_LIMITER_BURST ? (unsigned)refill : LOG_LIMITER_BURST;
	}
	if (place->lines == 0) {
		place->suppressed++;
		return false;
	}
	place->lines--;
	*suppressed = place->suppressed;
	place->suppressed = 0;
	return true;
}
