/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: a captured packet, whose first byte chooses the link layer and how much of it is
 * said to be missing. What is handed out must lie inside, and be as long as its headers say.
 */
#include "fuzz.h"
#include "wire/packet.h"

static void judge(const struct packet *packet, const uint8_t *bytes, size_t captured, size_t sent)
{
	DEMAND(packet->payload >= bytes);
	DEMAND(packet->payload + packet->length <= bytes + captured);
	DEMAND(packet->missing == 0 || packet->payload + packet->length == bytes + captured);
	DEMAND(packet->missing <= 65535 || packet->missing <= sent - captured);
	DEMAND(packet->source.family == packet->destination.family ||
	       (packet->source.family != ADDRESS_NONE &&
		packet->destination.family != ADDRESS_NONE));
}

/* What IP and UDP say of the length, where the packet begins with IP. 0: they do not say. */
static size_t stated_length(enum packet_kind kind, const uint8_t *bytes,
			    const struct packet *packet)
{
	const uint8_t *behind = packet->payload;
	size_t headers = (size_t)(behind - bytes), total;

	if (kind == PACKET_UDP) {
		total = behind[-4] * 256u + behind[-3];
		return total > 8 ? total - 8 : 0;
	}
	total = bytes[0] >> 4 == 4 ? bytes[2] * 256u + bytes[3] : bytes[4] * 256u + bytes[5];
	if (bytes[0] >> 4 == 6 && total > 0)
		total += 40;
	return total > headers ? total - headers : 0;
}

/* Padding is no payload, and what was not captured is missing. */
static void check_length(enum packet_kind kind, const uint8_t *bytes, const struct packet *packet)
{
	size_t stated = stated_length(kind, bytes, packet);

	DEMAND(stated == 0 || packet->length + packet->missing == stated);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	enum packet_link link;
	enum packet_kind kind;
	struct packet packet;
	size_t captured, sent;
	uint8_t *copy;

	if (size < 1)
		return 0;
	link = (enum packet_link)(bytes[0] % (PACKET_LINK_COOKED_2 + 1));
	captured = size - 1;
	sent = captured + bytes[0] / 16U;
	copy = fuzz_copy(bytes + 1, captured);
	kind = packet_read(link, copy, captured, sent, &packet);
	switch (kind) {
	case PACKET_TCP:
	case PACKET_UDP:
		judge(&packet, copy, captured, sent);
		if (link == PACKET_LINK_IP)
			check_length(kind, copy, &packet);
		break;
	case PACKET_FRAGMENT:
	case PACKET_OTHER:
	case PACKET_BROKEN:
		break;
	}
	free(copy);
	return 0;
}
