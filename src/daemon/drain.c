/* SPDX-License-Identifier: MIT */
/* The way to the end: no new sessions, time for those that live, and then none. */
#include "daemon/server_state.h"
#include "os/log.h"

/* Milliseconds between two lines about what is left. */
#define PROGRESS_INTERVAL 1000

static void stop_workers(struct server *server)
{
	for (unsigned i = 0; i < server->worker_count; i++)
		worker_send_stop(&server->workers[i]);
}

uint64_t server_drain_left(const struct server *server)
{
	uint64_t deadline = server->drain_timer.deadline, now = server->loop.now;

	/* The timer is set to a millisecond more than was asked for. */
	return timer_is_set(&server->drain_timer) && deadline > now ? deadline - now - 1 : 0;
}

/* A line when something has changed, so that a long drain of a quiet server is not a long log. */
static void tell_progress(struct timer *timer)
{
	struct server *server = container_of(timer, struct server, progress_timer);
	uint64_t sessions = server_count_sessions(server);

	if (sessions != server->sessions_told)
		log_info("daemon", "draining", LOG_NUMBER("sessions", sessions),
			 LOG_SECONDS("left", server_drain_left(server)));
	server->sessions_told = sessions;
	loop_timer_set(&server->loop, timer, PROGRESS_INTERVAL);
}

static void drain_expired(struct timer *timer)
{
	struct server *server = container_of(timer, struct server, drain_timer);

	timer_drop(&server->progress_timer);
	log_info("daemon", "drain_timeout is over: ending what is left",
		 LOG_NUMBER("sessions", server_count_sessions(server)));
	stop_workers(server);
}

void drain_init(struct server *server)
{
	timer_init(&server->drain_timer, drain_expired);
	timer_init(&server->progress_timer, tell_progress);
}

void server_drain(struct server *server)
{
	const struct config *config = &server->generation->config;
	bool leave = config->offload_at_exit == CONFIG_OFFLOAD_LEAVE;

	if (server->stopping) {
		log_info("daemon", "stopping now: asked a second time");
		stop_workers(server);
		return;
	}
	server->stopping = true;
	server->sessions_told = server_count_sessions(server);
	log_info("daemon", "stopping: no new sessions",
		 LOG_NUMBER("sessions", server->sessions_told),
		 LOG_SECONDS("drain_timeout", config->drain_timeout));
	for (unsigned i = 0; i < server->worker_count; i++)
		worker_send_drain(&server->workers[i], leave);
	loop_timer_set(&server->loop, &server->drain_timer, config->drain_timeout);
	loop_timer_set(&server->loop, &server->progress_timer, PROGRESS_INTERVAL);
	announce_stopping(server);
}
