/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: a datagram, as a UDP listener of either framing judges it. A header of SPP must come
 * back byte for byte, and one of the PROXY protocol must be whole, or not taken.
 */
#include "fuzz.h"
#include "wire/proxy_header.h"
#include "wire/proxy_tlv.h"
#include "wire/spp.h"

#define MAX_HEADER 4096

static bool names_a_host(const struct address *address)
{
	return address->family == ADDRESS_IPV4 || address->family == ADDRESS_IPV6;
}

/* Returns whether a header was taken. */
static bool judge_spp(const uint8_t *bytes, size_t length)
{
	bool has_magic = length >= 2 && bytes[0] == 0x56 && bytes[1] == 0xec;
	uint8_t *copy = fuzz_copy(bytes, length);
	struct proxy_header header = {0};
	enum close_reason reason = CLOSE_REASON_COUNT;
	uint8_t reply[SPP_LENGTH];
	bool taken = spp_parse(copy, length, &header, &reason);

	free(copy);
	DEMAND(taken == (has_magic && length >= SPP_LENGTH));
	if (!taken) {
		DEMAND(reason == CLOSE_HEADER_TRUNCATED || reason == CLOSE_HEADER_MISSING);
		DEMAND((reason == CLOSE_HEADER_MISSING) ==
		       (length > 0 && !has_magic && !(length == 1 && bytes[0] == 0x56)));
		return false;
	}
	DEMAND(header.version == PROXY_VERSION_SPP && !header.local);
	DEMAND(header.length == SPP_LENGTH && header.tlvs_length == 0);
	DEMAND(names_a_host(&header.source) && names_a_host(&header.destination));
	spp_write(reply, &header.source, &header.destination);
	DEMAND(memcmp(reply, bytes, SPP_LENGTH) == 0);
	return true;
}

static enum proxy_parse parse_v2(const uint8_t *bytes, size_t length,
				 enum proxy_transport transport, struct proxy_header *header,
				 enum close_reason *reason)
{
	uint8_t *copy = fuzz_copy(bytes, length);
	enum proxy_parse verdict;
	struct proxy_tlv tlv;
	size_t offset = 0;

	*reason = CLOSE_REASON_COUNT;
	verdict = proxy_header_parse(copy, length, MAX_HEADER, transport, header, reason);
	if (verdict == PROXY_PARSE_OK) {
		while (proxy_tlv_next(header->tlvs, header->tlvs_length, &offset, &tlv))
			DEMAND(tlv.value >= copy + PROXY_V2_FIXED_LENGTH &&
			       tlv.value + tlv.length <= copy + header->length);
		DEMAND(offset == header->tlvs_length);
	}
	free(copy);
	header->tlvs = NULL;
	return verdict;
}

/* Returns whether a header was taken. */
static bool judge_v2(const uint8_t *bytes, size_t length)
{
	struct proxy_header header, other;
	enum close_reason reason;

	switch (parse_v2(bytes, length, PROXY_TRANSPORT_DATAGRAM, &header, &reason)) {
	case PROXY_PARSE_MORE:
		DEMAND(length < MAX_HEADER);
		return false;
	case PROXY_PARSE_BAD:
		DEMAND(reason >= CLOSE_HEADER_MISSING && reason <= CLOSE_V2_CRC32C);
		return false;
	case PROXY_PARSE_OK:
		break;
	}
	DEMAND(header.version == PROXY_VERSION_2);
	DEMAND(header.length >= PROXY_V2_FIXED_LENGTH && header.length <= length);
	DEMAND(header.length <= MAX_HEADER && header.tlvs_length < header.length);
	if (header.local) {
		DEMAND(header.source.family == ADDRESS_NONE);
		DEMAND(header.destination.family == ADDRESS_NONE);
		DEMAND(header.tlvs_length == 0);
	} else {
		DEMAND(names_a_host(&header.source) && names_a_host(&header.destination));
	}

	/* The payload has no say in it, and no byte of the header can be done without. */
	DEMAND(parse_v2(bytes, header.length, PROXY_TRANSPORT_DATAGRAM, &other, &reason) ==
	       PROXY_PARSE_OK);
	DEMAND(other.length == header.length && other.local == header.local);
	DEMAND(address_equal(&other.source, &header.source));
	DEMAND(address_equal(&other.destination, &header.destination));
	DEMAND(parse_v2(bytes, header.length - 1, PROXY_TRANSPORT_DATAGRAM, &other, &reason) ==
	       PROXY_PARSE_MORE);

	/* What is good on UDP is not on TCP, but for LOCAL. */
	if (!header.local) {
		DEMAND(parse_v2(bytes, length, PROXY_TRANSPORT_STREAM, &other, &reason) ==
		       PROXY_PARSE_BAD);
		DEMAND(reason == CLOSE_TRANSPORT_MISMATCH);
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	bool is_spp = judge_spp(bytes, size);
	bool is_v2 = judge_v2(bytes, size);

	DEMAND(!is_spp || !is_v2);
	return 0;
}
