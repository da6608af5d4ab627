/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: a header of version 1 or 2, whole and as it grows. A listener judges what has come
 * so far again with each piece, so whatever the bytes and the cuts, each start of them must be
 * judged `more` until the verdict is due, and from then on as the whole is.
 *
 * The first two bytes are options: the transport and the longest header, and how the rest is cut.
 */
#include "fuzz.h"
#include "fuzz_cuts.h"
#include "wire/header_guess.h"
#include "wire/proxy_fields.h"
#include "wire/proxy_header.h"
#include "wire/proxy_tlv.h"
#include "wire/refusal_hint.h"

struct judgement {
	enum proxy_parse verdict;
	enum close_reason reason;
	struct proxy_header header; /* without its TLVs, which are gone with the copy */
};

struct input {
	const uint8_t *bytes;
	size_t size;
	size_t max_header;
	enum proxy_transport transport;
};

static bool names_a_host(const struct address *address)
{
	return address->family == ADDRESS_IPV4 || address->family == ADDRESS_IPV6;
}

static void check_tlvs(const uint8_t *bytes, const struct proxy_header *header)
{
	struct proxy_tlv tlv;
	size_t offset = 0;

	while (proxy_tlv_next(header->tlvs, header->tlvs_length, &offset, &tlv)) {
		DEMAND(tlv.value >= bytes + PROXY_V2_FIXED_LENGTH);
		DEMAND(tlv.value + tlv.length <= bytes + header->length);
	}
	DEMAND(offset == header->tlvs_length);
}

/* What is said of a sound header is what stands in its bytes. */
static void check_v2(const uint8_t *bytes, const struct proxy_header *header)
{
	struct proxy_fields fields;

	DEMAND(header->length >= PROXY_V2_FIXED_LENGTH);
	DEMAND(proxy_v2_begins(bytes, header->length));
	proxy_fields_read(bytes, header->length, &fields);
	DEMAND(fields.command == (header->local && (bytes[12] & 1) == 0 ? 0x20 : 0x21));
	DEMAND(fields.length == header->length);
	if (header->local)
		return;
	DEMAND(address_equal(&fields.source, &header->source));
	DEMAND(address_equal(&fields.destination, &header->destination));
	DEMAND(fields.tlvs_at == (size_t)(header->tlvs - bytes));
	DEMAND(fields.tlvs_length == header->tlvs_length);
	DEMAND(proxy_fields_family_name(fields.family) != NULL);
}

/* A line for the same two ends means the same; of IPv4 there is no other way to write it. */
static void check_v1(const uint8_t *bytes, const struct proxy_header *header)
{
	bool tcp4 = header->length > 10 && bytes[9] == '4';
	char source[ADDRESS_TEXT_SIZE], destination[ADDRESS_TEXT_SIZE], line[256];
	struct proxy_header again;
	enum close_reason reason;
	int length;

	DEMAND(header->length <= PROXY_V1_MAX_LENGTH && header->tlvs_length == 0);
	DEMAND(memcmp(bytes + header->length - 2, "\r\n", 2) == 0);
	if (header->local) {
		DEMAND(memcmp(bytes + 6, "UNKNOWN", 7) == 0);
		return;
	}
	address_format_ip(&header->source, source);
	address_format_ip(&header->destination, destination);
	length = snprintf(line, sizeof(line), "PROXY TCP%c %s%s %s%s %u %u\r\n", bytes[9],
			  !tcp4 && header->source.family == ADDRESS_IPV4 ? "::ffff:" : "", source,
			  !tcp4 && header->destination.family == ADDRESS_IPV4 ? "::ffff:" : "",
			  destination, header->source.port, header->destination.port);
	if (tcp4) {
		DEMAND((size_t)length == header->length);
		DEMAND(memcmp(line, bytes, header->length) == 0);
		return;
	}
	DEMAND(proxy_header_parse((const uint8_t *)line, (size_t)length, 4096,
				  PROXY_TRANSPORT_STREAM, &again, &reason) == PROXY_PARSE_OK);
	DEMAND(address_equal(&again.source, &header->source));
	DEMAND(address_equal(&again.destination, &header->destination));
}

static void check_good(const struct input *input, const uint8_t *bytes, size_t length,
		       const struct proxy_header *header)
{
	DEMAND(header->length <= length);
	DEMAND(header->local == !names_a_host(&header->source));
	DEMAND(header->local == !names_a_host(&header->destination));
	DEMAND(!header->local || header->tlvs_length == 0);
	check_tlvs(bytes, header);
	if (header->version == PROXY_VERSION_1) {
		DEMAND(input->transport == PROXY_TRANSPORT_STREAM);
		check_v1(bytes, header);
	} else {
		DEMAND(header->version == PROXY_VERSION_2);
		DEMAND(header->length <= input->max_header);
		check_v2(bytes, header);
	}
}

/* What a log line and mmproxyctl decode would say of it. */
static void explain(const uint8_t *bytes, size_t length, enum close_reason reason)
{
	DEMAND(refusal_hint(reason, bytes, length) != NULL);
	if (proxy_v2_begins(bytes, length)) {
		struct proxy_fields fields;

		proxy_fields_read(bytes, length, &fields);
		DEMAND(fields.tlvs_length == 0 || fields.tlvs_at + fields.tlvs_length <= length);
		proxy_fields_family_name(fields.family);
	}
}

/* The first `length` bytes, as if no more had come. */
static struct judgement judge(const struct input *input, size_t length)
{
	struct judgement said = {.reason = CLOSE_REASON_COUNT};
	uint8_t *copy = fuzz_copy(input->bytes, length);

	said.verdict = proxy_header_parse(copy, length, input->max_header, input->transport,
					  &said.header, &said.reason);
	switch (said.verdict) {
	case PROXY_PARSE_OK:
		check_good(input, copy, length, &said.header);
		break;
	case PROXY_PARSE_BAD:
		DEMAND(said.reason >= CLOSE_HEADER_MISSING && said.reason <= CLOSE_V2_CRC32C);
		explain(copy, length, said.reason);
		break;
	case PROXY_PARSE_MORE:
		/* Or a sender could make mmproxy hold more than it was told to. */
		DEMAND(length == 0 ||
		       length < (copy[0] == 'P' ? (size_t)PROXY_V1_MAX_LENGTH : input->max_header));
		break;
	}
	free(copy);
	said.header.tlvs = NULL;
	return said;
}

static void demand_same(const struct judgement *one, const struct judgement *other)
{
	DEMAND(one->verdict == other->verdict);
	DEMAND(one->reason == other->reason);
	if (one->verdict != PROXY_PARSE_OK)
		return;
	DEMAND(one->header.version == other->header.version);
	DEMAND(one->header.local == other->header.local);
	DEMAND(one->header.length == other->header.length);
	DEMAND(one->header.tlvs_length == other->header.tlvs_length);
	DEMAND(address_equal(&one->header.source, &other->header.source));
	DEMAND(address_equal(&one->header.destination, &other->header.destination));
}

/* How many bytes it takes for the verdict; one more than there are, where there is none. */
static size_t settled_at(const struct input *input, const struct judgement *whole)
{
	size_t more = 0, enough = input->size;

	if (whole->verdict == PROXY_PARSE_MORE)
		return input->size + 1;
	while (enough - more > 1) {
		size_t middle = more + (enough - more) / 2;

		if (judge(input, middle).verdict == PROXY_PARSE_MORE)
			more = middle;
		else
			enough = middle;
	}
	return enough;
}

static void judge_start(const struct input *input, size_t length, size_t settled,
			const struct judgement *whole)
{
	struct judgement start = judge(input, length);

	if (length < settled)
		DEMAND(start.verdict == PROXY_PARSE_MORE);
	else
		demand_same(&start, whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const size_t limits[8] = {4096, PROXY_V2_MAX_LENGTH, 107, 16, 20, 26, 27, 28};
	uint8_t options = fuzz_take(&bytes, &size), cutting = fuzz_take(&bytes, &size);
	struct input input = {
		.bytes = bytes,
		.size = size,
		.max_header = limits[options / 2 % 8],
		.transport = options & 1 ? PROXY_TRANSPORT_DATAGRAM : PROXY_TRANSPORT_STREAM,
	};
	struct fuzz_cuts cuts = {.how = cutting};
	struct judgement whole = judge(&input, size);
	size_t settled = settled_at(&input, &whole);

	DEMAND(judge(&input, 0).verdict == PROXY_PARSE_MORE);
	if (whole.verdict == PROXY_PARSE_OK)
		DEMAND(settled == whole.header.length);
	if (settled <= size)
		judge_start(&input, settled - 1, settled, &whole);
	for (size_t at = 0; at < size;) {
		at += fuzz_cut(&cuts, size - at);
		judge_start(&input, at, settled, &whole);
	}
	return 0;
}
