/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: the walk through TLVs, and finding one by its type. What a walk hands out must be
 * the bytes one after the other without a gap, and what is found must be what a walk passes. The
 * first two bytes say which one is looked for, the rest are TLVs.
 */
#include "fuzz.h"
#include "wire/proxy_tlv.h"

#define HEAD_LENGTH 3

/* One handed out, at its place. */
static void check_place(const uint8_t *bytes, size_t size, size_t before, size_t after,
			const struct proxy_tlv *tlv)
{
	DEMAND(before + HEAD_LENGTH <= size);
	DEMAND(tlv->type == bytes[before]);
	DEMAND(tlv->length == bytes[before + 1] * 256 + bytes[before + 2]);
	DEMAND(tlv->value == bytes + before + HEAD_LENGTH);
	DEMAND(after == before + HEAD_LENGTH + tlv->length);
	DEMAND(after <= size);
}

/* Walks to the end. Returns whether the `index`th of a type was passed, and which it was. */
static bool walk(const uint8_t *bytes, size_t size, unsigned type, unsigned index,
		 struct proxy_tlv *found)
{
	struct proxy_tlv tlv;
	size_t offset = 0, before = 0;
	bool passed = false;

	while (proxy_tlv_next(bytes, size, &offset, &tlv)) {
		check_place(bytes, size, before, offset, &tlv);
		if (tlv.type == type && index-- == 0) {
			*found = tlv;
			passed = true;
		}
		before = offset;
	}
	DEMAND(offset == before);
	/* It ended because nothing is left, or no whole TLV. */
	DEMAND(size - offset < HEAD_LENGTH ||
	       size - offset < HEAD_LENGTH + bytes[offset + 1] * 256u + bytes[offset + 2]);
	return passed;
}

static bool is_inside_ssl(unsigned type)
{
	return type > PROXY_TLV_SSL && type <= 0x2f;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	uint8_t type = fuzz_take(&bytes, &size), index = fuzz_take(&bytes, &size);
	uint8_t *copy = fuzz_copy(bytes, size);
	struct proxy_tlv ssl, due = {0}, found = {0};
	bool is_there;

	if (!is_inside_ssl(type))
		is_there = walk(copy, size, type, index, &due);
	else
		is_there = walk(copy, size, PROXY_TLV_SSL, 0, &ssl) &&
			   ssl.length >= PROXY_TLV_SSL_FIXED_LENGTH &&
			   walk(ssl.value + PROXY_TLV_SSL_FIXED_LENGTH,
				(size_t)ssl.length - PROXY_TLV_SSL_FIXED_LENGTH, type, index, &due);
	DEMAND(proxy_tlv_find(copy, size, type, index, &found) == is_there);
	if (is_there)
		DEMAND(found.type == type && found.length == due.length &&
		       found.value == due.value);
	free(copy);
	return 0;
}
