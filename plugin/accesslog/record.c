/* SPDX-License-Identifier: MIT */
/*
 * From a session's end to its fields. Their names are those of mmproxy's own log; what does not
 * apply to a session is left out.
 */
#include "record.h"

#include <string.h>

static struct field *add(struct record *record, const char *key, enum field_type type)
{
	struct field *field = &record->fields[record->count++];

	*field = (struct field){.key = key, .type = type};
	return field;
}

static void add_text(struct record *record, const char *key, const char *text)
{
	struct field *field;

	if (text == NULL)
		return;
	field = add(record, key, FIELD_BYTES);
	field->bytes = (const uint8_t *)text;
	field->length = strlen(text);
}

static void add_number(struct record *record, const char *key, uint64_t number)
{
	add(record, key, FIELD_NUMBER)->number = number;
}

static void add_address(struct record *record, const char *key,
			const struct mmproxy_address *address)
{
	if (address->family != 0)
		add(record, key, FIELD_ADDRESS)->address = address;
}

static const char *header_name(const struct mmproxy_conn *conn)
{
	if ((conn->flags & MMPROXY_CONN_LOCAL) != 0)
		return "local";
	switch (conn->header) {
	case MMPROXY_HEADER_V1:
		return "v1";
	case MMPROXY_HEADER_V2:
		return "v2";
	case MMPROXY_HEADER_SPP:
		return "spp";
	}
	return NULL; /* a later mmproxy may know of more */
}

static const char *protocol_name(const struct mmproxy_conn *conn)
{
	return conn->protocol == MMPROXY_PROTOCOL_UDP ? "udp" : "tcp";
}

static void add_session(struct record *record, const struct mmproxy_conn *conn,
			const struct mmproxy_end *end)
{
	add_number(record, "id", conn->id);
	add_text(record, "listener", conn->listener);
	add_text(record, "protocol", protocol_name(conn));
	add_text(record, "header", header_name(conn));
	add_address(record, "client", &conn->client);
	add_address(record, "upstream_sees", &end->upstream_sees);
	add_address(record, "balancer", &conn->balancer);
	add_address(record, "destination", &conn->destination);
	add_address(record, "upstream", &conn->upstream);
	add_number(record, "worker", conn->worker);
}

static void add_end(struct record *record, const struct mmproxy_conn *conn,
		    const struct mmproxy_end *end)
{
	add_text(record, "reason", end->reason);
	add_number(record, "code", end->code);
	add_text(record, "error", end->error != 0 ? strerror(-end->error) : NULL);
	add_text(record, "plugin", end->plugin);
	add_text(record, "why", end->why);
	add(record, "connected", FIELD_FLAG)->flag = (end->flags & MMPROXY_END_CONNECTED) != 0;
	if ((end->flags & MMPROXY_END_ADOPTED) != 0)
		add(record, "adopted", FIELD_FLAG)->flag = true;
	if (conn->protocol == MMPROXY_PROTOCOL_UDP) {
		add_number(record, "datagrams_from_client", end->datagrams_from_client);
		add_number(record, "datagrams_from_upstream", end->datagrams_from_upstream);
	}
	add_number(record, "bytes_from_client", end->bytes_from_client);
	add_number(record, "bytes_from_upstream", end->bytes_from_upstream);
	add(record, "duration", FIELD_SECONDS)->milliseconds = end->duration;
}

static void add_tlv(struct record *record, const struct mmproxy_host *host,
		    const struct mmproxy_conn *conn, const struct record_tlv *tlv)
{
	const uint8_t *value;
	int length = host->tlv(conn, tlv->type, 0, &value);
	struct field *field;

	if (length < 0)
		return;
	field = add(record, tlv->key, FIELD_BYTES);
	field->bytes = value;
	field->length = (size_t)length;
}

void record_fill(struct record *record, const struct mmproxy_host *host,
		 const struct mmproxy_conn *conn, const struct mmproxy_end *end,
		 const struct timespec *now, const struct record_tlv *tlvs, unsigned tlv_count)
{
	record->count = 0;
	add(record, "time", FIELD_TIME)->time = *now;
	add_session(record, conn, end);
	add_end(record, conn, end);
	for (unsigned i = 0; i < tlv_count; i++)
		add_tlv(record, host, conn, &tlvs[i]);
}
