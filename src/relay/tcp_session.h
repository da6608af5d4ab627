/* SPDX-License-Identifier: MIT */
/*
 * A TCP session: the balancer's connection, the dialled one, and the state between them. Follow a
 * session through the files in this order:
 *
 *   tcp_session.c  accepted; and, in the end, closed: by one function, for one reason
 *   tcp_header.c   HEADER: reading the PROXY header, judging the client
 *   tcp_verdict.c  VERDICT: asking the plugins
 *   tcp_dial.c     DIAL: connecting to the upstream as the client
 *   tcp_relay.c    RELAY: bytes both ways; RESETTING: the last bytes before a reset is passed on
 *   tcp_offload.h  SETTLING, MOVED, OFFLOADED: the kernel takes over
 */
#ifndef MMPROXY_RELAY_TCP_SESSION_H
#define MMPROXY_RELAY_TCP_SESSION_H

#include <stdint.h>

#include "base/address.h"
#include "base/close_reason.h"
#include "base/list.h"
#include "base/timer_wheel.h"
#include "os/loop.h"
#include "relay/relay.h"
#include "relay/settings.h"
#include "relay/stream.h"

struct proxy_header;
struct budget;
struct client_count;
struct header_queue;
struct plugin_session;
struct tcp_offload;
struct tcp_start;

enum tcp_state {
	TCP_HEADER,
	TCP_VERDICT,
	TCP_DIAL,
	TCP_RELAY,
	TCP_RESETTING,
	TCP_SETTLING,
	TCP_MOVED,
	TCP_OFFLOADED,
	TCP_CLOSED, /* only until the end of the loop's round */
};

struct tcp_session {
	struct tcp_end client;   /* the balancer's connection, which stands for the client */
	struct tcp_end upstream; /* the dialled one */
	struct stream up;        /* client to upstream; before that, holds header and payload */
	struct stream down;      /* upstream to client */
	struct relay *relay;
	const struct relay_settings *settings; /* holds settings->owner */
	struct budget *listener_budget;
	struct client_count *client_count; /* NULL: the client is not counted */
	struct header_queue *header_queue;
	struct list waiting;   /* header_queue->sessions, while the header is not whole */
	struct list link;      /* relay->sessions */
	struct timer timer;    /* the one deadline that the state has */
	struct loop_task task; /* another turn; after closing: the release of this memory */
	uint64_t id;
	uint64_t started;     /* milliseconds, the loop's clock, as all times here */
	uint64_t last_active; /* when bytes last moved */
	struct address balancer;
	struct address client_address;      /* from the header; the balancer's own for LOCAL */
	struct address destination_address; /* what the client asked for; none for LOCAL */
	struct plugin_session *plugins;     /* NULL: none are asked */
	struct tcp_offload *offload;        /* NULL: the kernel knows nothing of it */
	union {
		uint64_t step_began; /* until connected: sys->clock() when accepted, or dialled */
		struct {             /* RESETTING */
			int reset_unsent;    /* unacknowledged at the last look */
			uint16_t reset_wait; /* milliseconds until the next look */
		};
	};
	const char *failed_step; /* the call that failed, or NULL */
	int error;               /* its -errno */
	uint8_t header_version;  /* 0: none read yet */
	uint8_t state;           /* enum tcp_state */
	uint8_t moves;           /* of bytes, until it is observed */
	bool offload_wanted : 1;
	bool offload_never : 1;   /* it stays a relay */
	bool without_sockets : 1; /* its descriptors have been given back */
	bool small_buffers : 1;   /* for receiving, until it has been handed over, or stays */
	bool header_local : 1;
	bool port_replaced : 1; /* the upstream sees another port than the header's */
	bool client_died : 1;   /* RESETTING: it was the client, not the upstream */
};

/* tcp_session.c */

/* In no state yet. NULL when out of memory. */
struct tcp_session *tcp_session_create(struct relay *relay, const struct tcp_start *start,
				       uint64_t id);

/* The only way a session ends. Logs, counts, closes both ends, and frees at the end of the round.
 */
void tcp_session_close(struct tcp_session *session, enum close_reason reason);

/* Starts watching an end. Returns 0; or -errno, which the session's last line will name. */
int tcp_session_watch(struct tcp_session *session, struct tcp_end *end, uint32_t more_events);

/*
 * Closes it when the balancer has reset its connection, before the upstream has answered; one that
 * only finished sending still wants the answer. Returns whether it has.
 */
bool tcp_session_close_if_left(struct tcp_session *session);

static inline bool tcp_is_carried(const struct tcp_session *session)
{
	return session->state == TCP_MOVED || session->state == TCP_OFFLOADED;
}

/* Enters a state that has a timer, or goes on in it. */
static inline void tcp_session_wait(struct tcp_session *session, enum tcp_state state,
				    uint64_t milliseconds)
{
	session->state = (uint8_t)state;
	loop_timer_set(&session->relay->loop, &session->timer, milliseconds);
}

/* tcp_header.c */

void tcp_header_start(struct tcp_session *session);
void tcp_header_client_ready(struct tcp_session *session);
void tcp_header_expired(struct tcp_session *session);
/* Its place is another's: it has waited for its header for too long (header_queue.h). */
void tcp_header_evicted(struct tcp_session *session);

/* tcp_verdict.c */

/* `payload`: what stood behind the header; valid for the length of the call. */
void tcp_verdict_start(struct tcp_session *session, const struct proxy_header *header,
		       const uint8_t *payload, size_t length);
void tcp_verdict_client_ready(struct tcp_session *session);

/* An earlier process has asked: the plugins hear of the end alone. 0 or -ENOMEM. */
int tcp_verdict_adopt(struct tcp_session *session);

/* tcp_dial.c */

/* `payload`, as above. */
void tcp_dial_start(struct tcp_session *session, const uint8_t *payload, size_t length);
void tcp_dial_ready(struct tcp_session *session);
void tcp_dial_expired(struct tcp_session *session);

/* tcp_relay.c */

/* upstream.error says whether the upstream has ended the connection already. */
void tcp_relay_start(struct tcp_session *session);
void tcp_relay_advance(struct tcp_session *session);
/* Back in RELAY, with whatever has come in meanwhile. */
void tcp_relay_resume(struct tcp_session *session);
void tcp_relay_expired(struct tcp_session *session);

#endif
