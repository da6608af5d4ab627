/* SPDX-License-Identifier: MIT */
/* Notices to the service manager, and the figures in its status line. */
#include "daemon/announce.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/server_state.h"
#include "os/service_manager.h"
#include "os/sys.h"

/* Milliseconds between two looks at the figures. */
#define STATUS_INTERVAL 1000

/* Milliseconds that stopping may take beyond drain_timeout. */
#define STOP_RESERVE 10000

#define TIME_SIZE 32

/* Sessions begun a second. A notice between two looks has the figure of the first. */
static void measure_rate(struct server *server)
{
	struct announcements *announcements = &server->announcements;
	uint64_t begun = server_sum_counter(server, COUNTER_SESSIONS_ACCEPTED);
	uint64_t passed = server->loop.now - announcements->counted;

	if (passed < STATUS_INTERVAL)
		return;
	announcements->rate = ((begun - announcements->begun) * 1000 + passed / 2) / passed;
	announcements->begun = begun;
	announcements->counted = server->loop.now;
}

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

static int write_draining(const struct server *server, char status[static ANNOUNCE_STATUS_SIZE])
{
	uint64_t sessions = server_count_sessions(server);
	uint64_t left = (server_drain_left(server) + 500) / 1000;

	return snprintf(status, ANNOUNCE_STATUS_SIZE,
			"draining: %" PRIu64 " session%s, %" PRIu64 " s left", sessions,
			plural(sessions), left);
}

static int write_running(const struct server *server, char status[static ANNOUNCE_STATUS_SIZE])
{
	uint64_t sessions = server_count_sessions(server);
	size_t listeners = server->generation->config.listener_count;

	return snprintf(status, ANNOUNCE_STATUS_SIZE,
			"%" PRIu64 " session%s, %" PRIu64 " new a second; %zu listener%s, "
			"generation %" PRIu64,
			sessions, plural(sessions), server->announcements.rate, listeners,
			plural(listeners), server->generation->number);
}

/* Until a reload succeeds, whoever asks how the service is learns that its file is not in force. */
static void append_failure(const struct reload_history *reloads, char *end, size_t room)
{
	const time_t loaded = (time_t)reloads->loaded;
	size_t problems = reloads->mistakes.count;
	char time[TIME_SIZE] = "";
	struct tm utc;

	if (!reloads->last_failed)
		return;
	if (gmtime_r(&loaded, &utc) != NULL)
		strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%SZ", &utc);
	snprintf(end, room, "; reload failed: %zu problem%s, the configuration of %s stays",
		 problems, plural(problems), time);
}

static void write_status(struct server *server)
{
	struct announcements *announcements = &server->announcements;
	char *status = announcements->status;
	int length;

	measure_rate(server);
	length = server->stopping ? write_draining(server, status) : write_running(server, status);
	if (!server->stopping)
		append_failure(&server->reloads, status + length,
			       ANNOUNCE_STATUS_SIZE - (size_t)length);
}

static void look_again(struct timer *timer)
{
	struct server *server = container_of(timer, struct server, announcements.timer);
	struct announcements *announcements = &server->announcements;
	char told[ANNOUNCE_STATUS_SIZE];

	service_manager_retry();
	memcpy(told, announcements->status, sizeof(told));
	write_status(server);
	if (strcmp(told, announcements->status) != 0 &&
	    !service_manager_repeat("STATUS=%s", announcements->status))
		memcpy(announcements->status, told, sizeof(told));
	loop_timer_set(&server->loop, timer, STATUS_INTERVAL);
}

void announce_ready(struct server *server)
{
	struct announcements *announcements = &server->announcements;

	announcements->counted = server->loop.now;
	announcements->wanted = service_manager_listens();
	if (!announcements->wanted)
		return;
	write_status(server);
	service_manager_tell("READY=1\nSTATUS=%s", announcements->status);
	timer_init(&announcements->timer, look_again);
	loop_timer_set(&server->loop, &announcements->timer, STATUS_INTERVAL);
}

/* MONOTONIC_USEC= tells this reload's READY=1 from one that was on its way: sd_notify(3). */
void announce_reloading(struct server *server)
{
	if (!server->announcements.wanted || server->stopping)
		return;
	server->announcements.reloading = true;
	service_manager_tell("RELOADING=1\nMONOTONIC_USEC=%" PRIu64
			     "\nSTATUS=loading the configuration",
			     sys_linux.clock());
}

void announce_reload_over(struct server *server)
{
	/* Who drains is neither ready nor loading, whatever was on its way. */
	if (!server->announcements.reloading || server->stopping)
		return;
	server->announcements.reloading = false;
	write_status(server);
	service_manager_tell("READY=1\nSTATUS=%s", server->announcements.status);
}

void announce_stopping(struct server *server)
{
	if (!server->announcements.wanted)
		return;
	write_status(server);
	/* A drain may take longer than the unit's TimeoutStopSec=. */
	service_manager_tell("STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64 "\nSTATUS=%s",
			     (server_drain_left(server) + STOP_RESERVE) * 1000,
			     server->announcements.status);
}
