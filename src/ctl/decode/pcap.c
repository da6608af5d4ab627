/* SPDX-License-Identifier: MIT */
/* libpcap takes the file apart, wire/packet.c the packets. */
#include "ctl/decode/pcap.h"

#include <pcap/pcap.h>
#include <stdbool.h>

#include "ctl/decode/decode.h"

bool decode_reads_captures(void)
{
	return true;
}

static bool find_link(int type, enum packet_link *link)
{
	switch (type) {
	case DLT_EN10MB:
		*link = PACKET_LINK_ETHERNET;
		return true;
	case DLT_RAW:
	case DLT_IPV4:
	case DLT_IPV6:
		*link = PACKET_LINK_IP;
		return true;
	case DLT_NULL:
	case DLT_LOOP:
		*link = PACKET_LINK_LOOPBACK;
		return true;
	case DLT_LINUX_SLL:
		*link = PACKET_LINK_COOKED;
		return true;
	case DLT_LINUX_SLL2:
		*link = PACKET_LINK_COOKED_2;
		return true;
	default:
		return false;
	}
}

static void take_packet(struct decode_flows *flows, struct decode_capture *capture,
			enum packet_link link, const struct pcap_pkthdr *head, const u_char *bytes)
{
	struct packet packet;
	enum packet_kind kind = packet_read(link, bytes, head->caplen, head->len, &packet);

	switch (kind) {
	case PACKET_TCP:
	case PACKET_UDP:
		decode_flows_add(flows, kind, &packet, capture->packets);
		break;
	case PACKET_FRAGMENT:
		capture->fragments++;
		break;
	case PACKET_OTHER:
		capture->other++;
		break;
	case PACKET_BROKEN:
		capture->broken++;
		break;
	}
}

static int read_packets(pcap_t *pcap, struct decode_flows *flows, struct decode_capture *capture,
			char *wrong)
{
	const char *name = pcap_datalink_val_to_name(pcap_datalink(pcap));
	struct pcap_pkthdr *head;
	enum packet_link link;
	const u_char *bytes;
	int got;

	if (!find_link(pcap_datalink(pcap), &link)) {
		snprintf(wrong, DECODE_PCAP_WRONG_SIZE,
			 "its packets are of link type %d%s%s; Ethernet, raw IP, Linux cooked and "
			 "loopback are read",
			 pcap_datalink(pcap), name != NULL ? ", " : "", name != NULL ? name : "");
		return -1;
	}
	while ((got = pcap_next_ex(pcap, &head, &bytes)) == 1) {
		capture->packets++;
		take_packet(flows, capture, link, head, bytes);
	}
	if (got == PCAP_ERROR_BREAK)
		return 0;
	snprintf(wrong, DECODE_PCAP_WRONG_SIZE, "cannot be read behind packet %llu: %s",
		 (unsigned long long)capture->packets, pcap_geterr(pcap));
	return -1;
}

int decode_pcap_read(FILE *file, struct decode_flows *flows, struct decode_capture *capture,
		     char wrong[static DECODE_PCAP_WRONG_SIZE])
{
	char error[PCAP_ERRBUF_SIZE] = "";
	pcap_t *pcap = pcap_fopen_offline(file, error);
	int status;

	if (pcap == NULL) {
		snprintf(wrong, DECODE_PCAP_WRONG_SIZE, "no capture that libpcap can read: %s",
			 error);
		if (file != stdin)
			fclose(file);
		return -1;
	}
	status = read_packets(pcap, flows, capture, wrong);
	/* Closes the file too, with the same exception as ours. */
	pcap_close(pcap);
	return status;
}
