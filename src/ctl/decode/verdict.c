/* SPDX-License-Identifier: MIT */
/*
 * The verdict is that of the daemon's own parsers and policy. They say why, not where: the place is
 * found by asking them again, about less.
 */
#include "ctl/decode/verdict.h"

#include <string.h>

#include "base/source_policy.h"
#include "wire/proxy_fields.h"
#include "wire/proxy_tlv.h"
#include "wire/spp.h"

/* Where the client's address stands. */
#define V2_SOURCE_OFFSET  PROXY_V2_FIXED_LENGTH
#define SPP_SOURCE_OFFSET 2

/* Fields of a v1 line, by their place: "PROXY", protocol, addresses, ports. */
enum { V1_PROTOCOL = 1, V1_SOURCE = 2, V1_DESTINATION = 3, V1_SOURCE_PORT = 4, V1_FIELDS = 6 };

struct field {
	size_t at;
	size_t length;
};

/* Fills the line's fields, between single spaces. Returns how many it has, at most V1_FIELDS + 1.
 */
static size_t split_line(const uint8_t *bytes, size_t length, struct field fields[V1_FIELDS + 1])
{
	size_t count = 0, at = 0;

	for (size_t i = 0; i <= length && count <= V1_FIELDS; i++) {
		if (i < length && bytes[i] != ' ' && bytes[i] != '\r')
			continue;
		fields[count++] = (struct field){at, i - at};
		at = i + 1;
		if (i == length || bytes[i] == '\r')
			break;
	}
	return count;
}

/* Puts the one field into a line that is good otherwise: is it still? */
static bool field_is_good(const uint8_t *bytes, const struct field *fields, size_t which)
{
	bool ipv6 = bytes[fields[V1_PROTOCOL].at + 3] == '6';
	const char *before = ipv6 ? "PROXY TCP6 " : "PROXY TCP4 ";
	const char *behind = ipv6 ? " ::1 1 1\r\n" : " 192.0.2.1 1 1\r\n";
	uint8_t line[PROXY_V1_MAX_LENGTH * 2];
	struct proxy_header header;
	enum close_reason reason;
	size_t length = 0;

	if (which >= V1_SOURCE_PORT) {
		before = "PROXY TCP6 ::1 ::1 ";
		behind = " 1\r\n";
	}
	while (*before != '\0')
		line[length++] = (uint8_t)*before++;
	/* As bytes: there may be a NUL in it. */
	memcpy(line + length, bytes + fields[which].at, fields[which].length);
	length += fields[which].length;
	while (*behind != '\0')
		line[length++] = (uint8_t)*behind++;
	return proxy_header_parse(line, length, PROXY_V2_MAX_LENGTH, PROXY_TRANSPORT_STREAM,
				  &header, &reason) == PROXY_PARSE_OK;
}

/* In a line that has its end. */
static size_t find_in_line(const uint8_t *bytes, size_t length, enum close_reason reason)
{
	struct field fields[V1_FIELDS + 1] = {{0}};
	size_t count = split_line(bytes, length, fields), empty = 0;

	switch (reason) {
	case CLOSE_V1_PROTOCOL:
		return fields[V1_PROTOCOL].at;
	case CLOSE_V1_ADDRESS:
		return fields[field_is_good(bytes, fields, V1_SOURCE) ? V1_DESTINATION : V1_SOURCE]
			.at;
	case CLOSE_V1_PORT:
		return fields[field_is_good(bytes, fields, V1_SOURCE_PORT) ? V1_SOURCE_PORT + 1
									   : V1_SOURCE_PORT]
			.at;
	case CLOSE_V1_FIELDS:
		while (empty < count && fields[empty].length > 0)
			empty++;
		if (empty < count || count > V1_FIELDS)
			return fields[empty < count ? empty : V1_FIELDS].at;
		/* One is missing: where the line ends. */
		return fields[count - 1].at + fields[count - 1].length;
	default:
		return fields[V1_SOURCE].at;
	}
}

/* The TLV that has no room, or a wrong length; or the value of the first checksum that is wrong. */
static size_t find_tlv(const struct decode_sample *sample, enum close_reason reason)
{
	size_t offset = 0, at = 0, checksum = 0;
	struct proxy_fields fields;
	struct proxy_tlv tlv;
	const uint8_t *tlvs;

	proxy_fields_read(sample->bytes, sample->length, &fields);
	tlvs = sample->bytes + fields.tlvs_at;
	while (proxy_tlv_next(tlvs, fields.tlvs_length, &offset, &tlv)) {
		if (tlv.type == PROXY_TLV_CRC32C && tlv.length != PROXY_TLV_CRC32C_LENGTH)
			break;
		if (tlv.type == PROXY_TLV_UNIQUE_ID && tlv.length > PROXY_TLV_UNIQUE_ID_MAX)
			break;
		if (tlv.type == PROXY_TLV_CRC32C && checksum == 0 &&
		    !proxy_v2_crc32c_holds(sample->bytes, fields.length,
					   (size_t)(tlv.value - sample->bytes)))
			checksum = (size_t)(tlv.value - sample->bytes);
		at = offset;
	}
	return reason == CLOSE_V2_CRC32C ? checksum : fields.tlvs_at + at;
}

/* The first byte after which the parser says what it says of all. */
static size_t find_settled(const struct decode_sample *sample, size_t max_header)
{
	struct proxy_header header;
	enum close_reason reason;

	for (size_t length = 1; length <= sample->length; length++) {
		if (proxy_header_parse(sample->bytes, length, max_header, sample->transport,
				       &header, &reason) == PROXY_PARSE_BAD)
			return length - 1;
	}
	return DECODE_NOWHERE;
}

static size_t find_source(const struct decode_sample *sample, const struct proxy_header *header)
{
	switch ((enum proxy_version)header->version) {
	case PROXY_VERSION_1:
		return find_in_line(sample->bytes, header->length, CLOSE_SOURCE_OWN);
	case PROXY_VERSION_2:
		return V2_SOURCE_OFFSET;
	case PROXY_VERSION_SPP:
		return SPP_SOURCE_OFFSET;
	}
	return DECODE_NOWHERE;
}

static size_t find(const struct decode_sample *sample, size_t max_header, enum close_reason reason)
{
	switch (reason) {
	case CLOSE_TRANSPORT_MISMATCH:
		return sample->bytes[0] == 'P'
			       ? find_in_line(sample->bytes, sample->length, CLOSE_V1_PROTOCOL)
			       : find_settled(sample, max_header);
	case CLOSE_V1_PROTOCOL:
	case CLOSE_V1_FIELDS:
	case CLOSE_V1_ADDRESS:
	case CLOSE_V1_PORT:
		return find_in_line(sample->bytes, sample->length, reason);
	case CLOSE_V2_TLV:
	case CLOSE_V2_CRC32C:
		return find_tlv(sample, reason);
	case CLOSE_V2_LENGTH:
	case CLOSE_HEADER_TOO_LONG:
		return PROXY_V2_FIXED_LENGTH - 2;
	case CLOSE_HEADER_TRUNCATED:
		return DECODE_NOWHERE;
	default:
		return find_settled(sample, max_header);
	}
}

/* The header is not whole: how much of it is missing, at least? */
static void count_missing(const struct decode_sample *sample, struct decode_verdict *verdict)
{
	const uint8_t *bytes = sample->bytes;
	size_t length = sample->length, whole;

	verdict->missing_more = false;
	if (decode_is_spp(sample)) {
		whole = SPP_LENGTH;
	} else if (length > 0 && bytes[0] == 'P') {
		/* CR LF, or its second half. */
		verdict->missing_more = bytes[length - 1] != '\r';
		whole = length + (verdict->missing_more ? 2 : 1);
	} else if (length < PROXY_V2_FIXED_LENGTH) {
		verdict->missing_more = true;
		whole = PROXY_V2_FIXED_LENGTH;
	} else {
		whole = PROXY_V2_FIXED_LENGTH + ((size_t)bytes[14] << 8 | bytes[15]);
	}
	verdict->missing = whole - length;
}

static void judge_client(const struct decode_sample *sample, struct decode_verdict *verdict)
{
	static const struct source_own unknown;

	verdict->outcome = DECODE_ACCEPTED;
	if (verdict->header.local ||
	    source_policy_permits(&verdict->header.source, NULL, &unknown, &verdict->reason))
		return;
	verdict->outcome = DECODE_REFUSED;
	verdict->offset = find_source(sample, &verdict->header);
}

static enum proxy_parse parse(const struct decode_sample *sample, size_t max_header,
			      struct decode_verdict *verdict)
{
	if (!decode_is_spp(sample))
		return proxy_header_parse(sample->bytes, sample->length, max_header,
					  sample->transport, &verdict->header, &verdict->reason);
	return spp_parse(sample->bytes, sample->length, &verdict->header, &verdict->reason)
		       ? PROXY_PARSE_OK
		       : PROXY_PARSE_MORE;
}

struct decode_verdict decode_judge(const struct decode_sample *sample, size_t max_header)
{
	struct decode_verdict verdict = {.offset = DECODE_NOWHERE};

	switch (parse(sample, max_header, &verdict)) {
	case PROXY_PARSE_OK:
		judge_client(sample, &verdict);
		break;
	case PROXY_PARSE_MORE:
		count_missing(sample, &verdict);
		verdict.outcome = DECODE_INCOMPLETE;
		/* Nothing can follow a datagram, unless the capture left it out. */
		if (sample->transport == PROXY_TRANSPORT_DATAGRAM && !sample->cut) {
			verdict.outcome = DECODE_REFUSED;
			verdict.reason = CLOSE_HEADER_TRUNCATED;
		}
		break;
	case PROXY_PARSE_BAD:
		verdict.outcome = DECODE_REFUSED;
		verdict.offset = find(sample, max_header, verdict.reason);
		/* The parser promises nothing about what it left there. */
		verdict.header = (struct proxy_header){0};
		break;
	}
	return verdict;
}

bool decode_is_spp(const struct decode_sample *sample)
{
	return sample->transport == PROXY_TRANSPORT_DATAGRAM && sample->length >= 2 &&
	       sample->bytes[0] == 0x56 && sample->bytes[1] == 0xec;
}

bool decode_looks_like_header(const struct decode_sample *sample)
{
	struct proxy_header header;
	enum close_reason reason;

	if (sample->length == 0)
		return false;
	return decode_is_spp(sample) ||
	       proxy_header_parse(sample->bytes, sample->length, PROXY_V2_MAX_LENGTH,
				  sample->transport, &header, &reason) != PROXY_PARSE_BAD ||
	       reason != CLOSE_HEADER_MISSING;
}
