/* SPDX-License-Identifier: MIT */
/*
 * The load of the bench: a balancer and its clients in one. Either each client keeps a number of
 * datagrams on their way to an echo server and back (a window), or so many leave a second, whatever
 * comes back (a rate).
 *
 * A window measures what can be echoed a second. Its latencies are those of a queue that it keeps
 * full itself, and while the server pauses it sends nothing: what would have suffered is never
 * measured. A rate measures latencies: each datagram has a time at which it is due, and its latency
 * counts from then, though it may have left later.
 */
#ifndef MMPROXY_BENCH_UDP_LOAD_H
#define MMPROXY_BENCH_UDP_LOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"
#include "udp_framing.h"

#define LOAD_SIZE_MIN 12 /* bytes: who sent a datagram, and which of its datagrams it is */
#define LOAD_SIZE_MAX 65507
#define LOAD_RATE_MAX 1000000 /* datagrams a second */

struct load_options {
	struct address target;
	struct address destination; /* what the clients asked for, by their headers */
	struct address client_net;  /* the first client has the next address, with this port */
	unsigned client_bits;       /* of the address that stay as they are */
	enum framing framing;
	bool one_socket;  /* all clients behind one socket, else one each */
	unsigned clients; /* at least 1 */
	unsigned window;  /* datagrams of each client on their way; 0: there is a rate */
	unsigned rate;    /* datagrams a second, of all clients; 0: there is a window */
	size_t size;      /* bytes of a payload */
	double warm_up;   /* seconds */
	double seconds;
	bool wait; /* before what is measured, as gate.h says */
};

/* Runs, prints one line to stdout, and returns whether every reply was right and any came. */
bool load_run(const struct load_options *options);

#endif
