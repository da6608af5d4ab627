/* SPDX-License-Identifier: MIT */
/* The load of the bench. */
#include "udp_load.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "udp_batch.h"

#define MILLISECOND  INT64_C(1000000) /* in nanoseconds, as all times here */
#define LOST_AFTER   (200 * MILLISECOND)
#define LOOKS_LOST   (20 * MILLISECOND) /* between two looks for what is lost */
#define WAIT_AT_MOST 10                 /* milliseconds */

/* The head of a payload. */
enum { TAG_CLIENT = 0, TAG_SEQUENCE = 4, TAG_LENGTH = LOAD_SIZE_MIN };

/* One datagram on its way. Its next sequence number is `window` higher. */
struct slot {
	uint64_t sequence;
	int64_t sent_at; /* 0: nothing is on its way */
};

struct client {
	unsigned number;
	int fd;
	bool opened; /* its header is out, and nothing says that it was lost */
	bool heard;  /* a reply has come */
	size_t header_length;
	uint8_t header[FRAMING_HEADER_MAX];
	struct slot *slots;
};

struct counts {
	uint64_t echoed;
	uint64_t lost;
	uint64_t late;  /* came after it was given up, or twice */
	uint64_t wrong; /* another size, another client's, or not what was sent */
};

/* What is to leave in one system call. */
struct outbox {
	int fd;
	unsigned count;
	struct mmsghdr messages[BATCH_MAX];
	struct iovec pieces[BATCH_MAX][2];
	uint8_t heads[BATCH_MAX][FRAMING_HEADER_MAX + TAG_LENGTH];
};

struct load {
	const struct load_options *options;
	struct client *clients;
	int shared_fd;
	int epoll;
	struct batch batch;
	struct outbox outbox;
	struct counts counts;
	uint8_t *filler; /* of every payload, behind its tag */
	int64_t now;
	int64_t looked; /* for what is lost */
	bool stopping;  /* nothing new is sent */
	uint64_t underway;
};

static int64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 * MILLISECOND + now.tv_nsec;
}

/* Sending. */

static void write_number(uint8_t *to, uint64_t number, size_t length)
{
	for (size_t i = 0; i < length; i++)
		to[i] = (uint8_t)(number >> 8 * (length - 1 - i));
}

static uint64_t read_number(const uint8_t *from, size_t length)
{
	uint64_t number = 0;

	for (size_t i = 0; i < length; i++)
		number = number << 8 | from[i];
	return number;
}

/* What cannot be sent is found lost by the clock, and so a dead target makes no busy loop. */
static void flush_outbox(struct outbox *outbox)
{
	unsigned done = 0;
	bool again = false;

	while (done < outbox->count) {
		int sent = sendmmsg(outbox->fd, outbox->messages + done, outbox->count - done, 0);

		if (sent > 0) {
			done += (unsigned)sent;
			again = false;
		} else if (error_is_from_network(errno)) {
			/* The first time it may tell of an earlier datagram. */
			done += again;
			again = !again;
		} else {
			err(EXIT_FAILURE, "sendmmsg");
		}
	}
	outbox->count = 0;
}

static size_t header_length(const struct load *load, struct client *client)
{
	if (load->options->framing == FRAMING_FIRST && client->opened)
		return 0;
	client->opened = true;
	return client->header_length;
}

static void send_datagram(struct load *load, struct client *client, struct slot *slot)
{
	struct outbox *outbox = &load->outbox;
	unsigned i;
	size_t length;

	if (load->stopping)
		return;
	if (outbox->count == BATCH_MAX || outbox->fd != client->fd)
		flush_outbox(outbox);
	i = outbox->count++;
	length = header_length(load, client);
	memcpy(outbox->heads[i], client->header, length);
	write_number(outbox->heads[i] + length + TAG_CLIENT, client->number, 4);
	write_number(outbox->heads[i] + length + TAG_SEQUENCE, slot->sequence, 8);
	outbox->pieces[i][0] = (struct iovec){outbox->heads[i], length + TAG_LENGTH};
	outbox->pieces[i][1] = (struct iovec){load->filler, load->options->size - TAG_LENGTH};
	outbox->messages[i].msg_hdr =
		(struct msghdr){.msg_iov = outbox->pieces[i], .msg_iovlen = 2};
	outbox->fd = client->fd;
	slot->sent_at = load->now;
	load->underway++;
}

/* The next of this slot, for one that came back or was lost. */
static void replace(struct load *load, struct client *client, struct slot *slot)
{
	slot->sent_at = 0;
	slot->sequence += load->options->window;
	load->underway--;
	send_datagram(load, client, slot);
}

/* Receiving. */

/* The client to whom a reply belongs, judged by all but its sequence number; NULL: wrong. */
static struct client *judge_reply(const struct load *load, const struct client *receiver,
				  const uint8_t *bytes, size_t length)
{
	bool spp = load->options->framing == FRAMING_SPP;
	size_t header = spp ? SPP_HEADER_LENGTH : 0;
	const uint8_t *tag = bytes + header;
	struct client *client;
	uint64_t number;

	if (length != header + load->options->size)
		return NULL;
	number = read_number(tag + TAG_CLIENT, 4);
	if (number >= load->options->clients || (receiver != NULL && receiver->number != number))
		return NULL;
	client = &load->clients[number];
	if (memcmp(bytes, client->header, header) != 0)
		return NULL;
	if (memcmp(tag + TAG_LENGTH, load->filler, load->options->size - TAG_LENGTH) != 0)
		return NULL;
	return client;
}

static void take_reply(struct load *load, const struct client *receiver, const uint8_t *bytes,
		       size_t length)
{
	struct client *client = judge_reply(load, receiver, bytes, length);
	struct slot *slot;
	uint64_t sequence;

	if (client == NULL) {
		load->counts.wrong++;
		return;
	}
	sequence = read_number(bytes + length - load->options->size + TAG_SEQUENCE, 8);
	slot = &client->slots[sequence % load->options->window];
	if (slot->sequence != sequence || slot->sent_at == 0) {
		load->counts.late++;
		return;
	}
	client->heard = true;
	load->counts.echoed++;
	replace(load, client, slot);
}

static void receive(struct load *load, struct client *receiver)
{
	struct batch *batch = &load->batch;
	int fd = receiver != NULL ? receiver->fd : load->shared_fd;
	unsigned count = batch_receive(batch, fd, 0, MSG_DONTWAIT);

	for (unsigned i = 0; i < count; i++)
		take_reply(load, receiver, batch->pieces[i].iov_base, batch->messages[i].msg_len);
	flush_outbox(&load->outbox);
}

static void replace_lost(struct load *load)
{
	if (load->now - load->looked < LOOKS_LOST)
		return;
	load->looked = load->now;
	for (unsigned i = 0; i < load->options->clients; i++) {
		struct client *client = &load->clients[i];

		for (unsigned j = 0; j < load->options->window; j++) {
			struct slot *slot = &client->slots[j];

			if (slot->sent_at == 0 || load->now - slot->sent_at < LOST_AFTER)
				continue;
			/* A client's first datagram may be the one that was lost. */
			client->opened = client->opened && client->heard;
			load->counts.lost++;
			replace(load, client, slot);
		}
	}
	flush_outbox(&load->outbox);
}

/* Runs until then, or until nothing is on its way. */
static void run_until(struct load *load, int64_t end)
{
	struct epoll_event events[BATCH_MAX];

	while (load->now < end && load->underway > 0) {
		int count = epoll_wait(load->epoll, events, BATCH_MAX, WAIT_AT_MOST);

		if (count < 0 && errno != EINTR)
			err(EXIT_FAILURE, "epoll_wait");
		load->now = clock_now();
		for (int i = 0; i < count; i++)
			receive(load, events[i].data.ptr);
		replace_lost(load);
	}
}

/* The start. */

static int open_socket(struct load *load, struct client *receiver)
{
	struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = receiver}};
	struct sockaddr_storage name;
	socklen_t length = address_to_sockaddr(&load->options->target, &name);
	int fd = udp_open(&load->options->target);

	if (fd < 0 || connect(fd, (struct sockaddr *)&name, length) < 0)
		err(EXIT_FAILURE, "a socket toward the target");
	if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		err(EXIT_FAILURE, "epoll_ctl");
	return fd;
}

/* Client 0 has the network's first address behind its own; in a small network they go round. */
static struct address client_address(const struct load_options *options, unsigned number)
{
	struct address address = options->client_net;
	unsigned ip_length = address.family == ADDRESS_IPV4 ? 4 : 16;
	unsigned free_bits = ip_length * 8 - options->client_bits;
	/* Without the network's own address and, as IPv4 has it, its broadcast address. */
	unsigned hosts = free_bits < 16 ? (1U << free_bits) - 2 : UINT16_MAX;
	unsigned carry = 1 + number % hosts;

	for (unsigned i = ip_length; i-- > 0 && carry > 0; carry >>= 8) {
		carry += address.ip[i];
		address.ip[i] = (uint8_t)carry;
	}
	address.port = (uint16_t)(address.port + number);
	return address;
}

static void add_client(struct load *load, unsigned number)
{
	const struct load_options *options = load->options;
	struct client *client = &load->clients[number];
	struct address address = client_address(options, number);

	client->number = number;
	client->header_length =
		framing_write(options->framing, &address, &options->destination, client->header);
	client->fd = options->one_socket ? load->shared_fd : open_socket(load, client);
	client->slots = calloc(options->window, sizeof(*client->slots));
	if (client->slots == NULL)
		err(EXIT_FAILURE, "no memory");
	for (unsigned i = 0; i < options->window; i++)
		client->slots[i].sequence = i;
}

static void start(struct load *load)
{
	const struct load_options *options = load->options;

	load->clients = calloc(options->clients, sizeof(*load->clients));
	load->filler = malloc(options->size);
	if (load->clients == NULL || load->filler == NULL)
		err(EXIT_FAILURE, "no memory");
	for (size_t i = 0; i < options->size; i++)
		load->filler[i] = (uint8_t)(i % 251);
	/* One byte more than is expected, so that a longer reply is seen to be one. */
	batch_init(&load->batch, options->size + SPP_HEADER_LENGTH + 1);
	load->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (load->epoll < 0)
		err(EXIT_FAILURE, "epoll_create1");
	if (options->one_socket)
		load->shared_fd = open_socket(load, NULL);
	for (unsigned i = 0; i < options->clients; i++)
		add_client(load, i);

	load->now = clock_now();
	for (unsigned i = 0; i < options->clients; i++) {
		for (unsigned j = 0; j < options->window; j++)
			send_datagram(load, &load->clients[i], &load->clients[i].slots[j]);
	}
	flush_outbox(&load->outbox);
}

/* `measured`: what was counted in `seconds`. Wrong replies are told from start to end. */
static void report(const struct load *load, const struct counts *measured, double seconds)
{
	const struct load_options *options = load->options;

	printf("echoed_per_second=%.0f lost=%" PRIu64 " late=%" PRIu64 " wrong=%" PRIu64
	       " clients=%u size=%zu window=%u seconds=%.3f total=%" PRIu64 "\n",
	       (double)measured->echoed / seconds, measured->lost, measured->late,
	       load->counts.wrong, options->clients, options->size, options->window, seconds,
	       load->counts.echoed);
}

static int64_t nanoseconds(double seconds)
{
	return (int64_t)(seconds * 1e9);
}

bool load_run(const struct load_options *options)
{
	static struct load load;
	struct counts before, measured;
	int64_t began, took;

	load.options = options;
	start(&load);
	run_until(&load, load.now + nanoseconds(options->warm_up));

	before = load.counts;
	began = load.now;
	run_until(&load, began + nanoseconds(options->seconds));
	measured = load.counts;
	measured.echoed -= before.echoed;
	measured.lost -= before.lost;
	measured.late -= before.late;
	took = load.now - began;

	/* What is still on its way comes home, so that nobody is left with work. */
	load.stopping = true;
	run_until(&load, load.now + 2 * LOST_AFTER);
	report(&load, &measured, (double)took / 1e9);
	return load.counts.wrong == 0 && load.counts.echoed > 0;
}
