/* SPDX-License-Identifier: MIT */
/*
 * UDP flows. A listener's socket receives for all of its flows; each flow has a socket of its own,
 * connected to the upstream from the client's address. Follow a datagram through the files:
 *
 *   udp_listener.c  received, a batch at a time; and what ends flows: idleness, drain, want of room
 *   udp_inbound.c   its header is read; which flow is it of? All of a batch is sent, flow by flow
 *   udp_flow.c      a flow opens, and closes, by one function
 *   udp_dial.c      its socket
 *   udp_verdict.c   asking the plugins before it is dialled
 *   udp_reply.c     the upstream's answers, of many flows in one send, back to the balancer
 *   udp_offload.c   the kernel takes a flow over, and gives it back
 *
 * udp_receiver.c and udp_sender.c are the batches; udp_claims.c and flow_quota.c are what the
 * workers share.
 */
#ifndef MMPROXY_RELAY_UDP_H
#define MMPROXY_RELAY_UDP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/close_reason.h"
#include "base/counter.h"
#include "base/flow_table.h"
#include "base/list.h"
#include "base/timer_wheel.h"
#include "os/loop.h"
#include "relay/udp_claims.h"
#include "relay/udp_receiver.h"

struct client_count;
struct denial_cache;
struct flow_quota;
struct flow_quota_member;
struct offload_udp_record;
struct plugin_session;
struct proxy_header;
struct relay;
struct relay_settings;
struct sys;
struct udp_offload;
struct udp_waiting;

/* One worker's share of a listener: a socket, and the flows whose datagrams arrive there. */
struct udp_listener {
	struct loop_source source;
	struct loop_source notices_source;
	struct timer idle;
	struct flow_table flows;
	struct list link; /* relay->udp_listeners */
	struct relay *relay;
	const struct relay_settings *settings; /* holds settings->owner */
	struct flow_quota *quota;              /* of this listener's flows, of all workers */
	struct flow_quota_member *member;      /* this socket's part in it */
	struct denial_cache *denials;          /* NULL until a plugin has refused somebody */
	int fd;
	uint32_t overflow; /* what the kernel last said it has lost */
	unsigned carried;  /* flows that the kernel carries */
	unsigned fills;    /* of all slots, since the queue was last read empty */
	uint64_t filled;   /* milliseconds: the last of them */
	uint64_t told;     /* up to then all had been read before the first */
	bool draining;     /* no new flows */
	bool offers;       /* its socket is prepared for flows that the kernel carries */
};

/* No datagram, in the lists of a batch. */
#define UDP_PENDING_NONE UINT16_MAX

struct udp_flow {
	struct flow_entry entry; /* listener->flows */
	struct udp_claim claim;  /* holds the client, the upstream and the destination */
	struct loop_source source;
	struct loop_task release; /* frees it at the end of the round in which it closed */
	struct udp_listener *listener;
	const struct relay_settings *settings; /* holds settings->owner */
	struct udp_route route;                /* of the last datagram with a header */
	struct plugin_session *plugins;        /* NULL: none are asked */
	struct udp_waiting *waiting;           /* while a verdict is awaited; else NULL */
	struct client_count *client_count;     /* NULL: the client is not counted */
	struct udp_offload *offload;           /* NULL: all of it is ours */
	uint64_t offload_at; /* datagrams from the client before the kernel is offered it */
	uint64_t id;
	uint64_t started; /* milliseconds, the loop's clock */
	uint64_t datagrams_from_client;
	uint64_t datagrams_from_upstream;
	uint64_t bytes_from_client;
	uint64_t bytes_from_upstream;
	int fd; /* connected to the upstream; -1 until it is dialled, and while the kernel has it */
	uint16_t first_pending; /* in the batch that is being read; or UDP_PENDING_NONE */
	uint16_t last_pending;
	uint8_t header;          /* enum proxy_version */
	uint8_t offload_returns; /* times that the kernel gave it back, up to a limit */
	bool header_local : 1;
	bool port_replaced : 1;      /* the upstream sees another port than the header's */
	bool established : 1;        /* in listener->flows */
	bool answered : 1;           /* the upstream has spoken */
	bool replies_pending : 1;    /* in relay->udp->replies */
	bool no_runs_upstream : 1;   /* the kernel would not cut up runs on the way there */
	bool no_runs_downstream : 1; /* nor on the way back */
};

/* udp_listener.c */

struct udp_listener_start {
	int fd; /* taken over */
	const struct relay_settings *settings;
	struct flow_quota *quota; /* both outlive the listener */
	struct flow_quota_member *member;
};

/* Starts receiving. Holds settings->owner. NULL with errno on failure. */
struct udp_listener *udp_listener_create(struct relay *relay,
					 const struct udp_listener_start *start);

/* New flows get these; idle_timeout holds for the others, too. */
void udp_listener_set_settings(struct udp_listener *listener,
			       const struct relay_settings *settings);

/* No new flows. Those that live end soon after their last datagram. */
void udp_listener_drain(struct udp_listener *listener);

/*
 * Is there no flow left, in any worker? Until then the sockets stay, all of them: closing one would
 * send the live flows of others to sockets that do not know them.
 */
bool udp_listener_is_drained(const struct udp_listener *listener);

/* Ends all flows, closes, frees. Only from outside the loop's round of events. */
void udp_listener_destroy(struct udp_listener *listener);

/* udp_offload.c: flows that the kernel carries are left to it, from now on. */
void udp_offload_leave(struct relay *relay);

/* udp_adopt.c: takes over a flow that the kernel carries, when the listeners are there. */
void udp_adopt(struct relay *relay, uint64_t id);

/*
 * Does what such a flow's balancer sends come to this listener's socket? 0: it does not; else the
 * higher, the rather. A listener has a socket for each of its addresses.
 */
unsigned udp_adopt_fit(const struct sys *sys, int fd, const struct offload_udp_record *record);

/* What the listeners shared goes. They are closed by then. */
void udp_finish(struct relay *relay);

/* Milliseconds; 0: none. And why a flow ends that has been quiet for so long. */
uint32_t udp_listener_idle_timeout(const struct udp_listener *listener);
enum close_reason udp_listener_idle_reason(const struct udp_listener *listener);

/* A flow has been added: the timer must know. */
void udp_listener_watch_idle(struct udp_listener *listener);

/* udp_inbound.c */

/* Takes what is in the first `count` slots of the workspace's receiver, and sends it on. */
void udp_inbound_run(struct udp_listener *listener, unsigned count);

/* A datagram of the flow's is to be sent; the bytes must stay until udp_inbound_flush(). */
void udp_inbound_add(struct udp_flow *flow, const uint8_t *bytes, size_t length);

/* Sends what is pending of the batch. */
void udp_inbound_flush(struct relay *relay);

/* A flow closes: what is pending of it is sent, and nothing refers to it any more. */
void udp_inbound_forget(struct udp_flow *flow);

/* udp_flow.c */

/* What a new flow is made of. */
struct udp_opening {
	const struct flow_key *key;
	uint64_t hash;
	const struct udp_route *route;
	struct address client;
	struct address destination; /* ADDRESS_NONE for LOCAL */
	uint8_t header;             /* enum proxy_version */
	bool header_local;
	const uint8_t *tlvs;
	size_t tlvs_length;
};

/* NULL when it cannot be; that has been counted and logged. */
struct udp_flow *udp_flow_open(struct udp_listener *listener, const struct udp_opening *opening);

/* What is known of a flow that an earlier process had. */
struct udp_past {
	uint64_t id;
	uint64_t started; /* milliseconds, the loop's clock */
	uint64_t datagrams_from_client, datagrams_from_upstream;
	uint64_t bytes_from_client, bytes_from_upstream;
};

/*
 * Opens it once more, for good: it has been judged. NULL when it cannot be; that has been logged.
 */
struct udp_flow *udp_flow_reopen(struct udp_listener *listener, const struct udp_opening *opening,
				 const struct udp_past *past);

/* The only way a flow ends. Logs, counts, and frees at the end of the round. */
void udp_flow_close(struct udp_flow *flow, enum close_reason reason);

/* The same; `step` and `error`: the call that made it fail, or NULL and 0. */
void udp_flow_end(struct udp_flow *flow, enum close_reason reason, const char *step, int error);

/* Closes the flow that is the most expendable; there is one. */
void udp_flow_evict(struct udp_listener *listener);

/* Both sides have spoken, and then the client again: the flow is worth keeping. */
void udp_flow_assure(struct udp_flow *flow);

/*
 * Datagrams could not be sent: -error says why. `counters` is the first of three that stand in a
 * row: no room in the kernel, too large, anything else.
 */
void udp_flow_dropped(struct udp_flow *flow, enum counter counters, unsigned datagrams, int error);

/* udp_dial.c */

/* Once it may be. False: it could not be dialled, and is over. */
bool udp_dial(struct udp_flow *flow);

/* It goes on without a socket, or with one again. False: that could not be, and it is over. */
void udp_dial_close(struct udp_flow *flow);
bool udp_dial_again(struct udp_flow *flow);

/* udp_verdict.c */

enum udp_verdict {
	UDP_VERDICT_PASSED,
	UDP_VERDICT_AWAITED, /* its datagrams are to wait */
	UDP_VERDICT_OVER,    /* the flow is closed */
};

enum udp_verdict udp_verdict_ask(struct udp_flow *flow, const struct udp_opening *opening);

/* An earlier process has asked: the plugins hear of the end alone. False: that was now. */
bool udp_verdict_adopt(struct udp_flow *flow, const struct udp_opening *opening);

/*
 * Was this client refused a moment ago, on its way to this destination (NULL: whoever came under
 * this key)? Then a datagram of its is to be dropped, and has been counted.
 */
bool udp_verdict_remembers(const struct udp_listener *listener, const struct flow_key *key,
			   uint64_t hash, const struct flow_key *who);

/*
 * For the next seconds udp_verdict_remembers() this client. Without memory for it the client is
 * judged again, that is all.
 */
void udp_verdict_remember(struct udp_listener *listener, const struct flow_key *key, uint64_t hash,
			  const struct flow_key *who);

/* udp_reply.c */

/* The upstream's socket of a flow has something to read. */
void udp_reply_ready(struct loop_source *source, uint32_t events);

/* What came for a flow by another socket, in a slot that stays until the replies are flushed. */
void udp_reply_pass(struct udp_flow *flow, const struct udp_received *received);

/* Sends what is pending. */
void udp_reply_flush(struct relay *relay);

#endif
