/* SPDX-License-Identifier: MIT */
/* What is to be decoded: found, recognised, and turned into bytes. */
#ifndef MMPROXY_CTL_DECODE_INPUT_H
#define MMPROXY_CTL_DECODE_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ctl/options.h"

struct decode_input {
	const char *name;           /* of the file, for messages */
	enum options_format format; /* never AUTO once it is open */
	const char *said;           /* what to call it: "hex", "escaped", "raw" or "pcap" */
	uint8_t *bytes;             /* at least one; of a pcap there are none */
	size_t length;
	FILE *pcap; /* for decode_pcap_read() to take over; else NULL */
};

/* Returns 0, or -1: standard error says why. Either way, finish it. */
int decode_input_open(struct decode_input *input, const struct options *options);
void decode_input_finish(struct decode_input *input);

#endif
