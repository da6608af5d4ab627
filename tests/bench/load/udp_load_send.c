/* SPDX-License-Identifier: MIT */
/* The load's datagrams: put together, and sent as soon as there is a batch or nothing to add. */
#include "udp_load_parts.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#define BEHIND_AFTER MILLISECOND

static void write_number(uint8_t *to, uint64_t number, size_t length)
{
	for (size_t i = 0; i < length; i++)
		to[i] = (uint8_t)(number >> 8 * (length - 1 - i));
}

/* What cannot be sent is found lost by the clock, and so a dead target makes no busy loop. */
void load_flush(struct load *load)
{
	struct outbox *outbox = &load->outbox;
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

static void put_together(struct load *load, struct client *client, uint64_t sequence)
{
	struct outbox *outbox = &load->outbox;
	unsigned i;
	size_t length;

	if (outbox->count == BATCH_MAX || outbox->fd != client->fd)
		load_flush(load);
	i = outbox->count++;
	length = header_length(load, client);
	memcpy(outbox->heads[i], client->header, length);
	write_number(outbox->heads[i] + length + TAG_CLIENT, client->number, 4);
	write_number(outbox->heads[i] + length + TAG_SEQUENCE, sequence, 8);
	outbox->pieces[i][0] = (struct iovec){outbox->heads[i], length + TAG_LENGTH};
	outbox->pieces[i][1] = (struct iovec){load->filler, load->options->size - TAG_LENGTH};
	outbox->messages[i].msg_hdr =
		(struct msghdr){.msg_iov = outbox->pieces[i], .msg_iovlen = 2};
	outbox->fd = client->fd;
}

static void send_datagram(struct load *load, struct client *client, int64_t due)
{
	put_together(load, client, flight_add(&client->flight, due, load->now));
	load->underway++;
	if (due >= load->measured_from) {
		load->counts.sent++;
		load->counts.behind += load->now - due > BEHIND_AFTER;
	}
}

/* A window. */

void load_refill(struct load *load, struct client *client)
{
	while (!load->stopping && client->flight.count < load->options->window &&
	       !flight_is_full(&client->flight))
		send_datagram(load, client, load->now);
}

/* A rate. */

/* Two hours of the highest rate do not overflow it. */
static int64_t due_time(const struct load *load, uint64_t number)
{
	return load->pace.began + (int64_t)(number * SECOND / load->options->rate);
}

void load_begin_pace(struct load *load, uint64_t warm_up, uint64_t measured)
{
	struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = &load->pace}};

	load->pace.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (load->pace.timer < 0 ||
	    epoll_ctl(load->epoll, EPOLL_CTL_ADD, load->pace.timer, &event) < 0)
		err(EXIT_FAILURE, "a timer");
	load->pace.began = load->now;
	load->pace.end = warm_up + measured;
	load->measured_from = due_time(load, warm_up);
}

void load_measure_pace(struct load *load, uint64_t measured)
{
	load->pace.end = load->pace.next + measured;
	load->measured_from = due_time(load, load->pace.next);
}

/* The timer ends the wait at a time that may have passed already; 0: never. */
static void set_timer(const struct load *load, int64_t time)
{
	struct itimerspec when = {
		.it_value = {.tv_sec = time / SECOND, .tv_nsec = time % SECOND},
	};

	if (timerfd_settime(load->pace.timer, TFD_TIMER_ABSTIME, &when, NULL) < 0)
		err(EXIT_FAILURE, "timerfd_settime");
}

/* A batch at a time, so that replies are taken in between and the clock is read. */
void load_send_due(struct load *load)
{
	struct pace *pace = &load->pace;

	for (unsigned i = 0; i < BATCH_MAX && pace->next < pace->end; i++) {
		struct client *client = &load->clients[pace->next % load->options->clients];
		int64_t due = due_time(load, pace->next);

		if (due > load->now || flight_is_full(&client->flight))
			break;
		send_datagram(load, client, due);
		pace->next++;
	}
	load_flush(load);
	/* Behind the last one, at the end of what is measured. */
	set_timer(load, load->stopping ? 0 : due_time(load, pace->next));
}
