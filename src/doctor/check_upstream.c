/* SPDX-License-Identifier: MIT */
/*
 * Does the upstream answer this host's own connection, and if not, where is its server? What the
 * firewall, NAT and the reverse-path filter do to plain connections is theirs to be told.
 */
#include "doctor/path_judging.h"

#include <stdio.h>
#include <string.h>

#include "doctor/path_mend.h"

/*
 * Checks whose findings explain what this host's own connection met. A refusal is nobody's but the
 * upstream's: one that a firewall has made up counts as silence.
 */
static unsigned find_plain_causes(const struct path_findings *findings)
{
	unsigned causes = 0;

	if (findings->plain == PROBE_REFUSED)
		return 0;
	if (findings->firewall.found && findings->firewall.plain)
		causes |= PATH_CAUSE(DOCTOR_CHECK_FIREWALL);
	if (findings->nat.found && findings->nat.plain)
		causes |= PATH_CAUSE(DOCTOR_CHECK_NAT);
	if (findings->rp_filter.found)
		causes |= PATH_CAUSE(DOCTOR_CHECK_RP_FILTER);
	return causes;
}

/* Room for a sentence of where else somebody listens. */
#define OTHERS_SIZE 400

/* "; nginx (process 7) listens on 192.0.2.1:443", or "" */
static const char *name_others(const struct path_facts *facts, char text[static OTHERS_SIZE])
{
	char address[ADDRESS_TEXT_SIZE];
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < facts->other_count && used < OTHERS_SIZE; i++) {
		const struct path_other *other = &facts->others[i];

		address_format(&other->address, address);
		if (other->process.pid != 0)
			used += (size_t)snprintf(
				text + used, OTHERS_SIZE - used, "; %s (process %d) listens on %s",
				other->process.name, (int)other->process.pid, address);
		else
			used += (size_t)snprintf(text + used, OTHERS_SIZE - used,
						 "; somebody listens on %s", address);
	}
	return text;
}

static void fail_upstream(struct path_judging *judging)
{
	const struct path_findings *findings = judging->findings;
	char others[OTHERS_SIZE];

	name_others(judging->facts, others);
	if (judging->facts->place == PATH_LOCAL && !judging->facts->served)
		path_fail(judging, DOCTOR_CHECK_UPSTREAM, "nobody listens on %s%s",
			  judging->upstream, others);
	else if (findings->plain == PROBE_REFUSED)
		path_fail(judging, DOCTOR_CHECK_UPSTREAM, "%s refuses this host's own connection%s",
			  judging->upstream, others);
	else if (findings->plain == PROBE_FAILED)
		path_fail(judging, DOCTOR_CHECK_UPSTREAM, "%s cannot be reached: %s: %s%s",
			  judging->upstream, findings->plain_step, strerror(-findings->plain_error),
			  others);
	else
		path_fail(judging, DOCTOR_CHECK_UPSTREAM,
			  "%s does not answer this host's own connection%s", judging->upstream,
			  others);
	path_mend_upstream(judging->facts, judging->diagnosis);
}

/*
 * A UDP socket that is bound to all addresses, and does not say from which one it answers, answers
 * from the one that the kernel prefers on the way to the client.
 */
static bool answers_from_elsewhere(const struct path_facts *facts)
{
	return facts->udp && facts->by_wildcard && facts->findings.spoofed != PROBE_ANSWERED &&
	       !address_equal_ip(&facts->answers_from, &facts->path->upstream);
}

static void warn_of_wildcard(struct path_judging *judging)
{
	const struct path_facts *facts = judging->facts;
	char bound[ADDRESS_TEXT_SIZE], from[ADDRESS_TEXT_SIZE] = "no address";

	if (facts->answers_from.family != ADDRESS_NONE)
		address_format_ip(&facts->answers_from, from);
	judging->causes |= PATH_CAUSE(DOCTOR_CHECK_UPSTREAM);
	diagnosis_add(judging->diagnosis, DOCTOR_CHECK_UPSTREAM, DOCTOR_WARNING,
		      "the server is bound to %s, and may answer clients from %s in place of %s",
		      address_format(&facts->bound, bound), from, judging->upstream);
	path_mend_wildcard(facts, judging->diagnosis);
}

/* Datagrams are not answered by everybody; a socket that is bound there is somebody. */
static void judge_silent_upstream(struct path_judging *judging)
{
	if (judging->facts->served)
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_UPSTREAM, DOCTOR_OK,
			      "somebody is bound to %s; an empty datagram is not answered",
			      judging->upstream);
	else
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_UPSTREAM, DOCTOR_SKIPPED,
			      "%s does not answer an empty datagram; who is there is not to be "
			      "seen from here",
			      judging->upstream);
}

void path_judge_upstream(struct path_judging *judging)
{
	const struct path_facts *facts = judging->facts;
	const struct path_findings *findings = judging->findings;
	unsigned causes = find_plain_causes(findings);
	bool absent = facts->place == PATH_LOCAL && !facts->served;
	char server[PATH_PROCESS_SIZE];

	if (answers_from_elsewhere(facts))
		warn_of_wildcard(judging);
	else if (findings->plain == PROBE_ANSWERED)
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_UPSTREAM, DOCTOR_OK,
			      "%s answers this host's own connection",
			      path_name_process(&findings->server, server));
	else if (!absent && causes != 0)
		path_follow(judging, DOCTOR_CHECK_UPSTREAM,
			    "does not answer this host's own connection", causes);
	else if (!absent && findings->plain == PROBE_NOT_TRIED)
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_UPSTREAM, DOCTOR_SKIPPED,
			      "not tried");
	else if (!absent && facts->udp && findings->plain == PROBE_SILENT)
		judge_silent_upstream(judging);
	else
		fail_upstream(judging);
}
