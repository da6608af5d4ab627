/* SPDX-License-Identifier: MIT */
/*
 * A probe, and all that is observed while it lasts: its way through nftables, what connection
 * tracking made of it, which socket it arrived at, what the reverse-path filter counted.
 */
#ifndef MMPROXY_DOCTOR_KNOCK_H
#define MMPROXY_DOCTOR_KNOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "doctor/examine.h"
#include "doctor/probe.h"
#include "doctor/trace.h"

struct netlink;

/* What is looked with; NULL: not to be had. */
struct knock_tools {
	struct netlink *route, *sockets, *netfilter;
	struct trace *trace;
};

struct knock_request {
	struct probe_request probe;
	bool unchanged; /* kept from NAT */
	/* Unless NULL, called while the connection stands, and once more after it was reset. */
	void (*connected)(const struct probe *probe, void *context);
	void (*ended)(void *context);
	void *context;
};

struct knock {
	enum probe_outcome outcome;
	const char *step;
	int error;
	struct address local;
	bool traced;
	bool dropped;    /* `drop` says where */
	bool nat;        /* `translation` says by which rule */
	bool redirected; /* `redirection` says by which rule: to another than the upstream */
	struct trace_decision drop, translation, redirection;
	struct trace_way there, back;
	uint64_t filtered; /* by the reverse-path filter, meanwhile */
	enum seen_by seen_by;
	struct address seen;
	struct address reached; /* whom the upstream's address became; ADDRESS_NONE: nobody else */
};

void knock(const struct knock_tools *tools, const struct knock_request *request,
	   struct knock *result);

#endif
