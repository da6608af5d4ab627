/* SPDX-License-Identifier: MIT */
/* A balancer for UDP, see udp_forwarder.c: what its parts share. */
#ifndef MMPROXY_TOOLS_UDP_FORWARDER_H
#define MMPROXY_TOOLS_UDP_FORWARDER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "udp_batch.h"
#include "udp_framing.h"

#define CLIENTS_MAX  4096 /* those beyond get nothing through */
#define BUCKETS      8192
#define SEGMENTS_MAX 64 /* a segmented send's, on kernels of any age */
#define SEND_SECONDS 1  /* a queue that takes nothing for so long loses a datagram */

struct client {
	struct client *next; /* in its bucket */
	struct address address;
	struct address destination; /* what it asked for */
	/* The same two for the kernel, which may know an IPv4 client as an IPv4-mapped one. */
	struct sockaddr_storage name;
	socklen_t name_length;
	struct in6_pktinfo local;
	int fd;             /* toward the target */
	bool opened;        /* its header has been sent */
	size_t segment_max; /* larger datagrams to it are not taken in segmented sends */
	size_t header_length;
	uint8_t header[FRAMING_HEADER_MAX];
};

/* What is to leave in one system call: each datagram behind its header. */
struct requests {
	struct mmsghdr messages[BATCH_MAX];
	struct iovec pieces[BATCH_MAX][2];
	struct client
		*opens[BATCH_MAX]; /* whose header this datagram carries for all that follow */
	unsigned count;
};

/* What is to leave in one system call: each message one datagram, or several of one size. */
struct reply {
	struct client *client;
	unsigned segments;
	size_t segment; /* bytes of each, but of the last, which may be shorter */
	size_t length;
	struct iovec pieces[SEGMENTS_MAX];
	union control control;
};

struct replies {
	struct mmsghdr messages[BATCH_MAX];
	struct reply replies[BATCH_MAX];
	unsigned count;
};

struct forwarder {
	struct address listen, target, source;
	enum framing framing;
	bool shared;
	bool wildcard; /* listens on every address, and answers from the one that was asked */
	int epoll;
	int listen_fd;
	int shared_fd;
	unsigned clients_max;
	unsigned clients_count;
	struct client *buckets[BUCKETS];
	struct client *clients;
	struct batch from_clients;
	struct batch from_target;
	struct client *senders[BATCH_MAX]; /* of what is in from_clients */
	struct client
		*receivers[BATCH_MAX]; /* of what is in from_target; NULL on the shared socket */
	unsigned collected;            /* in from_target */
	struct requests requests;
	struct replies replies;
	uint64_t received, forwarded, replied, dropped;
};

/* Adds a socket to what is waited for. `owner` is what the event will name. */
void forwarder_watch(struct forwarder *forwarder, int fd, void *owner);

/* A socket toward the target, or -1. */
int forwarder_open_toward_target(const struct forwarder *forwarder);

/* NULL: there is none yet. */
struct client *client_find(struct forwarder *forwarder, const struct address *address,
			   const struct address *destination);
/*
 * Adds a client as it was seen: its addresses and names. NULL: there is no room for one
 * more, or no socket.
 */
struct client *client_add(struct forwarder *forwarder, const struct client *seen);

/* Takes a batch from the clients and sends it on, in one call for each socket. */
void requests_forward(struct forwarder *forwarder);

/*
 * Takes what is there for one socket, beside what the round has taken from others. `receiver` is
 * NULL on the shared socket.
 */
void replies_collect(struct forwarder *forwarder, int fd, struct client *receiver);
/* Hands on all that was taken from the target. */
void replies_return(struct forwarder *forwarder);

#endif
