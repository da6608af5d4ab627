/* SPDX-License-Identifier: MIT */
/*
 * The return path as it should be: which policy rules and routes bring the upstreams' answers back
 * to this host, worked out from the settings alone. Pure: nothing is asked of the kernel here.
 *
 * An upstream on loopback: whatever leaves a socket bound to 127.0.0.0/8 or ::1 is looked up in a
 * table in which every address is local. An upstream elsewhere shares its address with other
 * traffic, so its answers are told by the mark of the connections that mmproxy dials.
 */
#ifndef MMPROXY_ROUTING_RETURN_PLAN_H
#define MMPROXY_ROUTING_RETURN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/prefix_set.h"

/*
 * Who made a rule or a route, as ip(8) shows it: what we add carries this number, and only what
 * carries it is ever removed. Not one of those that /etc/iproute2/rt_protos names.
 */
#define RETURN_PROTOCOL 109

/* The order is that of the setting's choices. */
enum routing_mode {
	ROUTING_MODE_MANAGE,
	ROUTING_MODE_CHECK,
	ROUTING_MODE_OFF,
};

static inline const char *routing_mode_name(enum routing_mode mode)
{
	switch (mode) {
	case ROUTING_MODE_MANAGE:
		return "manage";
	case ROUTING_MODE_CHECK:
		return "check";
	case ROUTING_MODE_OFF:
		break;
	}
	return "off";
}

enum routing_method {
	ROUTING_METHOD_LOOPBACK,
	ROUTING_METHOD_MARK,
};

static inline const char *routing_method_name(enum routing_method method)
{
	switch (method) {
	case ROUTING_METHOD_LOOPBACK:
		return "loopback";
	case ROUTING_METHOD_MARK:
		break;
	}
	return "mark";
}

struct routing_settings {
	enum routing_mode mode;
	enum routing_method method;
	uint32_t table;
};

/* ip rule add from FROM {iif lo | fwmark MARK} table TABLE */
struct return_rule {
	struct prefix from;
	uint32_t mark; /* 0: iif lo */
	uint32_t table;
};

/* ip route add local default dev lo table TABLE */
struct return_route {
	enum address_family family;
	uint32_t table;
};

/* An upstream, and how its answers are known. */
struct return_path {
	struct address upstream;
	uint32_t mark; /* of the sockets that are dialled to it; 0: none */
	bool tcp, udp;
	size_t rule; /* which of the plan's; RETURN_PATH_NO_RULE */
};

/* The upstream is not on loopback and no mark tells its answers: no rule of ours can help it. */
#define RETURN_PATH_NO_RULE SIZE_MAX

struct return_plan {
	struct return_path *paths;
	size_t path_count;
	struct return_rule *rules;
	size_t rule_count;
	struct return_route routes[2]; /* one a family */
	size_t route_count;
	uint32_t *marks; /* that connection tracking has to bring back, each once */
	size_t mark_count;
};

void return_plan_init(struct return_plan *plan);
void return_plan_finish(struct return_plan *plan);

/*
 * Adds an upstream and what its answers need, each once. `mark`: of the sockets that are dialled to
 * it. Returns 0 or -ENOMEM.
 */
int return_plan_add(struct return_plan *plan, const struct routing_settings *settings,
		    const struct address *upstream, uint32_t mark, bool udp);

/* 127.0.0.0/8 or ::1. */
bool return_path_is_loopback(const struct address *upstream);

/* Room for the longest command, with NUL. */
#define RETURN_COMMAND_SIZE 160

/* The ip(8) command that adds it. */
const char *return_rule_command(const struct return_rule *rule,
				char text[static RETURN_COMMAND_SIZE]);
const char *return_route_command(const struct return_route *route,
				 char text[static RETURN_COMMAND_SIZE]);

/*
 * The nftables table that lets connection tracking bring a mark back on the answers, as nft(8)
 * reads it. Each mark has a table of its own, so that several instances do not meet in one.
 */
#define RETURN_MARK_TABLE_SIZE 24
const char *return_mark_table(uint32_t mark, char name[static RETURN_MARK_TABLE_SIZE]);

#define RETURN_MARK_RULESET_SIZE 640
const char *return_mark_ruleset(uint32_t mark, char text[static RETURN_MARK_RULESET_SIZE]);

#endif
