/* SPDX-License-Identifier: MIT */
/*
 * The way of one probe through nftables: a table of our own marks its packets, and no others, to be
 * traced; the kernel then tells each rule that decided about them, also rules of iptables-nft.
 * Rules of legacy iptables are not told.
 *
 * The table belongs to this process: it goes with it, however it ends (before Linux 5.12 a crashed
 * run's is removed by the next one).
 */
#ifndef MMPROXY_DOCTOR_TRACE_H
#define MMPROXY_DOCTOR_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/* In family inet. */
#define TRACE_TABLE "mmproxy_doctor"

enum trace_direction {
	TRACE_FROM_CLIENT, /* the probe's own packet */
	TRACE_ANSWER,
};

enum trace_hook {
	TRACE_OUTPUT = 1,
	TRACE_POSTROUTING = 2,
	TRACE_PREROUTING = 4,
	TRACE_INPUT = 8,
	TRACE_FORWARD = 16, /* it is not kept on this host */
};

/* How far the packets of a direction were seen to come. */
struct trace_way {
	unsigned hooks;    /* enum trace_hook, or-ed */
	uint32_t iif, oif; /* interfaces by which they came in and left; 0: not seen, or lo alone */
};

#define TRACE_NAME_SIZE 64
#define TRACE_RULE_SIZE 256

/* A rule, or a chain's policy, that decided about a packet. Names and rule may hold any bytes. */
struct trace_decision {
	enum trace_direction direction;
	enum trace_hook hook; /* at which it decided */
	bool dropped;
	bool nat;       /* it is a rule that translates the source's address */
	bool redirects; /* ... the destination's */
	bool policy;    /* of the chain, no rule */
	char family[8]; /* "ip", "ip6", "inet", "bridge" ... */
	char table[TRACE_NAME_SIZE];
	char chain[TRACE_NAME_SIZE];
	char rule[TRACE_RULE_SIZE]; /* as nft(8) lists it; "policy drop"; "" when it is gone */
	uint64_t handle;            /* 0: policy */
};

struct trace;

/*
 * NULL with errno: EOPNOTSUPP: built without libnftables, or the kernel has no nf_tables; EPERM.
 * Removes a table that a crashed run has left. trace_close() removes ours.
 */
struct trace *trace_open(void);
void trace_close(struct trace *trace); /* takes NULL */

/*
 * Traces what goes from `local` to `upstream` and back from now on, instead of what was traced
 * before. `unchanged`: NAT leaves the probe's source alone. 0 or -errno.
 */
int trace_begin(struct trace *trace, bool udp, const struct address *local,
		const struct address *upstream, bool unchanged);

/* Readable when the kernel has told something. */
int trace_fd(const struct trace *trace);

/* Takes in what was told. True when a packet was dropped. Never waits. */
bool trace_read(struct trace *trace);

/* Takes the table out, and puts the rules' text to what was decided. */
void trace_end(struct trace *trace);

struct trace_way trace_way(const struct trace *trace, enum trace_direction direction);

/* After trace_end(): the first packet that was dropped; the first rule that translates the source;
 * that sends the probe to another than the upstream. Or NULL. */
const struct trace_decision *trace_drop(const struct trace *trace);
const struct trace_decision *trace_nat(const struct trace *trace);
const struct trace_decision *trace_redirection(const struct trace *trace);

#endif
