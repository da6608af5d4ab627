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
