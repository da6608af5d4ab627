/* SPDX-License-Identifier: MIT */
/* The doctor's judgement of a path: which check fails for which hop, and what only follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "doctor/check_path.h"
#include "doctor/diagnosis.h"
#include "doctor/path_facts.h"

#define BIT(check) (1U << (check))

/* A path and what is known of it. */
struct made_up {
	struct return_plan plan;
	struct path_facts facts;
	struct diagnosis diagnosis;
};

static struct address address_of(const char *text)
{
	struct address address;

	assert_int_equal(address_parse_endpoint(text, &address), 0);
	return address;
}

/* A sound one. */
static void begin(struct made_up *made, const char *upstream, uint32_t mark, bool udp)
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
	made->facts.config = "/etc/mmproxy.conf";
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

static unsigned judge(struct made_up *made)
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

static void end(struct made_up *made)
{
	diagnosis_finish(&made->diagnosis);
	return_plan_finish(&made->plan);
}

static const struct diagnosis_result *result_of(const struct made_up *made, enum doctor_check check)
{
	return &made->diagnosis.results[check - DOCTOR_CHECK_FAMILY];
}

static void expect_status(const struct made_up *made, enum doctor_check check,
			  enum doctor_status status)
{
	assert_string_equal(doctor_status_name(result_of(made, check)->status),
			    doctor_status_name(status));
}

static void expect_mend(const struct made_up *made, enum doctor_check check, size_t place,
			const char *due)
{
	const struct diagnosis_result *result = result_of(made, check);

	assert_true(place < result->mend_count);
	assert_string_equal(result->mend[place], due);
}

/* Hops, each with what it does to probes. */

static void silence(struct path_facts *facts)
{
	facts->findings.spoofed = PROBE_SILENT;
}

static void break_rule(struct path_facts *facts)
{
	facts->verdict.sound = false;
	facts->verdict.rule = RETURN_RULE_MISSING;
	silence(facts);
}

static void break_table(struct path_facts *facts)
{
	break_rule(facts);
	facts->verdict.rule = RETURN_RULE_WRONG_TABLE;
}

static void break_order(struct path_facts *facts)
{
	break_rule(facts);
	facts->verdict.rule = RETURN_RULE_TOO_LATE;
}

static void break_route(struct path_facts *facts)
{
	facts->verdict.sound = false;
	facts->verdict.route = RETURN_ROUTE_MISSING;
	silence(facts);
}

static void break_rp_filter(struct path_facts *facts)
{
	facts->findings.rp_filter.found = true;
	facts->findings.rp_filter.filter =
		(struct rp_filter){"veth0", RP_FILTER_STRICT, true, false};
	silence(facts);
}

static void break_nat(struct path_facts *facts)
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

static void break_firewall(struct path_facts *facts)
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

static void break_upstream(struct path_facts *facts)
{
	facts->served = false;
	facts->findings.plain = PROBE_REFUSED;
	facts->findings.server.pid = 0;
	facts->findings.seen_by = SEEN_NOT_PROVABLE;
	if (facts->findings.spoofed == PROBE_ANSWERED)
		facts->findings.spoofed = PROBE_REFUSED;
}

static void break_forwarder(struct path_facts *facts)
{
	facts->findings.forwarder.found = true;
	facts->findings.forwarder.process = (struct process){8, "docker-proxy", "docker-proxy"};
	facts->findings.forwarder.to = address_of("172.17.0.2:80");
}

static void break_family(struct path_facts *facts)
{
	facts->verdict = (struct return_verdict){.no_family = true};
	facts->findings = (struct path_findings){0};
}

static const struct hop {
	const char *name;
	void (*apply)(struct path_facts *facts);
	enum doctor_check check;
} hops[] = {
	{"rule missing", break_rule, DOCTOR_CHECK_RULE},
	{"wrong table", break_table, DOCTOR_CHECK_RULE},
	{"rule too late", break_order, DOCTOR_CHECK_RULE},
	{"route missing", break_route, DOCTOR_CHECK_ROUTE},
	{"reverse-path filter", break_rp_filter, DOCTOR_CHECK_RP_FILTER},
	{"NAT", break_nat, DOCTOR_CHECK_NAT},
	{"firewall", break_firewall, DOCTOR_CHECK_FIREWALL},
	{"upstream elsewhere", break_upstream, DOCTOR_CHECK_UPSTREAM},
	{"forwarder", break_forwarder, DOCTOR_CHECK_FORWARDER},
	{"no family", break_family, DOCTOR_CHECK_FAMILY},
};

#define HOPS (sizeof(hops) / sizeof(hops[0]))

static void a_sound_path_has_nothing_to_tell(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "127.0.0.1:443", 0, false);
	assert_int_equal(judge(&made), 0);
	for (size_t i = 0; i < made.diagnosis.count; i++)
		assert_int_equal(made.diagnosis.results[i].status, DOCTOR_OK);
	end(&made);
}

static void each_hop_fails_its_own_check_and_no_other(void **state)
{
	(void)state;
	for (size_t i = 0; i < HOPS; i++) {
		struct made_up made;

		begin(&made, "127.0.0.1:443", 0, false);
		hops[i].apply(&made.facts);
		if (judge(&made) != BIT(hops[i].check))
			fail_msg("%s", hops[i].name);
		assert_true(result_of(&made, hops[i].check)->mend_count > 0);
		end(&made);
	}
}

static void two_hops_fail_exactly_these_two_checks(void **state)
{
	(void)state;
	for (size_t i = 0; i < HOPS; i++) {
		for (size_t j = 0; j < HOPS; j++) {
			unsigned due = BIT(hops[i].check) | BIT(hops[j].check);
			struct made_up made;

			/* Without the family nothing else can be looked at. */
			if (hops[j].apply == break_family)
				due = BIT(DOCTOR_CHECK_FAMILY);
			if (i == j || hops[i].apply == break_family)
				continue;
			begin(&made, "127.0.0.1:443", 0, false);
			hops[i].apply(&made.facts);
			hops[j].apply(&made.facts);
			if (judge(&made) != due)
				fail_msg("%s and %s", hops[i].name, hops[j].name);
			end(&made);
		}
	}
}

static void what_follows_names_what_it_follows_from(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "127.0.0.1:443", 0, false);
	break_rule(&made.facts);
	break_firewall(&made.facts);
	judge(&made);
	expect_status(&made, DOCTOR_CHECK_SPOOFED, DOCTOR_CONSEQUENCE);
	expect_status(&made, DOCTOR_CHECK_SEEN, DOCTOR_CONSEQUENCE);
	assert_string_equal(result_of(&made, DOCTOR_CHECK_SPOOFED)->evidence,
			    "a client is not answered: see rule, firewall");
	end(&made);
	begin(&made, "127.0.0.1:443", 0, false);
	break_nat(&made.facts);
	judge(&made);
	expect_status(&made, DOCTOR_CHECK_SPOOFED, DOCTOR_OK);
	assert_string_equal(result_of(&made, DOCTOR_CHECK_SEEN)->evidence,
			    "not the client: see nat");
	end(&made);
}

static void without_the_family_the_rest_is_skipped(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "[::1]:443", 0, false);
	break_family(&made.facts);
	judge(&made);
	for (unsigned check = DOCTOR_CHECK_FORWARD; check <= DOCTOR_CHECK_SEEN; check++)
		expect_status(&made, (enum doctor_check)check, DOCTOR_SKIPPED);
	end(&made);
}

static void an_upstream_off_loopback_without_a_mark_is_the_settings_fault(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "10.0.0.2:443", 0, false);
	assert_int_equal(made.facts.path->rule, RETURN_PATH_NO_RULE);
	made.facts.verdict.sound = false;
	made.facts.verdict.rule = RETURN_RULE_NO_MARK;
	made.facts.place = PATH_BEHIND;
	silence(&made.facts);
	assert_int_equal(judge(&made), BIT(DOCTOR_CHECK_FORWARD));
	expect_status(&made, DOCTOR_CHECK_RULE, DOCTOR_CONSEQUENCE);
	expect_status(&made, DOCTOR_CHECK_ROUTE, DOCTOR_CONSEQUENCE);
	expect_mend(&made, DOCTOR_CHECK_FORWARD, 0, "routing = { method = \"mark\"; };");
	end(&made);
}

/* A site may have a rule of its own that does as well. */
static void the_same_is_sound_where_a_rule_of_the_sites_keeps_the_answers(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "10.0.0.2:443", 0, false);
	made.facts.place = PATH_BEHIND;
	assert_int_equal(judge(&made), 0);
	end(&made);
}

static void a_mark_that_is_lost_is_the_rules_fault(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "192.0.2.1:443", 123, false);
	made.facts.findings.mark_lost = true;
	silence(&made.facts);
	assert_int_equal(judge(&made), BIT(DOCTOR_CHECK_RULE));
	expect_mend(&made, DOCTOR_CHECK_RULE, 0, "sysctl -w net.ipv4.tcp_fwmark_accept=1");
	end(&made);
	begin(&made, "10.0.0.2:443", 123, false);
	made.facts.findings.mark_lost = true;
	made.facts.place = PATH_BEHIND;
	silence(&made.facts);
	assert_int_equal(judge(&made), BIT(DOCTOR_CHECK_RULE));
	expect_mend(&made, DOCTOR_CHECK_RULE, 0,
		    "mmproxyctl routing show --nft --config /etc/mmproxy.conf | nft -f -");
	end(&made);
}

/* No daemon adds a route for the site's own traffic, so it is not left to one. */
static void an_own_address_without_a_way_out_is_nothing_that_mmproxy_will_add(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "192.0.2.1:443", 123, false);
	made.facts.unrouted = true;
	made.facts.mode = ROUTING_MODE_MANAGE;
	break_route(&made.facts);
	silence(&made.facts);
	assert_int_equal(judge(&made), BIT(DOCTOR_CHECK_RULE));
	expect_mend(&made, DOCTOR_CHECK_RULE, 0, "sysctl -w net.ipv4.tcp_fwmark_accept=1");
	end(&made);
	/* It has its answers' marks back in a way that was not seen. */
	begin(&made, "192.0.2.1:443", 123, false);
	made.facts.unrouted = true;
	assert_int_equal(judge(&made), 0);
	end(&made);
}

static void who_is_redirected_is_told_to_forward_there(void **state)
{
	struct made_up made;
	struct nat_finding *nat;

	(void)state;
	begin(&made, "192.0.2.1:8080", 123, false);
	nat = &made.facts.findings.nat;
	nat->found = nat->known = true;
	nat->rule = (struct trace_decision){
		.redirects = true, .family = "ip", .table = "nat", .chain = "DOCKER"};
	nat->to = address_of("172.17.0.2:80");
	silence(&made.facts);
	assert_int_equal(judge(&made), BIT(DOCTOR_CHECK_NAT));
	expect_mend(&made, DOCTOR_CHECK_NAT, 0, "forward = { ipv4 = \"172.17.0.2:80\"; };");
	end(&made);
}

static void remedies_are_commands_word_for_word(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "127.0.0.1:443", 0, false);
	break_rule(&made.facts);
	break_route(&made.facts);
	made.facts.verdict.rule = RETURN_RULE_MISSING;
	break_rp_filter(&made.facts);
	break_nat(&made.facts);
	break_firewall(&made.facts);
	break_forwarder(&made.facts);
	judge(&made);
	expect_mend(&made, DOCTOR_CHECK_RULE, 0, "ip rule add from 127.0.0.0/8 iif lo table 123");
	expect_mend(&made, DOCTOR_CHECK_ROUTE, 0, "ip route add local default dev lo table 123");
	expect_mend(&made, DOCTOR_CHECK_RP_FILTER, 0, "sysctl -w net.ipv4.conf.veth0.rp_filter=2");
	expect_mend(&made, DOCTOR_CHECK_NAT, 0,
		    "nft insert rule ip nat postrouting ip daddr 127.0.0.1 tcp dport 443 accept");
	expect_mend(&made, DOCTOR_CHECK_FIREWALL, 0,
		    "nft insert rule inet filter output ip saddr 127.0.0.1 tcp sport 443 accept");
	expect_mend(&made, DOCTOR_CHECK_FORWARDER, 0, "forward = { ipv4 = \"172.17.0.2:80\"; };");
	expect_mend(&made, DOCTOR_CHECK_FORWARDER, 1, "routing = { method = \"mark\"; };");
	end(&made);
}

static void an_interface_is_written_as_sysctl_wants_it(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "10.0.0.2:443", 123, false);
	break_rp_filter(&made.facts);
	strcpy(made.facts.findings.rp_filter.filter.interface, "eth0.7");
	made.facts.findings.rp_filter.filter.mode = RP_FILTER_LOOSE;
	judge(&made);
	expect_mend(&made, DOCTOR_CHECK_RP_FILTER, 0, "sysctl -w net.ipv4.conf.all.rp_filter=0");
	expect_mend(&made, DOCTOR_CHECK_RP_FILTER, 1, "sysctl -w net.ipv4.conf.eth0/7.rp_filter=0");
	end(&made);
}

static void chains_of_iptables_are_mended_by_iptables(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "[::1]:53", 0, true);
	break_firewall(&made.facts);
	strcpy(made.facts.findings.firewall.rule.family, "ip6");
	strcpy(made.facts.findings.firewall.rule.chain, "INPUT");
	made.facts.findings.firewall.rule.direction = TRACE_FROM_CLIENT;
	judge(&made);
	expect_mend(&made, DOCTOR_CHECK_FIREWALL, 0,
		    "ip6tables -t filter -I INPUT -d ::1 -p udp --dport 53 -j ACCEPT");
	end(&made);
}

/* Tables may be called anything, and what is printed is pasted into a shell. */
static void a_name_that_a_shell_could_read_is_not_repeated_in_a_command(void **state)
{
	static const char *const names[] = {"a;reboot", "$(reboot)", "a b", "-f", "a'b", ""};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct made_up made;

		begin(&made, "127.0.0.1:443", 0, false);
		break_firewall(&made.facts);
		strcpy(made.facts.findings.firewall.rule.table, names[i]);
		judge(&made);
		expect_mend(&made, DOCTOR_CHECK_FIREWALL, 0,
			    "accept what comes from 127.0.0.1 port 443 before that rule");
		end(&made);
	}
}

static void a_policy_stops_both_directions_of_one_host(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "127.0.0.1:443", 0, false);
	break_firewall(&made.facts);
	made.facts.findings.firewall.rule.policy = true;
	judge(&made);
	expect_mend(&made, DOCTOR_CHECK_FIREWALL, 1,
		    "nft insert rule inet filter output ip daddr 127.0.0.1 tcp dport 443 accept");
	end(&made);
}

static void whoever_listens_elsewhere_is_named_with_the_setting(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "127.0.0.1:443", 0, false);
	break_upstream(&made.facts);
	made.facts.others[0] =
		(struct path_other){address_of("192.0.2.1:443"), {9, "nginx", "nginx"}};
	made.facts.other_count = 1;
	assert_int_equal(judge(&made), BIT(DOCTOR_CHECK_UPSTREAM));
	assert_string_equal(
		result_of(&made, DOCTOR_CHECK_UPSTREAM)->evidence,
		"nobody listens on 127.0.0.1:443; nginx (process 9) listens on 192.0.2.1:443");
	expect_mend(&made, DOCTOR_CHECK_UPSTREAM, 1, "forward = { ipv4 = \"192.0.2.1:443\"; };");
	end(&made);
}

/* The server is there; that a plain connection is not answered is the firewall's doing. */
static void what_stops_plain_connections_too_is_not_the_upstreams_fault(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "127.0.0.1:443", 0, false);
	break_firewall(&made.facts);
	made.facts.findings.firewall.plain = true;
	made.facts.findings.plain = PROBE_SILENT;
	assert_int_equal(judge(&made), BIT(DOCTOR_CHECK_FIREWALL));
	expect_status(&made, DOCTOR_CHECK_UPSTREAM, DOCTOR_CONSEQUENCE);
	end(&made);
	/* But one that refuses has answered. */
	begin(&made, "10.0.0.2:443", 123, false);
	made.facts.place = PATH_BEHIND;
	made.facts.served = false;
	break_rp_filter(&made.facts);
	made.facts.findings.plain = PROBE_REFUSED;
	assert_int_equal(judge(&made), BIT(DOCTOR_CHECK_RP_FILTER) | BIT(DOCTOR_CHECK_UPSTREAM));
	end(&made);
}

static void what_nothing_explains_fails_as_spoofed(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "127.0.0.1:443", 0, false);
	silence(&made.facts);
	made.facts.findings.repaired = PROBE_SILENT;
	made.facts.findings.unexplained = true;
	made.facts.findings.legacy_rules = true;
	assert_int_equal(judge(&made), BIT(DOCTOR_CHECK_SPOOFED));
	assert_non_null(strstr(result_of(&made, DOCTOR_CHECK_SPOOFED)->evidence, "legacy"));
	end(&made);
	/* Also behind what is explained. */
	begin(&made, "127.0.0.1:443", 0, false);
	break_rule(&made.facts);
	made.facts.findings.unexplained = true;
	assert_int_equal(judge(&made), BIT(DOCTOR_CHECK_RULE) | BIT(DOCTOR_CHECK_SPOOFED));
	end(&made);
	/* A client is refused where this host is not. */
	begin(&made, "127.0.0.1:443", 0, false);
	made.facts.findings.spoofed = PROBE_REFUSED;
	assert_int_equal(judge(&made), BIT(DOCTOR_CHECK_SPOOFED));
	end(&made);
}

static void another_address_that_nothing_explains_fails_as_seen(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "127.0.0.1:443", 0, false);
	made.facts.findings.seen = address_of("127.0.0.1:40000");
	assert_int_equal(judge(&made), BIT(DOCTOR_CHECK_SEEN));
	end(&made);
}

static void without_the_capability_nothing_is_said_of_clients(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "127.0.0.1:443", 0, false);
	made.facts.findings.privileged = made.facts.findings.traced = false;
	made.facts.findings.spoofed = made.facts.findings.repaired = PROBE_NOT_TRIED;
	made.facts.findings.seen_by = SEEN_NOT_PROVABLE;
	assert_int_equal(judge(&made), 0);
	expect_status(&made, DOCTOR_CHECK_UPSTREAM, DOCTOR_OK);
	expect_status(&made, DOCTOR_CHECK_NAT, DOCTOR_SKIPPED);
	expect_status(&made, DOCTOR_CHECK_FIREWALL, DOCTOR_SKIPPED);
	expect_status(&made, DOCTOR_CHECK_SPOOFED, DOCTOR_SKIPPED);
	expect_status(&made, DOCTOR_CHECK_SEEN, DOCTOR_SKIPPED);
	end(&made);
}

/* A daemon that is not running has taken its rules along. */
static void what_mmproxy_will_add_is_not_missing(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "127.0.0.1:443", 0, false);
	break_rule(&made.facts);
	break_route(&made.facts);
	made.facts.mode = ROUTING_MODE_MANAGE;
	assert_int_equal(judge(&made), 0);
	expect_status(&made, DOCTOR_CHECK_RULE, DOCTOR_SKIPPED);
	expect_status(&made, DOCTOR_CHECK_ROUTE, DOCTOR_SKIPPED);
	expect_status(&made, DOCTOR_CHECK_SPOOFED, DOCTOR_OK);
	end(&made);
	/* But what is broken behind it is. */
	begin(&made, "127.0.0.1:443", 0, false);
	break_rule(&made.facts);
	break_firewall(&made.facts);
	made.facts.mode = ROUTING_MODE_MANAGE;
	made.facts.findings.repaired = PROBE_SILENT;
	assert_int_equal(judge(&made), BIT(DOCTOR_CHECK_FIREWALL));
	expect_status(&made, DOCTOR_CHECK_SPOOFED, DOCTOR_CONSEQUENCE);
	end(&made);
}

static void silence_over_udp_proves_nothing(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "127.0.0.1:53", 0, true);
	made.facts.findings.plain = made.facts.findings.spoofed = PROBE_SILENT;
	made.facts.findings.repaired = PROBE_SILENT;
	made.facts.findings.seen_by = SEEN_NOT_PROVABLE;
	assert_int_equal(judge(&made), 0);
	expect_status(&made, DOCTOR_CHECK_UPSTREAM, DOCTOR_OK);
	expect_status(&made, DOCTOR_CHECK_SPOOFED, DOCTOR_SKIPPED);
	assert_string_equal(result_of(&made, DOCTOR_CHECK_SEEN)->evidence, "sent, not provable");
	end(&made);
	/* Unless others are answered. */
	begin(&made, "127.0.0.1:53", 0, true);
	silence(&made.facts);
	made.facts.findings.unexplained = true;
	assert_int_equal(judge(&made), BIT(DOCTOR_CHECK_SPOOFED));
	end(&made);
	/* And nobody there is nobody. */
	begin(&made, "127.0.0.1:53", 0, true);
	break_upstream(&made.facts);
	assert_int_equal(judge(&made), BIT(DOCTOR_CHECK_UPSTREAM));
	end(&made);
}

static void a_udp_server_on_all_addresses_is_warned_of(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "127.0.0.1:53", 0, true);
	made.facts.by_wildcard = true;
	made.facts.bound = address_of("0.0.0.0:53");
	made.facts.answers_from = address_of("192.0.2.1:0");
	silence(&made.facts);
	made.facts.findings.unexplained = true;
	assert_int_equal(judge(&made), 0);
	expect_status(&made, DOCTOR_CHECK_UPSTREAM, DOCTOR_WARNING);
	expect_status(&made, DOCTOR_CHECK_SPOOFED, DOCTOR_CONSEQUENCE);
	expect_mend(&made, DOCTOR_CHECK_UPSTREAM, 0,
		    "let the server bind 127.0.0.1:53 in place of every address, or:");
	expect_mend(&made, DOCTOR_CHECK_UPSTREAM, 1, "forward = { ipv4 = \"192.0.2.1:53\"; };");
	end(&made);
	/* One that answers from where it was asked at, as name servers do, is not. */
	begin(&made, "127.0.0.1:53", 0, true);
	made.facts.by_wildcard = true;
	made.facts.answers_from = address_of("192.0.2.1:0");
	assert_int_equal(judge(&made), 0);
	expect_status(&made, DOCTOR_CHECK_UPSTREAM, DOCTOR_OK);
	end(&made);
}

static void an_upstream_beyond_a_router_is_warned_of(void **state)
{
	struct made_up made;

	(void)state;
	begin(&made, "198.51.100.9:443", 123, false);
	made.facts.place = PATH_BEYOND;
	made.facts.gateway = address_of("192.0.2.2:0");
	made.facts.served = false;
	assert_int_equal(judge(&made), 0);
	expect_status(&made, DOCTOR_CHECK_FORWARD, DOCTOR_WARNING);
	end(&made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_path_has_nothing_to_tell),
		cmocka_unit_test(each_hop_fails_its_own_check_and_no_other),
		cmocka_unit_test(two_hops_fail_exactly_these_two_checks),
		cmocka_unit_test(what_follows_names_what_it_follows_from),
		cmocka_unit_test(without_the_family_the_rest_is_skipped),
		cmocka_unit_test(an_upstream_off_loopback_without_a_mark_is_the_settings_fault),
		cmocka_unit_test(the_same_is_sound_where_a_rule_of_the_sites_keeps_the_answers),
		cmocka_unit_test(a_mark_that_is_lost_is_the_rules_fault),
		cmocka_unit_test(who_is_redirected_is_told_to_forward_there),
		cmocka_unit_test(an_own_address_without_a_way_out_is_nothing_that_mmproxy_will_add),
		cmocka_unit_test(remedies_are_commands_word_for_word),
		cmocka_unit_test(an_interface_is_written_as_sysctl_wants_it),
		cmocka_unit_test(chains_of_iptables_are_mended_by_iptables),
		cmocka_unit_test(a_name_that_a_shell_could_read_is_not_repeated_in_a_command),
		cmocka_unit_test(a_policy_stops_both_directions_of_one_host),
		cmocka_unit_test(whoever_listens_elsewhere_is_named_with_the_setting),
		cmocka_unit_test(what_stops_plain_connections_too_is_not_the_upstreams_fault),
		cmocka_unit_test(what_nothing_explains_fails_as_spoofed),
		cmocka_unit_test(another_address_that_nothing_explains_fails_as_seen),
		cmocka_unit_test(without_the_capability_nothing_is_said_of_clients),
		cmocka_unit_test(what_mmproxy_will_add_is_not_missing),
		cmocka_unit_test(silence_over_udp_proves_nothing),
		cmocka_unit_test(a_udp_server_on_all_addresses_is_warned_of),
		cmocka_unit_test(an_upstream_beyond_a_router_is_warned_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
