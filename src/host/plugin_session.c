/* SPDX-License-Identifier: MIT */
/* A session's way through its chain of plugins. */
#include "host/plugin_session.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "host/instance.h"
#include "host/plugin_set.h"
#include "host/ticket_pool.h"
#include "os/log.h"
#include "os/loop.h"
#include "wire/proxy_tlv.h"

struct plugin_session {
	struct mmproxy_conn conn; /* what hooks are handed; its slot is set for each call */
	const struct plugin_chain *chain;
	struct ticket_pool *worker;
	void (*decided)(void *owner, enum plugin_ruling ruling);
	void *owner;
	struct ticket *ticket; /* out, or NULL */
	size_t asked;          /* plugins of the chain that have been asked: these hear the end */
	enum close_reason reason; /* of the refusal */
	int error;                /* the -errno of the plugin that failed, or 0 */
	char *why;                /* what the last plugin said; NULL: nothing */
	bool filtering;           /* within a filter hook */
	bool connected;
	bool adopted;
	uint8_t *tlvs;
	size_t tlvs_length;
	void *slots[]; /* one a plugin */
};

static struct plugin_session *session_of(const struct mmproxy_conn *conn)
{
	return (struct plugin_session *)(uintptr_t)conn;
}

static struct mmproxy_address shown_address(const struct address *address)
{
	struct mmproxy_address shown = {.port = address->port};

	if (address->family == ADDRESS_IPV4)
		shown.family = AF_INET;
	else if (address->family == ADDRESS_IPV6)
		shown.family = AF_INET6;
	memcpy(shown.ip, address->ip, sizeof(shown.ip));
	return shown;
}

static int keep_tlvs(struct plugin_session *session, const struct plugin_session_facts *facts)
{
	if (facts->tlvs_length == 0)
		return 0;
	session->tlvs = malloc(facts->tlvs_length);
	if (session->tlvs == NULL)
		return -ENOMEM;
	memcpy(session->tlvs, facts->tlvs, facts->tlvs_length);
	session->tlvs_length = facts->tlvs_length;
	return 0;
}

struct plugin_session *
plugin_session_create(const struct plugin_chain *chain, struct ticket_pool *worker,
		      const struct plugin_session_facts *facts,
		      void (*decided)(void *owner, enum plugin_ruling ruling), void *owner)
{
	struct plugin_session *session =
		calloc(1, sizeof(*session) + chain->count * sizeof(session->slots[0]));

	if (session == NULL)
		return NULL;
	session->chain = chain;
	session->worker = worker;
	session->decided = decided;
	session->owner = owner;
	session->conn = (struct mmproxy_conn){
		.size = sizeof(session->conn),
		.flags = facts->local ? MMPROXY_CONN_LOCAL : 0,
		.id = facts->id,
		.started = facts->started,
		.protocol = facts->protocol,
		.header = facts->header,
		.worker = worker->worker,
		.listener = facts->listener,
		.client = shown_address(&facts->client),
		.destination = shown_address(&facts->destination),
		.balancer = shown_address(&facts->balancer),
		.upstream = shown_address(&facts->upstream),
	};
	if (keep_tlvs(session, facts) < 0) {
		free(session);
		return NULL;
	}
	plugin_set_seat_share(chain->set, worker);
	return session;
}

struct plugin_session *plugin_session_adopt(const struct plugin_chain *chain,
					    struct ticket_pool *worker,
					    const struct plugin_session_facts *facts)
{
	struct plugin_session *session = plugin_session_create(chain, worker, facts, NULL, NULL);

	if (session != NULL) {
		session->asked = chain->count;
		session->connected = session->adopted = true;
	}
	return session;
}

/* What the hook of the plugin at `place` is handed. */
static const struct mmproxy_conn *conn_for(struct plugin_session *session, size_t place)
{
	session->conn.now = session->worker->loop->now;
	session->conn.slot = &session->slots[place];
	return &session->conn;
}

/* The plugin that was asked last. */
static struct mmproxy_instance *asked_last(const struct plugin_session *session)
{
	return session->chain->instances[session->asked - 1];
}

static void set_why(struct plugin_session *session, const char *why)
{
	free(session->why);
	session->why = why != NULL ? strndup(why, utf8_cut(why, TICKET_WHY_SIZE - 1)) : NULL;
}

static bool refuse(struct plugin_session *session, enum close_reason reason)
{
	session->reason = reason;
	return false;
}

/* The plugin that was asked last gave no verdict: its entry's on_error does. True: go on. */
static bool fail(struct plugin_session *session, enum close_reason reason, const char *why)
{
	const struct address nobody = {.family = ADDRESS_NONE};
	struct mmproxy_instance *instance = asked_last(session);
	bool pass = instance->entry->on_error == PLUGIN_ON_ERROR_PASS;
	uint64_t suppressed;

	instance_count(instance,
		       reason == CLOSE_PLUGIN_TIMEOUT ? INSTANCE_TIMEOUTS : INSTANCE_ERRORS);
	set_why(session, why);
	/* One kind of line more than judge_time() has of this instance. */
	if (pass &&
	    log_limiter_admit(&session->worker->log_limiter, &nobody,
			      (unsigned)(uintptr_t)instance + 1, session->conn.now, &suppressed))
		log_warning("plugin", "no verdict: the session passes",
			    LOG_TEXT("plugin", instance->entry->name), LOG_TEXT("why", why),
			    LOG_NUMBER("id", session->conn.id),
			    suppressed > 0 ? LOG_NUMBER("suppressed", suppressed) : LOG_NOTHING);
	return pass || refuse(session, reason);
}

static bool fail_with(struct plugin_session *session, int verdict)
{
	char why[TICKET_WHY_SIZE];

	if (verdict < 0) {
		session->error = verdict;
		snprintf(why, sizeof(why), "it failed: %s", log_error_text(verdict));
	} else {
		snprintf(why, sizeof(why), "%d is no verdict", verdict);
	}
	return fail(session, CLOSE_PLUGIN_ERROR, why);
}

/* A verdict of the plugin that was asked last. True: on to the next. */
static bool apply(struct plugin_session *session, int verdict)
{
	switch (verdict) {
	case MMPROXY_PASS:
		return true;
	case MMPROXY_DENY:
	case MMPROXY_RESET:
		instance_count(asked_last(session), INSTANCE_REFUSALS);
		return refuse(session,
			      verdict == MMPROXY_DENY ? CLOSE_PLUGIN_DENIED : CLOSE_PLUGIN_RESET);
	default:
		return fail_with(session, verdict);
	}
}

/* Gives the ticket back. True when its plugin still believes that somebody waits for it. */
static bool give_ticket_back(struct plugin_session *session, mmproxy_ticket *number)
{
	struct ticket *ticket = session->ticket;

	session->ticket = NULL;
	*number = ticket_number(session->worker, ticket);
	return ticket_pool_release(session->worker, ticket) == TICKET_AWAITED;
}

/* Asks the next of the chain. False when the ruling is not PASSED yet, or never. */
static bool ask_next(struct plugin_session *session)
{
	struct mmproxy_instance *instance = session->chain->instances[session->asked++];
	mmproxy_ticket number;
	int verdict;

	/* What another said, or how it failed, is none of this one's. */
	set_why(session, NULL);
	session->error = 0;
	session->filtering = true;
	verdict = instance_filter(instance, session->worker, conn_for(session, session->asked - 1));
	session->filtering = false;
	if (session->ticket != NULL && verdict == MMPROXY_PENDING) {
		loop_timer_set(session->worker->loop, &session->ticket->timer,
			       instance->entry->timeout);
		return false;
	}
	/* It took a ticket, and then gave its verdict itself. */
	if (session->ticket != NULL)
		give_ticket_back(session, &number);
	if (verdict == MMPROXY_PENDING)
		return fail(session, CLOSE_PLUGIN_ERROR, "it said PENDING without a ticket");
	return apply(session, verdict);
}

/* From where the session stands to the end of the chain, a refusal, or a ticket. */
enum plugin_ruling plugin_session_judge(struct plugin_session *session)
{
	while (session->asked < session->chain->count) {
		if (!ask_next(session))
			return session->ticket != NULL ? PLUGIN_AWAITED : PLUGIN_REFUSED;
	}
	return PLUGIN_PASSED;
}

/* The verdict that was awaited is there. */
static void resume(struct plugin_session *session, bool passed)
{
	enum plugin_ruling ruling = passed ? plugin_session_judge(session) : PLUGIN_REFUSED;

	if (ruling != PLUGIN_AWAITED)
		session->decided(session->owner, ruling);
}

/* The ticket, which has been given back, says what the plugin's verdict is. */
static void use_verdict(struct plugin_session *session, const struct ticket *ticket)
{
	if (ticket->why[0] != '\0')
		set_why(session, ticket->why);
	session->conn.now = session->worker->loop->now;
	resume(session, apply(session, ticket->verdict));
}

static void ticket_completed(struct ticket *ticket)
{
	struct plugin_session *session = ticket->session;
	mmproxy_ticket number;

	give_ticket_back(session, &number);
	use_verdict(session, ticket);
}

static void ticket_expired(struct timer *timer)
{
	struct ticket *ticket = container_of(timer, struct ticket, timer);
	struct plugin_session *session = ticket->session;
	mmproxy_ticket number;

	/* Completed this very moment? Then its plugin has been told that the verdict counts. */
	if (!give_ticket_back(session, &number)) {
		use_verdict(session, ticket);
		return;
	}
	instance_cancel(asked_last(session), session->worker, conn_for(session, session->asked - 1),
			number);
	resume(session, fail(session, CLOSE_PLUGIN_TIMEOUT, "no verdict within its timeout"));
}

static const struct ticket_fate fate = {ticket_completed, ticket_expired};

struct plugin_refusal plugin_session_refusal(const struct plugin_session *session)
{
	return (struct plugin_refusal){
		.reason = session->reason,
		.plugin = asked_last(session)->entry->name,
		.why = session->why,
	};
}

const uint8_t *plugin_session_tlvs(const struct plugin_session *session, size_t *length)
{
	*length = session->tlvs_length;
	return session->tlvs;
}

void plugin_session_connected(struct plugin_session *session, int error)
{
	session->connected = error == 0;
	if (session->adopted)
		return;
	for (size_t i = 0; i < session->asked; i++)
		instance_connected(session->chain->instances[i], session->worker,
				   conn_for(session, i), error);
}

static struct mmproxy_end end_of(const struct plugin_session *session,
				 const struct plugin_session_end *end)
{
	bool refused = end->reason >= CLOSE_PLUGIN_DENIED && end->reason <= CLOSE_PLUGIN_TIMEOUT;

	return (struct mmproxy_end){
		.size = sizeof(struct mmproxy_end),
		.flags = (session->connected ? MMPROXY_END_CONNECTED : 0) |
			 (session->adopted ? MMPROXY_END_ADOPTED : 0),
		.code = close_reason_code(end->reason),
		.error = end->reason == CLOSE_PLUGIN_ERROR ? session->error : end->error,
		.reason = close_reason_name(end->reason),
		.plugin = refused ? asked_last(session)->entry->name : NULL,
		.why = refused ? session->why : NULL,
		.duration = session->worker->loop->now - session->conn.started,
		.bytes_from_client = end->bytes_from_client,
		.bytes_from_upstream = end->bytes_from_upstream,
		.datagrams_from_client = end->datagrams_from_client,
		.datagrams_from_upstream = end->datagrams_from_upstream,
		.upstream_sees = shown_address(&end->upstream_sees),
	};
}

static void destroy(struct plugin_session *session)
{
	plugin_set_seat_leave(session->chain->set, session->worker);
	free(session->tlvs);
	free(session->why);
	free(session);
}

void plugin_session_leave(struct plugin_session *session)
{
	if (session == NULL)
		return;
	assert(session->ticket == NULL);
	destroy(session);
}

void plugin_session_close(struct plugin_session *session, const struct plugin_session_end *end)
{
	struct mmproxy_end told;
	mmproxy_ticket number;

	if (session == NULL)
		return;
	if (session->ticket != NULL && give_ticket_back(session, &number))
		instance_cancel(asked_last(session), session->worker,
				conn_for(session, session->asked - 1), number);
	told = end_of(session, end);
	for (size_t i = 0; i < session->asked; i++)
		instance_closed(session->chain->instances[i], session->worker, conn_for(session, i),
				&told);
	destroy(session);
}

/* ---- What a hook may ask of its session ---- */

void plugin_session_explain(const struct mmproxy_conn *conn, const char *why)
{
	struct plugin_session *session = session_of(conn);

	/* Another plugin's reason is none of this one's, in whatever hook it is. */
	if (session->filtering)
		set_why(session, why);
}

mmproxy_ticket plugin_session_defer(const struct mmproxy_conn *conn)
{
	struct plugin_session *session = session_of(conn);

	if (!session->filtering)
		return 0;
	if (session->ticket == NULL)
		session->ticket =
			ticket_pool_take(session->worker, session, asked_last(session), &fate);
	return session->ticket != NULL ? ticket_number(session->worker, session->ticket) : 0;
}

int plugin_session_tlv(const struct mmproxy_conn *conn, unsigned type, unsigned index,
		       const uint8_t **value)
{
	const struct plugin_session *session = session_of(conn);
	struct proxy_tlv tlv;

	if (!proxy_tlv_find(session->tlvs, session->tlvs_length, type, index, &tlv))
		return -ENOENT;
	*value = tlv.value;
	return tlv.length;
}

int plugin_session_tlv_at(const struct mmproxy_conn *conn, unsigned position, unsigned *type,
			  const uint8_t **value)
{
	const struct plugin_session *session = session_of(conn);
	struct proxy_tlv tlv;
	size_t offset = 0;

	while (proxy_tlv_next(session->tlvs, session->tlvs_length, &offset, &tlv)) {
		if (position-- > 0)
			continue;
		*type = tlv.type;
		*value = tlv.value;
		return tlv.length;
	}
	return -ENOENT;
}
