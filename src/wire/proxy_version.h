/* SPDX-License-Identifier: MIT */
/* The two versions' parsers, for proxy_header.c alone; contract as of proxy_header_parse(). */
#ifndef MMPROXY_WIRE_PROXY_VERSION_H
#define MMPROXY_WIRE_PROXY_VERSION_H

#include "wire/proxy_header.h"

/* Both expect at least one byte and a zeroed header. */
enum proxy_parse proxy_v1_parse(const uint8_t *bytes, size_t length, enum proxy_transport transport,
				struct proxy_header *header, enum close_reason *reason);
enum proxy_parse proxy_v2_parse(const uint8_t *bytes, size_t length, size_t max_length,
				enum proxy_transport transport, struct proxy_header *header,
				enum close_reason *reason);

static inline enum proxy_parse proxy_bad(enum close_reason *reason, enum close_reason why)
{
	*reason = why;
	return PROXY_PARSE_BAD;
}

#endif
