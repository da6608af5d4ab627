/* SPDX-License-Identifier: MIT */
/* What the log says of a session: the list of fields that the formats print. */
#ifndef ACCESSLOG_RECORD_H
#define ACCESSLOG_RECORD_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <mmproxy/plugin.h>

#include "field.h"

/* TLVs that one log may show: more than the specification names. */
#define RECORD_TLVS_MOST 16

/* Besides TLVs. Five of them are texts, and the first is the time. */
#define RECORD_FIELDS_MOST 32

/* A TLV that is to be in the log. */
struct record_tlv {
	uint8_t type;
	char key[24]; /* of its field */
};

struct record {
	struct field fields[RECORD_FIELDS_MOST + RECORD_TLVS_MOST];
	size_t count;
};

/*
 * For the hook `closed`. The record points into what the hook was handed, and is good for as long.
 * A TLV that the session does not have is left out, of one that it has several times the first is
 * shown.
 */
void record_fill(struct record *record, const struct mmproxy_host *host,
		 const struct mmproxy_conn *conn, const struct mmproxy_end *end,
		 const struct timespec *now, const struct record_tlv *tlvs, unsigned tlv_count);

#endif
