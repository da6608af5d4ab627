/* SPDX-License-Identifier: MIT */
/* What a peer that sent no PROXY header may be speaking: a hint for the refusal's log line. */
#ifndef MMPROXY_WIRE_HEADER_GUESS_H
#define MMPROXY_WIRE_HEADER_GUESS_H

#include <stddef.h>
#include <stdint.h>

/* A short phrase, or NULL when the bytes look like nothing known. */
const char *header_guess(const uint8_t *bytes, size_t length);

#endif
