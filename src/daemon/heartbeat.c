/* SPDX-License-Identifier: MIT */
/* Pings and what becomes of them. All of it in the main thread; a worker only answers. */
#include "daemon/heartbeat.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/server_state.h"
#include "os/log.h"
#include "os/service_manager.h"

/* Milliseconds: a ping at least so often; a worker that is silent for so long is called stuck. */
#define INTERVAL_MOST 1000
#define STUCK_AFTER   2000

/* One lost or late notice must not be a watchdog's bite. */
#define NOTICES_PER_WATCHDOG 3

/* Milliseconds. A watchdog that is asked for more often than this makes no sense. */
#define INTERVAL_LEAST 10

static uint64_t choose_interval(uint64_t watchdog)
{
	uint64_t interval = watchdog / NOTICES_PER_WATCHDOG;

	if (watchdog == 0 || interval > INTERVAL_MOST)
		return INTERVAL_MOST;
	return interval < INTERVAL_LEAST ? INTERVAL_LEAST : interval;
}

static void ask(struct server *server, unsigned index)
{
	server->heartbeat.workers[index].asked = server->loop.now;
	worker_send_ping(&server->workers[index]);
}

static void log_stuck(unsigned index, uint64_t silent)
{
	log_error("daemon", "a worker is stuck", LOG_NUMBER("worker", index),
		  LOG_SECONDS("silent", silent),
		  LOG_TEXT("hint", "its sessions wait, for a plugin that does not return perhaps"));
}

static void log_back(unsigned index, uint64_t silent)
{
	log_warning("daemon", "a worker is back", LOG_NUMBER("worker", index),
		    LOG_SECONDS("silent", silent));
}

/*
 * Whether the worker has answered, or has nothing to answer for any more. A beat that comes late
 * itself, after the process was stopped, says nothing of a worker that has not had its turn yet.
 */
static bool is_well(struct server *server, unsigned index, bool late)
{
	struct heartbeat_worker *heart = &server->heartbeat.workers[index];
	uint64_t now = server->loop.now;

	if (worker_is_over(&server->workers[index]))
		return true;
	if (!worker_is_alive(&server->workers[index])) {
		if (!heart->stuck && !late && now - heart->asked >= STUCK_AFTER) {
			heart->stuck = true;
			log_stuck(index, now - heart->answered);
		}
		return false;
	}
	if (heart->stuck)
		log_back(index, now - heart->answered);
	heart->stuck = false;
	heart->answered = now;
	ask(server, index);
	return true;
}

static void beat(struct timer *timer)
{
	struct server *server = container_of(timer, struct server, heartbeat.timer);
	struct heartbeat *heartbeat = &server->heartbeat;
	bool late = server->loop.now - heartbeat->last >= STUCK_AFTER, all = true;

	heartbeat->last = server->loop.now;
	for (unsigned i = 0; i < server->worker_count; i++)
		all = is_well(server, i, late) && all;
	if (all && heartbeat->watched)
		service_manager_repeat("WATCHDOG=1");
	loop_timer_set(&server->loop, &heartbeat->timer, heartbeat->interval);
}

int heartbeat_start(struct server *server)
{
	struct heartbeat *heartbeat = &server->heartbeat;
	uint64_t watchdog = service_manager_watchdog();

	heartbeat->workers = calloc(server->worker_count, sizeof(*heartbeat->workers));
	if (heartbeat->workers == NULL)
		return -ENOMEM;
	heartbeat->watched = watchdog > 0;
	heartbeat->interval = choose_interval(watchdog);
	timer_init(&heartbeat->timer, beat);
	loop_look_at_clock(&server->loop);
	heartbeat->last = server->loop.now;
	for (unsigned i = 0; i < server->worker_count; i++) {
		heartbeat->workers[i].answered = server->loop.now;
		ask(server, i);
	}
	loop_timer_set(&server->loop, &heartbeat->timer, heartbeat->interval);
	return 0;
}

void heartbeat_finish(struct server *server)
{
	free(server->heartbeat.workers);
	server->heartbeat.workers = NULL;
}

uint64_t heartbeat_age_ms(const struct server *server, unsigned worker)
{
	const struct heartbeat_worker *heart;

	if (server->heartbeat.workers == NULL || worker_is_over(&server->workers[worker]))
		return 0;
	heart = &server->heartbeat.workers[worker];
	/* An answer that the next round will find came after it was asked for. */
	return server->loop.now -
	       (worker_is_alive(&server->workers[worker]) ? heart->asked : heart->answered);
}
