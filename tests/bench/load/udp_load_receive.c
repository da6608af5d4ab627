/* SPDX-License-Identifier: MIT */
/* The load's replies: each is held to what was sent; and what does not come back. */
#include "udp_load_parts.h"

#include <string.h>

/* What is lost is missing in a window until it is given up. With a rate nothing waits for it, nor
 * at the end, and what comes late is better in the latencies than among the lost. */
#define LOST_IN_WINDOW (200 * MILLISECOND)
#define LOST_OTHERWISE SECOND
#define LOOKS_LOST     (20 * MILLISECOND) /* between two looks for what is lost */

static uint64_t read_number(const uint8_t *from, size_t length)
{
	uint64_t number = 0;

	for (size_t i = 0; i < length; i++)
		number = number << 8 | from[i];
	return number;
}

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

/* A reply that was waited for. */
static void count_reply(struct load *load, struct client *client, bool overtaken, int64_t due)
{
	client->heard = true;
	load->underway--;
	load->counts.echoed++;
	if (due >= load->measured_from) {
		load->counts.reordered += overtaken;
		latency_record(&load->latency, load->now - due);
	}
	load_refill(load, client);
}

static void take_reply(struct load *load, const struct client *receiver, const uint8_t *bytes,
		       size_t length)
{
	struct client *client = judge_reply(load, receiver, bytes, length);
	enum arrival arrival = ARRIVAL_UNKNOWN;
	int64_t due;

	if (client != NULL)
		arrival = flight_arrive(
			&client->flight,
			read_number(bytes + length - load->options->size + TAG_SEQUENCE, 8), &due);
	switch (arrival) {
	case ARRIVAL_IN_ORDER:
	case ARRIVAL_OVERTAKEN:
		count_reply(load, client, arrival == ARRIVAL_OVERTAKEN, due);
		break;
	case ARRIVAL_LATE:
		load->counts.late++;
		break;
	case ARRIVAL_UNKNOWN:
		load->counts.wrong++;
		break;
	}
}

void load_receive(struct load *load, struct client *receiver)
{
	struct batch *batch = &load->batch;
	int fd = receiver != NULL ? receiver->fd : load->shared_fd;
	unsigned count = batch_receive(batch, fd, 0, MSG_DONTWAIT);

	load->now = load_clock();
	for (unsigned i = 0; i < count; i++)
		take_reply(load, receiver, batch->pieces[i].iov_base, batch->messages[i].msg_len);
	load_flush(load);
}

void load_give_up_lost(struct load *load)
{
	bool missing = load->options->window > 0 && !load->stopping;
	/*
	 * Judged by the time of the look before: what had come by then has been received since,
	 * even if this process, or the machine, was stopped in between.
	 */
	int64_t sent_until = load->looked - (missing ? LOST_IN_WINDOW : LOST_OTHERWISE);

	if (load->now - load->looked < LOOKS_LOST)
		return;
	load->looked = load->now;
	for (unsigned i = 0; i < load->options->clients; i++) {
		struct client *client = &load->clients[i];
		int64_t due;

		while (flight_give_up(&client->flight, sent_until, &due)) {
			/* A client's first datagram may be the one that was lost. */
			client->opened = client->opened && client->heard;
			load->underway--;
			load->counts.lost += due >= load->measured_from;
		}
		load_refill(load, client);
	}
	load_flush(load);
}
