/* SPDX-License-Identifier: MIT */
/*
 * UDP sockets of the tools, and receiving from them many datagrams at a time.
 *
 * For command-line tools: what goes wrong beyond the network ends the program with one line.
 */
#ifndef MMPROXY_BENCH_UDP_BATCH_H
#define MMPROXY_BENCH_UDP_BATCH_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/address.h"

#define BATCH_MAX    64    /* datagrams a system call */
#define DATAGRAM_MAX 65535 /* bytes; also of several datagrams that come coalesced */

/* Room for what may come or go beside a datagram: its local address, and the size of segments. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
};

struct batch {
	struct mmsghdr messages[BATCH_MAX];
	struct iovec pieces[BATCH_MAX];
	struct sockaddr_storage names[BATCH_MAX];
	union control controls[BATCH_MAX];
	uint8_t *bytes;
	size_t room;   /* bytes a datagram */
	unsigned used; /* slots filled since they were made ready for receiving */
};

/* Never freed: a tool has a batch for as long as it runs. */
void batch_init(struct batch *batch, size_t room);

/*
 * Receives into the slots from `from` on and returns how many it filled: 0 when nothing is there, a
 * signal came, or an ICMP error was all there was. `flags` as for recvmmsg(2).
 */
unsigned batch_receive(struct batch *batch, int fd, unsigned from, int flags);

/* True for what an ICMP message makes of a call on a connected socket, once. */
bool error_is_from_network(int error);

/* A socket of the address's family with buffers as large as they get. */
int udp_open(const struct address *address);
void udp_bind(int fd, const struct address *address);

#endif
