/* SPDX-License-Identifier: MIT */
/*
 * The upstream of the TCP bench, one thread with three ports:
 *
 *   echo    sends back what comes, and passes on the end of the stream
 *   sink    compares what comes, and at its end answers with how many bytes were right: 8 bytes,
 *           in the order of the network
 *   source  sends as long as somebody reads
 */
#ifndef MMPROXY_BENCH_TCP_SERVER_H
#define MMPROXY_BENCH_TCP_SERVER_H

#include "base/address.h"
#include "payload.h"

#define TCP_SINK_ANSWER 8

struct tcp_server_options {
	struct address echo, sink, source; /* ADDRESS_NONE: not served */
	struct payload payload;
};

/* Serves until SIGTERM or SIGINT. */
_Noreturn void tcp_server_run(const struct tcp_server_options *options);

#endif
