/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: a header and the point where it is cut in two. Whatever the bytes, the verdict on
 * the first piece must agree with the verdict on the whole, and what is handed out must lie inside.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/proxy_header.h"
#include "wire/proxy_tlv.h"

struct verdict {
	enum proxy_parse parse;
	enum close_reason reason;
	struct proxy_header header;
};

static void demand(bool holds)
{
	if (!holds)
		abort();
}

/* Judges an exact copy, so that a read past the end is seen by AddressSanitizer. */
static struct verdict judge(const uint8_t *bytes, size_t length, enum proxy_transport transport)
{
	struct verdict verdict = {0};
	uint8_t *copy = malloc(length > 0 ? length : 1);
	struct proxy_tlv tlv;
	size_t offset = 0;

	demand(copy != NULL);
	if (length > 0)
		memcpy(copy, bytes, length);
	verdict.parse =
		proxy_header_parse(copy, length, 4096, transport, &verdict.header, &verdict.reason);
	if (verdict.parse == PROXY_PARSE_OK) {
		demand(verdict.header.length <= length);
		while (proxy_tlv_next(verdict.header.tlvs, verdict.header.tlvs_length, &offset,
				      &tlv))
			demand(tlv.value + tlv.length <= copy + verdict.header.length);
		demand(offset == verdict.header.tlvs_length);
		demand(verdict.header.local == (verdict.header.source.family == ADDRESS_NONE));
	}
	free(copy);
	verdict.header.tlvs = NULL;
	return verdict;
}

static void judge_cut(const uint8_t *bytes, size_t length, size_t cut,
		      enum proxy_transport transport)
{
	struct verdict whole = judge(bytes, length, transport);
	struct verdict piece = judge(bytes, cut, transport);

	switch (piece.parse) {
	case PROXY_PARSE_OK:
		demand(whole.parse == PROXY_PARSE_OK);
		demand(whole.header.length == piece.header.length);
		demand(address_equal(&whole.header.source, &piece.header.source));
		break;
	case PROXY_PARSE_BAD:
		demand(whole.parse == PROXY_PARSE_BAD && whole.reason == piece.reason);
		break;
	case PROXY_PARSE_MORE:
		demand(whole.parse != PROXY_PARSE_OK || whole.header.length > cut);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	size_t cut;

	if (size < 2)
		return 0;
	/* The first two bytes choose the cut, the rest is the input. */
	cut = (size_t)bytes[0] << 8 | bytes[1];
	bytes += 2;
	size -= 2;
	cut = size > 0 ? cut % size : 0;
	judge_cut(bytes, size, cut, PROXY_TRANSPORT_STREAM);
	judge_cut(bytes, size, cut, PROXY_TRANSPORT_DATAGRAM);
	return 0;
}
