/* SPDX-License-Identifier: MIT */
/* Captures, pcap and pcapng, by libpcap. */
#ifndef MMPROXY_CTL_DECODE_PCAP_H
#define MMPROXY_CTL_DECODE_PCAP_H

#include <stdint.h>
#include <stdio.h>

#include "ctl/decode/flows.h"

struct decode_capture {
	uint64_t packets;
	uint64_t fragments; /* of them, those of which nothing was taken, and why */
	uint64_t other;
	uint64_t broken;
};

/* Room for one line. */
#define DECODE_PCAP_WRONG_SIZE 512

/*
 * Reads a capture to its end into `flows`. Returns 0, or -1 with `wrong` where it is none, or none
 * to the end: what came before is in `flows`. Closes the file, unless it is standard input.
 */
int decode_pcap_read(FILE *file, struct decode_flows *flows, struct decode_capture *capture,
		     char wrong[static DECODE_PCAP_WRONG_SIZE]);

#endif
