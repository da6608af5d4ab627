/* SPDX-License-Identifier: MIT */
/* In place of pcap.c where libpcap is not. */
#include "ctl/decode/decode.h"
#include "ctl/decode/pcap.h"

bool decode_reads_captures(void)
{
	return false;
}

int decode_pcap_read(FILE *file, struct decode_flows *flows, struct decode_capture *capture,
		     char wrong[static DECODE_PCAP_WRONG_SIZE])
{
	if (file != stdin)
		fclose(file);
	(void)flows;
	(void)capture;
	snprintf(wrong, DECODE_PCAP_WRONG_SIZE,
		 "a capture; this mmproxyctl was built without libpcap and cannot read it");
	return -1;
}
