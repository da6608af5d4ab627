/* SPDX-License-Identifier: MIT */
/*
 * The table of headers, put together on the first call from what its files hold and from headers
 * near 64 KiB, which are too long for a literal.
 */
#include "proxy_vectors.h"

#include <assert.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "proxy_vector_words.h"

/*
 * The largest headers there can be: 16 + 65535 bytes, which is as far as the 16-bit length goes,
 * and the largest that the default takes.
 */
#define LARGEST        PROXY_V2_MAX_LENGTH
#define LARGEST_LENGTH "\xff\xff"
#define TLVS_AT        28 /* fixed part and IPv4 block */
#define LARGE_PAYLOAD  "payload"
#define LARGE_COUNT    7

static uint8_t large_bytes[LARGE_COUNT][LARGEST + sizeof(LARGE_PAYLOAD) - 1];
static struct proxy_vector *table; /* never freed */
static size_t table_count, small_count;

static uint8_t *large_add(const struct proxy_vector *expected, const char *fixed, size_t length)
{
	const size_t number = table_count - small_count;
	uint8_t *bytes = large_bytes[number];
	struct proxy_vector *vector = &table[table_count];

	assert(number < LARGE_COUNT);
	*vector = *expected;
	memcpy(bytes, fixed, TLVS_AT);
	memcpy(bytes + length, LARGE_PAYLOAD, sizeof(LARGE_PAYLOAD) - 1);
	vector->bytes = bytes;
	vector->length = length + sizeof(LARGE_PAYLOAD) - 1;
	vector->settled_at = length;
	table_count++;
	return bytes;
}

static void fill(uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)(i * 7 + 1);
}

static uint8_t *put_tlv(uint8_t *at, uint8_t type, size_t length)
{
	at[0] = type;
	at[1] = (uint8_t)(length >> 8);
	at[2] = (uint8_t)length;
	fill(at + 3, length);
	return at + 3 + length;
}

static void build_large(void)
{
	uint8_t *at;

	at = large_add(&(struct proxy_vector){.name = "one TLV that fills the largest header",
					      ON_TCP_UP_TO(LARGEST),
					      CLIENT(2, CLIENT4, SERVER4)},
		       V2_TCP4(LARGEST_LENGTH), LARGEST);
	put_tlv(at + TLVS_AT, 0xe1, LARGEST - TLVS_AT - 3);

	at = large_add(&(struct proxy_vector){.name = "the largest header with a CRC32C",
					      ON_TCP_UP_TO(LARGEST),
					      CLIENT(2, CLIENT4, SERVER4)},
		       V2_TCP4(LARGEST_LENGTH), LARGEST);
	memcpy(at + TLVS_AT, "\x03\x00\x04\x67\xaf\x44\x7d", 7);
	put_tlv(at + TLVS_AT + 7, 0x04, LARGEST - TLVS_AT - 7 - 3);

	at = large_add(&(struct proxy_vector){.name = "the largest header with a wrong CRC32C",
					      ON_TCP_UP_TO(LARGEST),
					      REFUSED(V2_CRC32C)},
		       V2_TCP4(LARGEST_LENGTH), LARGEST);
	memcpy(at + TLVS_AT, "\x03\x00\x04\x67\xaf\x44\x7d", 7);
	put_tlv(at + TLVS_AT + 7, 0x04, LARGEST - TLVS_AT - 7 - 3);
	at[LARGEST - 1] ^= 0x80;

	at = large_add(&(struct proxy_vector){.name = "21841 empty TLVs",
					      ON_TCP_UP_TO(LARGEST),
					      CLIENT(2, CLIENT4, SERVER4)},
		       V2_TCP4(LARGEST_LENGTH), LARGEST);
	for (uint8_t *tlv = at + TLVS_AT; tlv < at + LARGEST;)
		tlv = put_tlv(tlv, 0x04, 0);

	at = large_add(&(struct proxy_vector){.name = "the largest header, its TLV one byte over",
					      ON_TCP_UP_TO(LARGEST),
					      REFUSED(V2_TLV)},
		       V2_TCP4(LARGEST_LENGTH), LARGEST);
	put_tlv(at + TLVS_AT, 0xe1, LARGEST - TLVS_AT - 3);
	at[TLVS_AT + 2]++; /* the low byte: 65520 becomes 65521 */

	at = large_add(&(struct proxy_vector){.name = "the largest LOCAL",
					      ON_TCP_UP_TO(LARGEST),
					      LOCAL(2)},
		       V2("\x20", "\x00", LARGEST_LENGTH) ZEROS_8 "\x00\x00\x00\x00", LARGEST);
	fill(at + TLVS_AT, LARGEST - TLVS_AT);

	at = large_add(&(struct proxy_vector){.name = "4096 bytes, the longest the default takes",
					      ON_TCP,
					      CLIENT(2, CLIENT4, SERVER4)},
		       V2_TCP4("\x0f\xf0"), DEFAULT_MAX);
	put_tlv(at + TLVS_AT, 0xe1, DEFAULT_MAX - TLVS_AT - 3);
}

static void build(void)
{
	static const struct proxy_vector_part *const parts[] = {
		&proxy_vectors_start, &proxy_vectors_v1,     &proxy_vectors_v1_fields,
		&proxy_vectors_v2,    &proxy_vectors_v2_tlv, &proxy_vectors_v2_udp,
	};
	const size_t part_count = sizeof(parts) / sizeof(parts[0]);

	for (size_t i = 0; i < part_count; i++)
		small_count += parts[i]->count;
	table = calloc(small_count + LARGE_COUNT, sizeof(*table));
	if (table == NULL)
		err(EXIT_FAILURE, "no memory");
	for (size_t i = 0; i < part_count; i++) {
		memcpy(table + table_count, parts[i]->vectors, parts[i]->count * sizeof(*table));
		table_count += parts[i]->count;
	}
	build_large();
}

const struct proxy_vector *proxy_vectors(size_t *count)
{
	if (table == NULL)
		build();
	*count = table_count;
	return table;
}
