/* SPDX-License-Identifier: MIT */
/* What to say about a refusal besides its reason: in the log's line, and when a header is decoded.
 */
#ifndef MMPROXY_WIRE_REFUSAL_HINT_H
#define MMPROXY_WIRE_REFUSAL_HINT_H

#include <stddef.h>
#include <stdint.h>

#include "base/close_reason.h"

/*
 * What to do about it, or what the peer may be speaking; where neither is known, the reason's own
 * sentence. `bytes` are the first that came; there may be none.
 */
const char *refusal_hint(enum close_reason reason, const uint8_t *bytes, size_t length);

#endif
