/* SPDX-License-Identifier: MIT */
/*
 * Commands and settings that mend. What a shell could take for more than a word is not repeated in
 * one: tables, chains and interfaces can be called almost anything.
 */
#include "doctor/path_mend.h"

#include <stdio.h>
#include <string.h>

#include "doctor/diagnosis.h"
#include "doctor/path_facts.h"
#include "routing/return_mark.h"

static bool is_ipv6(const struct path_facts *facts)
{
	return facts->path->upstream.family == ADDRESS_IPV6;
}

static const char *family_word(const struct path_facts *facts)
{
	return is_ipv6(facts) ? "ipv6" : "ipv4";
}

static const char *protocol_word(const struct path_facts *facts)
{
	return facts->udp ? "udp" : "tcp";
}

void path_mend_family(const struct path_facts *facts, struct diagnosis *diagnosis)
{
	if (is_ipv6(facts)) {
		diagnosis_mend(diagnosis, "sysctl -w net.ipv6.conf.all.disable_ipv6=0");
		diagnosis_mend(diagnosis, "sysctl -w net.ipv6.conf.lo.disable_ipv6=0");
	}
	diagnosis_mend(diagnosis, "or leave forward.%s out", family_word(facts));
}

void path_mend_forward(struct diagnosis *diagnosis)
{
	diagnosis_mend(diagnosis, "routing = { method = \"mark\"; };");
}

/* The setting that forwards to an address; off loopback, marks have to tell its answers. */
static void mend_by_forwarding(const struct path_facts *facts, const struct address *to,
			       struct diagnosis *diagnosis)
{
	char text[ADDRESS_TEXT_SIZE];

	diagnosis_mend(diagnosis, "forward = { %s = \"%s\"; };",
		       to->family == ADDRESS_IPV6 ? "ipv6" : "ipv4", address_format(to, text));
	if (!return_path_is_loopback(to) && facts->path->mark == 0)
		diagnosis_mend(diagnosis, "routing = { method = \"mark\"; };");
}

void path_mend_upstream(const struct path_facts *facts, struct diagnosis *diagnosis)
{
	const struct address *other = NULL;
	char upstream[ADDRESS_TEXT_SIZE];

	for (size_t i = 0; other == NULL && i < facts->other_count; i++) {
		if (facts->others[i].address.family == facts->path->upstream.family)
			other = &facts->others[i].address;
	}
	diagnosis_mend(diagnosis, "let the server listen on %s%s",
		       address_format(&facts->path->upstream, upstream),
		       other != NULL ? ", or:" : "");
	if (other != NULL)
		mend_by_forwarding(facts, other, diagnosis);
}

void path_mend_wildcard(const struct path_facts *facts, struct diagnosis *diagnosis)
{
	struct address chosen = facts->answers_from;
	bool known = chosen.family == facts->path->upstream.family;
	char upstream[ADDRESS_TEXT_SIZE];

	diagnosis_mend(diagnosis, "let the server bind %s in place of every address%s",
		       address_format(&facts->path->upstream, upstream), known ? ", or:" : "");
	chosen.port = facts->path->upstream.port;
	if (known)
		mend_by_forwarding(facts, &chosen, diagnosis);
}

/* A new rule is put in front of those there are, whatever they say. */
void path_mend_rule(const struct path_facts *facts, struct diagnosis *diagnosis)
{
	char command[RETURN_COMMAND_SIZE];

	diagnosis_mend(diagnosis, "%s",
		       return_rule_command(&facts->plan->rules[facts->path->rule], command));
}

/* An accepted connection takes its SYN's mark only where that comes with the SYN: on this host. */
void path_mend_mark(const struct path_facts *facts, struct diagnosis *diagnosis)
{
	char command[RETURN_MARK_COMMAND_SIZE];

	if (!facts->udp && facts->place == PATH_LOCAL)
		diagnosis_mend(diagnosis, "%s", RETURN_MARK_ACCEPT_COMMAND);
	else
		diagnosis_mend(diagnosis, "%s", return_mark_command(facts->config, command));
}

/* What commands add is gone after the next boot. */
void path_mend_by_managing(struct diagnosis *diagnosis)
{
	diagnosis_mend(diagnosis, "or, for good: routing = { mode = \"manage\"; };");
}

/* Any route will do, for it is looked up again once the mark is there. */
void path_mend_unrouted(const struct path_facts *facts, struct diagnosis *diagnosis)
{
	if (!facts->udp)
		diagnosis_mend(diagnosis, "%s", RETURN_MARK_ACCEPT_COMMAND);
	diagnosis_mend(diagnosis,
		       "%s%s route add default via GATEWAY (or dev lo, where there is no gateway)",
		       facts->udp ? "" : "or ", is_ipv6(facts) ? "ip -6" : "ip");
}

void path_mend_route(const struct path_facts *facts, struct diagnosis *diagnosis)
{
	struct return_route route = {
		.family = (enum address_family)facts->path->upstream.family,
		.table = facts->verdict.table,
	};
	char command[RETURN_COMMAND_SIZE];

	diagnosis_mend(diagnosis, "%s", return_route_command(&route, command));
}

/* As sysctl(8) wants it, whose dots part folders: "eth0/7" for the VLAN "eth0.7". */
static void write_interface(const char *interface, char text[static IFNAMSIZ])
{
	snprintf(text, IFNAMSIZ, "%s",
		 return_mark_is_plain_word(interface) ? interface : "INTERFACE");
	for (char *c = text; *c != '\0'; c++) {
		if (*c == '.')
			*c = '/';
	}
}

/* The greater of `all` and the interface's own is in force: 2 wins over 1, and nothing over 2. */
void path_mend_rp_filter(const struct path_facts *facts, struct diagnosis *diagnosis)
{
	const struct rp_filter *filter = &facts->findings.rp_filter.filter;
	char interface[IFNAMSIZ];

	write_interface(filter->interface[0] != '\0' ? filter->interface : "all", interface);
	switch (filter->mode) {
	case RP_FILTER_OFF:
	case RP_FILTER_STRICT:
		diagnosis_mend(diagnosis, "sysctl -w net.ipv4.conf.%s.rp_filter=2", interface);
		break;
	case RP_FILTER_LOOSE:
		diagnosis_mend(diagnosis, "sysctl -w net.ipv4.conf.all.rp_filter=0");
		diagnosis_mend(diagnosis, "sysctl -w net.ipv4.conf.%s.rp_filter=0", interface);
		break;
	}
}

/* Is it a chain of iptables-nft? nft(8) should not touch those. */
static bool is_of_iptables(const struct trace_decision *decision)
{
	static const char *const chains[] = {"PREROUTING", "INPUT", "FORWARD", "OUTPUT",
					     "POSTROUTING"};
	static const char *const tables[] = {"filter", "nat", "mangle", "raw", "security"};
	bool chain = false, table = false;

	for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++)
		chain = chain || strcmp(decision->chain, chains[i]) == 0;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		table = table || strcmp(decision->table, tables[i]) == 0;
	return chain && table &&
	       (strcmp(decision->family, "ip") == 0 || strcmp(decision->family, "ip6") == 0);
}

/*
 * Accepts what goes to the upstream, or comes from it, before the chain that decided otherwise has
 * its say. Narrower than taking a rule out, and a policy can be passed in the same way.
 */
static void mend_by_exception(const struct path_facts *facts, const struct trace_decision *decision,
			      bool answer, struct diagnosis *diagnosis)
{
	char upstream[ADDRESS_TEXT_SIZE];

	address_format_ip(&facts->path->upstream, upstream);
	if (!return_mark_is_plain_word(decision->table) ||
	    !return_mark_is_plain_word(decision->chain))
		diagnosis_mend(diagnosis, "accept %s %s port %u before that rule",
			       answer ? "what comes from" : "what goes to", upstream,
			       (unsigned)facts->path->upstream.port);
	else if (is_of_iptables(decision))
		diagnosis_mend(diagnosis, "%s -t %s -I %s -%c %s -p %s --%s %u -j ACCEPT",
			       is_ipv6(facts) ? "ip6tables" : "iptables", decision->table,
			       decision->chain, answer ? 's' : 'd', upstream, protocol_word(facts),
			       answer ? "sport" : "dport", (unsigned)facts->path->upstream.port);
	else
		diagnosis_mend(diagnosis, "nft insert rule %s %s %s %s %s %s %s %s %u accept",
			       decision->family, decision->table, decision->chain,
			       is_ipv6(facts) ? "ip6" : "ip", answer ? "saddr" : "daddr", upstream,
			       protocol_word(facts), answer ? "sport" : "dport",
			       (unsigned)facts->path->upstream.port);
}

void path_mend_nat(const struct path_facts *facts, struct diagnosis *diagnosis)
{
	const struct nat_finding *nat = &facts->findings.nat;
	char upstream[ADDRESS_TEXT_SIZE];

	if (nat->to.family != ADDRESS_NONE)
		mend_by_forwarding(facts, &nat->to, diagnosis);
	else if (nat->known)
		mend_by_exception(facts, &nat->rule, nat->rule.direction == TRACE_ANSWER,
				  diagnosis);
	else
		diagnosis_mend(diagnosis, "exempt what goes to %s from MASQUERADE and SNAT",
			       address_format(&facts->path->upstream, upstream));
}

void path_mend_firewall(const struct path_facts *facts, struct diagnosis *diagnosis)
{
	const struct trace_decision *decision = &facts->findings.firewall.rule;
	bool answer = decision->direction == TRACE_ANSWER;

	mend_by_exception(facts, decision, answer, diagnosis);
	/* On one host both directions pass the same chains, and a policy stops either. */
	if (decision->policy && facts->place == PATH_LOCAL)
		mend_by_exception(facts, decision, !answer, diagnosis);
}

static bool is_named(const struct process *process, const char *name)
{
	return strcmp(process->name, name) == 0 || strcmp(process->comm, name) == 0;
}

/* Past the forwarder, to whom it speaks, is best; where that is not known, or not wanted: without
 * it. */
void path_mend_forwarder(const struct path_facts *facts, struct diagnosis *diagnosis)
{
	const struct forwarder_finding *forwarder = &facts->findings.forwarder;

	if (forwarder->to.family != ADDRESS_NONE)
		mend_by_forwarding(facts, &forwarder->to, diagnosis);
	if (is_named(&forwarder->process, "docker-proxy"))
		diagnosis_mend(diagnosis,
			       "or in /etc/docker/daemon.json: \"userland-proxy\": false");
	else if (is_named(&forwarder->process, "rootlessport") ||
		 is_named(&forwarder->process, "rootlesskit"))
		diagnosis_mend(diagnosis, "or run the container with the port handler of "
					  "slirp4netns, or pasta, which keep the client's address");
	else if (forwarder->to.family == ADDRESS_NONE)
		diagnosis_mend(diagnosis, "forward to the server that is behind %s",
			       forwarder->process.name);
}
