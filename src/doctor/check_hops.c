/* SPDX-License-Identifier: MIT */
/* Who is in the way of packets and answers: reverse-path filter, NAT, firewall, forwarder. */
#include "doctor/path_judging.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "doctor/path_mend.h"

void path_judge_rp_filter(struct path_judging *judging)
{
	const struct rp_filter_finding *found = &judging->findings->rp_filter;

	if (found->found && found->filter.interface[0] == '\0') {
		path_fail(judging, DOCTOR_CHECK_RP_FILTER,
			  "the reverse-path filter drops the answers (TcpExt IPReversePathFilter "
			  "has grown); by which interface they come in was not seen");
		path_mend_rp_filter(judging->facts, judging->diagnosis);
	} else if (found->found) {
		path_fail(judging, DOCTOR_CHECK_RP_FILTER,
			  "the %s reverse-path filter of %s drops the answers%s",
			  found->filter.mode == RP_FILTER_LOOSE ? "loose" : "strict",
			  found->filter.interface,
			  found->counted ? " (TcpExt IPReversePathFilter has grown)" : "");
		path_mend_rp_filter(judging->facts, judging->diagnosis);
	} else if (judging->facts->path->upstream.family == ADDRESS_IPV6) {
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_RP_FILTER, DOCTOR_OK,
			      "IPv6 has none");
	} else {
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_RP_FILTER, DOCTOR_OK,
			      judging->facts->place == PATH_LOCAL
				      ? "does not act on what comes by lo"
				      : "lets the answers in");
	}
}

/* Room for where a rule stands, and what it says. */
#define RULE_SIZE 512

/* "table ip nat, chain postrouting: oif \"lo\" masquerade" */
static const char *name_rule(const struct trace_decision *rule, char text[static RULE_SIZE])
{
	snprintf(text, RULE_SIZE, "table %s %s, chain %s: %s", rule->family, rule->table,
		 rule->chain, rule->rule[0] != '\0' ? rule->rule : "a rule that is gone");
	return text;
}

static void fail_nat(struct path_judging *judging)
{
	const struct nat_finding *nat = &judging->findings->nat;
	char rule[RULE_SIZE] = "a rule that no trace shows";
	char seen[ADDRESS_TEXT_SIZE], to[ADDRESS_TEXT_SIZE];

	if (nat->known)
		name_rule(&nat->rule, rule);
	if (nat->to.family != ADDRESS_NONE)
		path_fail(judging, DOCTOR_CHECK_NAT,
			  "sends the connection on to %s, whose answers are not those of the "
			  "upstream: %s",
			  address_format(&nat->to, to), rule);
	else if (nat->seen.family != ADDRESS_NONE)
		path_fail(judging, DOCTOR_CHECK_NAT,
			  "the upstream sees %s in place of the client: %s",
			  address_format_ip(&nat->seen, seen), rule);
	else if (nat->known && nat->rule.dropped)
		path_fail(judging, DOCTOR_CHECK_NAT,
			  "is to change the client's address, finds no other and drops: %s", rule);
	else
		path_fail(judging, DOCTOR_CHECK_NAT, "changes addresses on the way: %s", rule);
	path_mend_nat(judging->facts, judging->diagnosis);
}

static void skip_untraced(struct path_judging *judging, enum doctor_check check)
{
	int error = -judging->findings->trace_error;

	diagnosis_add(judging->diagnosis, check, DOCTOR_SKIPPED, "nftables cannot be looked at: %s",
		      error == EOPNOTSUPP ? "not built in, or not in this kernel"
					  : strerror(error));
}

void path_judge_nat(struct path_judging *judging)
{
	const struct path_findings *findings = judging->findings;

	if (findings->nat.found)
		fail_nat(judging);
	else if (path_skip_unprivileged(judging, DOCTOR_CHECK_NAT))
		return;
	else if (findings->traced || findings->seen_by != SEEN_NOT_PROVABLE)
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_NAT, DOCTOR_OK,
			      "leaves the client's address alone");
	else
		skip_untraced(judging, DOCTOR_CHECK_NAT);
}

void path_judge_firewall(struct path_judging *judging)
{
	const struct path_findings *findings = judging->findings;
	const struct trace_decision *decision = &findings->firewall.rule;
	char rule[RULE_SIZE];

	if (findings->firewall.found) {
		path_fail(judging, DOCTOR_CHECK_FIREWALL, "the %s is dropped by %s",
			  decision->direction == TRACE_ANSWER ? "answer" : "client's packet",
			  findings->firewall.known
				  ? name_rule(decision, rule)
				  : "legacy iptables (iptables-legacy-save), whose "
				    "rules no trace shows");
		path_mend_firewall(judging->facts, judging->diagnosis);
	} else if (path_skip_unprivileged(judging, DOCTOR_CHECK_FIREWALL)) {
		return;
	} else if (findings->traced || findings->spoofed == PROBE_ANSWERED) {
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_FIREWALL, DOCTOR_OK,
			      "lets the client's packets and the answers pass");
	} else {
		skip_untraced(judging, DOCTOR_CHECK_FIREWALL);
	}
}

void path_judge_forwarder(struct path_judging *judging)
{
	const struct forwarder_finding *found = &judging->findings->forwarder;
	const struct process *server = &judging->findings->server;
	char process[PATH_PROCESS_SIZE], to[ADDRESS_TEXT_SIZE];

	if (found->found && found->to.family != ADDRESS_NONE) {
		path_fail(
			judging, DOCTOR_CHECK_FORWARDER,
			"%s takes the connection, and makes another to %s from this host's address",
			path_name_process(&found->process, process),
			address_format(&found->to, to));
		path_mend_forwarder(judging->facts, judging->diagnosis);
	} else if (found->found) {
		path_fail(judging, DOCTOR_CHECK_FORWARDER,
			  "%s takes the connection in the server's place, and speaks to that from "
			  "this "
			  "host's address",
			  path_name_process(&found->process, process));
		path_mend_forwarder(judging->facts, judging->diagnosis);
	} else if (server->pid != 0 && !found->watched &&
		   process_trade(server) == PROCESS_MAY_FORWARD) {
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_FORWARDER, DOCTOR_SKIPPED,
			      "%s serves there, by itself or not: it was not seen to accept",
			      path_name_process(server, process));
	} else if (server->pid != 0) {
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_FORWARDER, DOCTOR_OK,
			      "%s serves by itself", path_name_process(server, process));
	} else {
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_FORWARDER, DOCTOR_SKIPPED,
			      "who serves there cannot be seen from here");
	}
}
