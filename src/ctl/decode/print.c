/* SPDX-License-Identifier: MIT */
/* A header for people. */
#include "ctl/decode/print.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ctl/answer.h"

#define LABEL "%-13s"

/* Characters of a TLV's value that a line shows; --json has all of them. */
#define VALUE_SHOWN 256

static bool has(const json_t *object, const char *key)
{
	return json_object_get(object, key) != NULL;
}

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

static void add_field(const json_t *header, const char *key, const char *label, struct lines *lines)
{
	if (has(header, key))
		lines_add(lines, LINE_PLAIN, LABEL "%s", label, answer_text(header, key));
}

static void add_quoted(const json_t *header, const char *key, const char *label,
		       struct lines *lines)
{
	if (has(header, key))
		lines_add(lines, LINE_PLAIN, LABEL "\"%s\"", label, answer_text(header, key));
}

/* "192.0.2.10:3456 to 198.51.100.1:443, tcp, packet 7" */
static void add_origin(const json_t *header, struct lines *lines)
{
	if (!has(header, "packet"))
		return;
	lines_add(lines, LINE_HEADING, "%s to %s, %s, packet %" PRIu64, answer_text(header, "from"),
		  answer_text(header, "to"), answer_text(header, "transport"),
		  answer_count(header, "packet"));
	if (has(header, "late"))
		lines_add(lines, LINE_PLAIN, LABEL "%s", "",
			  "the capture has not seen this connection begin");
}

static void add_version(const json_t *header, struct lines *lines)
{
	const char *version = answer_text(header, "header");
	char command[32] = "", family[32] = "", length[64] = "";

	if (has(header, "command"))
		snprintf(command, sizeof(command), ", command %.8s",
			 answer_text(header, "command"));
	if (has(header, "family"))
		snprintf(family, sizeof(family), ", %.20s", answer_text(header, "family"));
	if (has(header, "header_length"))
		snprintf(length, sizeof(length), ", %" PRIu64 " bytes",
			 answer_count(header, "header_length"));
	if (version[0] == '\0')
		lines_add(lines, LINE_PLAIN, LABEL "%s", "header", "none");
	else if (strcmp(version, "spp") == 0)
		lines_add(lines, LINE_PLAIN, LABEL "Simple Proxy Protocol%s", "header", length);
	else
		lines_add(lines, LINE_PLAIN, LABEL "PROXY %s%s%s%s", "header", version, command,
			  family, length);
}

static void add_client(const json_t *header, struct lines *lines)
{
	if (json_is_true(json_object_get(header, "local")))
		lines_add(lines, LINE_PLAIN, LABEL "%s", "client",
			  "none is named: the connection's own ends hold");
	add_field(header, "client", "client", lines);
	add_field(header, "destination", "destination", lines);
}

static void add_payload(const json_t *header, struct lines *lines)
{
	uint64_t count = answer_count(header, "payload_length");
	const char *payload = answer_text(header, "payload");

	if (!has(header, "payload_length"))
		return;
	if (payload[0] == '\0')
		lines_add(lines, LINE_PLAIN, LABEL "%" PRIu64 " byte%s", "payload", count,
			  plural(count));
	else
		lines_add(lines, LINE_PLAIN, LABEL "%" PRIu64 " byte%s, \"%s\"", "payload", count,
			  plural(count), payload);
}

static bool means_nothing(const json_t *tlv)
{
	return has(tlv, "verify") || strcmp(answer_text(tlv, "name"), "NOOP") == 0;
}

/* Appends "..." where it had to be cut. */
static void write_value(char text[static VALUE_SHOWN + 16], const char *quote, const char *value)
{
	snprintf(text, VALUE_SHOWN + 16, "%s%.*s%s%s", quote, VALUE_SHOWN, value, quote,
		 strlen(value) > VALUE_SHOWN ? "..." : "");
}

static const char *tlv_value(const json_t *tlv, char text[static VALUE_SHOWN + 16])
{
	const json_t *value = json_object_get(tlv, "value");

	text[0] = '\0';
	if (has(tlv, "text"))
		write_value(text, "\"", answer_text(tlv, "text"));
	else if (json_is_string(value))
		write_value(text, "", json_string_value(value));
	else if (json_is_integer(value))
		snprintf(text, VALUE_SHOWN, "%lld", (long long)json_integer_value(value));
	else if (!means_nothing(tlv))
		write_value(text, "", answer_text(tlv, "hex"));
	return text;
}

/* Behind the value: what a program would look at as well. */
static const char *tlv_remark(const json_t *tlv, char *text, size_t size)
{
	const json_t *flag;
	size_t length, i;

	text[0] = '\0';
	if (json_is_true(json_object_get(tlv, "right")))
		snprintf(text, size, ", right");
	else if (json_is_false(json_object_get(tlv, "right")))
		snprintf(text, size, ", wrong: the bytes make %s", answer_text(tlv, "due"));
	if (!has(tlv, "verify"))
		return text;
	snprintf(text, size, "verify %" PRIu64 "%s, client flags 0x%02x",
		 answer_count(tlv, "verify"),
		 answer_count(tlv, "verify") == 0 ? " (good, or no certificate)" : " (failed)",
		 (unsigned)answer_count(tlv, "client_flags"));
	json_array_foreach (answer_array(tlv, "flags"), i, flag) {
		length = strlen(text);
		snprintf(text + length, size - length, "%s%s", i == 0 ? ": " : ", ",
			 json_string_value(flag));
	}
	return text;
}

static void add_tlv(const json_t *tlv, const char *label, struct lines *lines)
{
	uint64_t length = answer_count(tlv, "length");
	char value[VALUE_SHOWN + 16], remark[128];
	bool plain;

	tlv_value(tlv, value);
	tlv_remark(tlv, remark, sizeof(remark));
	plain = value[0] == '\0' && remark[0] == '\0';
	if (has(tlv, "type"))
		lines_add(lines, LINE_PLAIN, LABEL "0x%02x %s, %" PRIu64 " byte%s%s%s%s", label,
			  (unsigned)answer_count(tlv, "type"), answer_text(tlv, "name"), length,
			  plural(length), plain ? "" : ": ", value, remark);
	else
		lines_add(lines, LINE_PLAIN, LABEL "%" PRIu64 " byte%s that make no TLV: %s", label,
			  length, plural(length), value);
}

static void add_tlvs(const json_t *tlvs, const char *label, struct lines *lines)
{
	const json_t *tlv;
	size_t i;

	json_array_foreach (tlvs, i, tlv) {
		add_tlv(tlv, label, lines);
		add_tlvs(answer_array(tlv, "tlvs"), "  in SSL", lines);
	}
}

static void add_refusal(const json_t *header, struct lines *lines)
{
	lines_add(lines, LINE_ALERT, LABEL "refused: %s", "verdict", answer_text(header, "reason"));
	add_field(header, "why", "why", lines);
	if (has(header, "offset"))
		lines_add(lines, LINE_PLAIN, LABEL "byte %" PRIu64 ", 0x%02x (the first is 0)",
			  "where", answer_count(header, "offset"),
			  (unsigned)answer_count(header, "byte"));
	add_field(header, "hint", "hint", lines);
}

static void add_missing(const json_t *header, const char *label, const char *before,
			struct lines *lines)
{
	uint64_t missing = answer_count(header, "missing");

	lines_add(lines, LINE_ALERT, LABEL "%s%s%" PRIu64 " more byte%s", label, before,
		  json_is_true(json_object_get(header, "missing_more")) ? "at least " : "", missing,
		  plural(missing));
}

static void add_verdict(const json_t *header, struct lines *lines)
{
	const char *verdict = answer_text(header, "verdict");

	if (strcmp(verdict, "refused") == 0) {
		add_refusal(header, lines);
		if (has(header, "missing"))
			add_missing(header, "missing", "", lines);
	} else if (strcmp(verdict, "incomplete") == 0) {
		add_missing(header, "verdict", "incomplete: ", lines);
		if (has(header, "cut"))
			lines_add(lines, LINE_PLAIN, LABEL "%s", "",
				  "they were sent; the capture does not have them");
	} else if (has(header, "framing")) {
		lines_add(lines, LINE_PLAIN, LABEL "accepted, with framing %s", "verdict",
			  answer_text(header, "framing"));
	} else {
		lines_add(lines, LINE_PLAIN, LABEL "accepted", "verdict");
	}
}

void decode_print_header(const json_t *header, struct lines *lines)
{
	add_origin(header, lines);
	add_version(header, lines);
	add_quoted(header, "line", "line", lines);
	add_quoted(header, "first_bytes", "first bytes", lines);
	add_client(header, lines);
	add_payload(header, lines);
	add_tlvs(answer_array(header, "tlvs"), "TLV", lines);
	add_verdict(header, lines);
}

void decode_print_summary(const json_t *result, struct lines *lines)
{
	static const struct {
		const char *key, *what;
	} skipped[] = {
		{"fragments", "IP fragments"},
		{"other", "neither TCP nor UDP"},
		{"broken", "cut off or broken before their payload"},
	};
	const json_t *counts = json_object_get(result, "skipped");
	uint64_t silent = answer_count(result, "silent"),
		 left_out = answer_count(result, "left_out");

	lines_add(lines, LINE_PLAIN,
		  "%" PRIu64 " packets: %" PRIu64 " accepted, %" PRIu64 " incomplete, %" PRIu64
		  " refused",
		  answer_count(result, "packets"), answer_count(result, "accepted"),
		  answer_count(result, "incomplete"), answer_count(result, "refused"));
	for (size_t i = 0; i < sizeof(skipped) / sizeof(skipped[0]); i++) {
		uint64_t count = answer_count(counts, skipped[i].key);

		if (count > 0)
			lines_add(lines, LINE_PLAIN, "%" PRIu64 " packet%s skipped: %s", count,
				  plural(count), skipped[i].what);
	}
	if (silent > 0)
		lines_add(lines, LINE_PLAIN,
			  "%" PRIu64 " connection%s on which the client's side has said nothing",
			  silent, plural(silent));
	if (left_out > 0)
		lines_add(lines, LINE_PLAIN,
			  "%" PRIu64 " more %s judged and not shown; --limit N shows more",
			  left_out, left_out == 1 ? "was" : "were");
}
