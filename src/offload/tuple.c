/* SPDX-License-Identifier: MIT */
#include "offload/tuple.h"

#include <netinet/in.h>
#include <string.h>

struct offload_address offload_address_of(const struct address *address)
{
	struct offload_address made = {
		.port = htons(address->port),
		.family = address->family,
	};

	if (address->family == ADDRESS_IPV6) {
		memcpy(made.ip, address->ip, 16);
	} else if (address->family == ADDRESS_IPV4) {
		made.ip[2] = htonl(0xffff);
		memcpy(&made.ip[3], address->ip, 4);
	}
	return made;
}

struct address offload_address_read(const struct offload_address *from)
{
	struct address address = {.port = ntohs(from->port)};

	if (from->family == ADDRESS_IPV6) {
		address.family = ADDRESS_IPV6;
		memcpy(address.ip, from->ip, 16);
	} else if (from->family == ADDRESS_IPV4) {
		address.family = ADDRESS_IPV4;
		memcpy(address.ip, &from->ip[3], 4);
	}
	return address;
}

struct offload_tuple offload_tuple_of(const struct address *source,
				      const struct address *destination)
{
	const struct offload_address from = offload_address_of(source);
	const struct offload_address to = offload_address_of(destination);
	struct offload_tuple tuple = {
		.source_port = from.port,
		.destination_port = to.port,
	};

	memcpy(tuple.source, from.ip, sizeof(tuple.source));
	memcpy(tuple.destination, to.ip, sizeof(tuple.destination));
	return tuple;
}

bool offload_tuple_is_ipv4(const struct offload_tuple *tuple)
{
	return tuple->source[0] == 0 && tuple->source[1] == 0 && tuple->source[2] == htonl(0xffff);
}

struct offload_tuple offload_tuple_turned(const struct offload_tuple *tuple)
{
	struct offload_tuple other = {
		.source_port = tuple->destination_port,
		.destination_port = tuple->source_port,
	};

	memcpy(other.source, tuple->destination, sizeof(other.source));
	memcpy(other.destination, tuple->source, sizeof(other.destination));
	return other;
}
