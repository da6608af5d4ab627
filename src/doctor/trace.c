/* SPDX-License-Identifier: MIT */
/*
 * The table goes in and out by libnftables, which also lists the rules; what the kernel tells is
 * read from the multicast group that `nft monitor trace` reads.
 *
 * The chains that trace come before connection tracking (priority -200) and iptables' raw (-300),
 * so that they see a packet before anything can have changed it.
 */
#include "doctor/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/trace_event.h"

/* Decisions that are kept: a packet passes through some ten chains. */
#define DECISIONS_MAX 64

/* Packets that are on their way through a chain at the same time. */
#define PACKETS_MAX 8

/* Datagrams read in one go: what somebody else traces on a busy host comes here, too, and may never
 * end. The socket's buffer holds no more of them. */
#define EVENTS_PER_READ 4096

/* Bytes of our own ruleset: five chains of two rules. */
#define RULESET_SIZE 4096

struct traced_packet {
	uint32_t number;
	enum trace_direction direction;
};

struct trace {
	struct nft_ctx *nft;
	struct mnl_socket *events;
	struct address local, upstream;
	bool in_place; /* the table is in the kernel */
	struct trace_way ways[2];
	enum trace_hook hooks[2]; /* at which the packets of a direction are */
	struct traced_packet packets[PACKETS_MAX];
	size_t packet_count; /* all of them ever; the last PACKETS_MAX are kept */
	struct trace_decision decisions[DECISIONS_MAX];
	size_t decision_count;
	bool dropped;
};

/*
 * Opening.
 */

/* What libnftables complains about is kept from the terminal; callers go by the result. */
static struct nft_ctx *open_nft(void)
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);

	if (nft == NULL)
		return NULL;
	nft_ctx_output_set_flags(nft, NFT_CTX_OUTPUT_HANDLE | NFT_CTX_OUTPUT_STATELESS);
	if (nft_ctx_buffer_output(nft) != 0 || nft_ctx_buffer_error(nft) != 0) {
		nft_ctx_free(nft);
		return NULL;
	}
	return nft;
}

/* 0 or -errno. */
static int open_events(struct trace *trace)
{
	int group = NFNLGRP_NFTRACE;

	trace->events = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (trace->events == NULL || mnl_socket_bind(trace->events, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_setsockopt(trace->events, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		return errno == EPROTONOSUPPORT ? -EOPNOTSUPP : -errno;
	return 0;
}

static int run(struct trace *trace, const char *commands)
{
	int failed = nft_run_cmd_from_buffer(trace->nft, commands);

	nft_ctx_get_error_buffer(trace->nft); /* which empties it */
	return failed != 0 ? -EOPNOTSUPP : 0;
}

struct trace *trace_open(void)
{
	struct trace *trace = calloc(1, sizeof(*trace));
	int error;

	if (trace == NULL)
		return NULL;
	error = open_events(trace);
	if (error == 0) {
		trace->nft = open_nft();
		/* Named, it is there; and so it can be deleted, whoever left it. */
		error = trace->nft == NULL ? -ENOMEM
					   : run(trace, "table inet " TRACE_TABLE
							"\ndelete table inet " TRACE_TABLE "\n");
	}
	if (error == 0)
		return trace;
	trace_close(trace);
	errno = -error;
	return NULL;
}

static void remove_table(struct trace *trace)
{
	if (trace->in_place)
		run(trace, "delete table inet " TRACE_TABLE "\n");
	trace->in_place = false;
}

void trace_close(struct trace *trace)
{
	if (trace == NULL)
		return;
	remove_table(trace);
	if (trace->nft != NULL)
		nft_ctx_free(trace->nft);
	if (trace->events != NULL)
		mnl_socket_close(trace->events);
	free(trace);
}

/*
 * Beginning.
 */

static const struct {
	const char *name; /* of the chain, and of the hook */
	enum trace_hook hook;
} chains[] = {
	{"output", TRACE_OUTPUT},         {"postrouting", TRACE_POSTROUTING},
	{"prerouting", TRACE_PREROUTING}, {"input", TRACE_INPUT},
	{"forward", TRACE_FORWARD},
};

/*
 * The probe is known by its own address and port, which a translation on the way does not take.
 *
 * Whoever translates a connection first is the only one who does: a source that has been made what
 * it is already keeps all later chains from it, also those of iptables. Leaving the probe unchanged
 * would do that as well, but firewalls that let known connections pass would drop its answers, and
 * no mark would come back.
 */
static void write_ruleset(FILE *to, const struct trace *trace, bool udp, bool unchanged,
			  const char *flags)
{
	char local[ADDRESS_TEXT_SIZE];
	const char *ip = trace->local.family == ADDRESS_IPV4 ? "ip" : "ip6";
	const char *transport = udp ? "udp" : "tcp";
	unsigned port = trace->local.port;

	address_format_ip(&trace->local, local);
	fprintf(to, "table inet " TRACE_TABLE " {\n%s", flags);
	for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
		fprintf(to,
			"chain %s {\n"
			"type filter hook %s priority -350; policy accept;\n"
			"%s saddr %s %s sport %u meta nftrace set 1\n"
			"%s daddr %s %s dport %u meta nftrace set 1\n"
			"}\n",
			chains[i].name, chains[i].name, ip, local, transport, port, ip, local,
			transport, port);
	}
	if (unchanged)
		fprintf(to,
			"chain unchanged {\n"
			"type nat hook postrouting priority -199; policy accept;\n"
			"%s saddr %s %s sport %u snat %s to %s\n"
			"}\n",
			ip, local, transport, port, ip, local);
	fputs("}\n", to);
}

static int put_table(struct trace *trace, bool udp, bool unchanged, const char *flags)
{
	char ruleset[RULESET_SIZE];
	FILE *to = fmemopen(ruleset, sizeof(ruleset), "w");

	if (to == NULL)
		return -errno;
	write_ruleset(to, trace, udp, unchanged, flags);
	if (fclose(to) != 0)
		return -ENOBUFS;
	return run(trace, ruleset);
}

int trace_begin(struct trace *trace, bool udp, const struct address *local,
		const struct address *upstream, bool unchanged)
{
	int error;

	remove_table(trace);
	trace_read(trace); /* what came late is not of this probe */
	trace->local = *local;
	trace->upstream = *upstream;
	trace->packet_count = trace->decision_count = 0;
	trace->dropped = false;
	memset(trace->ways, 0, sizeof(trace->ways));
	memset(trace->hooks, 0, sizeof(trace->hooks));
	/* Its owner is the socket that adds it: the kernel removes it with the process. */
	error = put_table(trace, udp, unchanged, "flags owner;\n");
	if (error < 0)
		error = put_table(trace, udp, unchanged, "");
	trace->in_place = error == 0;
	return error;
}

int trace_fd(const struct trace *trace)
{
	return mnl_socket_get_fd(trace->events);
}

/*
 * Reading.
 */

static void remember(struct trace *trace, uint32_t number, enum trace_direction direction)
{
	trace->packets[trace->packet_count++ % PACKETS_MAX] =
		(struct traced_packet){number, direction};
}

/*
 * False: it is somebody else's. Only the first message of a chain has the addresses, the others
 * have the packet's number; a number is used again for another packet, so the newest counts.
 */
static bool find_direction(struct trace *trace, const struct trace_event *event,
			   enum trace_direction *direction)
{
	if (event->from.family == ADDRESS_NONE) {
		size_t kept = trace->packet_count < PACKETS_MAX ? trace->packet_count : PACKETS_MAX;

		for (size_t i = 1; i <= kept; i++) {
			const struct traced_packet *packet =
				&trace->packets[(trace->packet_count - i) % PACKETS_MAX];

			if (packet->number == event->packet) {
				*direction = packet->direction;
				return true;
			}
		}
		return false;
	}
	if (address_equal(&event->from, &trace->local))
		*direction = TRACE_FROM_CLIENT;
	else if (address_equal(&event->to, &trace->local))
		*direction = TRACE_ANSWER;
	else
		return false;
	remember(trace, event->packet, *direction);
	return true;
}

/* Our own chains tell how far a packet has come. */
static void note_hook(struct trace *trace, const struct trace_event *event,
		      enum trace_direction direction)
{
	struct trace_way *way = &trace->ways[direction];

	for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
		if (strcmp(event->chain, chains[i].name) != 0)
			continue;
		way->hooks |= chains[i].hook;
		trace->hooks[direction] = chains[i].hook;
	}
	way->iif = event->iif != 0 ? event->iif : way->iif;
	way->oif = event->oif != 0 ? event->oif : way->oif;
}

static void note_decision(struct trace *trace, const struct trace_event *event,
			  enum trace_direction direction)
{
	struct trace_decision *decision;

	trace->dropped = trace->dropped || event->verdict == NF_DROP;
	if (trace->decision_count == DECISIONS_MAX)
		return;
	decision = &trace->decisions[trace->decision_count++];
	*decision = (struct trace_decision){
		.direction = direction,
		.hook = trace->hooks[direction],
		.dropped = event->verdict == NF_DROP,
		.policy = event->type == NFT_TRACETYPE_POLICY,
		.handle = event->handle,
	};
	snprintf(decision->family, sizeof(decision->family), "%s",
		 trace_family_name(event->family));
	memcpy(decision->table, event->table, sizeof(decision->table));
	memcpy(decision->chain, event->chain, sizeof(decision->chain));
}

static int event_told(const struct nlmsghdr *message, void *context)
{
	struct trace *trace = context;
	enum trace_direction direction;
	struct trace_event event;

	if (trace_event_read(message, &event) < 0 || !find_direction(trace, &event, &direction))
		return MNL_CB_OK;
	if (event.family == NFPROTO_INET && strcmp(event.table, TRACE_TABLE) == 0)
		note_hook(trace, &event, direction);
	else if (event.verdict == NF_DROP ||
		 (event.type == NFT_TRACETYPE_RULE && event.verdict == NF_ACCEPT))
		note_decision(trace, &event, direction);
	return MNL_CB_OK;
}

bool trace_read(struct trace *trace)
{
	char buffer[8192];
	ssize_t length;

	/* What the kernel could not queue (ENOBUFS) is lost; the rest is worth reading. */
	for (unsigned i = 0; i < EVENTS_PER_READ; i++) {
		length = mnl_socket_recvfrom(trace->events, buffer, sizeof(buffer));
		if (length > 0)
			mnl_cb_run(buffer, (size_t)length, 0, 0, event_told, trace);
		else if (length == 0 || errno != ENOBUFS)
			break;
	}
	return trace->dropped;
}

/*
 * Ending.
 */

/* Names that nft(8) reads as they are; others, which only a program can give, stay without text. */
static bool is_plain_name(const char *name)
{
	return name[0] != '\0' &&
	       name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				 "0123456789_-./")] == '\0';
}

static void find_text(struct trace *trace, struct trace_decision *decision)
{
	char command[3 * TRACE_NAME_SIZE];

	if (decision->policy) {
		snprintf(decision->rule, sizeof(decision->rule), "policy drop");
		return;
	}
	if (decision->family[0] == '\0' || !is_plain_name(decision->table) ||
	    !is_plain_name(decision->chain))
		return;
	snprintf(command, sizeof(command), "list chain %s %s %s\n", decision->family,
		 decision->table, decision->chain);
	if (run(trace, command) == 0)
		trace_rule_find(nft_ctx_get_output_buffer(trace->nft), decision->handle,
				decision->rule);
	decision->nat = trace_rule_is_nat(decision->rule);
	decision->redirects = trace_rule_redirects(decision->rule);
}

void trace_end(struct trace *trace)
{
	trace_read(trace);
	remove_table(trace);
	for (size_t i = 0; i < trace->decision_count; i++)
		find_text(trace, &trace->decisions[i]);
}

struct trace_way trace_way(const struct trace *trace, enum trace_direction direction)
{
	return trace->ways[direction];
}

const struct trace_decision *trace_drop(const struct trace *trace)
{
	for (size_t i = 0; i < trace->decision_count; i++) {
		if (trace->decisions[i].dropped)
			return &trace->decisions[i];
	}
	return NULL;
}

const struct trace_decision *trace_nat(const struct trace *trace)
{
	for (size_t i = 0; i < trace->decision_count; i++) {
		if (trace->decisions[i].nat)
			return &trace->decisions[i];
	}
	return NULL;
}

const struct trace_decision *trace_redirection(const struct trace *trace)
{
	for (size_t i = 0; i < trace->decision_count; i++) {
		const struct trace_decision *decision = &trace->decisions[i];

		if (decision->redirects && decision->direction == TRACE_FROM_CLIENT)
			return decision;
	}
	return NULL;
}
