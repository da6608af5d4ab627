/* SPDX-License-Identifier: MIT */
/* Connections and flows of a capture, by their two ends. */
#include "ctl/decode/flows.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/flow_table.h"
#include "ctl/decode/stream.h"
#include "ctl/memory.h"

/*
 * Of each protocol, at a time. With more, the one that was silent for longest is judged by what is
 * there, and forgotten: memory stays bounded, whatever the file is.
 */
#define FLOWS_MAX 65536

/* Bytes that are kept of a stream behind its header, or where there is none: to be shown. */
#define BYTES_KEPT 64

struct connection {
	struct flow_entry entry;
	struct decode_stream sides[2]; /* from the key's source, and to it */
	int client;                    /* the side that connected; -1: was not seen to */
};

/* A UDP flow is nothing but an entry. */
struct decode_flows {
	size_t max_header;
	decode_flows_taker *take;
	void *context;
	uint64_t silent;
	struct flow_table connections;
	struct flow_table datagrams;
};

struct decode_flows *decode_flows_create(size_t max_header, decode_flows_taker *take, void *context)
{
	struct decode_flows *flows = memory_resize(NULL, 1, sizeof(*flows));
	struct siphash_key secret;

	*flows = (struct decode_flows){.max_header = max_header, .take = take, .context = context};
	/* Without it, a file could be made that takes for ever. */
	if (getrandom(&secret, sizeof(secret), 0) != sizeof(secret) ||
	    flow_table_init(&flows->connections, FLOWS_MAX, &secret) < 0) {
		free(flows);
		return NULL;
	}
	if (flow_table_init(&flows->datagrams, FLOWS_MAX, &secret) < 0) {
		flow_table_finish(&flows->connections);
		free(flows);
		return NULL;
	}
	return flows;
}

/* Both directions have one key. Returns 1 where the packet goes from the key's destination. */
static int key_of(const struct packet *packet, struct flow_key *key)
{
	int order = memcmp(packet->source.ip, packet->destination.ip, sizeof(packet->source.ip));
	bool swap = order > 0 || (order == 0 && packet->source.port > packet->destination.port);

	key->source = swap ? packet->destination : packet->source;
	key->destination = swap ? packet->source : packet->destination;
	return swap ? 1 : 0;
}

static struct decode_sample sample_of(const struct connection *connection, int side)
{
	const struct decode_stream *stream = &connection->sides[side];
	const struct flow_key *key = &connection->entry.key;

	return (struct decode_sample){
		.transport = PROXY_TRANSPORT_STREAM,
		.bytes = stream->bytes,
		.length = stream->length,
		.packet = stream->first_packet,
		.from = side == 0 ? key->source : key->destination,
		.to = side == 0 ? key->destination : key->source,
		.total = stream->end,
		.cut = stream->length < stream->wanted && stream->end > stream->length,
		.late = stream->late,
	};
}

/* The side whose bytes a listener would have read; -1: neither has sent any. */
static int choose_side(const struct connection *connection)
{
	const struct decode_stream *sides = connection->sides;
	int first = connection->client;

	/* Who spoke first, where nobody was seen to connect. */
	if (first < 0) {
		first = sides[0].first_packet == 0 ||
					(sides[1].first_packet != 0 &&
					 sides[1].first_packet < sides[0].first_packet)
				? 1
				: 0;
	}
	for (int i = 0; i < 2; i++) {
		int side = i == 0 ? first : 1 - first;
		struct decode_sample sample = sample_of(connection, side);

		if (decode_looks_like_header(&sample))
			return side;
	}
	return sides[first].first_packet != 0 ? first : -1;
}

/* Hands out what there is of the connection, and forgets it. */
static void settle(struct decode_flows *flows, struct connection *connection)
{
	int side = choose_side(connection);

	if (side >= 0) {
		struct decode_sample sample = sample_of(connection, side);

		flows->take(flows->context, &sample);
	} else {
		flows->silent++;
	}
	flow_table_remove(&flows->connections, &connection->entry);
	decode_stream_finish(&connection->sides[0]);
	decode_stream_finish(&connection->sides[1]);
	free(connection);
}

static struct connection *oldest_connection(const struct decode_flows *flows)
{
	struct flow_entry *entry = flow_table_oldest(&flows->connections);

	return entry != NULL ? container_of(entry, struct connection, entry) : NULL;
}

static struct connection *begin_connection(struct decode_flows *flows, const struct flow_key *key,
					   uint64_t hash, uint64_t number)
{
	struct connection *connection;

	if (flows->connections.count == FLOWS_MAX)
		settle(flows, oldest_connection(flows));
	connection = memory_resize(NULL, 1, sizeof(*connection));
	*connection = (struct connection){.client = -1};
	for (int side = 0; side < 2; side++)
		connection->sides[side].wanted = flows->max_header + BYTES_KEPT;
	flow_table_add(&flows->connections, &connection->entry, key, hash, number);
	return connection;
}

/* The ports are used again. */
static bool begins_anew(const struct decode_stream *stream, const struct packet *packet)
{
	return packet->syn && stream->begun && packet->sequence != stream->base;
}

static struct connection *find_connection(struct decode_flows *flows, const struct packet *packet,
					  uint64_t number, int *side)
{
	struct flow_entry *entry;
	struct flow_key key;
	uint64_t hash;

	*side = key_of(packet, &key);
	hash = flow_table_hash(&flows->connections, &key);
	entry = flow_table_find(&flows->connections, &key, hash);
	if (entry != NULL) {
		struct connection *known = container_of(entry, struct connection, entry);

		if (packet->ack || !begins_anew(&known->sides[*side], packet)) {
			flow_table_touch(&flows->connections, entry, number);
			return known;
		}
		settle(flows, known);
	}
	return begin_connection(flows, &key, hash, number);
}

/* Once the header is decided, no more is kept than what will be shown. */
static void limit_stream(struct decode_stream *stream, size_t max_header)
{
	struct decode_sample sample = {.bytes = stream->bytes, .length = stream->length};
	struct proxy_header header;
	enum close_reason reason;

	if (stream->length == 0)
		return;
	switch (proxy_header_parse(stream->bytes, stream->length, max_header,
				   PROXY_TRANSPORT_STREAM, &header, &reason)) {
	case PROXY_PARSE_OK:
		decode_stream_limit(stream, header.length + BYTES_KEPT);
		break;
	case PROXY_PARSE_MORE:
		break;
	case PROXY_PARSE_BAD:
		/* Of one that is refused, its other fields may be worth a look. */
		if (!decode_looks_like_header(&sample))
			decode_stream_limit(stream, BYTES_KEPT);
		break;
	}
}

static void add_segment(struct decode_flows *flows, const struct packet *packet, uint64_t number)
{
	int side;
	struct connection *connection = find_connection(flows, packet, number, &side);
	struct decode_stream *stream = &connection->sides[side];
	size_t before = stream->length;

	if (packet->syn)
		connection->client = packet->ack ? 1 - side : side;
	decode_stream_add(stream, packet, number);
	if (stream->length > before)
		limit_stream(stream, flows->max_header);
}

/* Has either end sent to the other before? Remembers it. */
static bool is_new_flow(struct decode_flows *flows, const struct packet *packet, uint64_t number)
{
	struct flow_table *table = &flows->datagrams;
	struct flow_entry *entry;
	struct flow_key key;
	uint64_t hash;

	key_of(packet, &key);
	hash = flow_table_hash(table, &key);
	entry = flow_table_find(table, &key, hash);
	if (entry != NULL) {
		flow_table_touch(table, entry, number);
		return false;
	}
	if (table->count == FLOWS_MAX) {
		entry = flow_table_oldest(table);
		flow_table_remove(table, entry);
	} else {
		entry = memory_resize(NULL, 1, sizeof(*entry));
	}
	flow_table_add(table, entry, &key, hash, number);
	return true;
}

static void add_datagram(struct decode_flows *flows, const struct packet *packet, uint64_t number)
{
	const struct decode_sample sample = {
		.transport = PROXY_TRANSPORT_DATAGRAM,
		.bytes = packet->payload,
		.length = packet->length,
		.packet = number,
		.from = packet->source,
		.to = packet->destination,
		.total = packet->length + packet->missing,
		.cut = packet->missing > 0,
	};
	bool new_flow = is_new_flow(flows, packet, number);

	if (new_flow || decode_looks_like_header(&sample))
		flows->take(flows->context, &sample);
}

void decode_flows_add(struct decode_flows *flows, enum packet_kind kind,
		      const struct packet *packet, uint64_t number)
{
	if (kind == PACKET_TCP)
		add_segment(flows, packet, number);
	else if (kind == PACKET_UDP)
		add_datagram(flows, packet, number);
}

uint64_t decode_flows_finish(struct decode_flows *flows)
{
	struct connection *connection;
	struct flow_entry *entry;
	uint64_t silent;

	while ((connection = oldest_connection(flows)) != NULL)
		settle(flows, connection);
	while ((entry = flow_table_oldest(&flows->datagrams)) != NULL) {
		flow_table_remove(&flows->datagrams, entry);
		free(entry);
	}
	flow_table_finish(&flows->connections);
	flow_table_finish(&flows->datagrams);
	silent = flows->silent;
	free(flows);
	return silent;
}
