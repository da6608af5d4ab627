/* SPDX-License-Identifier: MIT */
/*
 * udp_forwarder: a balancer for UDP. Takes datagrams from plain clients, sends each on to a target
 * with a PROXY v2 or SPP header in front, and hands the replies back.
 *
 * One thread. All is done in batches, and replies of one size leave in one segmented send, so that
 * in a measurement it is not this program that is measured. Clients are never forgotten: it runs
 * for the length of a test.
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "udp_batch.h"
#include "udp_framing.h"

#define CLIENTS_MAX  4096 /* those beyond get nothing through */
#define BUCKETS      8192
#define SEGMENTS_MAX 64    /* a segmented send's, on kernels of any age */
#define SEGMENTED    65507 /* bytes of a segmented send, of either family */
#define SEND_SECONDS 1     /* a queue that takes nothing for so long loses a datagram */

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

static volatile sig_atomic_t ending;

static void end(int signal)
{
	(void)signal;
	ending = 1;
}

/* The table of clients. */

static uint32_t hash_more(uint32_t hash, const struct address *address)
{
	for (size_t i = 0; i < sizeof(address->ip); i++)
		hash = (hash ^ address->ip[i]) * 16777619;
	hash = (hash ^ (address->port & 0xff)) * 16777619;
	return (hash ^ (address->port >> 8)) * 16777619;
}

static struct client **bucket_of(struct forwarder *forwarder, const struct address *address,
				 const struct address *destination)
{
	uint32_t hash = hash_more(hash_more(2166136261, address), destination);

	return &forwarder->buckets[hash % BUCKETS];
}

static struct client *find_client(struct forwarder *forwarder, const struct address *address,
				  const struct address *destination)
{
	struct client *client = *bucket_of(forwarder, address, destination);

	while (client != NULL && !(address_equal(&client->address, address) &&
				   address_equal(&client->destination, destination)))
		client = client->next;
	return client;
}

/* Adds a socket to what is waited for; `client` is NULL for the two that are not one client's. */
static void watch(struct forwarder *forwarder, int fd, void *owner)
{
	struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = owner}};

	if (epoll_ctl(forwarder->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		err(EXIT_FAILURE, "epoll_ctl");
}

/* A socket toward the target, or -1. */
static int open_toward_target(struct forwarder *forwarder)
{
	struct timeval patience = {.tv_sec = SEND_SECONDS};
	struct sockaddr_storage name;
	socklen_t length;
	int on = 1, fd = udp_open(&forwarder->target);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
	length = address_to_sockaddr(&forwarder->source, &name);
	if (length == 0 || bind(fd, (struct sockaddr *)&name, length) == 0) {
		length = address_to_sockaddr(&forwarder->target, &name);
		if (connect(fd, (struct sockaddr *)&name, length) == 0)
			return fd;
	}
	close(fd);
	return -1;
}

static struct client *add_client(struct forwarder *forwarder, const struct client *seen)
{
	struct client *client, **bucket = bucket_of(forwarder, &seen->address, &seen->destination);
	int fd = forwarder->shared_fd;

	if (forwarder->clients_count == forwarder->clients_max)
		return NULL;
	if (!forwarder->shared)
		fd = open_toward_target(forwarder);
	if (fd < 0)
		return NULL;

	client = &forwarder->clients[forwarder->clients_count++];
	*client = *seen;
	client->next = *bucket;
	*bucket = client;
	client->fd = fd;
	client->segment_max = SIZE_MAX;
	client->header_length = framing_write(forwarder->framing, &client->address,
					      &client->destination, client->header);
	if (!forwarder->shared)
		watch(forwarder, fd, client);
	return client;
}

/* Toward the target. */

/* Where a datagram arrived, on a socket that listens on every address. */
static void read_local(struct msghdr *message, struct client *seen)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
	     part = CMSG_NXTHDR(message, part)) {
		uint16_t port = seen->destination.port;

		if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(part), sizeof(info));
			seen->destination =
				address_from_ipv4((const uint8_t *)&info.ipi_addr, port);
		} else if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
			memcpy(&seen->local, CMSG_DATA(part), sizeof(seen->local));
			/* The way back is the routing's to choose. */
			seen->local.ipi6_ifindex = 0;
			seen->destination = address_from_ipv6(seen->local.ipi6_addr.s6_addr, port);
		}
	}
}

/* Who sent slot `i`; NULL when there is no room for one more client. */
static struct client *sender_of(struct forwarder *forwarder, unsigned i)
{
	struct msghdr *message = &forwarder->from_clients.messages[i].msg_hdr;
	struct client *client,
		seen = {
			.address = address_from_sockaddr(&forwarder->from_clients.names[i]),
			.destination = forwarder->listen,
			.name = forwarder->from_clients.names[i],
			.name_length = message->msg_namelen,
		};

	if (forwarder->wildcard)
		read_local(message, &seen);
	client = find_client(forwarder, &seen.address, &seen.destination);
	return client != NULL ? client : add_client(forwarder, &seen);
}

static void send_requests(struct forwarder *forwarder, int fd)
{
	struct requests *requests = &forwarder->requests;
	unsigned done = 0;
	bool again = false;

	while (done < requests->count) {
		int sent = sendmmsg(fd, requests->messages + done, requests->count - done, 0);

		if (sent > 0) {
			forwarder->forwarded += (unsigned)sent;
			done += (unsigned)sent;
			again = false;
		} else if (!again && error_is_from_network(errno)) {
			/* The error of an earlier datagram is told instead of sending this one. */
			again = true;
		} else {
			if (requests->opens[done] != NULL)
				requests->opens[done]->opened = false;
			forwarder->dropped++;
			done++;
			again = false;
		}
	}
	requests->count = 0;
}

static void add_request(struct forwarder *forwarder, unsigned i)
{
	struct requests *requests = &forwarder->requests;
	struct client *client = forwarder->senders[i];
	unsigned slot = requests->count++;
	struct iovec *pieces = requests->pieces[slot];
	bool opens = forwarder->framing == FRAMING_FIRST && !client->opened;
	bool headed = forwarder->framing != FRAMING_FIRST || opens;

	pieces[0] = (struct iovec){client->header, headed ? client->header_length : 0};
	pieces[1] = (struct iovec){forwarder->from_clients.pieces[i].iov_base,
				   forwarder->from_clients.messages[i].msg_len};
	requests->messages[slot].msg_hdr = (struct msghdr){.msg_iov = pieces, .msg_iovlen = 2};
	requests->opens[slot] = opens ? client : NULL;
	client->opened = true;
}

/* Takes a batch from the clients and sends it on, in one call for each socket. */
static void forward_requests(struct forwarder *forwarder)
{
	struct client **senders = forwarder->senders;
	unsigned count =
		batch_receive(&forwarder->from_clients, forwarder->listen_fd, 0, MSG_DONTWAIT);

	forwarder->received += count;
	for (unsigned i = 0; i < count; i++) {
		senders[i] = sender_of(forwarder, i);
		forwarder->dropped += senders[i] == NULL;
	}
	for (unsigned i = 0; i < count; i++) {
		int fd;

		if (senders[i] == NULL)
			continue;
		fd = senders[i]->fd;
		for (unsigned j = i; j < count; j++) {
			if (senders[j] != NULL && senders[j]->fd == fd) {
				add_request(forwarder, j);
				senders[j] = NULL;
			}
		}
		send_requests(forwarder, fd);
	}
}

/* Back to the clients. */

/* Adds one item to what goes beside a message. */
static void add_control(struct msghdr *message, int level, int type, const void *data,
			size_t length)
{
	struct cmsghdr *part =
		(struct cmsghdr *)((char *)message->msg_control + message->msg_controllen);

	part->cmsg_level = level;
	part->cmsg_type = type;
	part->cmsg_len = CMSG_LEN(length);
	memcpy(CMSG_DATA(part), data, length);
	message->msg_controllen += CMSG_SPACE(length);
}

/* The local address that the client wrote to, to answer from. */
static void add_local(struct forwarder *forwarder, struct msghdr *message,
		      const struct client *client)
{
	if (!forwarder->wildcard)
		return;
	if (forwarder->listen.family == ADDRESS_IPV6) {
		add_control(message, IPPROTO_IPV6, IPV6_PKTINFO, &client->local,
			    sizeof(client->local));
	} else {
		struct in_pktinfo info = {0};

		memcpy(&info.ipi_spec_dst, client->destination.ip, 4);
		add_control(message, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	}
}

static void finish_message(struct forwarder *forwarder, unsigned slot)
{
	struct reply *reply = &forwarder->replies.replies[slot];
	struct msghdr *message = &forwarder->replies.messages[slot].msg_hdr;

	message->msg_name = &reply->client->name;
	message->msg_namelen = reply->client->name_length;
	message->msg_control = &reply->control;
	message->msg_controllen = 0;
	add_local(forwarder, message, reply->client);
	if (reply->segments > 1) {
		uint16_t segment = (uint16_t)reply->segment;

		add_control(message, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	}
}

/* Without segmentation: the path to this client does not have it, not for this size at least. */
static void send_one_by_one(struct forwarder *forwarder, struct reply *reply,
			    const struct msghdr *whole)
{
	reply->client->segment_max = reply->segment - 1;
	for (unsigned i = 0; i < whole->msg_iovlen; i++) {
		char *bytes = reply->pieces[i].iov_base;
		size_t left = reply->pieces[i].iov_len;

		while (left > 0) {
			size_t length = left < reply->segment ? left : reply->segment;
			struct iovec piece = {bytes, length};
			struct msghdr message = *whole;

			message.msg_iov = &piece;
			message.msg_iovlen = 1;
			message.msg_controllen = 0;
			add_local(forwarder, &message, reply->client);
			if (sendmsg(forwarder->listen_fd, &message, 0) >= 0)
				forwarder->replied++;
			else
				forwarder->dropped++;
			bytes += length;
			left -= length;
		}
	}
}

static void send_replies(struct forwarder *forwarder)
{
	struct replies *replies = &forwarder->replies;
	unsigned done = 0;

	for (unsigned i = 0; i < replies->count; i++)
		finish_message(forwarder, i);
	while (done < replies->count) {
		struct reply *reply = &replies->replies[done];
		int sent = sendmmsg(forwarder->listen_fd, replies->messages + done,
				    replies->count - done, 0);

		for (int i = 0; i < sent; i++)
			forwarder->replied += reply[i].segments;
		if (sent > 0) {
			done += (unsigned)sent;
			continue;
		}
		if (reply->segments > 1 && errno != EAGAIN)
			send_one_by_one(forwarder, reply, &replies->messages[done].msg_hdr);
		else
			forwarder->dropped += reply->segments;
		done++;
	}
	replies->count = 0;
}

/* Whether one more datagram may leave with those that are there. */
static bool fits(const struct reply *reply, const struct client *client, size_t length)
{
	return reply->client == client && length > 0 && length <= reply->segment &&
	       reply->segment <= client->segment_max && reply->segments < SEGMENTS_MAX &&
	       /* None of them was shorter than the first. */
	       reply->length == reply->segments * reply->segment &&
	       reply->length + length <= SEGMENTED;
}

static void begin_reply(struct forwarder *forwarder, struct client *client, uint8_t *bytes,
			size_t length)
{
	struct replies *replies = &forwarder->replies;
	struct reply *reply;

	if (replies->count == BATCH_MAX)
		send_replies(forwarder);
	reply = &replies->replies[replies->count];
	reply->client = client;
	reply->segments = 1;
	reply->segment = reply->length = length;
	reply->pieces[0] = (struct iovec){bytes, length};
	replies->messages[replies->count].msg_hdr =
		(struct msghdr){.msg_iov = reply->pieces, .msg_iovlen = 1};
	replies->count++;
}

static void extend_reply(struct reply *reply, struct msghdr *message, uint8_t *bytes, size_t length)
{
	struct iovec *last = &reply->pieces[message->msg_iovlen - 1];

	if ((uint8_t *)last->iov_base + last->iov_len == bytes)
		last->iov_len += length;
	else
		reply->pieces[message->msg_iovlen++] = (struct iovec){bytes, length};
	reply->segments++;
	reply->length += length;
}

static void add_reply(struct forwarder *forwarder, struct client *client, uint8_t *bytes,
		      size_t length)
{
	struct replies *replies = &forwarder->replies;
	unsigned last = replies->count - 1;

	if (replies->count > 0 && fits(&replies->replies[last], client, length))
		extend_reply(&replies->replies[last], &replies->messages[last].msg_hdr, bytes,
			     length);
	else
		begin_reply(forwarder, client, bytes, length);
}

/* Whose reply this is by its SPP header; NULL when by that it is nobody's, or not its socket's. */
static struct client *owner_of(struct forwarder *forwarder, struct client *receiver,
			       const uint8_t *bytes, size_t length)
{
	struct address address, destination;

	if (!spp_read(bytes, length, &address, &destination))
		return NULL;
	if (receiver == NULL)
		return find_client(forwarder, &address, &destination);
	return memcmp(bytes, receiver->header, SPP_HEADER_LENGTH) == 0 ? receiver : NULL;
}

static void take_reply(struct forwarder *forwarder, struct client *receiver, uint8_t *bytes,
		       size_t length)
{
	if (forwarder->framing == FRAMING_SPP) {
		receiver = owner_of(forwarder, receiver, bytes, length);
		bytes += SPP_HEADER_LENGTH;
		length -= SPP_HEADER_LENGTH;
	}
	if (receiver == NULL)
		forwarder->dropped++;
	else
		add_reply(forwarder, receiver, bytes, length);
}

/* Bytes of each datagram in a message: several of one size may have come as one. */
static size_t segment_size(struct msghdr *message, size_t length)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
	     part = CMSG_NXTHDR(message, part)) {
		if (part->cmsg_level == IPPROTO_UDP && part->cmsg_type == UDP_GRO) {
			int segment;

			memcpy(&segment, CMSG_DATA(part), sizeof(segment));
			if (segment > 0)
				return (size_t)segment;
		}
	}
	return length;
}

/* Hands on all that was taken from the target. */
static void return_replies(struct forwarder *forwarder)
{
	struct batch *batch = &forwarder->from_target;

	for (unsigned i = 0; i < forwarder->collected; i++) {
		uint8_t *bytes = batch->pieces[i].iov_base;
		size_t left = batch->messages[i].msg_len;
		size_t segment = segment_size(&batch->messages[i].msg_hdr, left);

		do {
			size_t length = left < segment ? left : segment;

			take_reply(forwarder, forwarder->receivers[i], bytes, length);
			bytes += length;
			left -= length;
		} while (left > 0);
	}
	send_replies(forwarder);
	forwarder->collected = 0;
}

/* Takes what is there for one socket, beside what the round has taken from others. */
static void collect_replies(struct forwarder *forwarder, int fd, struct client *receiver)
{
	struct batch *batch = &forwarder->from_target;
	unsigned count;

	if (forwarder->collected == BATCH_MAX)
		return_replies(forwarder);
	count = batch_receive(batch, fd, forwarder->collected, MSG_DONTWAIT);
	for (unsigned i = 0; i < count; i++)
		forwarder->receivers[forwarder->collected++] = receiver;
}

static void run(struct forwarder *forwarder)
{
	sigset_t unblocked;
	struct epoll_event events[BATCH_MAX];

	sigemptyset(&unblocked);
	while (!ending) {
		int count = epoll_pwait(forwarder->epoll, events, BATCH_MAX, -1, &unblocked);

		if (count < 0 && errno != EINTR)
			err(EXIT_FAILURE, "epoll_pwait");
		for (int i = 0; i < count; i++) {
			void *owner = events[i].data.ptr;

			if (owner == &forwarder->listen_fd)
				forward_requests(forwarder);
			else if (owner == &forwarder->shared_fd)
				collect_replies(forwarder, forwarder->shared_fd, NULL);
			else
				collect_replies(forwarder, ((struct client *)owner)->fd, owner);
		}
		return_replies(forwarder);
	}
}

/* The start and the end. */

static void listen_for_clients(struct forwarder *forwarder)
{
	static const uint8_t anywhere[16];
	struct timeval patience = {.tv_sec = SEND_SECONDS};
	bool ipv6 = forwarder->listen.family == ADDRESS_IPV6;
	int on = 1, off = 0, fd = udp_open(&forwarder->listen);

	if (fd < 0)
		err(EXIT_FAILURE, "socket");
	forwarder->listen_fd = fd;
	forwarder->wildcard = memcmp(forwarder->listen.ip, anywhere, sizeof(anywhere)) == 0;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (forwarder->wildcard && ipv6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	} else if (forwarder->wildcard) {
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	}
	udp_bind(fd, &forwarder->listen);
	watch(forwarder, fd, &forwarder->listen_fd);
}

/* A descriptor for each client, as far as the limit can be raised. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void start(struct forwarder *forwarder)
{
	raise_descriptor_limit();
	forwarder->clients = calloc(CLIENTS_MAX, sizeof(*forwarder->clients));
	if (forwarder->clients == NULL)
		err(EXIT_FAILURE, "no memory");
	batch_init(&forwarder->from_clients, DATAGRAM_MAX);
	batch_init(&forwarder->from_target, DATAGRAM_MAX);
	forwarder->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (forwarder->epoll < 0)
		err(EXIT_FAILURE, "epoll_create1");
	forwarder->shared_fd = -1;
	if (forwarder->shared) {
		forwarder->shared_fd = open_toward_target(forwarder);
		if (forwarder->shared_fd < 0)
			err(EXIT_FAILURE, "a socket toward the target");
		watch(forwarder, forwarder->shared_fd, &forwarder->shared_fd);
	}
	listen_for_clients(forwarder);
}

/* What the kernel dropped because this program came too late. */
static uint32_t overflowed(int fd)
{
	uint32_t values[SK_MEMINFO_VARS] = {0};
	socklen_t length = sizeof(values);

	getsockopt(fd, SOL_SOCKET, SO_MEMINFO, values, &length);
	return values[SK_MEMINFO_DROPS];
}

static void report(const struct forwarder *forwarder)
{
	uint64_t lost = overflowed(forwarder->listen_fd);

	if (forwarder->shared)
		lost += overflowed(forwarder->shared_fd);
	for (unsigned i = 0; i < forwarder->clients_count && !forwarder->shared; i++)
		lost += overflowed(forwarder->clients[i].fd);
	printf("udp_forwarder: received=%" PRIu64 " forwarded=%" PRIu64 " replies=%" PRIu64
	       " dropped=%" PRIu64 " overflowed=%" PRIu64 "\n",
	       forwarder->received, forwarder->forwarded, forwarder->replied, forwarder->dropped,
	       lost);
}

static void usage(FILE *to)
{
	fputs("Usage: udp_forwarder --listen ADDRESS:PORT --to ADDRESS:PORT "
	      "--framing every|first|spp\n"
	      "                     [--bind ADDRESS[:PORT]] [--shared]\n"
	      "A balancer: sends what plain clients send on to a target, a header in front.\n"
	      "  --listen   where clients send to; 0.0.0.0 and [::] stand for every address\n"
	      "  --to       the target\n"
	      "  --framing  PROXY v2 in front of every datagram or of a client's first one, or "
	      "SPP\n"
	      "  --bind     the source toward the target; with a port and without --shared, one\n"
	      "             client alone is served\n"
	      "  --shared   one socket toward the target for all clients; SPP only\n"
	      "SIGTERM ends it and has it print what it counted.\n",
	      to);
}

static void read_options(struct forwarder *forwarder, int argc, char **argv)
{
	static const struct option options[] = {
		{"listen", required_argument, NULL, 'l'},
		{"to", required_argument, NULL, 't'},
		{"framing", required_argument, NULL, 'f'},
		{"bind", required_argument, NULL, 'b'},
		{"shared", no_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			forwarder->listen = endpoint_argument("listen", optarg);
			break;
		case 't':
			forwarder->target = endpoint_argument("to", optarg);
			break;
		case 'f':
			if (!framing_parse(optarg, &forwarder->framing) ||
			    forwarder->framing == FRAMING_NONE)
				errx(EXIT_FAILURE, "--framing: not every, first or spp: %s",
				     optarg);
			break;
		case 'b':
			if (address_parse_ip(optarg, &forwarder->source) != 0)
				forwarder->source = endpoint_argument("bind", optarg);
			break;
		case 's':
			forwarder->shared = true;
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			usage(stderr);
			exit(EXIT_FAILURE);
		}
	}
	if (optind != argc || forwarder->listen.family == ADDRESS_NONE ||
	    forwarder->target.family == ADDRESS_NONE || forwarder->framing == FRAMING_NONE) {
		usage(stderr);
		exit(EXIT_FAILURE);
	}
}

/* Refuses what cannot work, with the reason. */
static void judge_options(struct forwarder *forwarder)
{
	if (forwarder->shared && forwarder->framing != FRAMING_SPP)
		errx(EXIT_FAILURE, "--shared needs --framing spp: other replies do not say whose "
				   "they are");
	if (forwarder->source.family != ADDRESS_NONE &&
	    forwarder->source.family != forwarder->target.family)
		errx(EXIT_FAILURE, "--bind and --to are of different families");
	forwarder->clients_max =
		forwarder->source.port != 0 && !forwarder->shared ? 1 : CLIENTS_MAX;
}

int main(int argc, char **argv)
{
	static struct forwarder forwarder;
	struct sigaction action = {.sa_handler = end};
	sigset_t ends;

	read_options(&forwarder, argc, argv);
	judge_options(&forwarder);

	/* Taken only while waiting, so that none comes between looking and waiting. */
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);

	start(&forwarder);
	puts("udp_forwarder: ready");
	fflush(stdout);
	run(&forwarder);
	report(&forwarder);
	return EXIT_SUCCESS;
}
