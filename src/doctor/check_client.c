/* SPDX-License-Identifier: MIT */
/*
 * What a client meets, and whom the upstream sees: the sum of it all. These two fail when none of
 * the checks before explains what was met.
 */
#include "doctor/path_judging.h"

#include <string.h>

/* Does the way work, now or once mmproxy has added its part? */
static bool is_answered(const struct path_judging *judging)
{
	return judging->findings->spoofed == PROBE_ANSWERED ||
	       (judging->to_come && (judging->causes & PATH_CAUSE(DOCTOR_CHECK_RULE)) == 0 &&
		judging->findings->repaired == PROBE_ANSWERED);
}

/* How far the packets came, for who has to look on. */
static const char *name_end(const struct path_judging *judging)
{
	const struct path_findings *findings = judging->findings;
	bool away = judging->facts->place == PATH_BEHIND || judging->facts->place == PATH_BEYOND;

	if (!findings->traced)
		return "";
	if (findings->back.hooks != 0)
		return "; its answer set out, and was lost on the way back";
	/* What this host can see of a container ends at its door. */
	if (findings->there.hooks != 0 && away)
		return "; its packet left, and no answer came: there, the way to clients (the "
		       "default route) has to lead to this host, and a firewall to let them in";
	if (findings->there.hooks != 0)
		return "; its packet was sent, and no answer set out";
	return "";
}

static void fail_spoofed(struct path_judging *judging, const char *client)
{
	const struct path_findings *findings = judging->findings;

	if (findings->spoofed == PROBE_REFUSED)
		path_fail(judging, DOCTOR_CHECK_SPOOFED,
			  "%s is refused, where this host itself is answered", client);
	else if (findings->spoofed == PROBE_FAILED)
		path_fail(judging, DOCTOR_CHECK_SPOOFED, "nothing can be sent from %s: %s: %s",
			  client, findings->spoofed_step, strerror(-findings->spoofed_error));
	else
		path_fail(judging, DOCTOR_CHECK_SPOOFED, "%s is not answered%s%s%s", client,
			  judging->causes != 0 ? ", also with what is broken above put right"
					       : ", and nothing above says why",
			  name_end(judging),
			  findings->legacy_rules
				  ? "; there are rules of legacy iptables, which are not looked at "
				    "(iptables-legacy-save)"
				  : "");
}

/* Nothing that has been found, or only something else, keeps the answer away. */
static bool is_unexplained(const struct path_judging *judging)
{
	return judging->causes == 0 ||
	       (judging->findings->unexplained && judging->findings->plain == PROBE_ANSWERED &&
		(judging->causes & PATH_CAUSE(DOCTOR_CHECK_UPSTREAM)) == 0);
}

void path_judge_spoofed(struct path_judging *judging)
{
	const struct path_findings *findings = judging->findings;
	bool no_proof = judging->facts->udp && findings->plain != PROBE_ANSWERED &&
			findings->spoofed == PROBE_SILENT;
	char client[ADDRESS_TEXT_SIZE];

	if (path_skip_unprivileged(judging, DOCTOR_CHECK_SPOOFED))
		return;
	address_format_ip(&findings->client, client);
	if (findings->spoofed == PROBE_ANSWERED)
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_SPOOFED, DOCTOR_OK, "%s is answered",
			      client);
	else if (is_answered(judging))
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_SPOOFED, DOCTOR_OK,
			      "%s is answered, with what mmproxy is to add", client);
	else if (findings->spoofed == PROBE_NOT_TRIED)
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_SPOOFED, DOCTOR_SKIPPED,
			      "not tried");
	else if (no_proof && judging->causes == 0)
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_SPOOFED, DOCTOR_SKIPPED,
			      "sent as %s; not answered, as a plain one is not", client);
	else if (is_unexplained(judging))
		fail_spoofed(judging, client);
	else
		path_follow(judging, DOCTOR_CHECK_SPOOFED, "a client is not answered",
			    judging->causes);
}

/* What was seen is not the client's address. */
static void judge_changed(struct path_judging *judging, const char *seen, const char *client)
{
	unsigned causes = judging->causes &
			  (PATH_CAUSE(DOCTOR_CHECK_NAT) | PATH_CAUSE(DOCTOR_CHECK_FORWARDER));

	if (causes != 0)
		path_follow(judging, DOCTOR_CHECK_SEEN, "not the client", causes);
	else
		path_fail(judging, DOCTOR_CHECK_SEEN, "the upstream sees %s in place of %s", seen,
			  client);
}

void path_judge_seen(struct path_judging *judging)
{
	const struct path_findings *findings = judging->findings;
	char client[ADDRESS_TEXT_SIZE], seen[ADDRESS_TEXT_SIZE];

	if (path_skip_unprivileged(judging, DOCTOR_CHECK_SEEN))
		return;
	address_format_ip(&findings->client, client);
	address_format_ip(&findings->seen, seen);
	if (findings->seen_by != SEEN_NOT_PROVABLE &&
	    !address_equal_ip(&findings->seen, &findings->client))
		judge_changed(judging, seen, client);
	else if ((judging->causes & PATH_CAUSE(DOCTOR_CHECK_FORWARDER)) != 0)
		path_follow(judging, DOCTOR_CHECK_SEEN, "the server does not see the client",
			    PATH_CAUSE(DOCTOR_CHECK_FORWARDER));
	else if (!is_answered(judging) && judging->causes != 0)
		path_follow(judging, DOCTOR_CHECK_SEEN, "a client is not answered",
			    judging->causes);
	else if (findings->seen_by == SEEN_BY_SOCKET)
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_SEEN, DOCTOR_OK,
			      "the server's socket has %s as its peer", client);
	else if (findings->seen_by == SEEN_BY_CONNTRACK)
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_SEEN, DOCTOR_OK,
			      "answers are addressed to %s, says connection tracking", client);
	else if (is_answered(judging))
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_SEEN, DOCTOR_OK,
			      "an answer to %s came", client);
	else
		diagnosis_add(judging->diagnosis, DOCTOR_CHECK_SEEN, DOCTOR_SKIPPED,
			      "sent, not provable");
}
