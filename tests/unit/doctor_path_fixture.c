/* SPDX-License-Identifier: MIT */
/* Paths that are made up, and hops of theirs that are broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "doctor_path_fixture.h"

#include <stdio.h>

struct address address_of(const char *text)
{
	struct address address;

	assert_int_equal(address_parse_endpoint(text, &address), 0);
	return address;
}

/* A sound one. */
void made_up_begin(struct made_up *made, const char *upstream, uint32_t mark, bool udp)
{
	static const struct routing_settings settings = {ROUTING_MODE_CHECK,
							 ROUTING_METHOD_LOOPBACK, 123};
	struct address to = address_of(upstream);
	struct path_findings *findings = &made->facts.findings;

	memset(made, 0, sizeof(*made));
	diagnosis_init(&made->diagnosis);
	assert_int_equal(return_plan_add(&made->plan, &settings, &to, mark, udp), 0);
	made->facts.plan = &made->plan;
	made->facts.path = &made->plan.paths[0];
	made->facts.config = "/etc/mmproxy/mmproxy.conf";
	made->facts.mode = ROUTING_MODE_CHECK;
	made->facts.udp = udp;
	made->facts.verdict.sound = true;
	made->facts.verdict.table = 123;
	made->facts.place = PATH_LOCAL;
	made->facts.served = true;
	made->facts.bound = to;
	findings->client = address_of("203.0.113.77:0");
	findings->privileged = findings->traced = true;
	findings->plain = findings->spoofed = findings->repaired = PROBE_ANSWERED;
	findings->seen_by = SEEN_BY_SOCKET;
	findings->seen = address_of("203.0.113.77:40000");
	findings->server = (struct process){7, "server", "server"};
}

unsigned made_up_judge(struct made_up *made)
{
	unsigned failed = 0;

	check_path_judge(&made->facts, &made->diagnosis);
	/* One result a check, in their order, whatever is broken. */
	assert_int_equal(made->diagnosis.count, DOCTOR_CHECK_SEEN - DOCTOR_CHECK_FAMILY + 1);
	for (size_t i = 0; i < made->diagnosis.count; i++) {
		assert_int_equal(made->diagnosis.results[i].check, DOCTOR_CHECK_FAMILY + i);
		if (made->diagnosis.results[i].status == DOCTOR_FAILED)
			failed |= BIT(made->diagnosis.results[i].check);
	}
	return failed;
}

void made_up_end(struct made_up *made)
{
	diagnosis_finish(&made->diagnosis);
	return_plan_finish(&made->plan);
}

const struct diagnosis_result *made_up_result(const struct made_up *made, enum doctor_check check)
{
	return &made->diagnosis.results[check - DOCTOR_CHECK_FAMILY];
}

void expect_status(const struct made_up *made, enum doctor_check check, enum doctor_status status)
{
	assert_string_equal(doctor_status_name(made_up_result(made, check)->status),
			    doctor_status_name(status));
}

void expect_mend(const struct made_up *made, enum doctor_check check, size_t place, const char *due)
{
	const struct diagnosis_result *result = made_up_result(made, check);

	assert_true(place < result->mend_count);
	assert_string_equal(result->mend[place], due);
}

/* Hops, each with what it does to probes. */

void silence(struct path_facts *facts)
{
	facts->findings.spoofed = PROBE_SILENT;
}

void break_rule(struct path_facts *facts)
{
	facts->verdict.sound = false;
	facts->verdict.rule = RETURN_RULE_MISSING;
	silence(facts);
}

void break_table(struct path_facts *facts)
{
	break_rule(facts);
	facts->verdict.rule = RETURN_RULE_WRONG_TABLE;
}

void break_order(struct path_facts *facts)
{
	break_rule(facts);
	facts->verdict.rule = RETURN_RULE_TOO_LATE;
}

void break_route(struct path_facts *facts)
{
	facts->verdict.sound = false;
	facts->verdict.route = RETURN_ROUTE_MISSING;
	silence(facts);
}

void break_rp_filter(struct path_facts *facts)
{
	facts->findings.rp_filter.found = true;
	facts->findings.rp_filter.filter =
		(struct rp_filter){"veth0", RP_FILTER_STRICT, true, false};
	silence(facts);
}

void break_nat(struct path_facts *facts)
{
	struct nat_finding *nat = &facts->findings.nat;

	nat->found = nat->known = true;
	nat->rule = (struct trace_decision){
		.nat = true,
		.direction = TRACE_FROM_CLIENT,
		.family = "ip",
		.table = "nat",
		.chain = "postrouting",
		.rule = "oif \"lo\" masquerade",
		.handle = 4,
	};
	nat->seen = address_of("192.0.2.1:0");
	facts->findings.seen = nat->seen;
}

void break_firewall(struct path_facts *facts)
{
	struct firewall_finding *firewall = &facts->findings.firewall;

	firewall->found = true;
	firewall->rule = (struct trace_decision){
		.dropped = true,
		.direction = TRACE_ANSWER,
		.family = "inet",
		.table = "filter",
		.chain = "output",
		.rule = "tcp sport 443 drop",
		.handle = 9,
	};
	silence(facts);
}

void break_upstream(struct path_facts *facts)
{
	facts->served = false;
	facts->findings.plain = PROBE_REFUSED;
	facts->findings.server.pid = 0;
	facts->findings.seen_by = SEEN_NOT_PROVABLE;
	if (facts->findings.spoofed == PROBE_ANSWERED)
		facts->findings.spoofed = PROBE_REFUSED;
}

void break_forwarder(struct path_facts *facts)
{
	facts->findings.forwarder.found = true;
	facts->findings.forwarder.process = (struct process){8, "docker-proxy", "docker-proxy"};
	facts->findings.forwarder.to = address_of("172.17.0.2:80");
}

void break_family(struct path_facts *facts)
{
	facts->verdict = (struct return_verdict){.no_family = true};
	facts->findings = (struct path_findings){0};
}
