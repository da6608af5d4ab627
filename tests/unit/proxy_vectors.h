/* SPDX-License-Identifier: MIT */
/*
 * Headers as senders write them, well and badly, each with the verdict it deserves. Written from
 * the specification and from what senders and receivers are known to get wrong, not from the
 * parser, so that the table is a check on it. Bytes and expectations only, no test framework.
 */
#ifndef MMPROXY_TESTS_PROXY_VECTORS_H
#define MMPROXY_TESTS_PROXY_VECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/close_reason.h"
#include "wire/proxy_header.h"

struct proxy_vector {
	const char *name; /* unique */

	/* What the parser is given. */
	const uint8_t *bytes;
	size_t length;
	size_t max_length;
	enum proxy_transport transport; /* what the listener speaks */

	/* What it must say. */
	enum proxy_parse verdict;
	enum close_reason reason; /* BAD: why */
	/*
	 * OK: bytes the header takes; what follows in `bytes` is payload. BAD: the refusal is due
	 * once this many bytes are in. MORE: 0.
	 */
	size_t settled_at;
	bool local;
	uint8_t version;
	const char *source; /* "192.0.2.1:56324", "[2001:db8::1]:443"; NULL when local */
	const char *destination;
};

/* The table; it belongs to the callee and lives as long as the process. Not for several threads. */
const struct proxy_vector *proxy_vectors(size_t *count);

#endif
