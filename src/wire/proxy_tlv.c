/* SPDX-License-Identifier: MIT */
/* The TLV walk: specification section 2.2. */
#include "wire/proxy_tlv.h"

#define TLV_HEAD_LENGTH 3

bool proxy_tlv_next(const uint8_t *tlvs, size_t length, size_t *offset, struct proxy_tlv *tlv)
{
	size_t left = length - *offset, value_length;
	const uint8_t *head;

	/* Also the way out when there are no TLVs at all and `tlvs` is NULL. */
	if (left < TLV_HEAD_LENGTH)
		return false;
	head = tlvs + *offset;
	value_length = (size_t)head[1] << 8 | head[2];
	if (value_length > left - TLV_HEAD_LENGTH)
		return false;
	*tlv = (struct proxy_tlv){
		.type = head[0],
		.length = (uint16_t)value_length,
		.value = head + TLV_HEAD_LENGTH,
	};
	*offset += TLV_HEAD_LENGTH + value_length;
	return true;
}

/* Types that stand inside the SSL TLV. */
#define SSL_FIRST_INNER 0x21
#define SSL_LAST_INNER  0x2f

static bool find_plain(const uint8_t *tlvs, size_t length, unsigned type, unsigned index,
		       struct proxy_tlv *tlv)
{
	size_t offset = 0;

	while (proxy_tlv_next(tlvs, length, &offset, tlv)) {
		if (tlv->type == type && index-- == 0)
			return true;
	}
	return false;
}

bool proxy_tlv_find(const uint8_t *tlvs, size_t length, unsigned type, unsigned index,
		    struct proxy_tlv *tlv)
{
	struct proxy_tlv ssl;

	if (type < SSL_FIRST_INNER || type > SSL_LAST_INNER)
		return find_plain(tlvs, length, type, index, tlv);
	if (!find_plain(tlvs, length, PROXY_TLV_SSL, 0, &ssl) ||
	    ssl.length < PROXY_TLV_SSL_FIXED_LENGTH)
		return false;
	return find_plain(ssl.value + PROXY_TLV_SSL_FIXED_LENGTH,
			  (size_t)ssl.length - PROXY_TLV_SSL_FIXED_LENGTH, type, index, tlv);
}
