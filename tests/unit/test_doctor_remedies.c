/* SPDX-License-Identifier: MIT */
/* What the doctor says that mends a hop: commands and settings, word for word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "doctor_path_fixture.h"

static void who_is_redirected_is_told_to_forward_there(void **state)
{
	struct made_up made;
	struct nat_finding *nat;

	(void)state;
	made_up_begin(&made, "192.0.2.1:8080", 123, false);
	nat = &made.facts.findings.nat;
	nat->found = nat->known = true;
	nat->rule = (struct trace_decision){
		.redirects = true, .family = "ip", .table = "nat", .chain = "DOCKER"};
	nat->to = address_of("172.17.0.2:80");
	silence(&made.facts);
	assert_int_equal(made_up_judge(&made), BIT(DOCTOR_CHECK_NAT));
	expect_mend(&made, DOCTOR_CHECK_NAT, 0, "forward = { ipv4 = \"172.17.0.2:80\"; };");
	made_up_end(&made);
}

static void remedies_are_commands_word_for_word(void **state)
{
	struct made_up made;

	(void)state;
	made_up_begin(&made, "127.0.0.1:443", 0, false);
	break_rule(&made.facts);
	break_route(&made.facts);
	made.facts.verdict.rule = RETURN_RULE_MISSING;
	break_rp_filter(&made.facts);
	break_nat(&made.facts);
	break_firewall(&made.facts);
	break_forwarder(&made.facts);
	made_up_judge(&made);
	expect_mend(&made, DOCTOR_CHECK_RULE, 0, "ip rule add from 127.0.0.0/8 iif lo table 123");
	expect_mend(&made, DOCTOR_CHECK_ROUTE, 0, "ip route add local default dev lo table 123");
	expect_mend(&made, DOCTOR_CHECK_RP_FILTER, 0, "sysctl -w net.ipv4.conf.veth0.rp_filter=2");
	expect_mend(&made, DOCTOR_CHECK_NAT, 0,
		    "nft insert rule ip nat postrouting ip daddr 127.0.0.1 tcp dport 443 accept");
	expect_mend(&made, DOCTOR_CHECK_FIREWALL, 0,
		    "nft insert rule inet filter output ip saddr 127.0.0.1 tcp sport 443 accept");
	expect_mend(&made, DOCTOR_CHECK_FORWARDER, 0, "forward = { ipv4 = \"172.17.0.2:80\"; };");
	expect_mend(&made, DOCTOR_CHECK_FORWARDER, 1, "routing = { method = \"mark\"; };");
	made_up_end(&made);
}

static void an_interface_is_written_as_sysctl_wants_it(void **state)
{
	struct made_up made;

	(void)state;
	made_up_begin(&made, "10.0.0.2:443", 123, false);
	break_rp_filter(&made.facts);
	strcpy(made.facts.findings.rp_filter.filter.interface, "eth0.7");
	made.facts.findings.rp_filter.filter.mode = RP_FILTER_LOOSE;
	made_up_judge(&made);
	expect_mend(&made, DOCTOR_CHECK_RP_FILTER, 0, "sysctl -w net.ipv4.conf.all.rp_filter=0");
	expect_mend(&made, DOCTOR_CHECK_RP_FILTER, 1, "sysctl -w net.ipv4.conf.eth0/7.rp_filter=0");
	made_up_end(&made);
}

static void chains_of_iptables_are_mended_by_iptables(void **state)
{
	struct made_up made;

	(void)state;
	made_up_begin(&made, "[::1]:53", 0, true);
	break_firewall(&made.facts);
	strcpy(made.facts.findings.firewall.rule.family, "ip6");
	strcpy(made.facts.findings.firewall.rule.chain, "INPUT");
	made.facts.findings.firewall.rule.direction = TRACE_FROM_CLIENT;
	made_up_judge(&made);
	expect_mend(&made, DOCTOR_CHECK_FIREWALL, 0,
		    "ip6tables -t filter -I INPUT -d ::1 -p udp --dport 53 -j ACCEPT");
	made_up_end(&made);
}

/* Tables may be called anything, and what is printed is pasted into a shell. */
static void a_name_that_a_shell_could_read_is_not_repeated_in_a_command(void **state)
{
	static const char *const names[] = {"a;reboot", "$(reboot)", "a b", "-f", "a'b", ""};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct made_up made;

		made_up_begin(&made, "127.0.0.1:443", 0, false);
		break_firewall(&made.facts);
		strcpy(made.facts.findings.firewall.rule.table, names[i]);
		made_up_judge(&made);
		expect_mend(&made, DOCTOR_CHECK_FIREWALL, 0,
			    "accept what comes from 127.0.0.1 port 443 before that rule");
		made_up_end(&made);
	}
}

static void a_policy_stops_both_directions_of_one_host(void **state)
{
	struct made_up made;

	(void)state;
	made_up_begin(&made, "127.0.0.1:443", 0, false);
	break_firewall(&made.facts);
	made.facts.findings.firewall.rule.policy = true;
	made_up_judge(&made);
	expect_mend(&made, DOCTOR_CHECK_FIREWALL, 1,
		    "nft insert rule inet filter output ip daddr 127.0.0.1 tcp dport 443 accept");
	made_up_end(&made);
}

static void whoever_listens_elsewhere_is_named_with_the_setting(void **state)
{
	struct made_up made;

	(void)state;
	made_up_begin(&made, "127.0.0.1:443", 0, false);
	break_upstream(&made.facts);
	made.facts.others[0] =
		(struct path_other){address_of("192.0.2.1:443"), {9, "nginx", "nginx"}};
	made.facts.other_count = 1;
	assert_int_equal(made_up_judge(&made), BIT(DOCTOR_CHECK_UPSTREAM));
	assert_string_equal(
		made_up_result(&made, DOCTOR_CHECK_UPSTREAM)->evidence,
		"nobody listens on 127.0.0.1:443; nginx (process 9) listens on 192.0.2.1:443");
	expect_mend(&made, DOCTOR_CHECK_UPSTREAM, 1, "forward = { ipv4 = \"192.0.2.1:443\"; };");
	made_up_end(&made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_redirected_is_told_to_forward_there),
		cmocka_unit_test(remedies_are_commands_word_for_word),
		cmocka_unit_test(an_interface_is_written_as_sysctl_wants_it),
		cmocka_unit_test(chains_of_iptables_are_mended_by_iptables),
		cmocka_unit_test(a_name_that_a_shell_could_read_is_not_repeated_in_a_command),
		cmocka_unit_test(a_policy_stops_both_directions_of_one_host),
		cmocka_unit_test(whoever_listens_elsewhere_is_named_with_the_setting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
