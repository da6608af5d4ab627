/* SPDX-License-Identifier: MIT */
/* A text that repeats. */
#include "payload.h"

#include <string.h>

#define DISTINCT_BYTES 251

static void repeat(struct payload *payload)
{
	for (size_t i = payload->period; i < sizeof(payload->bytes); i++)
		payload->bytes[i] = payload->bytes[i - payload->period];
}

void payload_init(struct payload *payload)
{
	payload->period = DISTINCT_BYTES;
	for (size_t i = 0; i < DISTINCT_BYTES; i++)
		payload->bytes[i] = (uint8_t)i;
	repeat(payload);
}

bool payload_init_text(struct payload *payload, const char *text)
{
	payload->period = strlen(text);
	if (payload->period == 0 || payload->period > UINT8_MAX)
		return false;
	for (size_t i = 0; i < payload->period; i++) {
		if (memchr(payload->bytes, text[i], i) != NULL)
			return false;
		payload->bytes[i] = (uint8_t)text[i];
	}
	repeat(payload);
	return true;
}

const uint8_t *payload_next(const struct payload *payload, const struct payload_place *place)
{
	return payload->bytes + place->offset;
}

void payload_advance(const struct payload *payload, struct payload_place *place, size_t length)
{
	place->begun = true;
	place->offset = (uint8_t)((place->offset + length) % payload->period);
}

bool payload_check(const struct payload *payload, struct payload_place *place, const uint8_t *bytes,
		   size_t length)
{
	if (length == 0)
		return true;
	if (!place->begun) {
		const uint8_t *found = memchr(payload->bytes, bytes[0], payload->period);

		if (found == NULL)
			return false;
		place->offset = (uint8_t)(found - payload->bytes);
	}
	if (memcmp(bytes, payload_next(payload, place), length) != 0)
		return false;
	payload_advance(payload, place, length);
	return true;
}
