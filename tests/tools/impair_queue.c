/* SPDX-License-Identifier: MIT */
/* Packets on their way, in a binary heap: the one that is due first is at its top. */
#include <err.h>
#include <stdlib.h>

#include "impair.h"

static bool earlier(const struct impair_packet *one, const struct impair_packet *other)
{
	return one->due != other->due ? one->due < other->due : one->order < other->order;
}

static void swap(struct impair_queue *queue, size_t one, size_t other)
{
	struct impair_packet *packet = queue->packets[one];

	queue->packets[one] = queue->packets[other];
	queue->packets[other] = packet;
}

void impair_queue_add(struct impair_queue *queue, struct impair_packet *packet)
{
	size_t place = queue->count++;

	if (queue->count > queue->room) {
		queue->room = 2 * queue->room + 64;
		queue->packets =
			realloc(queue->packets, queue->room * sizeof(struct impair_packet *));
		if (queue->packets == NULL)
			err(EXIT_FAILURE, "no memory");
	}
	packet->order = queue->next_order++;
	queue->packets[place] = packet;
	while (place > 0 && earlier(packet, queue->packets[(place - 1) / 2])) {
		swap(queue, place, (place - 1) / 2);
		place = (place - 1) / 2;
	}
}

const struct impair_packet *impair_queue_first(const struct impair_queue *queue)
{
	return queue->count > 0 ? queue->packets[0] : NULL;
}

struct impair_packet *impair_queue_take(struct impair_queue *queue)
{
	struct impair_packet *first = queue->packets[0];
	size_t place = 0, next;

	queue->packets[0] = queue->packets[--queue->count];
	while ((next = 2 * place + 1) < queue->count) {
		if (next + 1 < queue->count &&
		    earlier(queue->packets[next + 1], queue->packets[next]))
			next++;
		if (!earlier(queue->packets[next], queue->packets[place]))
			break;
		swap(queue, place, next);
		place = next;
	}
	return first;
}
