/* SPDX-License-Identifier: MIT */
/* The load of the bench: its run, and what it says of it. */
#include "udp_load.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#include "gate.h"
#include "udp_load_parts.h"

#define WAIT_AT_MOST 10           /* milliseconds, until the clock is looked at */
#define COME_HOME    (2 * SECOND) /* at most, for what is still on its way at the end */

int64_t load_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

/* Waits for replies, or until something is due, and deals with all that there is. */
static void run_round(struct load *load)
{
	struct epoll_event events[BATCH_MAX];
	int count = epoll_wait(load->epoll, events, BATCH_MAX, WAIT_AT_MOST);

	if (count < 0 && errno != EINTR)
		err(EXIT_FAILURE, "epoll_wait");
	load->now = load_clock();
	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr != &load->pace)
			load_receive(load, events[i].data.ptr);
	}
	if (load->options->rate > 0)
		load_send_due(load);
	load_give_up_lost(load);
}

static int64_t nanoseconds(double seconds)
{
	return (int64_t)(seconds * 1e9);
}

static uint64_t datagrams(const struct load_options *options, double seconds)
{
	return (uint64_t)(seconds * options->rate + 0.5);
}

static void begin(struct load *load)
{
	const struct load_options *options = load->options;

	load->now = load_clock();
	load->measured_from = load->now + nanoseconds(options->warm_up);
	if (options->rate > 0)
		load_begin_pace(load, datagrams(options, options->warm_up),
				datagrams(options, options->seconds));
	load->warm_until = load->measured_from;
	if (options->wait) {
		/* Nothing is measured, and nothing ends, until the gate is open. */
		load->measured_from = INT64_MAX;
		load->pace.end = UINT64_MAX;
	}
	if (options->rate > 0) {
		load_send_due(load);
		return;
	}
	for (unsigned i = 0; i < options->clients; i++)
		load_refill(load, &load->clients[i]);
	load_flush(load);
}

static void warm_up(struct load *load)
{
	const struct load_options *options = load->options;
	struct gate gate = {.waits = options->wait};

	while (load->now < load->warm_until || !gate_is_open(&gate))
		run_round(load);
	if (!options->wait)
		return;
	load->measured_from = load->now;
	load->pace.end = 0;
	if (options->rate > 0)
		load_measure_pace(load, datagrams(options, options->seconds));
}

/* `echoed` in `seconds`, the time that was measured. */
static void report(const struct load *load, uint64_t echoed, uint64_t late, double seconds)
{
	const struct load_options *options = load->options;
	const struct counts *counts = &load->counts;

	printf("echoed_per_second=%.0f lost=%" PRIu64 " late=%" PRIu64 " wrong=%" PRIu64
	       " clients=%u size=%zu window=%u seconds=%.3f total=%" PRIu64,
	       (double)echoed / seconds, counts->lost, late, counts->wrong, options->clients,
	       options->size, options->window, seconds, counts->echoed);
	printf(" rate=%u sent=%" PRIu64 " reordered=%" PRIu64 " behind=%" PRIu64, options->rate,
	       counts->sent, counts->reordered, counts->behind);
	latency_print(&load->latency);
	putchar('\n');
}

/* What is due leaves, though it may take longer; and a window lasts until it has sent anything. */
static bool is_measuring(const struct load *load, int64_t end)
{
	if (load->now < end)
		return true;
	return load->options->rate > 0 ? load->pace.next < load->pace.end : load->counts.sent == 0;
}

bool load_run(const struct load_options *options)
{
	static struct load load;
	struct counts before;
	uint64_t echoed;
	int64_t began, took, end;

	load.options = options;
	load_prepare(&load);
	begin(&load);
	warm_up(&load);
	before = load.counts;
	began = load.now;
	end = began + nanoseconds(options->seconds);
	while (is_measuring(&load, end))
		run_round(&load);
	echoed = load.counts.echoed - before.echoed;
	took = load.now - began;

	/* What is still on its way comes home, so that nobody is left with work. */
	load.stopping = true;
	end = load.now + COME_HOME;
	while (load.underway > 0 && load.now < end)
		run_round(&load);
	report(&load, echoed, load.counts.late - before.late, (double)took / 1e9);
	return load.counts.wrong == 0 && load.counts.echoed > 0;
}
