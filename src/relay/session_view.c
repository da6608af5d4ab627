/* SPDX-License-Identifier: MIT */
/*
 * A walk over a relay's sessions and flows. A closed one is in no list any more, though its memory
 * may be there until the end of the round, so whatever is met here lives.
 *
 * TCP sessions are met in the order of their start, flows in that of their last use. So a list that
 * is full is a heap with its youngest on top, which goes when an older one is met.
 */
#include "relay/session_view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/client_totals.h"
#include "relay/relay.h"
#include "relay/tcp_offload.h"
#include "relay/tcp_session.h"
#include "relay/udp.h"
#include "relay/udp_offload.h"
#include "wire/proxy_header.h"

/* Places that a list begins with. */
#define FIRST_CAPACITY 64

static const struct address nobody = {.family = ADDRESS_NONE};

/* NULL until a header has said who it is. */
static const struct address *tcp_client(const struct tcp_session *session)
{
	return session->header_version != 0 ? &session->client_address : NULL;
}

static bool matches(const struct session_filter *filter, const struct address *client,
		    const char *listener, uint64_t age)
{
	if (age < filter->older)
		return false;
	if (filter->client.address.family != ADDRESS_NONE &&
	    (client == NULL || !prefix_contains(&filter->client, client)))
		return false;
	return filter->listener[0] == '\0' || strcmp(filter->listener, listener) == 0;
}

static const char *tcp_state_name(enum tcp_state state)
{
	switch (state) {
	case TCP_HEADER:
		return "header";
	case TCP_VERDICT:
		return "verdict";
	case TCP_DIAL:
		return "dial";
	case TCP_RELAY:
		return "relay";
	case TCP_SETTLING:
		return "settling";
	case TCP_MOVED:
	case TCP_OFFLOADED:
		return "offloaded";
	case TCP_RESETTING:
	case TCP_CLOSED:
		break;
	}
	return "reset";
}

static const char *header_name(uint8_t version, bool local)
{
	if (version == 0)
		return NULL;
	if (local)
		return "local";
	if (version == PROXY_VERSION_SPP)
		return "spp";
	return version == PROXY_VERSION_1 ? "v1" : "v2";
}

static void name_listener(struct session_view *view, const struct relay_settings *settings)
{
	snprintf(view->listener, sizeof(view->listener), "%s", settings->listener_name);
}

static void view_tcp(struct session_view *view, const struct tcp_session *session, uint64_t now)
{
	const struct address *client = tcp_client(session);

	*view = (struct session_view){
		.id = session->id,
		.protocol = RELAY_PROTOCOL_TCP,
		.state = tcp_state_name((enum tcp_state)session->state),
		.header = header_name(session->header_version, session->header_local),
		.client = client != NULL ? *client : nobody,
		.balancer = session->balancer,
		.destination = session->destination_address,
		.upstream = client != NULL
				    ? *relay_settings_forward(session->settings, client->family)
				    : nobody,
		.started = session->started,
		.age = now - session->started,
		.idle = now - session->last_active,
		.bytes_from_client = session->up.bytes,
		.bytes_from_upstream = session->down.bytes,
	};
	name_listener(view, session->settings);
}

static const char *udp_state_name(const struct udp_flow *flow)
{
	if (udp_offload_is_carried(flow))
		return "offloaded";
	return flow->fd >= 0 ? "relay" : "verdict";
}

static void view_udp(struct session_view *view, struct udp_flow *flow, uint64_t now)
{
	uint64_t used = udp_offload_count(flow);

	*view = (struct session_view){
		.id = flow->id,
		.protocol = RELAY_PROTOCOL_UDP,
		.state = udp_state_name(flow),
		.header = header_name(flow->header, flow->header_local),
		.client = flow->claim.client,
		.balancer = udp_route_peer(&flow->route),
		.destination = flow->claim.destination,
		.upstream = flow->claim.upstream,
		.started = flow->started,
		.age = now - flow->started,
		.idle = now - used,
		.bytes_from_client = flow->bytes_from_client,
		.bytes_from_upstream = flow->bytes_from_upstream,
		.datagrams_from_client = flow->datagrams_from_client,
		.datagrams_from_upstream = flow->datagrams_from_upstream,
	};
	name_listener(view, flow->settings);
}

void session_list_init(struct session_list *list, size_t limit)
{
	*list = (struct session_list){.limit = limit};
}

void session_list_finish(struct session_list *list)
{
	free(list->views);
	*list = (struct session_list){0};
}

/* Is `a` younger? Those of one millisecond go by their ids, so that no order is left to chance. */
static bool younger(const struct session_view *a, const struct session_view *b)
{
	return a->started != b->started ? a->started > b->started : a->id > b->id;
}

static void swap(struct session_view *a, struct session_view *b)
{
	struct session_view kept = *a;

	*a = *b;
	*b = kept;
}

/* The last one finds its place in the heap, from below. */
static void sift_up(struct session_list *list)
{
	size_t at = list->count - 1;

	while (at > 0 && younger(&list->views[at], &list->views[(at - 1) / 2])) {
		swap(&list->views[at], &list->views[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
}

/* The first one finds its place, from above. */
static void sift_down(struct session_list *list)
{
	size_t at = 0, child;

	while ((child = 2 * at + 1) < list->count) {
		if (child + 1 < list->count &&
		    younger(&list->views[child + 1], &list->views[child]))
			child++;
		if (!younger(&list->views[child], &list->views[at]))
			return;
		swap(&list->views[child], &list->views[at]);
		at = child;
	}
}

/* No room for one that started then, as all that are there are older. */
static bool is_beyond(const struct session_list *list, uint64_t started, uint64_t id)
{
	const struct session_view candidate = {.started = started, .id = id};

	return list->count == list->limit && younger(&candidate, &list->views[0]);
}

static int make_room(struct session_list *list)
{
	size_t capacity = list->capacity > 0 ? list->capacity * 2 : FIRST_CAPACITY;
	struct session_view *views;

	if (list->count < list->capacity)
		return 0;
	views = reallocarray(list->views, capacity, sizeof(*views));
	if (views == NULL)
		return -ENOMEM;
	list->views = views;
	list->capacity = capacity;
	return 0;
}

/* One that is not beyond. */
static int insert(struct session_list *list, const struct session_view *view)
{
	if (list->count == list->limit) {
		list->views[0] = *view;
		sift_down(list);
		return 0;
	}
	if (make_room(list) < 0)
		return -ENOMEM;
	list->views[list->count++] = *view;
	sift_up(list);
	return 0;
}

static int add_tcp(struct session_list *list, struct tcp_session *session, uint64_t now,
		   const struct session_filter *filter)
{
	struct session_view view;

	if (!matches(filter, tcp_client(session), session->settings->listener_name,
		     now - session->started))
		return 0;
	list->matched++;
	if (is_beyond(list, session->started, session->id))
		return 0;
	tcp_offload_look(session);
	view_tcp(&view, session, now);
	return insert(list, &view);
}

static int add_udp(struct session_list *list, struct udp_flow *flow, uint64_t now,
		   const struct session_filter *filter)
{
	struct session_view view;

	if (!matches(filter, &flow->claim.client, flow->settings->listener_name,
		     now - flow->started))
		return 0;
	list->matched++;
	if (is_beyond(list, flow->started, flow->id))
		return 0;
	view_udp(&view, flow, now);
	return insert(list, &view);
}

/* What a walk does with each session and each flow. It goes on while that returns 0. */
struct visitor {
	int (*tcp)(void *data, struct tcp_session *session);
	int (*udp)(void *data, struct udp_flow *flow);
	void *data;
};

static int walk_flows(const struct list *queue, const struct visitor *visitor)
{
	int error = 0;

	/* The next one is looked up first: a visitor may close the flow. */
	for (struct list *link = queue->next, *next = link->next; link != queue && error == 0;
	     link = next, next = link->next) {
		struct flow_entry *entry = container_of(link, struct flow_entry, link);

		error = visitor->udp(visitor->data, container_of(entry, struct udp_flow, entry));
	}
	return error;
}

static int walk(const struct relay *relay, const struct visitor *visitor)
{
	int error = 0;

	for (struct list *link = relay->sessions.next, *next = link->next;
	     link != &relay->sessions && error == 0; link = next, next = link->next)
		error = visitor->tcp(visitor->data, container_of(link, struct tcp_session, link));
	for (struct list *link = relay->udp_listeners.next;
	     link != &relay->udp_listeners && error == 0; link = link->next) {
		struct udp_listener *listener = container_of(link, struct udp_listener, link);

		error = walk_flows(&listener->flows.fresh, visitor);
		if (error == 0)
			error = walk_flows(&listener->flows.assured, visitor);
	}
	return error;
}

struct filling {
	struct session_list *list;
	const struct session_filter *filter;
	uint64_t now;
};

static int fill_tcp(void *data, struct tcp_session *session)
{
	const struct filling *filling = data;

	return add_tcp(filling->list, session, filling->now, filling->filter);
}

static int fill_udp(void *data, struct udp_flow *flow)
{
	const struct filling *filling = data;

	return add_udp(filling->list, flow, filling->now, filling->filter);
}

int session_list_fill(struct session_list *list, const struct relay *relay,
		      const struct session_filter *filter)
{
	struct filling filling = {list, filter, relay->loop.now};

	return walk(relay, &(struct visitor){fill_tcp, fill_udp, &filling});
}

int session_list_merge(struct session_list *list, const struct session_list *from)
{
	list->matched += from->matched;
	for (size_t i = 0; i < from->count; i++) {
		const struct session_view *view = &from->views[i];

		if (!is_beyond(list, view->started, view->id) && insert(list, view) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int compare(const void *left, const void *right)
{
	const struct session_view *a = left, *b = right;

	return younger(a, b) - younger(b, a);
}

void session_list_sort(struct session_list *list)
{
	if (list->count > 1)
		qsort(list->views, list->count, sizeof(*list->views), compare);
}

static int total_tcp(void *data, struct tcp_session *session)
{
	const struct address *client = tcp_client(session);

	if (client == NULL)
		return 0;
	tcp_offload_look(session);
	return client_totals_add(data, &(struct client_total){
					       .client = *client,
					       .sessions = 1,
					       .bytes_from_client = session->up.bytes,
					       .bytes_from_upstream = session->down.bytes,
				       });
}

static int total_udp(void *data, struct udp_flow *flow)
{
	udp_offload_count(flow);
	return client_totals_add(data, &(struct client_total){
					       .client = flow->claim.client,
					       .sessions = 1,
					       .bytes_from_client = flow->bytes_from_client,
					       .bytes_from_upstream = flow->bytes_from_upstream,
				       });
}

int session_total_clients(const struct relay *relay, struct client_totals *totals)
{
	return walk(relay, &(struct visitor){total_tcp, total_udp, totals});
}

/* Both end the walk when it was this one. */
static int kill_tcp(void *data, struct tcp_session *session)
{
	if (session->id != *(const uint64_t *)data)
		return 0;
	tcp_session_close(session, CLOSE_KILLED);
	return 1;
}

static int kill_udp(void *data, struct udp_flow *flow)
{
	if (flow->id != *(const uint64_t *)data)
		return 0;
	udp_flow_close(flow, CLOSE_KILLED);
	return 1;
}

bool session_kill(struct relay *relay, uint64_t id)
{
	return walk(relay, &(struct visitor){kill_tcp, kill_udp, &id}) == 1;
}

unsigned session_worker(uint64_t id, unsigned worker_count)
{
	return (unsigned)((id - 1) % worker_count);
}
