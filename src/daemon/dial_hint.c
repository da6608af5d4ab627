/* SPDX-License-Identifier: MIT */
/* One upstream after another is tried, never two at a time. */
#include "daemon/dial_hint.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/server_state.h"
#include "os/dial.h"
#include "os/log.h"
#include "os/sys.h"
#include "relay/dial_timeouts.h"
#include "routing/return_check.h"

/* Milliseconds. The upstream is on this host or next to it; a lost SYN is sent again in time. */
#define PATIENCE 2500

/* Two sentences of evidence. */
#define CAUSE_SIZE (2 * RETURN_EVIDENCE_SIZE + 8)

/* A bit of generation_listener.hinted, as in dial_timeouts.told. */
static bool is_hinted(const struct generation_listener *listener, enum address_family family)
{
	return (listener->hinted & dial_timeouts_bit(family)) != 0;
}

static void name_cause(const struct return_verdict *verdict, uint32_t mark,
		       char cause[static CAUSE_SIZE])
{
	const char *more = verdict->route_evidence;

	if (!verdict->sound)
		snprintf(cause, CAUSE_SIZE, "%s%s%s", verdict->rule_evidence,
			 verdict->rule_evidence[0] != '\0' && more[0] != '\0' ? "; " : "", more);
	else if (mark != 0)
		snprintf(cause, CAUSE_SIZE,
			 "the rules stand: the answers do not carry mark %u, or a firewall, NAT or "
			 "the reverse-path filter stops them",
			 (unsigned)mark);
	else
		snprintf(cause, CAUSE_SIZE,
			 "the rules stand: a firewall, NAT or the reverse-path filter stops the "
			 "answers");
}

/* False: the kernel cannot be asked, or this program cannot ask. */
static bool find_cause(const struct config *config, const struct relay_settings *relay,
		       const struct address *upstream, char cause[static CAUSE_SIZE])
{
	struct return_plan plan;
	struct return_verdict verdict;
	bool found;

	return_plan_init(&plan);
	found = return_plan_add(&plan, &config->routing, upstream, relay->mark, false) == 0 &&
		return_check_all(&plan, &verdict) == 0 && !verdict.no_family;
	if (found)
		name_cause(&verdict, plan.mark_count > 0 ? relay->mark : 0, cause);
	return_plan_finish(&plan);
	return found;
}

static void log_hint(const struct config *config, const struct relay_settings *relay,
		     const struct address *upstream)
{
	char cause[CAUSE_SIZE];
	bool found = find_cause(config, relay, upstream, cause);

	log_warning("routing",
		    "a dial from a client's address timed out, though a plain connection works",
		    LOG_TEXT("listener", relay->listener_name), LOG_ADDRESS("upstream", upstream),
		    found ? LOG_TEXT("why", cause) : LOG_NOTHING,
		    LOG_TEXT("hint", "mmproxyctl doctor"));
}

/* The connection works, or it does not, and then the next timeout is worth another look. */
static void conclude(struct server *server, bool works)
{
	struct dial_hint *hint = &server->dial_hint;
	struct generation *generation = server->generation;
	enum address_family family = (enum address_family)hint->upstream.family;

	hint->source.ready = loop_ignore;
	close(hint->fd);
	hint->fd = -1;
	timer_drop(&hint->timer);
	loop_defer(&server->loop, &hint->look);
	if (hint->generation != generation->number) /* a reload has come between */
		return;
	if (works) {
		generation->listeners[hint->listener].hinted |= dial_timeouts_bit(family);
		log_hint(&generation->config, &generation->config.listeners[hint->listener].relay,
			 &hint->upstream);
	} else {
		log_debug("routing",
			  "a dial timed out, and a plain connection does not work either",
			  LOG_ADDRESS("upstream", &hint->upstream));
		dial_timeouts_forget(&generation->listeners[hint->listener].dial_timeouts, family);
	}
}

static void trial_ready(struct loop_source *source, uint32_t events)
{
	struct server *server = container_of(source, struct server, dial_hint.source);
	int error = sys_linux.socket_error(server->dial_hint.fd);

	conclude(server, error == 0 && (events & (EPOLLERR | EPOLLHUP)) == 0);
}

static void trial_expired(struct timer *timer)
{
	conclude(container_of(timer, struct server, dial_hint.timer), false);
}

static void begin_trial(struct server *server, size_t listener, const struct address *upstream)
{
	struct dial_hint *hint = &server->dial_hint;
	int error;

	hint->generation = server->generation->number;
	hint->listener = listener;
	hint->upstream = *upstream;
	hint->fd = dial_plain(&sys_linux, upstream);
	error = hint->fd < 0 ? hint->fd : 0;
	hint->source.ready = trial_ready;
	if (error == 0)
		error = loop_watch(&server->loop, hint->fd, EPOLLOUT, &hint->source);
	if (error == 0) {
		loop_timer_set(&server->loop, &hint->timer, PATIENCE);
		return;
	}
	if (hint->fd >= 0)
		close(hint->fd);
	hint->fd = -1;
	dial_timeouts_forget(&server->generation->listeners[listener].dial_timeouts,
			     (enum address_family)upstream->family);
}

/* Sessions of earlier generations tell these, who are not asked any more. */
static void look(struct loop_task *task)
{
	struct server *server = container_of(task, struct server, dial_hint.look);
	static const enum address_family families[] = {ADDRESS_IPV4, ADDRESS_IPV6};
	struct generation *generation = server->generation;

	for (size_t i = 0; i < generation->config.listener_count; i++) {
		struct generation_listener *listener = &generation->listeners[i];

		for (size_t j = 0; j < 2 && server->dial_hint.fd < 0; j++) {
			if (dial_timeouts_told(&listener->dial_timeouts, families[j]) &&
			    !is_hinted(listener, families[j]))
				begin_trial(server, i,
					    relay_settings_forward(
						    &generation->config.listeners[i].relay,
						    (uint8_t)families[j]));
		}
	}
}

static void wake_ready(struct loop_source *source, uint32_t events)
{
	struct server *server = container_of(source, struct server, dial_hint.wake_source);
	eventfd_t count;

	(void)events;
	if (eventfd_read(server->dial_hint.wake, &count) == 0)
		loop_defer(&server->loop, &server->dial_hint.look);
}

int dial_hint_init(struct dial_hint *hint)
{
	*hint = (struct dial_hint){
		.wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.wake_source = {wake_ready},
		.fd = -1,
	};
	loop_task_init(&hint->look, look);
	timer_init(&hint->timer, trial_expired);
	return hint->wake < 0 ? -errno : 0;
}

void dial_hint_finish(struct dial_hint *hint)
{
	loop_task_drop(&hint->look);
	timer_drop(&hint->timer);
	if (hint->fd >= 0)
		close(hint->fd);
	if (hint->wake >= 0)
		close(hint->wake);
}

void dial_hint_attach(struct dial_hint *hint, struct generation *generation)
{
	for (size_t i = 0; i < generation->config.listener_count; i++) {
		struct dial_timeouts *timeouts = &generation->listeners[i].dial_timeouts;

		timeouts->wake = hint->wake;
		generation->config.listeners[i].relay.dial_timeouts = timeouts;
	}
}
