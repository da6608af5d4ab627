/* SPDX-License-Identifier: MIT */
/*
 * What the bytes of a v2 header say, sound or not: for people who want to know what a sender wrote.
 * The verdict is proxy_header_parse()'s alone; where that is good, both say the same.
 */
#ifndef MMPROXY_WIRE_PROXY_FIELDS_H
#define MMPROXY_WIRE_PROXY_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

struct proxy_fields {
	/* Both bytes as they are; -1: the bytes end before. */
	int command;         /* version in the upper half */
	int family;          /* transport in the lower half */
	size_t length;       /* of the header, by its own word; 0: the bytes end before */
	size_t block_length; /* of the address block that its family has; LOCAL has none */
	struct address source, destination; /* ADDRESS_NONE: none, or not whole */
	/*
	 * Where the TLVs are, as far as the bytes go. In LOCAL, where nobody says whether an
	 * address block is there, they are what makes TLVs to the last byte; else there are none.
	 */
	size_t tlvs_at, tlvs_length;
};

/* `bytes` begin with the v2 signature. */
void proxy_fields_read(const uint8_t *bytes, size_t length, struct proxy_fields *fields);

/* "TCP4" of 0x11, as version 1 would call it; NULL: nobody has defined this byte. */
const char *proxy_fields_family_name(int family);

#endif
