/* SPDX-License-Identifier: MIT */
/*
 * From packets to what a listener would have read: of each TCP connection the first bytes, put back
 * into their order; of UDP, the datagrams that begin a flow or carry a header.
 *
 * Which of a connection's two ends is the listener is not written in the packets. The side that
 * began with something like a header is taken for the sender; else the one that connected.
 */
#ifndef MMPROXY_CTL_DECODE_FLOWS_H
#define MMPROXY_CTL_DECODE_FLOWS_H

#include "ctl/decode/verdict.h"
#include "wire/packet.h"

struct decode_flows;

/* Called with each sample; its bytes are gone when it returns. Those of TCP come late. */
typedef void decode_flows_taker(void *context, const struct decode_sample *sample);

/* `max_header`: bytes of a connection that a header may have. NULL when out of memory. */
struct decode_flows *decode_flows_create(size_t max_header, decode_flows_taker *take,
					 void *context);

/* `packet` is TCP's or UDP's, the `number`th of the capture, from 1. */
void decode_flows_add(struct decode_flows *flows, enum packet_kind kind,
		      const struct packet *packet, uint64_t number);

/*
 * Hands out what connections there still are, and frees all. Returns how many connections there
 * were whose sender had not said anything.
 */
uint64_t decode_flows_finish(struct decode_flows *flows);

#endif
