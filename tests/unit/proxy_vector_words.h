/* SPDX-License-Identifier: MIT */
/*
 * The words that the table of headers is written in. Addresses come from the documentation ranges
 * (RFC 5737, RFC 3849). Each entry is cut in two, CUT(first, rest): the verdict is due after
 * `first`. For a good header that is the header and its payload; for a bad one, the bytes that
 * condemn it and those behind them.
 *
 * Specification: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, sections 2.1 and 2.2.
 */
#ifndef MMPROXY_TESTS_PROXY_VECTOR_WORDS_H
#define MMPROXY_TESTS_PROXY_VECTOR_WORDS_H

#include "proxy_vectors.h"

#define DEFAULT_MAX 4096 /* the daemon's default for the longest v2 header, in bytes */

/* clang-format off */
#define CUT(first, rest)                                                                           \
	.bytes = (const uint8_t *)(first rest), .length = sizeof(first rest) - 1,                  \
	.settled_at = sizeof(first) - 1
#define ON_TCP                .transport = PROXY_TRANSPORT_STREAM, .max_length = DEFAULT_MAX
#define ON_UDP                .transport = PROXY_TRANSPORT_DATAGRAM, .max_length = DEFAULT_MAX
#define ON_TCP_UP_TO(longest) .transport = PROXY_TRANSPORT_STREAM, .max_length = (longest)
#define CLIENT(in_version, from, to)                                                               \
	.verdict = PROXY_PARSE_OK, .version = (in_version), .source = (from), .destination = (to)
#define LOCAL(in_version)     .verdict = PROXY_PARSE_OK, .version = (in_version), .local = true
#define REFUSED(why)          .verdict = PROXY_PARSE_BAD, .reason = CLOSE_##why
#define UNFINISHED            .verdict = PROXY_PARSE_MORE
/* clang-format on */

/* The endpoints in most entries, as text and as address blocks. */
#define CLIENT4 "192.0.2.1:56324"
#define SERVER4 "198.51.100.1:443"
#define CLIENT6 "[2001:db8::1]:56324"
#define SERVER6 "[2001:db8::2]:443"
#define PORTS   "\xdc\x04\x01\xbb"
#define BLOCK4  "\xc0\x00\x02\x01\xc6\x33\x64\x01" PORTS
#define HEAD6   "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
#define BLOCK6  HEAD6 "\x01" HEAD6 "\x02" PORTS
#define MAPPED  "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff"

#define SIGNATURE                   "\r\n\r\n\x00\r\nQUIT\n"
#define V2(command, family, length) SIGNATURE command family length
#define V2_TCP4(length)             V2("\x21", "\x11", length) BLOCK4
#define V2_UDP4(length)             V2("\x21", "\x12", length) /* without its block */
#define V2_UDP6(length)             V2("\x21", "\x22", length)

#define LINE4 "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"

/* 39 characters: the longest an IPv6 address gets without a dotted quad. */
#define LONGEST6 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
/* 105 characters: with CR LF the longest line there may be. */
#define LONGEST_LINE "PROXY UNKNOWN " LONGEST6 " " LONGEST6 " 65535 65535"

#define ZEROS_8  "\x00\x00\x00\x00\x00\x00\x00\x00"
#define ZEROS_64 ZEROS_8 ZEROS_8 ZEROS_8 ZEROS_8 ZEROS_8 ZEROS_8 ZEROS_8 ZEROS_8
#define TEXT_32  "0123456789abcdef0123456789abcdef"

struct proxy_vector_part {
	const struct proxy_vector *vectors;
	size_t count;
};

/* One for each file of the table. */
extern const struct proxy_vector_part proxy_vectors_start;
extern const struct proxy_vector_part proxy_vectors_v1;
extern const struct proxy_vector_part proxy_vectors_v1_fields;
extern const struct proxy_vector_part proxy_vectors_v2;
extern const struct proxy_vector_part proxy_vectors_v2_tlv;
extern const struct proxy_vector_part proxy_vectors_v2_udp;

/* The array `vectors` as such a part. */
#define VECTOR_PART(name)                                                                          \
	const struct proxy_vector_part proxy_vectors_##name = {                                    \
		vectors, sizeof(vectors) / sizeof(vectors[0])}

#endif
