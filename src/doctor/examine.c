/* SPDX-License-Identifier: MIT */
/*
 * Knock after knock. The first two show how the host stands: in this host's own name, and in a
 * client's. Where the second is not answered, or its source is changed, further ones are kept from
 * NAT and given a return path, until nothing is left that could be repaired; what still stops the
 * probe then is broken by itself.
 */
#include "doctor/examine.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#include "doctor/detour.h"
#include "doctor/examiner.h"
#include "doctor/forwarder.h"
#include "doctor/interruption.h"
#include "doctor/knock.h"
#include "routing/kernel_routes.h"
#include "routing/return_check.h"
#include "routing/return_plan.h"

/* In front of it there is hardly ever a server; who answers there is reset at once. */
#define WITNESS_PORT 1

/* One path being examined. */
struct examination {
	struct examiner *examiner;
	const struct return_path *path;
	const struct return_verdict *verdict;
	struct path_findings *findings;
	bool udp;
	uint32_t egress; /* the interface towards the upstream; 0: it is on this host */
	bool detour;     /* what the next knock is helped by */
	bool unchanged;
};

/*
 * Knocking.
 */

static void knock_in_own_name(struct examination *examination, struct forwarder_watch *watch,
			      struct knock *result)
{
	struct knock_request request = {
		.probe = {.upstream = examination->path->upstream, .udp = examination->udp},
		.connected = examination->udp ? NULL : forwarder_watch_connected,
		.ended = examination->udp ? NULL : forwarder_watch_ended,
		.context = watch,
	};

	knock(&examination->examiner->tools, &request, result);
}

static void knock_for_client(const struct examination *examination, const struct address *upstream,
			     struct knock *result)
{
	struct knock_request request = {
		.probe = {.source = examination->findings->client,
			  .upstream = *upstream,
			  .mark = examination->path->mark,
			  .udp = examination->udp},
		.unchanged = examination->unchanged,
	};

	request.probe.source.port = 0;
	knock(&examination->examiner->tools, &request, result);
}

static bool has_come_through(const struct knock *result)
{
	return result->outcome == PROBE_ANSWERED || result->outcome == PROBE_REFUSED;
}

/*
 * Judging.
 */

/* What became of the client's address, and by which rule. */
static void judge_nat(const struct examination *examination, const struct knock *result)
{
	struct nat_finding *nat = &examination->findings->nat;
	bool changed = result->seen_by != SEEN_NOT_PROVABLE &&
		       !address_equal_ip(&result->seen, &examination->findings->client);
	/* The kernel forgets a connection whose SYN is answered by a reset: the rule alone tells.
	 */
	bool unanswered = result->nat && result->outcome != PROBE_ANSWERED;
	/* Nothing was seen to translate, and yet it helped to be kept from it. */
	bool helped = examination->unchanged && has_come_through(result);

	if (nat->found || !(changed || unanswered || helped))
		return;
	nat->found = true;
	nat->known = result->nat;
	if (result->nat)
		nat->rule = result->translation;
	if (changed)
		nat->seen = result->seen;
}

/*
 * An answer that has no return path yet may well be dropped as a stranger on its way out; that says
 * nothing of one that has.
 */
static void judge_firewall(const struct examination *examination, const struct knock *result)
{
	struct firewall_finding *firewall = &examination->findings->firewall;

	if (firewall->found || !result->dropped || result->drop.nat)
		return;
	if (result->drop.direction == TRACE_ANSWER && !examination->detour)
		return;
	firewall->found = firewall->known = true;
	firewall->rule = result->drop;
}

/*
 * Between which two hooks a packet on this host was lost, though no rule was seen to drop it. 0:
 * nowhere; it left, or it has arrived.
 */
static enum trace_hook lost_at(const struct examination *examination, unsigned hooks)
{
	bool here = examination->egress == 0;

	if ((hooks & TRACE_OUTPUT) != 0 && (hooks & TRACE_POSTROUTING) == 0)
		return TRACE_OUTPUT;
	if (here && (hooks & TRACE_POSTROUTING) != 0 && (hooks & TRACE_PREROUTING) == 0)
		return TRACE_POSTROUTING;
	if ((hooks & TRACE_PREROUTING) != 0 && (hooks & TRACE_INPUT) == 0)
		return TRACE_PREROUTING;
	return here && (hooks & TRACE_INPUT) != 0 ? TRACE_INPUT : 0;
}

/*
 * Legacy iptables drops without a trace. What was lost on this host, when nothing else has lost it
 * and such rules are there, was dropped by one of them.
 */
static void judge_legacy_firewall(const struct examination *examination, const struct knock *last)
{
	struct path_findings *findings = examination->findings;
	bool answered = last->back.hooks != 0;
	enum trace_hook hook =
		lost_at(examination, answered ? last->back.hooks : last->there.hooks);

	if (!findings->legacy_rules || !last->traced || has_come_through(last) || hook == 0 ||
	    findings->nat.found || findings->firewall.found || findings->rp_filter.found ||
	    (examination->udp && hook == TRACE_INPUT))
		return;
	findings->firewall.found = true;
	findings->firewall.rule.direction = answered ? TRACE_ANSWER : TRACE_FROM_CLIENT;
	findings->firewall.rule.hook = hook;
	findings->firewall.rule.dropped = true;
}

/* Of answers that come in by an interface, while the detour is open. */
static void judge_rp_filter(const struct examination *examination, const struct knock *result)
{
	struct rp_filter_finding *finding = &examination->findings->rp_filter;
	const struct return_path *path = examination->path;
	const struct address *client = &examination->findings->client;
	struct netlink *route = examination->examiner->tools.route;
	uint32_t interface = result->back.iif != 0 ? result->back.iif : examination->egress;
	bool arrived = (result->back.hooks & TRACE_PREROUTING) != 0 || !result->traced;
	bool kept = (result->back.hooks & TRACE_INPUT) != 0;
	unsigned suspects = 1;
	char name[IF_NAMESIZE];

	if (finding->found || examination->egress == 0 || path->upstream.family != ADDRESS_IPV4 ||
	    has_come_through(result))
		return;
	finding->counted = result->filtered > 0 && arrived && !kept;
	/* It was not seen by which interface the answer came: by one that would not let it in. */
	if (finding->counted && result->back.iif == 0)
		suspects = rp_filter_find(route, &path->upstream, client, path->mark, &interface);
	finding->found =
		suspects > 0 && (finding->counted || rp_filter_drops(route, &path->upstream, client,
								     path->mark, interface) == 1);
	if (finding->found && suspects == 1 && if_indextoname(interface, name) != NULL)
		rp_filter_read(name, &finding->filter);
}

static void judge(const struct examination *examination, const struct knock *result)
{
	struct path_findings *findings = examination->findings;

	judge_nat(examination, result);
	judge_firewall(examination, result);
	findings->repaired = result->outcome;
	findings->detoured = examination->detour;
	findings->unchanged = examination->unchanged;
	if (result->outcome != PROBE_ANSWERED) {
		findings->there = result->there;
		findings->back = result->back;
	}
	if (findings->seen_by == SEEN_NOT_PROVABLE) {
		findings->seen_by = result->seen_by;
		findings->seen = result->seen;
	}
}

/*
 * The steps of an examination.
 */

static void find_egress(struct examination *examination)
{
	struct kernel_lookup lookup;
	const struct address any = {0};

	if (kernel_lookup(examination->examiner->tools.route, &examination->path->upstream, &any,
			  examination->path->mark, 0, &lookup) == 0 &&
	    lookup.type != RTN_LOCAL)
		examination->egress = lookup.interface;
}

static void examine_server(struct examination *examination, struct knock *plain)
{
	struct netlink *sockets = examination->examiner->tools.sockets;
	struct path_findings *findings = examination->findings;
	struct forwarder_finding *forwarder = &findings->forwarder;
	struct forwarder_watch watch;

	forwarder->found = forwarder_listens(sockets, &examination->path->upstream,
					     examination->udp, &findings->server);
	forwarder_watch_begin(&watch, sockets);
	knock_in_own_name(examination, &watch, plain);
	forwarder->watched = watch.server.pid != 0;
	if (forwarder->watched)
		findings->server = watch.server;
	forwarder->found = forwarder->found || watch.found;
	if (forwarder->found) {
		forwarder->process = findings->server;
		forwarder->to = watch.onwards.peer;
	}
	forwarder_watch_finish(&watch);
	findings->plain = plain->outcome;
	findings->plain_step = plain->step;
	findings->plain_error = plain->error;
}

/* Knocks once more, with the help that was decided on. */
static int knock_again(struct examination *examination, struct knock *result)
{
	struct netlink *route = examination->examiner->tools.route;
	const struct address *upstream = &examination->path->upstream;
	struct detour detour = {0};
	int error = 0;

	if (interruption_waits())
		return -EINTR;
	if (examination->detour)
		error = detour_open(&detour, route, upstream, &examination->findings->client);
	if (error < 0)
		return error;
	knock_for_client(examination, upstream, result);
	if (examination->detour)
		judge_rp_filter(examination, result);
	detour_close(&detour, route);
	return 0;
}

/* False: there is nothing more that could be repaired. */
static bool help(struct examination *examination, const struct knock *last)
{
	struct path_findings *findings = examination->findings;
	bool silent = !has_come_through(last);

	if (findings->nat.found && !examination->unchanged && findings->traced) {
		examination->unchanged = true;
		examination->detour = examination->detour || !examination->verdict->sound;
		return true;
	}
	/* A rule is what a datagram's silence cannot tell, unless this host itself is answered. */
	if (examination->udp && findings->plain != PROBE_ANSWERED)
		return false;
	if (!silent || findings->firewall.found)
		return false;
	if (!examination->detour) {
		examination->detour = true;
		return true;
	}
	/* Legacy iptables translates without a trace. */
	if (!examination->unchanged && findings->traced && findings->legacy_rules &&
	    !findings->rp_filter.found) {
		examination->unchanged = true;
		return true;
	}
	return false;
}

/*
 * What the firewall drops never comes to NAT, nor is there an answer that the reverse-path filter
 * could drop. Another packet may get there: one to a port that no rule is about; or this host's
 * own, if the rule does not ask for its address.
 */
static int seek_behind_firewall(struct examination *examination, const struct knock *plain)
{
	struct netlink *route = examination->examiner->tools.route;
	struct path_findings *findings = examination->findings;
	struct nat_finding *nat = &findings->nat;
	struct address upstream = examination->path->upstream;
	struct detour detour;
	struct knock witness;
	int error;

	if (!findings->firewall.known || findings->firewall.rule.direction != TRACE_FROM_CLIENT)
		return 0;
	if (interruption_waits())
		return -EINTR;
	error = detour_open(&detour, route, &upstream, &findings->client);
	/* What the rule would hide stays hidden; the rule has been found. */
	if (error < 0)
		return error == -EINTR ? error : 0;
	upstream.port = WITNESS_PORT;
	knock_for_client(examination, &upstream, &witness);
	if (witness.back.iif == 0)
		witness.back.iif = plain->back.iif;
	judge_rp_filter(examination, &witness);
	detour_close(&detour, route);
	if (!witness.nat && plain->nat && strstr(plain->translation.rule, "saddr") == NULL)
		witness = *plain;
	if (witness.nat && !nat->found) {
		nat->found = nat->known = true;
		nat->rule = witness.translation;
	}
	return 0;
}

/*
 * The connection goes to another than the upstream, whose answers no rule keeps on this host: not
 * even the detour, which is for those of the upstream. Many redirections do no harm, so this one
 * has to be what is left.
 */
static void judge_redirection(const struct examination *examination, const struct knock *last)
{
	struct path_findings *findings = examination->findings;
	struct nat_finding *nat = &findings->nat;
	bool possible = findings->plain == PROBE_ANSWERED ||
			(findings->plain == PROBE_REFUSED && !examination->udp);

	if (!possible || last->outcome == PROBE_ANSWERED || nat->found ||
	    findings->firewall.found || findings->rp_filter.found ||
	    (!last->redirected && last->reached.family == ADDRESS_NONE))
		return;
	nat->found = true;
	nat->known = last->redirected;
	if (last->redirected)
		nat->rule = last->redirection;
	nat->to = last->reached;
}

/* Do answers have to bear a mark? */
static bool is_marked(const struct examination *examination)
{
	return examination->path->mark != 0 &&
	       !return_path_is_loopback(&examination->path->upstream);
}

/*
 * A socket that is bound to every address sends a datagram on its way before that has the address
 * by which the detour would know it. Its answer was seen to leave this host.
 */
static bool has_left_unmarked(const struct examination *examination)
{
	const struct path_findings *findings = examination->findings;

	return examination->udp && examination->egress == 0 && is_marked(examination) &&
	       findings->repaired == PROBE_SILENT && findings->back.oif != 0 &&
	       findings->nat.to.family == ADDRESS_NONE;
}

/* Rules and routes are sound for what bears the mark; then what the detour mends is the mark. */
static void judge_mark(struct examination *examination)
{
	struct path_findings *findings = examination->findings;
	bool mended = examination->detour && findings->repaired == PROBE_ANSWERED;

	findings->mark_lost = examination->verdict->sound && is_marked(examination) &&
			      (mended || has_left_unmarked(examination));
}

static int examine_spoofed(struct examination *examination, const struct knock *plain)
{
	struct path_findings *findings = examination->findings;
	struct knock last;
	int error = knock_again(examination, &last);

	if (error < 0)
		return error;
	findings->spoofed = last.outcome;
	findings->spoofed_step = last.step;
	findings->spoofed_error = last.error;
	findings->client = last.local.family != ADDRESS_NONE ? last.local : findings->client;
	judge(examination, &last);
	while (help(examination, &last)) {
		error = knock_again(examination, &last);
		/* What cannot be helped stays as it was found. */
		if (error < 0)
			return error == -EINTR ? error : 0;
		judge(examination, &last);
	}
	judge_redirection(examination, &last);
	judge_mark(examination);
	judge_legacy_firewall(examination, &last);
	return seek_behind_firewall(examination, plain);
}

/*
 * Where this host's own packets are dropped, and a client's do not come that far, it is for the
 * same rule.
 */
static void judge_plain(struct path_findings *findings, const struct knock *plain)
{
	bool through = findings->repaired == PROBE_ANSWERED || findings->repaired == PROBE_REFUSED;

	if (through || has_come_through(plain) || !plain->dropped)
		return;
	if (plain->drop.nat && !findings->nat.found) {
		findings->nat.found = findings->nat.known = true;
		findings->nat.rule = plain->drop;
	} else if (!plain->drop.nat && !findings->firewall.found) {
		findings->firewall.found = findings->firewall.known = true;
		findings->firewall.rule = plain->drop;
	}
}

static void conclude(const struct examination *examination, const struct knock *plain)
{
	struct path_findings *findings = examination->findings;
	bool explained = findings->nat.found || findings->firewall.found ||
			 findings->rp_filter.found || findings->mark_lost ||
			 has_left_unmarked(examination);

	findings->nat.plain =
		findings->nat.known ? plain->nat : findings->nat.found && !has_come_through(plain);
	findings->firewall.plain = findings->firewall.known
					   ? plain->dropped && !plain->drop.nat
					   : findings->firewall.found && !has_come_through(plain);
	findings->unexplained = findings->plain == PROBE_ANSWERED &&
				findings->repaired != PROBE_ANSWERED && !explained;
}

int examine_path(struct examiner *examiner, const struct return_path *path, bool udp,
		 const struct return_verdict *verdict, struct path_findings *findings)
{
	struct examination examination = {
		.examiner = examiner,
		.path = path,
		.verdict = verdict,
		.findings = findings,
		.udp = udp,
	};
	struct knock plain;
	int error;

	*findings = (struct path_findings){
		.client = examine_client((enum address_family)path->upstream.family),
		.privileged = examiner->privileged,
		.traced = examiner->tools.trace != NULL,
		.trace_error = examiner->trace_error,
		.legacy_rules = examiner_has_legacy_rules(),
	};
	if (interruption_waits())
		return -EINTR;
	find_egress(&examination);
	examine_server(&examination, &plain);
	if (!examiner->privileged)
		return 0;
	error = examine_spoofed(&examination, &plain);
	if (error == 0) {
		judge_plain(findings, &plain);
		conclude(&examination, &plain);
	}
	return error;
}
