/* SPDX-License-Identifier: MIT */
/* What decode_header_describe() says, as lines for people. Pure. */
#ifndef MMPROXY_CTL_DECODE_PRINT_H
#define MMPROXY_CTL_DECODE_PRINT_H

#include <jansson.h>

#include "ctl/lines.h"

/* Appends a block: a label and what it has a line. */
void decode_print_header(const json_t *header, struct lines *lines);

/*
 * Appends what a capture amounts to: how many headers of each verdict, and what was passed over.
 * `result` has "accepted", "incomplete", "refused", "left_out", and the object "skipped".
 */
void decode_print_summary(const json_t *result, struct lines *lines);

#endif
