/* SPDX-License-Identifier: MIT */
/* What a header says, field by field, and what is said of it. */
#include "ctl/decode/header.h"

#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "ctl/decode/tlv.h"
#include "wire/proxy_fields.h"
#include "wire/refusal_hint.h"
#include "wire/spp.h"

/* Bytes of the payload, or of what is no header, that are shown. */
#define BYTES_SHOWN 48

static void set_text(json_t *object, const char *key, const char *text)
{
	json_object_set_new(object, key, json_string(text));
}

static void set_count(json_t *object, const char *key, uint64_t count)
{
	json_object_set_new(object, key, json_integer((json_int_t)count));
}

static void set_address(json_t *object, const char *key, const struct address *address)
{
	char text[ADDRESS_TEXT_SIZE];

	if (address->family != ADDRESS_NONE)
		set_text(object, key, address_format(address, text));
}

/* At most `most` bytes of it. */
static void set_bytes(json_t *object, const char *key, const uint8_t *bytes, size_t length,
		      size_t most)
{
	char text[PROXY_V1_MAX_LENGTH * 4 + 5];

	escape_bytes(text, sizeof(text), bytes, length < most ? length : most);
	set_text(object, key, text);
}

/* Where it comes from, in a capture. */
static void describe_origin(json_t *object, const struct decode_sample *sample)
{
	if (sample->packet == 0)
		return;
	set_count(object, "packet", sample->packet);
	set_address(object, "from", &sample->from);
	set_address(object, "to", &sample->to);
	if (sample->late)
		json_object_set_new(object, "late", json_true());
	if (sample->cut)
		json_object_set_new(object, "cut", json_true());
}

/* The line as it was written: what it says of the client is looked up in the verdict. */
static void describe_v1(json_t *object, const struct decode_sample *sample)
{
	const uint8_t *end = memchr(sample->bytes, '\r', sample->length);
	size_t length = end != NULL ? (size_t)(end - sample->bytes) : sample->length;

	set_text(object, "header", "v1");
	set_bytes(object, "line", sample->bytes, length, PROXY_V1_MAX_LENGTH);
}

/* A byte's name, or where it has none the byte. Less than 0: it is not there. */
static void set_byte(json_t *object, const char *key, int byte, const char *name)
{
	char text[8];

	snprintf(text, sizeof(text), "0x%02x", (unsigned)byte & 0xff);
	if (byte >= 0)
		set_text(object, key, name != NULL ? name : text);
}

static const char *command_name(int command)
{
	switch (command) {
	case 0x20:
		return "LOCAL";
	case 0x21:
		return "PROXY";
	default:
		return NULL;
	}
}

static void describe_v2(json_t *object, const struct decode_sample *sample, size_t max_header)
{
	struct proxy_fields fields;

	proxy_fields_read(sample->bytes, sample->length, &fields);
	set_text(object, "header", "v2");
	set_byte(object, "command", fields.command, command_name(fields.command));
	set_byte(object, "family", fields.family, proxy_fields_family_name(fields.family));
	set_address(object, "client", &fields.source);
	set_address(object, "destination", &fields.destination);
	if (fields.length > 0)
		set_count(object, "header_length", fields.length);
	if (fields.tlvs_length > 0 && fields.length <= max_header)
		json_object_set_new(
			object, "tlvs",
			decode_tlv_list(sample->bytes,
					sample->length >= fields.length ? fields.length : 0,
					fields.tlvs_at, fields.tlvs_length));
}

/* What only a header that was read has. */
static void describe_sound(json_t *object, const struct decode_sample *sample,
			   const struct proxy_header *header)
{
	set_address(object, "client", &header->source);
	set_address(object, "destination", &header->destination);
	json_object_set_new(object, "local", json_boolean(header->local));
	set_count(object, "header_length", header->length);
	set_count(object, "payload_length", sample->total - header->length);
	set_bytes(object, "payload", sample->bytes + header->length,
		  sample->length - header->length, BYTES_SHOWN);
}

static void describe_refusal(json_t *object, const struct decode_sample *sample,
			     const struct decode_verdict *verdict)
{
	const char *sentence = close_reason_sentence(verdict->reason);
	const char *hint = refusal_hint(verdict->reason, sample->bytes, sample->length);

	set_text(object, "reason", close_reason_name(verdict->reason));
	set_text(object, "why", sentence);
	if (verdict->offset != DECODE_NOWHERE && verdict->offset < sample->length) {
		set_count(object, "offset", verdict->offset);
		set_count(object, "byte", sample->bytes[verdict->offset]);
	}
	if (strcmp(hint, sentence) != 0)
		set_text(object, "hint", hint);
	else if (verdict->reason == CLOSE_TRANSPORT_MISMATCH)
		set_text(object, "hint",
			 sample->transport == PROXY_TRANSPORT_STREAM
				 ? "it was judged as one that came by TCP; --udp judges what came "
				   "in a datagram"
				 : "it was judged as one that came in a datagram");
}

static void describe_verdict(json_t *object, const struct decode_sample *sample,
			     const struct decode_verdict *verdict)
{
	static const char *const names[] = {"accepted", "incomplete", "refused"};

	set_text(object, "verdict", names[verdict->outcome]);
	if (verdict->outcome == DECODE_REFUSED)
		describe_refusal(object, sample, verdict);
	if (verdict->missing > 0) {
		set_count(object, "missing", verdict->missing);
		json_object_set_new(object, "missing_more", json_boolean(verdict->missing_more));
	}
}

json_t *decode_header_describe(const struct decode_sample *sample,
			       const struct decode_verdict *verdict, size_t max_header)
{
	bool datagram = sample->transport == PROXY_TRANSPORT_DATAGRAM;
	bool is_v1 = sample->length > 0 && sample->bytes[0] == 'P';
	json_t *object = json_object();

	describe_origin(object, sample);
	set_text(object, "transport", datagram ? "udp" : "tcp");
	set_count(object, "length", sample->total);
	if (!decode_looks_like_header(sample))
		set_bytes(object, "first_bytes", sample->bytes, sample->length, BYTES_SHOWN);
	else if (decode_is_spp(sample))
		set_text(object, "header", "spp");
	else if (is_v1)
		describe_v1(object, sample);
	else
		describe_v2(object, sample, max_header);
	if (datagram && verdict->header.version != 0)
		set_text(object, "framing", decode_is_spp(sample) ? "spp" : "every or first");
	if (verdict->header.length > 0 && verdict->outcome != DECODE_INCOMPLETE)
		describe_sound(object, sample, &verdict->header);
	describe_verdict(object, sample, verdict);
	return object;
}
