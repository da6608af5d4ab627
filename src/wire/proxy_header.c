/* SPDX-License-Identifier: MIT */
/* Which version of the header is it? The rest is in proxy_v1.c and proxy_v2.c. */
#include "wire/proxy_header.h"

#include <string.h>

#include "wire/proxy_version.h"

enum proxy_parse proxy_header_parse(const uint8_t *bytes, size_t length, size_t max_length,
				    enum proxy_transport transport, struct proxy_header *header,
				    enum close_reason *reason)
{
	*header = (struct proxy_header){0};
	if (length == 0)
		return PROXY_PARSE_MORE;
	/* The two versions part ways in the first byte. */
	if (bytes[0] == 'P')
		return proxy_v1_parse(bytes, length, transport, header, reason);
	return proxy_v2_parse(bytes, length, max_length, transport, header, reason);
}
