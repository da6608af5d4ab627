/* SPDX-License-Identifier: MIT */
/*
 * One knock at an upstream, plain or in a client's name, and what came of it. A TCP probe sends
 * nothing behind its SYN, a UDP probe one empty datagram; the connection stays open to be looked at
 * and is then reset, so that the server is not bothered for long.
 */
#ifndef MMPROXY_DOCTOR_PROBE_H
#define MMPROXY_DOCTOR_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

/*
 * Milliseconds. Upstreams are on this host or a bridge away: what answers does so at once. Before a
 * second has passed, no SYN is sent again.
 */
#define PROBE_PATIENCE 500

enum probe_outcome {
	PROBE_NOT_TRIED,
	PROBE_ANSWERED, /* TCP: connected. UDP: a datagram came back */
	PROBE_REFUSED,  /* a reset in place of the connection; UDP: port unreachable */
	PROBE_SILENT,   /* nothing came back in time */
	PROBE_FAILED,   /* it could not be sent: `step` and `error` say why */
};

struct probe_request {
	struct address source;   /* whom it speaks for, port 0; ADDRESS_NONE: this host itself */
	struct address upstream; /* of the same family */
	uint32_t mark;           /* SO_MARK; 0: none */
	bool udp;
};

struct probe {
	int fd; /* -1: not open */
	bool udp;
	enum probe_outcome outcome;
	struct address local; /* the address and port that it speaks from */
	struct address upstream;
	const char *step; /* PROBE_FAILED: the call that failed */
	int error;        /* its -errno */
};

/*
 * Opens the socket and gives it its address, from which `probe->local` is known before anything is
 * sent. 0, or -errno with outcome PROBE_FAILED. A plain probe takes no privilege, one in a client's
 * name or with a mark takes CAP_NET_ADMIN. probe_close() is called in either case.
 */
int probe_open(struct probe *probe, const struct probe_request *request);

/* Sends the SYN or the datagram. The outcome is PROBE_NOT_TRIED for as long as it is not known. */
void probe_send(struct probe *probe);

/*
 * Waits up to `patience` milliseconds for what comes of it, and meanwhile for `other_fd` (-1: none)
 * to become readable, at which `other(context)` is called; when that returns true, no answer can
 * come any more and the outcome is PROBE_SILENT.
 */
void probe_await(struct probe *probe, int patience, int other_fd, bool (*other)(void *context),
		 void *context);

/* Waits until the other side has ended the connection, or for `patience` milliseconds. */
bool probe_await_end(const struct probe *probe, int patience);

/* TCP: by a reset. */
void probe_close(struct probe *probe);

#endif
