/* SPDX-License-Identifier: MIT */
/*
 * The moment at which a session goes over to the kernel: one at which this process holds no byte of
 * it. What one socket has received the other has sent, and the kernel has seen no more come in.
 */
#ifndef MMPROXY_RELAY_TCP_HANDOVER_H
#define MMPROXY_RELAY_TCP_HANDOVER_H

#include <stdbool.h>

#include "base/counter.h"
#include "offload/layout.h"

struct tcp_end;
struct tcp_session;

/* All that is known of a session before it moves. 0; or -EAFNOSUPPORT, it never can; or -errno. */
int tcp_handover_record(const struct tcp_session *session, struct offload_record *record);

/*
 * Hands it over if this is the moment. 0: the kernel carries it; -EAGAIN: later, perhaps;
 * -EOPNOTSUPP: never, and *stays is the counter of the reason.
 */
int tcp_handover_try(struct tcp_session *session, enum counter *stays);

/*
 * No moment came by itself: bytes go on only where that leaves nothing unsent. Returns whether
 * nothing is unsent now, so that it may be tried.
 */
bool tcp_handover_settle(struct tcp_session *session);

#endif
