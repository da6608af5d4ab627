/* SPDX-License-Identifier: MIT */
/*
 * What messages about rules and messages about routes have in common. IPv4 and IPv6 differ in
 * nothing but the family and the length of an address.
 */
#ifndef MMPROXY_ROUTING_ROUTE_MESSAGE_H
#define MMPROXY_ROUTING_ROUTE_MESSAGE_H

#include <libmnl/libmnl.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/address.h"

/* Index of `lo` in every network namespace: the first interface there is. */
#define ROUTE_MESSAGE_LOOPBACK 1

static inline uint8_t route_message_family(enum address_family family)
{
	return family == ADDRESS_IPV4 ? AF_INET : AF_INET6;
}

static inline uint16_t route_message_address_size(uint8_t family)
{
	return family == ADDRESS_IPV4 ? 4 : 16;
}

static inline void route_message_put_address(struct nlmsghdr *request, uint16_t type,
					     const struct address *address)
{
	mnl_attr_put(request, type, route_message_address_size(address->family), address->ip);
}

/* ADDRESS_NONE when the attribute is not as long as an address of the family. */
static inline struct address route_message_get_address(const struct nlattr *attribute,
						       uint8_t family)
{
	struct address address = {0};

	if (mnl_attr_get_payload_len(attribute) != route_message_address_size(family))
		return address;
	return family == ADDRESS_IPV4 ? address_from_ipv4(mnl_attr_get_payload(attribute), 0)
				      : address_from_ipv6(mnl_attr_get_payload(attribute), 0);
}

/* 0 where the attribute is shorter than its number. */
static inline uint32_t route_message_get_number(const struct nlattr *attribute)
{
	return mnl_attr_validate(attribute, MNL_TYPE_U32) < 0 ? 0 : mnl_attr_get_u32(attribute);
}

#endif
