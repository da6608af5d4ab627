/* SPDX-License-Identifier: MIT */
/* The walk through a packet's headers. Each function takes one header off and knows the next. */
#include "wire/packet.h"

#include <string.h>

enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_IPV6 = 0x86dd };
enum { ETHERTYPE_VLAN = 0x8100, ETHERTYPE_VLAN_OUTER = 0x88a8, ETHERTYPE_VLAN_OLD = 0x9100 };

/* IP's protocol numbers, of which some are extension headers in IPv6. */
enum {
	PROTOCOL_HOP_BY_HOP = 0,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
	PROTOCOL_ROUTING = 43,
	PROTOCOL_FRAGMENT = 44,
	PROTOCOL_DESTINATION = 60,
};

#define ETHERNET_LENGTH 14
#define COOKED_LENGTH   16
#define COOKED_2_LENGTH 20
#define IPV4_LENGTH     20
#define IPV6_LENGTH     40
#define TCP_LENGTH      20
#define UDP_LENGTH      8

enum { TCP_SYN = 0x02, TCP_ACK = 0x10 };

/* What is still unread. */
struct rest {
	const uint8_t *next;
	size_t left;    /* bytes that were captured, and belong to the packet */
	size_t missing; /* bytes behind them that belong to the packet and were not */
};

static uint16_t read_u16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static uint32_t read_u32(const uint8_t *bytes)
{
	return (uint32_t)read_u16(bytes) << 16 | read_u16(bytes + 2);
}

/* The next `length` bytes; NULL, and nothing taken, where there are fewer. */
static const uint8_t *take(struct rest *rest, size_t length)
{
	const uint8_t *taken = rest->next;

	if (rest->left < length)
		return NULL;
	rest->next += length;
	rest->left -= length;
	return taken;
}

/*
 * A header says that `length` bytes follow. What was captured beyond is padding. 0: the sender's
 * kernel captured before its card cut the packet up, and did not say; then all that is there is
 * the packet's.
 */
static void limit(struct rest *rest, size_t length)
{
	if (length == 0)
		return;
	if (length <= rest->left) {
		rest->left = length;
		rest->missing = 0;
	} else {
		rest->missing = length - rest->left;
	}
}

static enum packet_kind read_tcp(struct rest rest, struct packet *packet)
{
	const uint8_t *head = take(&rest, TCP_LENGTH);
	size_t length;

	if (head == NULL)
		return PACKET_BROKEN;
	length = (size_t)(head[12] >> 4) * 4;
	if (length < TCP_LENGTH || take(&rest, length - TCP_LENGTH) == NULL)
		return PACKET_BROKEN;
	packet->source.port = read_u16(head);
	packet->destination.port = read_u16(head + 2);
	packet->syn = (head[13] & TCP_SYN) != 0;
	packet->ack = (head[13] & TCP_ACK) != 0;
	/* The SYN has a number of its own, and data may come with it. */
	packet->sequence = read_u32(head + 4) + (packet->syn ? 1 : 0);
	packet->payload = rest.next;
	packet->length = rest.left;
	packet->missing = rest.missing;
	return PACKET_TCP;
}

static enum packet_kind read_udp(struct rest rest, struct packet *packet)
{
	const uint8_t *head = take(&rest, UDP_LENGTH);
	size_t length;

	if (head == NULL)
		return PACKET_BROKEN;
	length = read_u16(head + 4);
	if (length > 0) {
		if (length < UDP_LENGTH || length - UDP_LENGTH > rest.left + rest.missing)
			return PACKET_BROKEN;
		if (length == UDP_LENGTH)
			rest.left = rest.missing = 0;
		limit(&rest, length - UDP_LENGTH);
	}
	packet->source.port = read_u16(head);
	packet->destination.port = read_u16(head + 2);
	packet->payload = rest.next;
	packet->length = rest.left;
	packet->missing = rest.missing;
	return PACKET_UDP;
}

static enum packet_kind read_transport(struct rest rest, uint8_t protocol, struct packet *packet)
{
	switch (protocol) {
	case PROTOCOL_TCP:
		return read_tcp(rest, packet);
	case PROTOCOL_UDP:
		return read_udp(rest, packet);
	default:
		return PACKET_OTHER;
	}
}

static enum packet_kind read_ipv4(struct rest rest, struct packet *packet)
{
	const uint8_t *head = rest.next;
	size_t length;

	if (rest.left < IPV4_LENGTH || head[0] >> 4 != 4)
		return PACKET_BROKEN;
	length = (size_t)(head[0] & 0x0f) * 4;
	limit(&rest, read_u16(head + 2));
	if (length < IPV4_LENGTH || take(&rest, length) == NULL)
		return PACKET_BROKEN;
	/* More fragments follow, or others went before. */
	if ((read_u16(head + 6) & 0x3fff) != 0)
		return PACKET_FRAGMENT;
	packet->source = address_from_ipv4(head + 12, 0);
	packet->destination = address_from_ipv4(head + 16, 0);
	return read_transport(rest, head[9], packet);
}

/* Behind the fixed header of IPv6. Each extension header names the next. */
static enum packet_kind read_extensions(struct rest rest, uint8_t protocol, struct packet *packet)
{
	for (;;) {
		const uint8_t *head = rest.next;
		size_t length;

		switch (protocol) {
		case PROTOCOL_HOP_BY_HOP:
		case PROTOCOL_ROUTING:
		case PROTOCOL_DESTINATION:
			if (rest.left < 8)
				return PACKET_BROKEN;
			length = ((size_t)head[1] + 1) * 8;
			break;
		case PROTOCOL_FRAGMENT:
			length = 8;
			/* One that is all of its packet (RFC 6946) is no fragment. */
			if (rest.left >= length && (read_u16(head + 2) & 0xfff9) != 0)
				return PACKET_FRAGMENT;
			break;
		default:
			return read_transport(rest, protocol, packet);
		}
		if (take(&rest, length) == NULL)
			return PACKET_BROKEN;
		protocol = head[0];
	}
}

static enum packet_kind read_ipv6(struct rest rest, struct packet *packet)
{
	const uint8_t *head = take(&rest, IPV6_LENGTH);

	if (head == NULL || head[0] >> 4 != 6)
		return PACKET_BROKEN;
	limit(&rest, read_u16(head + 4));
	packet->source = address_from_ipv6(head + 8, 0);
	packet->destination = address_from_ipv6(head + 24, 0);
	return read_extensions(rest, head[6], packet);
}

/* IP without a word on which version it is. */
static enum packet_kind read_ip(struct rest rest, struct packet *packet)
{
	if (rest.left == 0)
		return PACKET_BROKEN;
	switch (rest.next[0] >> 4) {
	case 4:
		return read_ipv4(rest, packet);
	case 6:
		return read_ipv6(rest, packet);
	default:
		return PACKET_OTHER;
	}
}

static enum packet_kind read_ethertype(struct rest rest, unsigned type, struct packet *packet)
{
	while (type == ETHERTYPE_VLAN || type == ETHERTYPE_VLAN_OUTER ||
	       type == ETHERTYPE_VLAN_OLD) {
		const uint8_t *tag = take(&rest, 4);

		if (tag == NULL)
			return PACKET_BROKEN;
		type = read_u16(tag + 2);
	}
	if (type == ETHERTYPE_IPV4)
		return read_ipv4(rest, packet);
	if (type == ETHERTYPE_IPV6)
		return read_ipv6(rest, packet);
	return PACKET_OTHER;
}

/* The capturing host's AF_INET or AF_INET6, whose number every BSD chose for itself. */
static bool is_ip_family(const uint8_t *family)
{
	static const uint8_t known[] = {2, 10, 24, 28, 30};
	uint8_t number = family[0] != 0 ? family[0] : family[3];

	return memchr(known, number, sizeof(known)) != NULL;
}

enum packet_kind packet_read(enum packet_link link, const uint8_t *bytes, size_t captured,
			     size_t sent, struct packet *packet)
{
	struct rest rest = {
		.next = bytes,
		.left = captured,
		.missing = sent > captured ? sent - captured : 0,
	};
	const uint8_t *head;

	*packet = (struct packet){0};
	switch (link) {
	case PACKET_LINK_ETHERNET:
		head = take(&rest, ETHERNET_LENGTH);
		return head != NULL ? read_ethertype(rest, read_u16(head + 12), packet)
				    : PACKET_BROKEN;
	case PACKET_LINK_COOKED:
		head = take(&rest, COOKED_LENGTH);
		return head != NULL ? read_ethertype(rest, read_u16(head + 14), packet)
				    : PACKET_BROKEN;
	case PACKET_LINK_COOKED_2:
		head = take(&rest, COOKED_2_LENGTH);
		return head != NULL ? read_ethertype(rest, read_u16(head), packet) : PACKET_BROKEN;
	case PACKET_LINK_LOOPBACK:
		head = take(&rest, 4);
		if (head == NULL)
			return PACKET_BROKEN;
		return is_ip_family(head) ? read_ip(rest, packet) : PACKET_OTHER;
	case PACKET_LINK_IP:
		return read_ip(rest, packet);
	}
	return PACKET_OTHER;
}
