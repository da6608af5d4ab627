/* SPDX-License-Identifier: MIT */
/*
 * Room for new sessions where max_sessions or the descriptors are used up: connections that have
 * waited for their header for a while make some. A worker that has none of those asks the others.
 */
#ifndef MMPROXY_RELAY_TCP_ROOM_H
#define MMPROXY_RELAY_TCP_ROOM_H

struct relay;
struct tcp_listener;
struct tcp_session;
struct timer;

/* Milliseconds between two looks for room, and for descriptors that others have freed. */
#define TCP_ROOM_INTERVAL 25

/*
 * This listener, or this worker as a whole, has no room for another session. Returns whose
 * connection can make some now; or NULL, and other workers are asked.
 */
struct tcp_session *tcp_room_find(struct tcp_listener *listener);

/* The same where it is only a descriptor that is missing. Nobody is asked. */
struct tcp_session *tcp_room_find_descriptor(struct relay *relay);

/* Ends the session that one of these has returned. */
void tcp_room_make(struct tcp_session *session);

/*
 * Of relay->room, which is set while headers are waited for and there are other workers: those that
 * have no room, and nobody to make any, have it from this one.
 */
void tcp_room_leave(struct timer *timer);

#endif
