/* SPDX-License-Identifier: MIT */
/* All that there is to say about a sample, as JSON: what doc and manual call a "header". Pure. */
#ifndef MMPROXY_CTL_DECODE_HEADER_H
#define MMPROXY_CTL_DECODE_HEADER_H

#include <jansson.h>
#include <stddef.h>

#include "ctl/decode/verdict.h"

/*
 * mmproxyctl(8) has the fields. Of a header longer than `max_header` the TLVs are left out: there
 * may be 20,000.
 */
json_t *decode_header_describe(const struct decode_sample *sample,
			       const struct decode_verdict *verdict, size_t max_header);

#endif
