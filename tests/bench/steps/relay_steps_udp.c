/* SPDX-License-Identifier: MIT */
/* The steps of UDP: datagrams of a flow that is known, and a flow from its first to its end. */
#include <sys/epoll.h>

#include "relay_steps.h"
#include "step_relay.h"

#define BATCH 16

/* 203.0.113.9:40000 to 198.51.100.1:443, and 64 bytes. */
static const uint8_t datagram[28 + 64] = "\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c"
					 "\xcb\0\x71\x09\xc6\x33\x64\x01\x9c\x40\x01\xbb";
static const uint8_t reply[64];

static void from_client(struct step_relay *on, unsigned count)
{
	null_receive_datagrams(NULL_LISTENER, datagram, sizeof(datagram), count);
	step_relay_report(on, NULL_LISTENER, EPOLLIN);
}

static void from_upstream(struct step_relay *on, unsigned count)
{
	null_receive_datagrams(NULL_UPSTREAM, reply, sizeof(reply), count);
	step_relay_report(on, NULL_UPSTREAM, EPOLLIN);
}

static void one_each_way(struct step_relay *on)
{
	from_client(on, 1);
	from_upstream(on, 1);
}

static void batch_each_way(struct step_relay *on)
{
	from_client(on, BATCH);
	from_upstream(on, BATCH);
}

static void prepare_flow(struct step_relay *on)
{
	step_relay_listen_udp(on);
	one_each_way(on);
}

static void flow(struct step_relay *on)
{
	from_client(on, 1);
	/* One more: a timer never fires early. */
	step_relay_pass(on, on->settings.udp.idle_timeout + 1);
}

#define CLOSED_AS_IDLE ((enum counter)(COUNTER_FIRST_CLOSED + CLOSE_IDLE_TIMEOUT))

static const struct step_effect datagram_effects[] = {
	{COUNTER_DATAGRAMS_FROM_CLIENT, 1},
	{COUNTER_DATAGRAMS_FROM_UPSTREAM, 1},
	{0},
};

static const struct step_effect batch_effects[] = {
	{COUNTER_DATAGRAMS_FROM_CLIENT, BATCH},
	{COUNTER_DATAGRAMS_FROM_UPSTREAM, BATCH},
	{0},
};

static const struct step_effect flow_effects[] = {
	{COUNTER_DATAGRAMS_FROM_CLIENT, 1},
	{CLOSED_AS_IDLE, 1},
	{0},
};

const struct step udp_steps[] = {
	{"datagram", prepare_flow, one_each_way, datagram_effects},
	{"datagram-batch", prepare_flow, batch_each_way, batch_effects},
	{"flow", step_relay_listen_udp, flow, flow_effects},
	{0},
};
