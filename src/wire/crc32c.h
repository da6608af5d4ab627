/* SPDX-License-Identifier: MIT */
/* CRC32C (Castagnoli), as PROXY v2 headers carry it: RFC 4960, appendix B. */
#ifndef MMPROXY_WIRE_CRC32C_H
#define MMPROXY_WIRE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Start with crc = 0; feed the result back in to go on with more bytes. */
uint32_t crc32c(uint32_t crc, const uint8_t *bytes, size_t length);

#endif
