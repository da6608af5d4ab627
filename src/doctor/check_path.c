/* SPDX-License-Identifier: MIT */
/*
 * The checks of the way to one upstream and back, hop by hop, each judged by itself; the last two
 * sum up. Here are those of the settings and of the routing they need.
 */
#include "doctor/check_path.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "doctor/diagnosis.h"
#include "doctor/path_judging.h"
#include "doctor/path_mend.h"

/* Returns false when the host lacks the family; then nothing else can be judged. */
static bool path_judge_family(struct path_judging *judging)
{
	const char *family =
		judging->facts->path->upstream.family == ADDRESS_IPV6 ? "IPv6" : "IPv4";

	if (!judging->facts->verdict.no_family) {
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_FAMILY, DOCTOR_OK,
			      "this host has %s", family);
		return true;
	}
	path_fail(judging, DOCTOR_CHECK_FAMILY, "this host has no %s, or has it switched off",
		  family);
	path_mend_family(judging->facts, judging->diagnosis);
	for (unsigned check = DOCTOR_CHECK_FORWARD; check <= DOCTOR_CHECK_SEEN; check++)
		diagnosis_add(judging->diagnosis, (enum doctor_check)check, DOCTOR_SKIPPED,
			      "not looked at: see family");
	return false;
}

/* No mark tells the upstream's answers, and no rule of the site's own does. */
static bool is_without_rule(const struct path_facts *facts)
{
	return facts->path->rule == RETURN_PATH_NO_RULE && !facts->verdict.sound;
}

static void path_judge_forward(struct path_judging *judging)
{
	const struct path_facts *facts = judging->facts;
	char gateway[ADDRESS_TEXT_SIZE], mark[40] = "";

	if (is_without_rule(facts)) {
		path_fail(judging, DOCTOR_CHECK_FORWARD, "%s", facts->verdict.rule_evidence);
		path_mend_forward(judging->diagnosis);
		return;
	}
	if (return_path_is_loopback(&facts->path->upstream)) {
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_FORWARD, DOCTOR_OK,
			      "%s is on loopback", judging->upstream);
		return;
	}
	if (facts->path->mark != 0)
		snprintf(mark, sizeof(mark), "; mark %" PRIu32 " tells its answers",
			 facts->path->mark);
	switch (facts->place) {
	case PATH_LOCAL:
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_FORWARD, DOCTOR_OK,
			      "%s is this host's%s", judging->upstream, mark);
		break;
	case PATH_BEHIND:
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_FORWARD, DOCTOR_OK,
			      "%s is behind %s%s", judging->upstream, facts->interface, mark);
		break;
	case PATH_BEYOND:
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_FORWARD, DOCTOR_WARNING,
			      "%s is beyond the router %s: its answers pass this host only if they "
			      "are routed through it",
			      judging->upstream, address_format_ip(&facts->gateway, gateway));
		break;
	case PATH_NOWHERE:
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_FORWARD, DOCTOR_SKIPPED,
			      "there is no route to %s", judging->upstream);
		break;
	}
}

/* What is missing is added by a daemon that manages the return path, for as long as it runs. */
static void fail_return(struct path_judging *judging, enum doctor_check check, const char *evidence,
			void (*mend)(const struct path_facts *facts, struct diagnosis *diagnosis))
{
	if (judging->facts->mode == ROUTING_MODE_MANAGE) {
		judging->to_come = true;
		diagnosis_add(judging->diagnosis, check, DOCTOR_SKIPPED,
			      "%s; mmproxy sees to it while it runs (routing.mode = \"manage\")",
			      evidence);
		return;
	}
	path_fail(judging, check, "%s", evidence);
	mend(judging->facts, judging->diagnosis);
	path_mend_by_managing(judging->diagnosis);
}

/* Rules and routes stand, and the answers do not carry what the rule asks for. */
static void fail_mark(struct path_judging *judging)
{
	char evidence[RETURN_EVIDENCE_SIZE];

	snprintf(evidence, sizeof(evidence),
		 "the rule stands, but answers come without mark %" PRIu32
		 ": neither net.ipv4.tcp_fwmark_accept nor connection tracking brings it back",
		 judging->facts->path->mark);
	fail_return(judging, DOCTOR_CHECK_RULE, evidence, path_mend_mark);
}

/*
 * A daemon that manages the return path adds all but this. Otherwise a rule that is missing comes
 * first: until it is there, it is not known how the answers would be marked.
 */
static bool fails_unrouted(struct path_judging *judging)
{
	const struct path_facts *facts = judging->facts;

	if (!facts->unrouted || judging->findings->spoofed == PROBE_ANSWERED ||
	    (facts->mode != ROUTING_MODE_MANAGE && !facts->verdict.sound))
		return false;
	path_fail(judging, DOCTOR_CHECK_RULE,
		  "this host has no route to the clients: the kernel drops an answer before its "
		  "mark %" PRIu32 " can be brought back",
		  facts->path->mark);
	path_mend_unrouted(facts, judging->diagnosis);
	return true;
}

static void path_judge_rule(struct path_judging *judging)
{
	const struct return_verdict *verdict = &judging->facts->verdict;

	if (is_without_rule(judging->facts)) {
		path_follow(judging, DOCTOR_CHECK_RULE, "there can be none",
			    PATH_CAUSE(DOCTOR_CHECK_FORWARD));
		return;
	}
	if (fails_unrouted(judging))
		return;
	switch (verdict->rule) {
	case RETURN_RULE_MISSING:
	case RETURN_RULE_WRONG_TABLE:
	case RETURN_RULE_TOO_LATE:
		fail_return(judging, DOCTOR_CHECK_RULE, verdict->rule_evidence, path_mend_rule);
		return;
	case RETURN_RULE_NO_MARK:
	case RETURN_RULE_SOUND:
		break;
	}
	if (judging->findings->mark_lost)
		fail_mark(judging);
	else
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_RULE, DOCTOR_OK,
			      "answers to clients %s",
			      verdict->sound ? "stay on this host" : "are told by a rule");
}

static void path_judge_route(struct path_judging *judging)
{
	const struct return_verdict *verdict = &judging->facts->verdict;

	if (is_without_rule(judging->facts)) {
		path_follow(judging, DOCTOR_CHECK_ROUTE, "none is looked up",
			    PATH_CAUSE(DOCTOR_CHECK_FORWARD));
		return;
	}
	switch (verdict->route) {
	case RETURN_ROUTE_MISSING:
		fail_return(judging, DOCTOR_CHECK_ROUTE, verdict->route_evidence, path_mend_route);
		return;
	case RETURN_ROUTE_SOUND:
		break;
	}
	diagnosis_add(judging->diagnosis, DOCTOR_CHECK_ROUTE, DOCTOR_OK,
		      verdict->sound ? "they find every client local"
				     : "the table has a local default");
}

void check_path_judge(const struct path_facts *facts, struct diagnosis *diagnosis)
{
	struct path_judging judging = {
		.facts = facts, .findings = &facts->findings, .diagnosis = diagnosis};

	address_format(&facts->path->upstream, judging.upstream);
	if (!path_judge_family(&judging))
		return;
	path_judge_forward(&judging);
	path_judge_upstream(&judging);
	path_judge_rule(&judging);
	path_judge_route(&judging);
	path_judge_rp_filter(&judging);
	path_judge_nat(&judging);
	path_judge_firewall(&judging);
	path_judge_forwarder(&judging);
	path_judge_spoofed(&judging);
	path_judge_seen(&judging);
}
