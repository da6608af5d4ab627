/* SPDX-License-Identifier: MIT */
/*
 * The load of the bench, see udp_load.h: what its parts share.
 *
 * Times are in nanoseconds of CLOCK_MONOTONIC. The clock is read once for each batch, not for each
 * datagram: a reply is taken as come when its batch has been received, and a datagram as sent when
 * its batch begins to be filled. So a latency is never too short; it is too long by what it takes
 * to receive one batch and to send one, some 0.1 ms each when they are full and hardly anything
 * when they are of one datagram. (What waits because this tool is busy is waited for, and counts,
 * too.)
 */
#ifndef MMPROXY_BENCH_UDP_LOAD_PARTS_H
#define MMPROXY_BENCH_UDP_LOAD_PARTS_H

#include <stdint.h>

#include "latency.h"
#include "udp_batch.h"
#include "udp_flight.h"
#include "udp_load.h"

#define SECOND      INT64_C(1000000000)
#define MILLISECOND (SECOND / 1000)

/* The head of a payload. */
enum { TAG_CLIENT = 0, TAG_SEQUENCE = 4, TAG_LENGTH = LOAD_SIZE_MIN };

struct client {
	unsigned number;
	int fd;
	bool opened; /* its header is out, and nothing says that it was lost */
	bool heard;  /* a reply has come */
	size_t header_length;
	uint8_t header[FRAMING_HEADER_MAX];
	struct flight flight;
};

struct counts {
	/* From the start on. */
	uint64_t echoed;
	uint64_t late;  /* came after it was given up, or twice */
	uint64_t wrong; /* another size, another client's, or not what was sent */
	/* Of what was due while it was measured, whenever that shows. */
	uint64_t sent;
	uint64_t behind; /* left too late for its due time */
	uint64_t lost;
	uint64_t reordered; /* came after one of its client that had left later */
};

/* What is to leave in one system call. */
struct outbox {
	int fd;
	unsigned count;
	struct mmsghdr messages[BATCH_MAX];
	struct iovec pieces[BATCH_MAX][2];
	uint8_t heads[BATCH_MAX][FRAMING_HEADER_MAX + TAG_LENGTH];
};

/* What is due when: datagram n at `began` + n / rate, of the clients in turn. */
struct pace {
	int64_t began;
	uint64_t next; /* to leave */
	uint64_t end;  /* how many leave in all; 0: there is a window instead of a rate */
	int timer;
};

struct load {
	const struct load_options *options;
	struct client *clients;
	int shared_fd;
	int epoll;
	struct batch batch;
	struct outbox outbox;
	struct pace pace;
	struct counts counts;
	struct latency latency; /* of what was due while it was measured */
	uint8_t *filler;        /* of every payload, behind its tag */
	int64_t now;
	int64_t warm_until;
	int64_t measured_from;
	int64_t looked; /* for what is lost */
	bool stopping;  /* nothing new is sent */
	uint64_t underway;
};

int64_t load_clock(void);

/* Clients and their sockets; nothing has been sent. `load` is all zero but for the options. */
void load_prepare(struct load *load);

/* With a window: what a client may send now. It leaves with the outbox. */
void load_refill(struct load *load, struct client *client);

/* Lets the datagrams leave that were put together so far. */
void load_flush(struct load *load);

/* With a rate: begins with the first now; `warm_up` leave before those that are measured. */
void load_begin_pace(struct load *load, uint64_t warm_up, uint64_t measured);

/* With a rate: so many of those that are still to leave are measured, and no others. */
void load_measure_pace(struct load *load, uint64_t measured);

/* With a rate: a batch of what is due leaves, and the timer is set for the next. */
void load_send_due(struct load *load);

/* Takes a batch of replies; `receiver` is NULL on the shared socket. */
void load_receive(struct load *load, struct client *receiver);

/* Every now and then, gives up what has been on its way for too long. */
void load_give_up_lost(struct load *load);

#endif
