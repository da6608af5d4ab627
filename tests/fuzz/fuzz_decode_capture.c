/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: packets of a capture, put together into what listeners would have read. Whatever
 * sequence numbers and lengths say, a sample is no longer than was asked for, holds bytes that the
 * packets had, and can be judged. Each packet is a byte of options, a length of two bytes, and so
 * much of it.
 */
#include "ctl/decode/flows.h"
#include "fuzz.h"

#define MAX_HEADER 128
/* Bytes that a sample may have behind its header: flows.c keeps them to be shown. */
#define BYTES_KEPT 64

struct seen {
	uint64_t packets;
	uint64_t bytes; /* of payload */
	uint64_t samples;
};

static void take(void *context, const struct decode_sample *sample)
{
	struct seen *seen = context;
	uint8_t *copy = fuzz_copy(sample->bytes, sample->length);
	struct decode_sample same = *sample;
	struct decode_verdict verdict;

	seen->samples++;
	DEMAND(sample->packet >= 1 && sample->packet <= seen->packets);
	DEMAND(sample->length <= sample->total && sample->length <= seen->bytes);
	DEMAND(sample->transport == PROXY_TRANSPORT_DATAGRAM ||
	       sample->length <= MAX_HEADER + BYTES_KEPT);
	DEMAND(!sample->cut || sample->length < sample->total);
	same.bytes = copy;
	verdict = decode_judge(&same, MAX_HEADER);
	DEMAND(verdict.outcome != DECODE_ACCEPTED || verdict.header.length <= sample->length);
	free(copy);
}

/* `bytes` are a packet as it was captured; so many more were sent. */
static void add(struct decode_flows *flows, struct seen *seen, enum packet_link link,
		const uint8_t *bytes, size_t captured, size_t more)
{
	uint8_t *copy = fuzz_copy(bytes, captured);
	struct packet packet;
	enum packet_kind kind = packet_read(link, copy, captured, captured + more, &packet);

	seen->packets++;
	if (kind == PACKET_TCP || kind == PACKET_UDP) {
		seen->bytes += packet.length;
		decode_flows_add(flows, kind, &packet, seen->packets);
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct seen seen = {0};
	struct decode_flows *flows = decode_flows_create(MAX_HEADER, take, &seen);

	DEMAND(flows != NULL);
	while (size > 0) {
		uint8_t options = fuzz_take(&bytes, &size);
		enum packet_link link = options % (PACKET_LINK_COOKED_2 + 1);
		size_t length = (size_t)fuzz_take(&bytes, &size) << 8;

		length += fuzz_take(&bytes, &size);
		if (length > size)
			length = size;
		add(flows, &seen, link, bytes, length, options / 16u);
		bytes += length;
		size -= length;
	}
	DEMAND(decode_flows_finish(flows) + seen.samples <= seen.packets);
	return 0;
}
