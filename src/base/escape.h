/* SPDX-License-Identifier: MIT */
/* Untrusted bytes, made safe for a log line, a terminal and a metrics label. */
#ifndef MMPROXY_BASE_ESCAPE_H
#define MMPROXY_BASE_ESCAPE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Writes printable ASCII as it is, the quote and the backslash with a backslash before them, and
 * any other byte as \xNN. Ends with NUL, stops before a byte that no longer fits whole. Returns the
 * length written. `size` is at least 1.
 */
size_t escape_bytes(char *to, size_t size, const uint8_t *bytes, size_t length);

#endif
