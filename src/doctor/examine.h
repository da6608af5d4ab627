/* SPDX-License-Identifier: MIT */
/*
 * The way to an upstream and back, tried hop by hop: what is known to be broken is repaired for the
 * probe alone, so that what is broken behind it shows, too. Facts, not judgements: which check
 * fails is said elsewhere.
 */
#ifndef MMPROXY_DOCTOR_EXAMINE_H
#define MMPROXY_DOCTOR_EXAMINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "doctor/probe.h"
#include "doctor/processes.h"
#include "doctor/rp_filter.h"
#include "doctor/trace.h"

struct return_path;
struct return_verdict;
struct examiner;

/*
 * Opens what the examination needs, and removes what a crashed run has left in the kernel. NULL
 * with errno: EBUSY: another doctor is at work in this network namespace; else what is missing.
 * Without CAP_NET_ADMIN it opens, and only plain probes are made.
 *
 * Nothing is left in the kernel between two examinations. Call interruption_hold() before and
 * interruption_release() after the last one: in between a signal ends the examination that is going
 * on, with everything taken out.
 */
struct examiner *examiner_open(void);
void examiner_close(struct examiner *examiner); /* takes NULL */

/* What the upstream's side saw as the client's address. */
enum seen_by {
	SEEN_NOT_PROVABLE, /* nothing shows it from here; UDP, mostly */
	SEEN_BY_SOCKET,    /* the server's own socket, in this namespace */
	SEEN_BY_CONNTRACK, /* the tuple in which connection tracking awaits the answers */
	SEEN_BY_ANSWER,    /* an answer came to that address, and nothing is known to translate */
};

/* A translation of addresses on the way. */
struct nat_finding {
	bool found;
	bool known;                 /* which rule it is */
	struct trace_decision rule; /* if known; `dropped`: it could find no address, and drops */
	struct address seen;        /* what the client's address became; or ADDRESS_NONE */
	struct address to;          /* what the upstream's address became; or ADDRESS_NONE */
	bool plain;                 /* it meets this host's own connections as well */
};

struct firewall_finding {
	bool found;
	bool known; /* which rule it is; else only `direction` and `hook`: a legacy one, it seems */
	bool plain; /* it meets this host's own connections as well */
	struct trace_decision rule;
};

struct rp_filter_finding {
	bool found;
	bool counted;            /* the kernel's counter grew; else its own lookup says so */
	struct rp_filter filter; /* no interface: several may have dropped them */
};

struct forwarder_finding {
	bool found;
	bool watched; /* the server was seen to take the probe's connection */
	struct process process;
	struct address to; /* whom it connected to for the probe; ADDRESS_NONE: not seen */
};

struct path_findings {
	struct address client; /* whom the spoofed probes speak for; the port is the first one's */
	bool privileged;       /* spoofed probes could be made */
	bool traced;           /* nftables was looked at ... */
	int trace_error;       /* ... or could not be: -errno */
	bool legacy_rules;     /* legacy iptables has rules, which no trace shows */

	/* This host's own connection. */
	enum probe_outcome plain;
	const char *plain_step; /* PROBE_FAILED */
	int plain_error;

	/* In a client's name, as the host stands. */
	enum probe_outcome spoofed;
	const char *spoofed_step; /* PROBE_FAILED */
	int spoofed_error;

	/*
	 * In a client's name, with all repaired that can be repaired for the probe alone. Answered
	 * or refused: what was repaired, and nothing else, is what is broken. The same as `spoofed`
	 * where nothing was.
	 */
	enum probe_outcome repaired;
	bool detoured;  /* ... it was given a return path */
	bool unchanged; /* ... and kept from NAT */

	/* What is broken, each with its evidence. */
	struct nat_finding nat;
	struct firewall_finding firewall;
	struct rp_filter_finding rp_filter;
	struct forwarder_finding forwarder;
	/*
	 * Rules and routes are sound for marked answers, but the answers come unmarked: neither
	 * net.ipv4.tcp_fwmark_accept nor connection tracking brings the mark back.
	 */
	bool mark_lost;
	/* This host itself is answered, no client is in any way, and nothing above says why. */
	bool unexplained;

	/* How far packets were seen to come, on the last probe that was not answered. */
	struct trace_way there, back;

	/* What the upstream's side saw, as the host stands or, behind a broken return path, there.
	 */
	enum seen_by seen_by;
	struct address seen; /* with its port */
	/* Who serves there, if it is in this namespace; pid 0: not known. */
	struct process server;
};

/*
 * Examines one path. `verdict`: what return_check() says of it. 0; -EINTR: interrupted; -errno: it
 * could not be done. `path->tcp` and `path->udp` may both be set; `udp` says which is meant.
 */
int examine_path(struct examiner *examiner, const struct return_path *path, bool udp,
		 const struct return_verdict *verdict, struct path_findings *findings);

/*
 * The client that probes speak for: of TEST-NET-3 (RFC 5737), or, where this host has an interface
 * in that network, of TEST-NET-1; of the documentation prefix (RFC 3849).
 */
struct address examine_client(enum address_family family);

#endif
