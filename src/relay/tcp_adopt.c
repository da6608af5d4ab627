/* SPDX-License-Identifier: MIT */
/* A session that the kernel has carried on while there was no mmproxy. */
#include <errno.h>
#include <string.h>

#include "offload/datapath.h"
#include "offload/tuple.h"
#include "os/log.h"
#include "relay/client_counts.h"
#include "relay/relay.h"
#include "relay/tcp.h"
#include "relay/tcp_listener.h"
#include "relay/tcp_offload.h"
#include "relay/tcp_session.h"

static struct tcp_listener *find_listener(struct relay *relay, const char *name)
{
	for (struct list *link = relay->listeners.next; link != &relay->listeners;
	     link = link->next) {
		struct tcp_listener *listener = container_of(link, struct tcp_listener, link);

		if (strcmp(listener->settings->listener_name, name) == 0)
			return listener;
	}
	return NULL;
}

static void count_client(struct tcp_session *session, struct tcp_listener *listener)
{
	if (session->settings->max_sessions_per_client > 0 && !session->header_local)
		client_counts_take(session->relay->client_counts, listener->budget,
				   &session->client_address, 0, &session->client_count);
}

static void fill(struct tcp_session *session, const struct offload_record *record)
{
	session->header_version = record->header_version;
	session->header_local = record->header_local;
	session->client_address = offload_address_read(&record->client);
	session->destination_address = offload_address_read(&record->destination);
	session->started = relay_time_of(session->relay, record->started);
	session->up.bytes = record->counted[OFFLOAD_BALANCER];
	session->down.bytes = record->counted[OFFLOAD_UPSTREAM];
}

static int adopt(struct relay *relay, struct tcp_listener *listener, uint64_t id,
		 const struct offload_record *record)
{
	const struct tcp_start start = {
		.fd = -1,
		.balancer = offload_address_read(&record->balancer),
		.settings = listener->settings,
		.listener_budget = listener->budget,
	};
	struct tcp_session *session = tcp_session_create(relay, &start, id);

	if (session == NULL)
		return -ENOMEM;
	session->without_sockets = true;
	budget_take_anyway(listener->budget);
	fill(session, record);
	count_client(session, listener);
	if (tcp_verdict_adopt(session) < 0 || tcp_offload_adopted(session, record) < 0) {
		tcp_session_close(session, CLOSE_NO_MEMORY);
		return -ENOMEM;
	}
	counter_add(&relay->counters, COUNTER_OFFLOAD_ADOPTED, 1);
	return 0;
}

/* Nobody could end it, or would know of its end: it ends now. */
static void refuse(struct relay *relay, uint64_t id, const struct offload_record *record)
{
	tcp_twin_reset(relay, id, record);
	datapath_forget(relay->datapath, id,
			(struct offload_tuple[2]){record->legs[0].tuple, record->legs[1].tuple});
}

static void log_refused(uint64_t id, const struct offload_record *record)
{
	const struct address client = offload_address_read(&record->client);

	log_warning("offload", "a session ends whose listener is gone", LOG_NUMBER("id", id),
		    LOG_TEXT("listener", record->listener), LOG_ADDRESS("client", &client));
}

void tcp_adopt(struct relay *relay, uint64_t id)
{
	struct offload_record record;
	struct tcp_listener *listener;

	if (datapath_read_record(relay->datapath, id, &record) < 0)
		return;
	record.listener[sizeof(record.listener) - 1] = '\0';
	listener = find_listener(relay, record.listener);
	if (listener == NULL)
		log_refused(id, &record);
	/* Where memory is short, the end of the session tells, or nobody can. */
	if (listener == NULL || adopt(relay, listener, id, &record) < 0)
		refuse(relay, id, &record);
}
