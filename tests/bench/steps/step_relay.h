/* SPDX-License-Identifier: MIT */
/*
 * The relay that the steps are repeated on: a worker's, with the settings that a listener has by
 * default, over the null table, and a clock that goes on by a millisecond a round. One at a time.
 */
#ifndef MMPROXY_BENCH_STEP_RELAY_H
#define MMPROXY_BENCH_STEP_RELAY_H

#include <stdint.h>

#include "base/refcount.h"
#include "null_sys.h"
#include "os/own_addresses.h"
#include "passing_plugins.h"
#include "relay/budget.h"
#include "relay/flow_quota.h"
#include "relay/header_queue.h"
#include "relay/relay.h"
#include "relay/settings.h"
#include "relay/udp_claims.h"

struct step_relay {
	struct relay relay;
	struct relay_settings settings;
	struct refcount owner;
	struct own_addresses own;
	struct budget descriptors;
	struct budget sessions;
	struct header_queue header_queue;
	struct udp_claims claims;
	struct flow_quota quota;
	struct passing_plugins plugins; /* where settings.plugins is set */
	struct tcp_listener *tcp;       /* NULL: none */
	struct udp_listener *udp;       /* NULL: none */
};

/* Each ends the program when it fails. */
void step_relay_start(struct step_relay *on);
void step_relay_use_plugins(struct step_relay *on); /* before there is a session */
void step_relay_listen_tcp(struct step_relay *on);
void step_relay_listen_udp(struct step_relay *on);
/* Closes what is left. */
void step_relay_stop(struct step_relay *on);

/* A round of the loop with one event; and one without, `milliseconds` after the last. */
void step_relay_report(struct step_relay *on, enum null_fd fd, uint32_t events);
void step_relay_pass(struct step_relay *on, uint32_t milliseconds);

#endif
