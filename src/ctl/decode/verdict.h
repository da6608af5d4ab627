/* SPDX-License-Identifier: MIT */
/* What a listener would say of the bytes that came first, and where in them it lies. Pure. */
#ifndef MMPROXY_CTL_DECODE_VERDICT_H
#define MMPROXY_CTL_DECODE_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/close_reason.h"
#include "wire/proxy_header.h"

/* What has come, or was captured, of a connection's beginning or of a datagram. */
struct decode_sample {
	enum proxy_transport transport;
	const uint8_t *bytes;
	size_t length;
	/* Of captures: */
	uint64_t packet;         /* which the bytes begin in, from 1; 0: not from a capture */
	struct address from, to; /* the sender's end, and the listener's */
	uint64_t total;          /* bytes of the connection or datagram, those not kept included */
	bool cut;                /* bytes behind these were sent, and not captured */
	bool late;               /* the capture began after the connection */
};

enum decode_outcome { DECODE_ACCEPTED, DECODE_INCOMPLETE, DECODE_REFUSED };

#define DECODE_NOWHERE SIZE_MAX

struct decode_verdict {
	enum decode_outcome outcome;
	struct proxy_header header; /* accepted, or refused for its client; else zeroed */
	enum close_reason reason;   /* refused: why */
	size_t offset;              /* refused: the byte that it lies in; DECODE_NOWHERE: in none */
	size_t missing;             /* incomplete: bytes; refused for an end too early: likewise */
	bool missing_more;          /* they may turn out to be more */
};

/*
 * As a listener of the sample's transport would, with default settings but for `max_header`: a
 * datagram with SPP's magic number as one with framing = "spp", any other as one with the other
 * framings. This host's own addresses are not known here, so that clients may have them.
 */
struct decode_verdict decode_judge(const struct decode_sample *sample, size_t max_header);

/* Do the bytes begin like a header, good or bad? */
bool decode_looks_like_header(const struct decode_sample *sample);

/* Is it a datagram with SPP's magic number? */
bool decode_is_spp(const struct decode_sample *sample);

#endif
