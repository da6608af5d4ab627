/* SPDX-License-Identifier: MIT */
/* What the reason means, or what to do about it. */
#include "wire/refusal_hint.h"

#include <stdbool.h>

#include "wire/header_guess.h"

static bool source_was_refused(enum close_reason reason)
{
	return reason >= CLOSE_SOURCE_UNSPECIFIED && reason <= CLOSE_SOURCE_OWN;
}

const char *refusal_hint(enum close_reason reason, const uint8_t *bytes, size_t length)
{
	const char *guess = reason == CLOSE_HEADER_MISSING ? header_guess(bytes, length) : NULL;

	if (guess != NULL)
		return guess;
	if (reason == CLOSE_HEADER_TIMEOUT_EMPTY)
		return "an AWS NLB holds the header until the client speaks; others send no PROXY "
		       "header";
	if (reason == CLOSE_NO_FLOW)
		return "it was idle for too long, or evicted, or mmproxy has restarted; it goes on "
		       "with the balancer's next header";
	if (reason == CLOSE_HEADER_TOO_LONG)
		return "raise max_header if this sender's headers are that long";
	if (reason == CLOSE_SOURCE_UNSPECIFIED || reason == CLOSE_SOURCE_MULTICAST ||
	    reason == CLOSE_SOURCE_BROADCAST)
		return "no socket can send from this address";
	if (source_was_refused(reason))
		return "permit_sources of the listener lets it in, if it is a client of yours";
	return close_reason_sentence(reason);
}
