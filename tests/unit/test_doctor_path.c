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

#include "doctor_path_fixture.h"

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
	made_up_begin(&made, "127.0.0.1:443", 0, false);
	assert_int_equal(made_up_judge(&made), 0);
	for (size_t i = 0; i < made.diagnosis.count; i++)
		assert_int_equal(made.diagnosis.results[i].status, DOCTOR_OK);
	made_up_end(&made);
}

/* Who forwards as often as not was seen to do neither. */
static void who_was_not_seen_to_accept_is_not_said_to_serve_by_itself(void **state)
{
	static const struct {
		struct process process;
		bool watched;
		enum doctor_status due;
	} servers[] = {
		{{7, "server", "server"}, false, DOCTOR_OK},
		{{7, "socat", "socat"}, true, DOCTOR_OK},
		{{7, "socat", "socat"}, false, DOCTOR_SKIPPED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
		struct made_up made;

		made_up_begin(&made, "127.0.0.1:443", 0, false);
		made.facts.findings.server = servers[i].process;
		made.facts.findings.forwarder.watched = servers[i].watched;
		assert_int_equal(made_up_judge(&made), 0);
		assert_int_equal(made_up_result(&made, DOCTOR_CHECK_FORWARDER)->status,
				 servers[i].due);
		made_up_end(&made);
	}
}

static void each_hop_fails_its_own_check_and_no_other(void **state)
{
	(void)state;
	for (size_t i = 0; i < HOPS; i++) {
		struct made_up made;

		made_up_begin(&made, "127.0.0.1:443", 0, false);
		hops[i].apply(&made.facts);
		if (made_up_judge(&made) != BIT(hops[i].check))
			fail_msg("%s", hops[i].name);
		assert_true(made_up_result(&made, hops[i].check)->mend_count > 0);
		made_up_end(&made);
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
			made_up_begin(&made, "127.0.0.1:443", 0, false);
			hops[i].apply(&made.facts);
			hops[j].apply(&made.facts);
			if (made_up_judge(&made) != due)
				fail_msg("%s and %s", hops[i].name, hops[j].name);
			made_up_end(&made);
		}
	}
}

static void what_follows_names_what_it_follows_from(void **state)
{
	struct made_up made;

	(void)state;
	made_up_begin(&made, "127.0.0.1:443", 0, false);
	break_rule(&made.facts);
	break_firewall(&made.facts);
	made_up_judge(&made);
	expect_status(&made, DOCTOR_CHECK_SPOOFED, DOCTOR_CONSEQUENCE);
	expect_status(&made, DOCTOR_CHECK_SEEN, DOCTOR_CONSEQUENCE);
	assert_string_equal(made_up_result(&made, DOCTOR_CHECK_SPOOFED)->evidence,
			    "a client is not answered: see rule, firewall");
	made_up_end(&made);
	made_up_begin(&made, "127.0.0.1:443", 0, false);
	break_nat(&made.facts);
	made_up_judge(&made);
	expect_status(&made, DOCTOR_CHECK_SPOOFED, DOCTOR_OK);
	assert_string_equal(made_up_result(&made, DOCTOR_CHECK_SEEN)->evidence,
			    "not the client: see nat");
	made_up_end(&made);
}

static void without_the_family_the_rest_is_skipped(void **state)
{
	struct made_up made;

	(void)state;
	made_up_begin(&made, "[::1]:443", 0, false);
	break_family(&made.facts);
	made_up_judge(&made);
	for (unsigned check = DOCTOR_CHECK_FORWARD; check <= DOCTOR_CHECK_SEEN; check++)
		expect_status(&made, (enum doctor_check)check, DOCTOR_SKIPPED);
	made_up_end(&made);
}

static void an_upstream_off_loopback_without_a_mark_is_the_settings_fault(void **state)
{
	struct made_up made;

	(void)state;
	made_up_begin(&made, "10.0.0.2:443", 0, false);
	assert_int_equal(made.facts.path->rule, RETURN_PATH_NO_RULE);
	made.facts.verdict.sound = false;
	made.facts.verdict.rule = RETURN_RULE_NO_MARK;
	made.facts.place = PATH_BEHIND;
	silence(&made.facts);
	assert_int_equal(made_up_judge(&made), BIT(DOCTOR_CHECK_FORWARD));
	expect_status(&made, DOCTOR_CHECK_RULE, DOCTOR_CONSEQUENCE);
	expect_status(&made, DOCTOR_CHECK_ROUTE, DOCTOR_CONSEQUENCE);
	expect_mend(&made, DOCTOR_CHECK_FORWARD, 0, "routing = { method = \"mark\"; };");
	made_up_end(&made);
}

/* A site may have a rule of its own that does as well. */
static void the_same_is_sound_where_a_rule_of_the_sites_keeps_the_answers(void **state)
{
	struct made_up made;

	(void)state;
	made_up_begin(&made, "10.0.0.2:443", 0, false);
	made.facts.place = PATH_BEHIND;
	assert_int_equal(made_up_judge(&made), 0);
	made_up_end(&made);
}

static void a_mark_that_is_lost_is_the_rules_fault(void **state)
{
	struct made_up made;

	(void)state;
	made_up_begin(&made, "192.0.2.1:443", 123, false);
	made.facts.findings.mark_lost = true;
	silence(&made.facts);
	assert_int_equal(made_up_judge(&made), BIT(DOCTOR_CHECK_RULE));
	expect_mend(&made, DOCTOR_CHECK_RULE, 0, "sysctl -w net.ipv4.tcp_fwmark_accept=1");
	made_up_end(&made);
	made_up_begin(&made, "10.0.0.2:443", 123, false);
	made.facts.findings.mark_lost = true;
	made.facts.place = PATH_BEHIND;
	silence(&made.facts);
	assert_int_equal(made_up_judge(&made), BIT(DOCTOR_CHECK_RULE));
	expect_mend(&made, DOCTOR_CHECK_RULE, 0,
		    "mmproxyctl routing show --nft --config /etc/mmproxy/mmproxy.conf | nft -f -");
	made_up_end(&made);
}

/* No daemon adds a route for the site's own traffic, so it is not left to one. */
static void an_own_address_without_a_way_out_is_nothing_that_mmproxy_will_add(void **state)
{
	struct made_up made;

	(void)state;
	made_up_begin(&made, "192.0.2.1:443", 123, false);
	made.facts.unrouted = true;
	made.facts.mode = ROUTING_MODE_MANAGE;
	break_route(&made.facts);
	silence(&made.facts);
	assert_int_equal(made_up_judge(&made), BIT(DOCTOR_CHECK_RULE));
	expect_mend(&made, DOCTOR_CHECK_RULE, 0, "sysctl -w net.ipv4.tcp_fwmark_accept=1");
	made_up_end(&made);
	/* It has its answers' marks back in a way that was not seen. */
	made_up_begin(&made, "192.0.2.1:443", 123, false);
	made.facts.unrouted = true;
	assert_int_equal(made_up_judge(&made), 0);
	made_up_end(&made);
}

/* The server is there; that a plain connection is not answered is the firewall's doing. */
static void what_stops_plain_connections_too_is_not_the_upstreams_fault(void **state)
{
	struct made_up made;

	(void)state;
	made_up_begin(&made, "127.0.0.1:443", 0, false);
	break_firewall(&made.facts);
	made.facts.findings.firewall.plain = true;
	made.facts.findings.plain = PROBE_SILENT;
	assert_int_equal(made_up_judge(&made), BIT(DOCTOR_CHECK_FIREWALL));
	expect_status(&made, DOCTOR_CHECK_UPSTREAM, DOCTOR_CONSEQUENCE);
	made_up_end(&made);
	/* But one that refuses has answered. */
	made_up_begin(&made, "10.0.0.2:443", 123, false);
	made.facts.place = PATH_BEHIND;
	made.facts.served = false;
	break_rp_filter(&made.facts);
	made.facts.findings.plain = PROBE_REFUSED;
	assert_int_equal(made_up_judge(&made),
			 BIT(DOCTOR_CHECK_RP_FILTER) | BIT(DOCTOR_CHECK_UPSTREAM));
	made_up_end(&made);
}

static void what_nothing_explains_fails_as_spoofed(void **state)
{
	struct made_up made;

	(void)state;
	made_up_begin(&made, "127.0.0.1:443", 0, false);
	silence(&made.facts);
	made.facts.findings.repaired = PROBE_SILENT;
	made.facts.findings.unexplained = true;
	made.facts.findings.legacy_rules = true;
	assert_int_equal(made_up_judge(&made), BIT(DOCTOR_CHECK_SPOOFED));
	assert_non_null(strstr(made_up_result(&made, DOCTOR_CHECK_SPOOFED)->evidence, "legacy"));
	made_up_end(&made);
	/* Also behind what is explained. */
	made_up_begin(&made, "127.0.0.1:443", 0, false);
	break_rule(&made.facts);
	made.facts.findings.unexplained = true;
	assert_int_equal(made_up_judge(&made), BIT(DOCTOR_CHECK_RULE) | BIT(DOCTOR_CHECK_SPOOFED));
	made_up_end(&made);
	/* A client is refused where this host is not. */
	made_up_begin(&made, "127.0.0.1:443", 0, false);
	made.facts.findings.spoofed = PROBE_REFUSED;
	assert_int_equal(made_up_judge(&made), BIT(DOCTOR_CHECK_SPOOFED));
	made_up_end(&made);
}

static void another_address_that_nothing_explains_fails_as_seen(void **state)
{
	struct made_up made;

	(void)state;
	made_up_begin(&made, "127.0.0.1:443", 0, false);
	made.facts.findings.seen = address_of("127.0.0.1:40000");
	assert_int_equal(made_up_judge(&made), BIT(DOCTOR_CHECK_SEEN));
	made_up_end(&made);
}

static void without_the_capability_nothing_is_said_of_clients(void **state)
{
	struct made_up made;

	(void)state;
	made_up_begin(&made, "127.0.0.1:443", 0, false);
	made.facts.findings.privileged = made.facts.findings.traced = false;
	made.facts.findings.spoofed = made.facts.findings.repaired = PROBE_NOT_TRIED;
	made.facts.findings.seen_by = SEEN_NOT_PROVABLE;
	assert_int_equal(made_up_judge(&made), 0);
	expect_status(&made, DOCTOR_CHECK_UPSTREAM, DOCTOR_OK);
	expect_status(&made, DOCTOR_CHECK_NAT, DOCTOR_SKIPPED);
	expect_status(&made, DOCTOR_CHECK_FIREWALL, DOCTOR_SKIPPED);
	expect_status(&made, DOCTOR_CHECK_SPOOFED, DOCTOR_SKIPPED);
	expect_status(&made, DOCTOR_CHECK_SEEN, DOCTOR_SKIPPED);
	made_up_end(&made);
}

/* A daemon that is not running has taken its rules along. */
static void what_mmproxy_will_add_is_not_missing(void **state)
{
	struct made_up made;

	(void)state;
	made_up_begin(&made, "127.0.0.1:443", 0, false);
	break_rule(&made.facts);
	break_route(&made.facts);
	made.facts.mode = ROUTING_MODE_MANAGE;
	assert_int_equal(made_up_judge(&made), 0);
	expect_status(&made, DOCTOR_CHECK_RULE, DOCTOR_SKIPPED);
	expect_status(&made, DOCTOR_CHECK_ROUTE, DOCTOR_SKIPPED);
	expect_status(&made, DOCTOR_CHECK_SPOOFED, DOCTOR_OK);
	made_up_end(&made);
	/* But what is broken behind it is. */
	made_up_begin(&made, "127.0.0.1:443", 0, false);
	break_rule(&made.facts);
	break_firewall(&made.facts);
	made.facts.mode = ROUTING_MODE_MANAGE;
	made.facts.findings.repaired = PROBE_SILENT;
	assert_int_equal(made_up_judge(&made), BIT(DOCTOR_CHECK_FIREWALL));
	expect_status(&made, DOCTOR_CHECK_SPOOFED, DOCTOR_CONSEQUENCE);
	made_up_end(&made);
}

static void silence_over_udp_proves_nothing(void **state)
{
	struct made_up made;

	(void)state;
	made_up_begin(&made, "127.0.0.1:53", 0, true);
	made.facts.findings.plain = made.facts.findings.spoofed = PROBE_SILENT;
	made.facts.findings.repaired = PROBE_SILENT;
	made.facts.findings.seen_by = SEEN_NOT_PROVABLE;
	assert_int_equal(made_up_judge(&made), 0);
	expect_status(&made, DOCTOR_CHECK_UPSTREAM, DOCTOR_OK);
	expect_status(&made, DOCTOR_CHECK_SPOOFED, DOCTOR_SKIPPED);
	assert_string_equal(made_up_result(&made, DOCTOR_CHECK_SEEN)->evidence,
			    "sent, not provable");
	made_up_end(&made);
	/* Unless others are answered. */
	made_up_begin(&made, "127.0.0.1:53", 0, true);
	silence(&made.facts);
	made.facts.findings.unexplained = true;
	assert_int_equal(made_up_judge(&made), BIT(DOCTOR_CHECK_SPOOFED));
	made_up_end(&made);
	/* And nobody there is nobody. */
	made_up_begin(&made, "127.0.0.1:53", 0, true);
	break_upstream(&made.facts);
	assert_int_equal(made_up_judge(&made), BIT(DOCTOR_CHECK_UPSTREAM));
	made_up_end(&made);
}

static void a_udp_server_on_all_addresses_is_warned_of(void **state)
{
	struct made_up made;

	(void)state;
	made_up_begin(&made, "127.0.0.1:53", 0, true);
	made.facts.by_wildcard = true;
	made.facts.bound = address_of("0.0.0.0:53");
	made.facts.answers_from = address_of("192.0.2.1:0");
	silence(&made.facts);
	made.facts.findings.unexplained = true;
	assert_int_equal(made_up_judge(&made), 0);
	expect_status(&made, DOCTOR_CHECK_UPSTREAM, DOCTOR_WARNING);
	expect_status(&made, DOCTOR_CHECK_SPOOFED, DOCTOR_CONSEQUENCE);
	expect_mend(&made, DOCTOR_CHECK_UPSTREAM, 0,
		    "let the server bind 127.0.0.1:53 in place of every address, or:");
	expect_mend(&made, DOCTOR_CHECK_UPSTREAM, 1, "forward = { ipv4 = \"192.0.2.1:53\"; };");
	made_up_end(&made);
	/* One that answers from where it was asked at, as name servers do, is not. */
	made_up_begin(&made, "127.0.0.1:53", 0, true);
	made.facts.by_wildcard = true;
	made.facts.answers_from = address_of("192.0.2.1:0");
	assert_int_equal(made_up_judge(&made), 0);
	expect_status(&made, DOCTOR_CHECK_UPSTREAM, DOCTOR_OK);
	made_up_end(&made);
}

static void an_upstream_beyond_a_router_is_warned_of(void **state)
{
	struct made_up made;

	(void)state;
	made_up_begin(&made, "198.51.100.9:443", 123, false);
	made.facts.place = PATH_BEYOND;
	made.facts.gateway = address_of("192.0.2.2:0");
	made.facts.served = false;
	assert_int_equal(made_up_judge(&made), 0);
	expect_status(&made, DOCTOR_CHECK_FORWARD, DOCTOR_WARNING);
	made_up_end(&made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_path_has_nothing_to_tell),
		cmocka_unit_test(who_was_not_seen_to_accept_is_not_said_to_serve_by_itself),
		cmocka_unit_test(each_hop_fails_its_own_check_and_no_other),
		cmocka_unit_test(two_hops_fail_exactly_these_two_checks),
		cmocka_unit_test(what_follows_names_what_it_follows_from),
		cmocka_unit_test(without_the_family_the_rest_is_skipped),
		cmocka_unit_test(an_upstream_off_loopback_without_a_mark_is_the_settings_fault),
		cmocka_unit_test(the_same_is_sound_where_a_rule_of_the_sites_keeps_the_answers),
		cmocka_unit_test(a_mark_that_is_lost_is_the_rules_fault),
		cmocka_unit_test(an_own_address_without_a_way_out_is_nothing_that_mmproxy_will_add),
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
