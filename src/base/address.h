/* SPDX-License-Identifier: MIT */
/*
 * One address with its port, as every other room of the house passes it around: IPv4 or IPv6,
 * 20 bytes, comparable, free of the padding and the flags of struct sockaddr.
 *
 * An IPv4-mapped IPv6 address (::ffff:a.b.c.d) never lives in a struct address: whatever makes one
 * normalises it to IPv4, so that no policy can be walked around by writing an address the other
 * way.
 */
#ifndef MMPROXY_BASE_ADDRESS_H
#define MMPROXY_BASE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum address_family {
	ADDRESS_NONE = 0, /* zeroed memory is "no address" */
	ADDRESS_IPV4 = 4,
	ADDRESS_IPV6 = 6,
};

struct address {
	uint8_t ip[16]; /* network order; IPv4 uses the first four bytes, the rest is zero */
	uint16_t port;  /* host order */
	uint8_t family; /* enum address_family */
};

/* Longest text: "[" + 45 characters + "]:65535" + NUL. */
#define ADDRESS_TEXT_SIZE 56

/* Both take an address in network order and normalise IPv4-mapped ones. */
struct address address_from_ipv4(const uint8_t ip[static 4], uint16_t port);
struct address address_from_ipv6(const uint8_t ip[static 16], uint16_t port);

/* A sockaddr of any other family than AF_INET or AF_INET6 becomes ADDRESS_NONE. */
struct address address_from_sockaddr(const struct sockaddr_storage *from);

/* Returns the length to hand to bind() or connect(); 0 for ADDRESS_NONE. */
socklen_t address_to_sockaddr(const struct address *address, struct sockaddr_storage *to);

/*
 * Parses an address alone: "192.0.2.1" or "2001:db8::1". No port, no brackets, no zone id, no host
 * name. Returns 0 or -EINVAL.
 */
int address_parse_ip(const char *text, struct address *address);

/*
 * Parses "192.0.2.1:80" or "[2001:db8::1]:80". The port is decimal, 0 to 65535, without sign.
 * Returns 0; -EINVAL when the text is neither form; -ERANGE when only the port is at fault.
 */
int address_parse_endpoint(const char *text, struct address *address);

/* Both write NUL-terminated text into `text` and return it. */
const char *address_format_ip(const struct address *address, char text[static ADDRESS_TEXT_SIZE]);
const char *address_format(const struct address *address, char text[static ADDRESS_TEXT_SIZE]);

bool address_equal(const struct address *a, const struct address *b);    /* address and port */
bool address_equal_ip(const struct address *a, const struct address *b); /* address alone */

/* 0.0.0.0 or ::, which a listener writes for all addresses of the family. */
bool address_is_wildcard(const struct address *address);

#endif
