/* SPDX-License-Identifier: MIT */
/*
 * The counter registry, as Prometheus likes it: counters that are one thing by several causes are
 * one family with a label. A counter that is named nowhere here is a family by itself, so that a
 * new one cannot be forgotten.
 */
#include <stdbool.h>
#include <stdio.h>

#include "daemon/metrics/exposition.h"
#include "daemon/metrics/metrics.h"

enum family {
	FAMILY_NONE, /* one of its own */
	FAMILY_HEADERS,
	FAMILY_BYTES,
	FAMILY_DATAGRAMS,
	FAMILY_DROPPED,
	FAMILY_CLIENT_PORTS,
	FAMILY_OFFLOAD,
	FAMILY_OFFLOAD_STAYED,
	FAMILY_OFFLOAD_FLOWS,
	FAMILY_OFFLOAD_FLOWS_STAYED,
	FAMILY_COUNT,
};

static const struct {
	const char *name;
	const char *help;
	const char *label;       /* the first label's name */
	const char *other_label; /* the second's, or NULL */
} families[FAMILY_COUNT] = {
	[FAMILY_HEADERS] = {"mmproxy_headers_total",
			    "Sound headers that sessions and flows began with, by version.",
			    "version", NULL},
	[FAMILY_BYTES] = {"mmproxy_relayed_bytes_total",
			  "Payload bytes delivered, by who sent them.", "from", NULL},
	[FAMILY_DATAGRAMS] = {"mmproxy_relayed_datagrams_total",
			      "Datagrams delivered, by who sent them.", "from", NULL},
	[FAMILY_DROPPED] = {"mmproxy_dropped_datagrams_total",
			    "Datagrams lost, by who sent them and why.", "from", "cause"},
	[FAMILY_CLIENT_PORTS] = {"mmproxy_client_ports_total",
				 "Clients whose port could not simply be kept, by what became of "
				 "it.",
				 "outcome", NULL},
	[FAMILY_OFFLOAD] = {"mmproxy_offload_sessions_total",
			    "Sessions that the kernel has carried, by how they came to it.", "by",
			    NULL},
	[FAMILY_OFFLOAD_STAYED] = {"mmproxy_offload_stayed_total",
				   "Sessions that stayed relays where offload is on, by reason.",
				   "reason", NULL},
	[FAMILY_OFFLOAD_FLOWS] = {"mmproxy_offload_flows_total",
				  "Flows that went over to the kernel, or came back from it.", "by",
				  NULL},
	[FAMILY_OFFLOAD_FLOWS_STAYED] = {"mmproxy_offload_flows_stayed_total",
					 "Times a flow stayed a relay where offload is on, by "
					 "reason.",
					 "reason", NULL},
};

static const struct place {
	enum family family;
	const char *value;
	const char *other_value;
} places[COUNTER_FIRST_CLOSED] = {
	[COUNTER_HEADERS_V1] = {FAMILY_HEADERS, "v1", NULL},
	[COUNTER_HEADERS_V2] = {FAMILY_HEADERS, "v2", NULL},
	[COUNTER_HEADERS_SPP] = {FAMILY_HEADERS, "spp", NULL},
	[COUNTER_BYTES_FROM_CLIENT] = {FAMILY_BYTES, "client", NULL},
	[COUNTER_BYTES_FROM_UPSTREAM] = {FAMILY_BYTES, "upstream", NULL},
	[COUNTER_DATAGRAMS_FROM_CLIENT] = {FAMILY_DATAGRAMS, "client", NULL},
	[COUNTER_DATAGRAMS_FROM_UPSTREAM] = {FAMILY_DATAGRAMS, "upstream", NULL},
	[COUNTER_DATAGRAMS_DROPPED_QUEUE] = {FAMILY_DROPPED, "client", "queue"},
	[COUNTER_DATAGRAMS_DROPPED_DRAINING] = {FAMILY_DROPPED, "client", "draining"},
	[COUNTER_DATAGRAMS_DROPPED_DENIED] = {FAMILY_DROPPED, "client", "denied"},
	[COUNTER_DATAGRAMS_DROPPED_WAITING] = {FAMILY_DROPPED, "client", "waiting"},
	[COUNTER_DATAGRAMS_DROPPED_FULL] = {FAMILY_DROPPED, "client", "full"},
	[COUNTER_DATAGRAMS_DROPPED_TOO_LARGE] = {FAMILY_DROPPED, "client", "too_large"},
	[COUNTER_DATAGRAMS_DROPPED_ERROR] = {FAMILY_DROPPED, "client", "error"},
	[COUNTER_REPLIES_DROPPED_QUEUE] = {FAMILY_DROPPED, "upstream", "queue"},
	[COUNTER_REPLIES_DROPPED_FULL] = {FAMILY_DROPPED, "upstream", "full"},
	[COUNTER_REPLIES_DROPPED_TOO_LARGE] = {FAMILY_DROPPED, "upstream", "too_large"},
	[COUNTER_REPLIES_DROPPED_ERROR] = {FAMILY_DROPPED, "upstream", "error"},
	[COUNTER_DIAL_REPAIR_BINDS] = {FAMILY_CLIENT_PORTS, "repair_bind", NULL},
	[COUNTER_PORT_CONFLICTS] = {FAMILY_CLIENT_PORTS, "conflict", NULL},
	[COUNTER_CLIENT_PORT_PRIVILEGED] = {FAMILY_CLIENT_PORTS, "privileged", NULL},
	[COUNTER_CLIENT_PORT_ZERO] = {FAMILY_CLIENT_PORTS, "zero", NULL},
	[COUNTER_OFFLOADED] = {FAMILY_OFFLOAD, "handover", NULL},
	[COUNTER_OFFLOAD_ADOPTED] = {FAMILY_OFFLOAD, "adoption", NULL},
	[COUNTER_OFFLOAD_STAYED_FAMILY] = {FAMILY_OFFLOAD_STAYED, "family", NULL},
	[COUNTER_OFFLOAD_STAYED_PORT] = {FAMILY_OFFLOAD_STAYED, "port", NULL},
	[COUNTER_OFFLOAD_STAYED_TIMESTAMPS] = {FAMILY_OFFLOAD_STAYED, "timestamps", NULL},
	[COUNTER_OFFLOAD_STAYED_SACK] = {FAMILY_OFFLOAD_STAYED, "sack", NULL},
	[COUNTER_OFFLOAD_STAYED_ECN] = {FAMILY_OFFLOAD_STAYED, "ecn", NULL},
	[COUNTER_OFFLOAD_STAYED_OPTIONS] = {FAMILY_OFFLOAD_STAYED, "options", NULL},
	[COUNTER_OFFLOAD_STAYED_SEGMENT] = {FAMILY_OFFLOAD_STAYED, "segment", NULL},
	[COUNTER_OFFLOAD_STAYED_ROUTE] = {FAMILY_OFFLOAD_STAYED, "route", NULL},
	[COUNTER_OFFLOAD_STAYED_REMOTE] = {FAMILY_OFFLOAD_STAYED, "remote", NULL},
	[COUNTER_OFFLOAD_STAYED_UNSEEN] = {FAMILY_OFFLOAD_STAYED, "unseen", NULL},
	[COUNTER_OFFLOAD_STAYED_URGENT] = {FAMILY_OFFLOAD_STAYED, "urgent", NULL},
	[COUNTER_OFFLOAD_STAYED_ENDING] = {FAMILY_OFFLOAD_STAYED, "ending", NULL},
	[COUNTER_OFFLOAD_STAYED_BUSY] = {FAMILY_OFFLOAD_STAYED, "busy", NULL},
	[COUNTER_OFFLOAD_STAYED_FULL] = {FAMILY_OFFLOAD_STAYED, "full", NULL},
	[COUNTER_OFFLOAD_STAYED_ERROR] = {FAMILY_OFFLOAD_STAYED, "error", NULL},
	[COUNTER_OFFLOAD_UDP_MOVED] = {FAMILY_OFFLOAD_FLOWS, "handover", NULL},
	[COUNTER_OFFLOAD_UDP_RETURNED] = {FAMILY_OFFLOAD_FLOWS, "return", NULL},
	[COUNTER_OFFLOAD_UDP_STAYED_LOCAL] = {FAMILY_OFFLOAD_FLOWS_STAYED, "local", NULL},
	[COUNTER_OFFLOAD_UDP_STAYED_FAMILY] = {FAMILY_OFFLOAD_FLOWS_STAYED, "family", NULL},
	[COUNTER_OFFLOAD_UDP_STAYED_PORT] = {FAMILY_OFFLOAD_FLOWS_STAYED, "port", NULL},
	[COUNTER_OFFLOAD_UDP_STAYED_UPSTREAM] = {FAMILY_OFFLOAD_FLOWS_STAYED, "upstream", NULL},
	[COUNTER_OFFLOAD_UDP_STAYED_MTU] = {FAMILY_OFFLOAD_FLOWS_STAYED, "mtu", NULL},
	[COUNTER_OFFLOAD_UDP_STAYED_HEADER] = {FAMILY_OFFLOAD_FLOWS_STAYED, "header", NULL},
	[COUNTER_OFFLOAD_UDP_STAYED_WAY] = {FAMILY_OFFLOAD_FLOWS_STAYED, "way", NULL},
	[COUNTER_OFFLOAD_UDP_STAYED_ROUTE] = {FAMILY_OFFLOAD_FLOWS_STAYED, "route", NULL},
	[COUNTER_OFFLOAD_UDP_STAYED_UNSEEN] = {FAMILY_OFFLOAD_FLOWS_STAYED, "unseen", NULL},
	[COUNTER_OFFLOAD_UDP_STAYED_UNANSWERED] = {FAMILY_OFFLOAD_FLOWS_STAYED, "unanswered", NULL},
	[COUNTER_OFFLOAD_UDP_STAYED_FULL] = {FAMILY_OFFLOAD_FLOWS_STAYED, "full", NULL},
	[COUNTER_OFFLOAD_UDP_STAYED_ERROR] = {FAMILY_OFFLOAD_FLOWS_STAYED, "error", NULL},
};

/* What counter.def says of each. */
static const char *const sentences[COUNTER_FIRST_CLOSED] = {
#define COUNTER(id, name, sentence) [COUNTER_##id] = (sentence),
#include "base/counter.def"
#undef COUNTER
};

static void put_family(struct exposition *exposition, enum family family, const uint64_t *values)
{
	exposition_family(exposition, families[family].name, EXPOSITION_COUNTER,
			  families[family].help);
	for (unsigned i = 0; i < COUNTER_FIRST_CLOSED; i++) {
		const struct place *place = &places[i];

		if (place->family == family)
			exposition_number(exposition, families[family].name,
					  EXPOSITION_LABELS({families[family].label, place->value},
							    {families[family].other_label,
							     place->other_value}),
					  values[i]);
	}
}

static void put_alone(struct exposition *exposition, enum counter counter, uint64_t value)
{
	char name[COUNTER_NAME_SIZE], whole[sizeof("mmproxy_") + COUNTER_NAME_SIZE + 6];
	char help[256];

	counter_name(counter, name);
	snprintf(whole, sizeof(whole), "mmproxy_%s_total", name);
	/* A sentence, as everywhere in this text. */
	snprintf(help, sizeof(help), "%s.", sentences[counter]);
	if (help[0] >= 'a' && help[0] <= 'z')
		help[0] = (char)(help[0] - 'a' + 'A');
	exposition_family(exposition, whole, EXPOSITION_COUNTER, help);
	exposition_number(exposition, whole, NULL, value);
}

static void put_closed(struct exposition *exposition, const uint64_t *values)
{
	/* As the numbers of the reasons have it: 1 to 99, 100 to 199, 200 to 299. */
	static const char *const kinds[] = {
		[CLOSE_KIND_END] = "ended",
		[CLOSE_KIND_QUIET] = "ended",
		[CLOSE_KIND_REFUSE] = "refused",
		[CLOSE_KIND_FAIL] = "failed",
	};
	static const char name[] = "mmproxy_sessions_closed_total";

	exposition_family(exposition, name, EXPOSITION_COUNTER,
			  "Sessions and flows that have ended, were refused, or could not reach "
			  "their upstream, by reason.");
	for (unsigned i = 0; i < CLOSE_REASON_COUNT; i++) {
		enum close_reason reason = (enum close_reason)i;

		exposition_number(exposition, name,
				  EXPOSITION_LABELS({"kind", kinds[close_reason_kind(reason)]},
						    {"reason", close_reason_name(reason)}),
				  values[counter_of_close(reason)]);
	}
}

void metrics_put_counters(struct exposition *exposition, const uint64_t *values)
{
	for (unsigned i = 0; i < COUNTER_FIRST_CLOSED; i++) {
		if (places[i].family == FAMILY_NONE)
			put_alone(exposition, (enum counter)i, values[i]);
	}
	for (unsigned family = FAMILY_NONE + 1; family < FAMILY_COUNT; family++)
		put_family(exposition, (enum family)family, values);
	put_closed(exposition, values);
}
