/* SPDX-License-Identifier: MIT */
/* The queue of a flow that waits: lengths, and bytes one behind the other. */
#include "relay/udp_waiting.h"

#include <stdlib.h>
#include <string.h>

struct udp_waiting *udp_waiting_create(void)
{
	return calloc(1, sizeof(struct udp_waiting));
}

void udp_waiting_destroy(struct udp_waiting *waiting)
{
	if (waiting != NULL)
		free(waiting->bytes);
	free(waiting);
}

bool udp_waiting_add(struct udp_waiting *waiting, const uint8_t *bytes, size_t length)
{
	uint8_t *grown;

	if (waiting->count == UDP_WAITING_DATAGRAMS || waiting->length + length > UDP_WAITING_BYTES)
		return false;
	if (length > 0) {
		grown = realloc(waiting->bytes, waiting->length + length);
		if (grown == NULL)
			return false;
		memcpy(grown + waiting->length, bytes, length);
		waiting->bytes = grown;
		waiting->length += length;
	}
	waiting->lengths[waiting->count++] = (uint16_t)length;
	return true;
}
