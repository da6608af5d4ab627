/* SPDX-License-Identifier: MIT */
/*
 * PROXY v1, the text line: specification section 2.1.
 *
 * The line's end is looked for first and its content judged once it is whole, so that the verdict
 * never depends on how the bytes were cut into segments.
 */
#include <string.h>

#include "wire/proxy_version.h"

#define V1_START        "PROXY "
#define V1_START_LENGTH (sizeof(V1_START) - 1)

/* "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255" */
#define V1_ADDRESS_MAX_LENGTH 45

/* The part of the line that is still unread. */
struct line {
	const char *next;
	const char *end;
};

struct field {
	const char *start;
	size_t length;
};

/* Takes the text up to the next space or the end of the line. False when that is empty. */
static bool line_take_field(struct line *line, struct field *field)
{
	field->start = line->next;
	while (line->next < line->end && *line->next != ' ')
		line->next++;
	field->length = (size_t)(line->next - field->start);
	return field->length > 0;
}

/* One space: a second one would be an empty field. */
static bool line_take_space(struct line *line)
{
	if (line->next == line->end)
		return false;
	line->next++;
	return true;
}

static bool field_equals(const struct field *field, const char *text)
{
	return field->length == strlen(text) && memcmp(field->start, text, field->length) == 0;
}

/* `colons`: the protocol is TCP6, whose addresses have colons where TCP4's have none. */
static bool field_to_address(const struct field *field, bool colons, struct address *address)
{
	char text[V1_ADDRESS_MAX_LENGTH + 1];

	if (field->length > V1_ADDRESS_MAX_LENGTH)
		return false;
	memcpy(text, field->start, field->length);
	text[field->length] = '\0';
	/* A NUL inside the field would end the text early. */
	if (strlen(text) != field->length || (strchr(text, ':') != NULL) != colons)
		return false;
	return address_parse_ip(text, address) == 0;
}

static bool field_to_port(const struct field *field, uint16_t *port)
{
	unsigned value = 0;

	if (field->length > 5 || (field->length > 1 && field->start[0] == '0'))
		return false;
	for (size_t i = 0; i < field->length; i++) {
		if (field->start[i] < '0' || field->start[i] > '9')
			return false;
		value = value * 10 + (unsigned)(field->start[i] - '0');
	}
	*port = (uint16_t)value;
	return value <= UINT16_MAX;
}

/* `line` holds what follows "PROXY ", without the line end. */
static enum proxy_parse parse_line(struct line line, struct proxy_header *header,
				   enum close_reason *reason)
{
	struct field protocol, source, destination, source_port, destination_port;
	bool ipv6;

	line_take_field(&line, &protocol);
	if (field_equals(&protocol, "UNKNOWN")) {
		/* Section 2.1: whatever follows on the line is to be ignored. */
		header->local = true;
		return PROXY_PARSE_OK;
	}
	ipv6 = field_equals(&protocol, "TCP6");
	if (!ipv6 && !field_equals(&protocol, "TCP4"))
		return proxy_bad(reason, CLOSE_V1_PROTOCOL);
	if (!line_take_space(&line) || !line_take_field(&line, &source) ||
	    !line_take_space(&line) || !line_take_field(&line, &destination) ||
	    !line_take_space(&line) || !line_take_field(&line, &source_port) ||
	    !line_take_space(&line) || !line_take_field(&line, &destination_port) ||
	    line.next != line.end)
		return proxy_bad(reason, CLOSE_V1_FIELDS);
	if (!field_to_address(&source, ipv6, &header->source) ||
	    !field_to_address(&destination, ipv6, &header->destination))
		return proxy_bad(reason, CLOSE_V1_ADDRESS);
	if (!field_to_port(&source_port, &header->source.port) ||
	    !field_to_port(&destination_port, &header->destination.port))
		return proxy_bad(reason, CLOSE_V1_PORT);
	return PROXY_PARSE_OK;
}

enum proxy_parse proxy_v1_parse(const uint8_t *bytes, size_t length, enum proxy_transport transport,
				struct proxy_header *header, enum close_reason *reason)
{
	const char *text = (const char *)bytes;
	size_t start = length < V1_START_LENGTH ? length : V1_START_LENGTH;
	size_t limit = length < PROXY_V1_MAX_LENGTH ? length : PROXY_V1_MAX_LENGTH;
	size_t end = start;
	enum proxy_parse verdict;

	if (memcmp(text, V1_START, start) != 0)
		return proxy_bad(reason, CLOSE_HEADER_MISSING);

	while (end < limit && text[end] != '\r' && text[end] != '\n')
		end++;
	/* First of all, or the verdict would depend on whether byte 107 has come yet. */
	if (end >= PROXY_V1_MAX_LENGTH - 1)
		return proxy_bad(reason, CLOSE_V1_TOO_LONG);
	if (end < limit && text[end] == '\n')
		return proxy_bad(reason, CLOSE_V1_LINE_END);
	if (end + 1 >= length)
		return PROXY_PARSE_MORE;
	if (text[end + 1] != '\n')
		return proxy_bad(reason, CLOSE_V1_LINE_END);

	header->version = PROXY_VERSION_1;
	header->length = end + 2;
	verdict = parse_line((struct line){text + V1_START_LENGTH, text + end}, header, reason);
	if (verdict == PROXY_PARSE_OK && transport != PROXY_TRANSPORT_STREAM)
		return proxy_bad(reason, CLOSE_TRANSPORT_MISMATCH);
	return verdict;
}
