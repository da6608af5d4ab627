/* SPDX-License-Identifier: MIT */
/* The bench's upstream. */
#include "udp_echo.h"

#include <err.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "udp_batch.h"

/* The datagram whose answer leaves after the next one's. */
struct held {
	bool there;
	struct sockaddr_storage name;
	socklen_t name_length;
	size_t length;
	uint8_t bytes[DATAGRAM_MAX];
};

struct echo {
	const struct echo_options *options;
	int fd;
	uint64_t received;
	struct batch batch;
	struct held held;
};

static void end(int signal)
{
	(void)signal;
	_exit(EXIT_SUCCESS);
}

/* What the network refuses is lost, as datagrams are. */
static void send_back(struct echo *echo, unsigned from, unsigned count)
{
	struct batch *batch = &echo->batch;
	unsigned done = from, until = from + count;

	for (unsigned i = from; i < until; i++) {
		batch->pieces[i].iov_len = batch->messages[i].msg_len;
		batch->messages[i].msg_hdr.msg_controllen = 0;
	}
	while (done < until) {
		int sent = sendmmsg(echo->fd, batch->messages + done, until - done, 0);

		done += sent > 0 ? (unsigned)sent : 1;
	}
}

/* Loss and reordering. */

static void hold(struct echo *echo, unsigned i)
{
	struct held *held = &echo->held;

	held->there = true;
	held->name = echo->batch.names[i];
	held->name_length = echo->batch.messages[i].msg_hdr.msg_namelen;
	held->length = echo->batch.messages[i].msg_len;
	memcpy(held->bytes, echo->batch.pieces[i].iov_base, held->length);
}

static void send_held(struct echo *echo)
{
	struct held *held = &echo->held;

	if (held->there)
		sendto(echo->fd, held->bytes, held->length, 0, (struct sockaddr *)&held->name,
		       held->name_length);
	held->there = false;
}

static bool is_its_turn(const struct echo *echo, unsigned every)
{
	return every > 0 && echo->received % every == 0;
}

/* One by one: this is about what is counted, not about speed. */
static void send_back_some(struct echo *echo, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		echo->received++;
		if (is_its_turn(echo, echo->options->drop_every))
			continue;
		if (is_its_turn(echo, echo->options->swap_every) && !echo->held.there) {
			hold(echo, i);
			continue;
		}
		send_back(echo, i, 1);
		send_held(echo);
	}
}

void echo_run(const struct echo_options *options)
{
	static struct echo echo;
	struct sigaction action = {.sa_handler = end};
	bool all = options->drop_every == 0 && options->swap_every == 0;

	echo.options = options;
	echo.fd = udp_open(&options->listen);
	if (echo.fd < 0)
		err(EXIT_FAILURE, "socket");
	udp_bind(echo.fd, &options->listen);
	batch_init(&echo.batch, DATAGRAM_MAX);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	for (;;) {
		/* Sleeps until there is one, and takes with it what else is there. */
		unsigned count = batch_receive(&echo.batch, echo.fd, 0, MSG_WAITFORONE);

		if (all)
			send_back(&echo, 0, count);
		else
			send_back_some(&echo, count);
	}
}
