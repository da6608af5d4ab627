/* SPDX-License-Identifier: MIT */
/* The bench's upstream: sends back what it gets, and loses or reorders on request. */
#ifndef MMPROXY_BENCH_UDP_ECHO_H
#define MMPROXY_BENCH_UDP_ECHO_H

#include "base/address.h"

struct echo_options {
	struct address listen;
	unsigned drop_every; /* of so many datagrams received, the last gets no answer; 0: all do */
	unsigned swap_every; /* of so many, the last is answered after the next; 0: all in order */
};

/* Until SIGTERM or SIGINT ends the program. */
_Noreturn void echo_run(const struct echo_options *options);

#endif
