/* SPDX-License-Identifier: MIT */
/*
 * CRC32C four bits at a time: the table fits a cache line. Headers with a checksum are rare and
 * short; one of the usual 110 bytes costs less than a system call.
 */
#include "wire/crc32c.h"

/* The remainders of 0..15, polynomial 0x1EDC6F41 reflected. */
static const uint32_t remainders[16] = {
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
	0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
	0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t crc32c(uint32_t crc, const uint8_t *bytes, size_t length)
{
	crc = ~crc;
	for (size_t i = 0; i < length; i++) {
		crc ^= bytes[i];
		crc = crc >> 4 ^ remainders[crc & 0xf];
		crc = crc >> 4 ^ remainders[crc & 0xf];
	}
	return ~crc;
}
