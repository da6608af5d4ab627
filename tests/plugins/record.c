/* SPDX-License-Identifier: MIT */
#include "record.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Of each TLV. */
#define BYTES_SHOWN 64

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int record_open(struct record *record, const struct mmproxy_host *host,
		const struct mmproxy_config *config)
{
	const char *label = "";
	const char *file;
	int found;

	*record = (struct record){.fd = -1, .instance = now_ns()};
	if (host->config_text(config, "label", &label) < 0)
		return -EINVAL;
	snprintf(record->label, sizeof(record->label), "%s", label);
	found = host->config_path(config, "file", 0, &file);
	if (found <= 0)
		return found;
	record->fd = open(file, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (record->fd >= 0)
		return 0;
	host->config_mistake(config, "file", strerror(errno));
	return -EINVAL;
}

void record_close(struct record *record)
{
	if (record->fd >= 0)
		close(record->fd);
	record->fd = -1;
}

void record_begin(struct record_line *line, const struct record *record, const char *hook)
{
	line->fd = record->fd;
	line->length = 0;
	record_add(line, "%s label=%s instance=%" PRIu64 " thread=%ld", hook, record->label,
		   record->instance, syscall(SYS_gettid));
}

void record_add(struct record_line *line, const char *format, ...)
{
	size_t room = sizeof(line->text) - 1 - line->length; /* one byte for the line's end */
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line->text + line->length, room, format, arguments);
	va_end(arguments);
	if (length > 0)
		line->length += (size_t)length < room ? (size_t)length : room - 1;
}

void record_add_text(struct record_line *line, const char *key, const char *text)
{
	if (text == NULL) {
		record_add(line, " %s=-", key);
		return;
	}
	record_add(line, " %s=\"", key);
	for (const unsigned char *byte = (const unsigned char *)text; *byte != '\0'; byte++) {
		if (*byte < ' ' || *byte > '~' || *byte == '"' || *byte == '\\')
			record_add(line, "\\x%02x", *byte);
		else
			record_add(line, "%c", *byte);
	}
	record_add(line, "\"");
}

/* A family that is none of the known, or bytes of IPv4 that are not 0, must not go unseen. */
void record_add_address(struct record_line *line, const char *key,
			const struct mmproxy_address *address)
{
	static const uint8_t zero[16];
	char text[INET6_ADDRSTRLEN];
	bool four = address->family == AF_INET;

	if (address->family == 0) {
		record_add(line, " %s=-", key);
		return;
	}
	if (inet_ntop(address->family, address->ip, text, sizeof(text)) == NULL) {
		record_add(line, " %s=family:%u", key, address->family);
		return;
	}
	record_add(line, four ? " %s=%s:%u" : " %s=[%s]:%u", key, text, address->port);
	if (four && memcmp(address->ip + 4, zero, 12) != 0)
		record_add(line, " %s_rest=1", key);
}

void record_add_conn(struct record_line *line, const struct mmproxy_conn *conn)
{
	record_add(line, " size=%" PRIu32 " flags=%" PRIu32 " session=%" PRIu64, conn->size,
		   conn->flags, conn->id);
	record_add(line, " started=%" PRIu64 " now=%" PRIu64 " read_clock=%" PRIu64, conn->started,
		   conn->now, now_ns() / 1000000);
	record_add(line, " protocol=%u header=%u worker=%" PRIu32, conn->protocol, conn->header,
		   conn->worker);
	record_add_text(line, "listener", conn->listener);
	record_add_address(line, "client", &conn->client);
	record_add_address(line, "destination", &conn->destination);
	record_add_address(line, "balancer", &conn->balancer);
	record_add_address(line, "upstream", &conn->upstream);
}

static void add_bytes(struct record_line *line, unsigned type, const uint8_t *bytes, int length)
{
	record_add(line, "%02x/%d:", type, length);
	for (int i = 0; i < length && i < BYTES_SHOWN; i++)
		record_add(line, "%02x", bytes[i]);
	record_add(line, ",");
}

/* How many of the first `end` TLVs have this type. */
static unsigned count_type(const struct mmproxy_host *host, const struct mmproxy_conn *conn,
			   unsigned type, unsigned end)
{
	unsigned count = 0;

	for (unsigned position = 0; position < end; position++) {
		unsigned other = 0;
		const uint8_t *value;

		if (host->tlv_at(conn, position, &other, &value) >= 0 && other == type)
			count++;
	}
	return count;
}

void record_add_tlvs(struct record_line *line, const struct mmproxy_host *host,
		     const struct mmproxy_conn *conn)
{
	unsigned position = 0;
	unsigned differ = 0;
	unsigned type;
	const uint8_t *value;
	int length;

	record_add(line, " tlvs=");
	while ((length = host->tlv_at(conn, position, &type, &value)) >= 0) {
		const uint8_t *asked = NULL;

		add_bytes(line, type, value, length);
		if (host->tlv(conn, type, count_type(host, conn, type, position), &asked) !=
			    length ||
		    asked != value)
			differ++;
		position++;
	}
	record_add(line, " tlv_end=%d tlv_differ=%u ssl=", length, differ);
	for (type = 0x21; type <= 0x2f; type++) {
		for (unsigned i = 0; (length = host->tlv(conn, type, i, &value)) >= 0; i++)
			add_bytes(line, type, value, length);
	}
	record_add(line, " ssl_end=%d", length);
}

void record_add_end(struct record_line *line, const struct mmproxy_end *end)
{
	record_add(line, " end_size=%" PRIu32 " end_flags=%" PRIu32 " code=%" PRIu32 " error=%d",
		   end->size, end->flags, end->code, end->error);
	record_add_text(line, "reason", end->reason);
	record_add_text(line, "plugin", end->plugin);
	record_add_text(line, "why", end->why);
	record_add(line, " duration=%" PRIu64 " bytes_from_client=%" PRIu64, end->duration,
		   end->bytes_from_client);
	record_add(line, " bytes_from_upstream=%" PRIu64 " datagrams_from_client=%" PRIu64,
		   end->bytes_from_upstream, end->datagrams_from_client);
	record_add(line, " datagrams_from_upstream=%" PRIu64, end->datagrams_from_upstream);
	record_add_address(line, "upstream_sees", &end->upstream_sees);
}

void record_finish(struct record_line *line)
{
	if (line->fd < 0)
		return;
	line->text[line->length++] = '\n';
	/* One call a line: lines of several threads do not mix. A test misses what is not written.
	 */
	if (write(line->fd, line->text, line->length) < 0)
		line->fd = -1;
}
