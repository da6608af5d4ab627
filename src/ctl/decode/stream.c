/* SPDX-License-Identifier: MIT */
/* TCP's bytes, in order. Sequence numbers wrap; places in the stream, of 64 bits, do not. */
#include "ctl/decode/stream.h"

#include <stdlib.h>
#include <string.h>

#include "ctl/memory.h"

/* Segments that wait for one before them. More than a sender has on its way at the beginning. */
#define WAITING_MAX 64

struct decode_segment {
	struct decode_segment *next;
	uint64_t place;
	size_t length;
	uint8_t bytes[];
};

/* Appends those of the bytes at `place` that come next, as far as they are wanted. */
static void append(struct decode_stream *stream, uint64_t place, const uint8_t *bytes,
		   size_t length)
{
	size_t known;

	if (place > stream->length || place + length <= stream->length ||
	    stream->length >= stream->wanted)
		return;
	known = stream->length - (size_t)place;
	bytes += known;
	length -= known;
	if (length > stream->wanted - stream->length)
		length = stream->wanted - stream->length;
	stream->bytes = memory_resize(stream->bytes, stream->length + length, 1);
	memcpy(stream->bytes + stream->length, bytes, length);
	stream->length += length;
}

/* Behind a hole: kept in order of their place. */
static void keep_waiting(struct decode_stream *stream, uint64_t place, const uint8_t *bytes,
			 size_t length)
{
	struct decode_segment **at = &stream->waiting, *segment;

	if (place >= stream->wanted || stream->waiting_count == WAITING_MAX)
		return;
	while (*at != NULL && (*at)->place <= place)
		at = &(*at)->next;
	segment = memory_resize(NULL, 1, sizeof(*segment) + length);
	*segment = (struct decode_segment){.next = *at, .place = place, .length = length};
	memcpy(segment->bytes, bytes, length);
	*at = segment;
	stream->waiting_count++;
}

static void drop_first(struct decode_stream *stream)
{
	struct decode_segment *segment = stream->waiting;

	stream->waiting = segment->next;
	stream->waiting_count--;
	free(segment);
}

/* The hole may have been filled. */
static void take_waiting(struct decode_stream *stream)
{
	while (stream->waiting != NULL && stream->waiting->place <= stream->length) {
		append(stream, stream->waiting->place, stream->waiting->bytes,
		       stream->waiting->length);
		drop_first(stream);
	}
}

void decode_stream_add(struct decode_stream *stream, const struct packet *packet, uint64_t number)
{
	const uint8_t *bytes = packet->payload;
	size_t length = packet->length;
	int64_t place;

	if (!stream->begun) {
		stream->begun = true;
		stream->late = !packet->syn;
		stream->base = packet->sequence;
	} else if (packet->syn && packet->sequence == stream->base) {
		/* Overtaken by what it announces. */
		stream->late = false;
	}
	if (length + packet->missing == 0)
		return;
	if (stream->first_packet == 0)
		stream->first_packet = number;
	/* Nearer to the end than half of all sequence numbers, forwards or back. */
	place = (int64_t)stream->end +
		(int32_t)(packet->sequence - (stream->base + (uint32_t)stream->end));
	if (place < 0) {
		if ((uint64_t)-place >= length)
			return;
		bytes += -place;
		length -= (size_t)-place;
		place = 0;
	}
	if ((uint64_t)place + length + packet->missing > stream->end)
		stream->end = (uint64_t)place + length + packet->missing;
	if ((uint64_t)place > stream->length)
		keep_waiting(stream, (uint64_t)place, bytes, length);
	else
		append(stream, (uint64_t)place, bytes, length);
	take_waiting(stream);
}

void decode_stream_limit(struct decode_stream *stream, size_t wanted)
{
	stream->wanted = wanted;
	if (stream->length > wanted) {
		stream->length = wanted;
		stream->bytes = memory_resize(stream->bytes, wanted, 1);
	}
	while (stream->waiting != NULL && stream->length >= wanted)
		drop_first(stream);
}

void decode_stream_finish(struct decode_stream *stream)
{
	while (stream->waiting != NULL)
		drop_first(stream);
	free(stream->bytes);
	*stream = (struct decode_stream){0};
}
