/* SPDX-License-Identifier: MIT */
/* The table of TLV types, and how each one's value is to be read: specification section 2.2. */
#include "ctl/decode/tlv.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/escape.h"
#include "ctl/memory.h"
#include "wire/proxy_header.h"
#include "wire/proxy_tlv.h"

enum shape {
	SHAPE_BYTES, /* that mean nothing to us */
	SHAPE_TEXT,
	SHAPE_PADDING,
	SHAPE_CHECKSUM,
	SHAPE_SSL,
	SHAPE_AWS,
	SHAPE_AZURE,
	SHAPE_GOOGLE,
};

struct kind {
	uint8_t type;
	enum shape shape;
	const char *name;
};

static const struct kind kinds[] = {
	{PROXY_TLV_ALPN, SHAPE_TEXT, "ALPN"},
	{PROXY_TLV_AUTHORITY, SHAPE_TEXT, "AUTHORITY"},
	{PROXY_TLV_CRC32C, SHAPE_CHECKSUM, "CRC32C"},
	{PROXY_TLV_NOOP, SHAPE_PADDING, "NOOP"},
	{PROXY_TLV_UNIQUE_ID, SHAPE_BYTES, "UNIQUE_ID"},
	{PROXY_TLV_SSL, SHAPE_SSL, "SSL"},
	{PROXY_TLV_NETNS, SHAPE_TEXT, "NETNS"},
	{PROXY_TLV_GOOGLE, SHAPE_GOOGLE, "Google PSC connection id"},
	{PROXY_TLV_AWS, SHAPE_AWS, "AWS"},
	{PROXY_TLV_AZURE, SHAPE_AZURE, "Azure"},
};

/* Inside the SSL TLV. */
static const struct kind ssl_kinds[] = {
	{0x21, SHAPE_TEXT, "SSL version"},          {0x22, SHAPE_TEXT, "SSL common name"},
	{0x23, SHAPE_TEXT, "SSL cipher"},           {0x24, SHAPE_TEXT, "SSL signature algorithm"},
	{0x25, SHAPE_TEXT, "SSL key algorithm"},    {0x26, SHAPE_TEXT, "SSL key exchange group"},
	{0x27, SHAPE_TEXT, "SSL signature scheme"}, {0x28, SHAPE_BYTES, "SSL client certificate"},
};

static const struct kind *find_kind(uint8_t type, bool inside_ssl)
{
	static const struct kind custom = {0, SHAPE_BYTES, "custom"};
	static const struct kind experiment = {0, SHAPE_BYTES, "experiment"};
	static const struct kind future = {0, SHAPE_BYTES, "reserved"};
	static const struct kind unknown = {0, SHAPE_BYTES, "unknown"};
	const struct kind *table = inside_ssl ? ssl_kinds : kinds;
	size_t count = inside_ssl ? sizeof(ssl_kinds) / sizeof(ssl_kinds[0])
				  : sizeof(kinds) / sizeof(kinds[0]);

	for (size_t i = 0; i < count; i++) {
		if (table[i].type == type)
			return &table[i];
	}
	/* Section 2.2.8: for applications, for experiments, for times to come. */
	if (inside_ssl || type < 0xe0)
		return &unknown;
	if (type < 0xf0)
		return &custom;
	return type < 0xf8 ? &experiment : &future;
}

static json_t *hex(const uint8_t *bytes, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	char *text = memory_resize(NULL, length * 2 + 1, 1);
	json_t *string;

	for (size_t i = 0; i < length; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 0xf];
	}
	string = json_stringn(text, length * 2);
	free(text);
	return string;
}

static json_t *escaped(const uint8_t *bytes, size_t length)
{
	size_t room = length * 4 + 5;
	char *text = memory_resize(NULL, room, 1);
	json_t *string;

	escape_bytes(text, room, bytes, length);
	string = json_string(text);
	free(text);
	return string;
}

static bool is_printable(const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] < ' ' || bytes[i] > '~')
			return false;
	}
	return length > 0;
}

static uint32_t read_u32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static json_t *checksum_text(uint32_t checksum)
{
	char text[16];

	snprintf(text, sizeof(text), "0x%08" PRIx32, checksum);
	return json_string(text);
}

static void add_checksum(json_t *object, const struct proxy_tlv *tlv, const uint8_t *header,
			 size_t header_length)
{
	uint32_t due;

	if (tlv->length != PROXY_TLV_CRC32C_LENGTH)
		return;
	json_object_set_new(object, "value", checksum_text(read_u32(tlv->value)));
	if (header_length == 0)
		return;
	due = proxy_v2_crc32c(header, header_length, (size_t)(tlv->value - header));
	json_object_set_new(object, "right", json_boolean(due == read_u32(tlv->value)));
	if (due != read_u32(tlv->value))
		json_object_set_new(object, "due", checksum_text(due));
}

/* The link id, little-endian, behind a byte that says so. */
static void add_azure(json_t *object, const struct proxy_tlv *tlv)
{
	const uint8_t *value = tlv->value;

	if (tlv->length != 5 || value[0] != 1)
		return;
	json_object_set_new(object, "name", json_string("Azure private endpoint link id"));
	json_object_set_new(object, "value",
			    json_integer((json_int_t)((uint32_t)value[4] << 24 | value[3] << 16 |
						      value[2] << 8 | value[1])));
}

static void add_aws(json_t *object, const struct proxy_tlv *tlv)
{
	if (tlv->length < 1 || tlv->value[0] != 1)
		return;
	json_object_set_new(object, "name", json_string("AWS VPC endpoint id"));
	json_object_set_new(object, "text", escaped(tlv->value + 1, tlv->length - 1U));
}

/* As text: a program that reads JSON may know no integer of 64 bits. */
static void add_google(json_t *object, const struct proxy_tlv *tlv)
{
	char text[32];

	if (tlv->length != 8)
		return;
	snprintf(text, sizeof(text), "%" PRIu64,
		 (uint64_t)read_u32(tlv->value) << 32 | read_u32(tlv->value + 4));
	json_object_set_new(object, "value", json_string(text));
}

static json_t *list(const uint8_t *header, size_t header_length, size_t offset, size_t length,
		    bool inside_ssl);

static void add_ssl(json_t *object, const struct proxy_tlv *tlv, const uint8_t *header)
{
	static const char *const names[] = {"ssl", "cert-conn", "cert-sess"};
	json_t *flags = json_array();
	size_t inner = PROXY_TLV_SSL_FIXED_LENGTH;

	if (tlv->length < inner) {
		json_decref(flags);
		return;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((tlv->value[0] >> i & 1) != 0)
			json_array_append_new(flags, json_string(names[i]));
	}
	json_object_set_new(object, "client_flags", json_integer(tlv->value[0]));
	json_object_set_new(object, "flags", flags);
	json_object_set_new(object, "verify", json_integer(read_u32(tlv->value + 1)));
	json_object_set_new(
		object, "tlvs",
		list(header, 0, (size_t)(tlv->value - header) + inner, tlv->length - inner, true));
}

static json_t *describe(const struct proxy_tlv *tlv, const uint8_t *header, size_t header_length,
			bool inside_ssl)
{
	const struct kind *kind = find_kind(tlv->type, inside_ssl);
	json_t *object = json_object();

	json_object_set_new(object, "type", json_integer(tlv->type));
	json_object_set_new(object, "name", json_string(kind->name));
	json_object_set_new(object, "offset", json_integer((json_int_t)(tlv->value - header - 3)));
	json_object_set_new(object, "length", json_integer(tlv->length));
	json_object_set_new(object, "hex", hex(tlv->value, tlv->length));
	switch (kind->shape) {
	case SHAPE_BYTES:
		if (is_printable(tlv->value, tlv->length))
			json_object_set_new(object, "text", escaped(tlv->value, tlv->length));
		break;
	case SHAPE_TEXT:
		json_object_set_new(object, "text", escaped(tlv->value, tlv->length));
		break;
	case SHAPE_PADDING:
		break;
	case SHAPE_CHECKSUM:
		add_checksum(object, tlv, header, header_length);
		break;
	case SHAPE_SSL:
		add_ssl(object, tlv, header);
		break;
	case SHAPE_AWS:
		add_aws(object, tlv);
		break;
	case SHAPE_AZURE:
		add_azure(object, tlv);
		break;
	case SHAPE_GOOGLE:
		add_google(object, tlv);
		break;
	}
	return object;
}

static json_t *list(const uint8_t *header, size_t header_length, size_t offset, size_t length,
		    bool inside_ssl)
{
	const uint8_t *tlvs = header + offset;
	json_t *array = json_array();
	struct proxy_tlv tlv;
	size_t at = 0;

	while (proxy_tlv_next(tlvs, length, &at, &tlv))
		json_array_append_new(array, describe(&tlv, header, header_length, inside_ssl));
	if (at < length) {
		size_t place = offset + at, left = length - at;
		json_t *rest = json_object();

		json_object_set_new(rest, "offset", json_integer((json_int_t)place));
		json_object_set_new(rest, "length", json_integer((json_int_t)left));
		json_object_set_new(rest, "hex", hex(tlvs + at, left));
		json_array_append_new(array, rest);
	}
	return array;
}

json_t *decode_tlv_list(const uint8_t *header, size_t header_length, size_t offset, size_t length)
{
	return list(header, header_length, offset, length, false);
}
