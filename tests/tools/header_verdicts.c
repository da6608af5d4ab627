/* SPDX-License-Identifier: MIT */
/*
 * header_verdicts: what the parser and the source policy say of each of many headers.
 *
 * Standard input holds, any number of times, a length (32 bits, network order) and so many bytes:
 * all that a balancer sends on one connection before it closes its side. Each is answered by a
 * line:
 *
 *     client ADDRESS PORT LENGTH   the address to dial from; payload begins behind LENGTH bytes
 *     own LENGTH                   accepted without a client: the connection's own endpoints hold
 *     refused REASON               as in the daemon's log
 *
 * The host's own addresses are not known here: the policy refuses by its fixed ranges alone.
 */
#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/address.h"
#include "base/source_policy.h"
#include "wire/proxy_header.h"

#define MAX_HEADER 4096      /* the daemon's default for max_header */
#define MAX_LENGTH (1 << 20) /* of what stands on one connection */

static void say_refused(enum close_reason reason)
{
	printf("refused %s\n", close_reason_name(reason));
}

static void judge(const uint8_t *bytes, size_t length)
{
	const struct source_own nothing = {0};
	char text[ADDRESS_TEXT_SIZE];
	struct proxy_header header;
	enum close_reason reason;

	switch (proxy_header_parse(bytes, length, MAX_HEADER, PROXY_TRANSPORT_STREAM, &header,
				   &reason)) {
	case PROXY_PARSE_MORE:
		say_refused(length == 0 ? CLOSE_EMPTY : CLOSE_HEADER_TRUNCATED);
		break;
	case PROXY_PARSE_BAD:
		say_refused(reason);
		break;
	case PROXY_PARSE_OK:
		if (header.local)
			printf("own %zu\n", header.length);
		else if (!source_policy_permits(&header.source, NULL, &nothing, &reason))
			say_refused(reason);
		else
			printf("client %s %u %zu\n", address_format_ip(&header.source, text),
			       header.source.port, header.length);
		break;
	}
}

int main(void)
{
	uint8_t *bytes = malloc(MAX_LENGTH);
	uint32_t length;

	if (bytes == NULL)
		err(EXIT_FAILURE, "no memory");
	while (fread(&length, sizeof(length), 1, stdin) == 1) {
		length = ntohl(length);
		if (length > MAX_LENGTH || fread(bytes, 1, length, stdin) != length)
			errx(EXIT_FAILURE, "standard input: a length and so many bytes, %d at most",
			     MAX_LENGTH);
		judge(bytes, length);
	}
	free(bytes);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
