/* SPDX-License-Identifier: MIT */
/* TLVs by name and meaning, as JSON. Pure. */
#ifndef MMPROXY_CTL_DECODE_TLV_H
#define MMPROXY_CTL_DECODE_TLV_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The TLVs at `offset` of the header, `length` bytes of them, as an array. Each has "type", "name",
 * "offset" in the header, "length" and "hex"; "text" where it is one, else "value" where its bytes
 * have a meaning; "tlvs" where there are some inside. What makes no TLV at the end is an element
 * with "offset", "length" and "hex" alone.
 *
 * `header_length`: the whole header's, if all of it is there, and 0 if not; then the checksum has
 * "right", which says whether it is, and "due" where not.
 */
json_t *decode_tlv_list(const uint8_t *header, size_t header_length, size_t offset, size_t length);

#endif
