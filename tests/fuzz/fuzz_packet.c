/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: a captured packet, whose first byte chooses the link layer and how much of it is
 * said to be missing. What is handed out must lie inside, and be as long as a packet can be.
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

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	enum packet_link link;
	struct packet packet;
	size_t captured, sent;
	uint8_t *copy;

	if (size < 1)
		return 0;
	link = (enum packet_link)(bytes[0] % (PACKET_LINK_COOKED_2 + 1));
	captured = size - 1;
	sent = captured + bytes[0] / 16U;
	copy = fuzz_copy(bytes + 1, captured);
	switch (packet_read(link, copy, captured, sent, &packet)) {
	case PACKET_TCP:
	case PACKET_UDP:
		judge(&packet, copy, captured, sent);
		break;
	case PACKET_FRAGMENT:
	case PACKET_OTHER:
	case PACKET_BROKEN:
		break;
	}
	free(copy);
	return 0;
}
