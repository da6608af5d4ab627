/* SPDX-License-Identifier: MIT */
/* What the tools are given on the command line. */
#include "arguments.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>

struct address endpoint_argument(const char *option, const char *text)
{
	struct address address;

	if (address_parse_endpoint(text, &address) != 0)
		errx(EXIT_FAILURE, "--%s: not ADDRESS:PORT: %s", option, text);
	return address;
}

unsigned number_argument(const char *option, const char *text, unsigned least, unsigned most)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' || value < least ||
	    value > most)
		errx(EXIT_FAILURE, "--%s: not a number from %u to %u: %s", option, least, most,
		     text);
	return (unsigned)value;
}
