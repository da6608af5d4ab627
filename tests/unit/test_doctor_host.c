/* SPDX-License-Identifier: MIT */
/* The doctor's judgement of the host and of listeners, from facts that are made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "base/prefix_set.h"
#include "config/config.h"
#include "doctor/check_host.h"
#include "doctor/check_listener.h"
#include "doctor/diagnosis.h"
#include "doctor/host_facts.h"

static const struct host_facts sound = {
	.release = "6.1.0-28-amd64",
	.net_admin = true,
	.unprivileged_port = 1024,
};

/* The result of one check; the others must be as they are on a sound host. */
static const struct diagnosis_result *judge(struct diagnosis *diagnosis,
					    const struct host_facts *facts, enum doctor_check check)
{
	const struct diagnosis_result *found = NULL;

	diagnosis_finish(diagnosis);
	check_host_judge(facts, diagnosis);
	assert_int_equal(diagnosis->count, DOCTOR_CHECK_LSM - DOCTOR_CHECK_KERNEL + 1);
	for (size_t i = 0; i < diagnosis->count; i++) {
		const struct diagnosis_result *result = &diagnosis->results[i];

		assert_int_equal(result->check, DOCTOR_CHECK_KERNEL + i);
		assert_null(result->listener);
		if (result->check == check)
			found = result;
		else
			assert_true(result->status == DOCTOR_OK ||
				    result->status == DOCTOR_SKIPPED);
	}
	return found;
}

static void a_sound_host_has_nothing_to_tell(void **state)
{
	struct diagnosis diagnosis;

	(void)state;
	diagnosis_init(&diagnosis);
	assert_int_equal(judge(&diagnosis, &sound, DOCTOR_CHECK_KERNEL)->status, DOCTOR_OK);
	diagnosis_finish(&diagnosis);
}

static void a_kernel_is_judged_by_its_number_and_what_it_can_do(void **state)
{
	static const struct {
		const char *release;
		int ipv4, ipv6, rules;
		enum doctor_status status;
	} cases[] = {
		{"5.10.0", 0, 0, 0, DOCTOR_OK},
		{"5.10", 0, 0, 0, DOCTOR_OK},
		{"10.0.1-rc1", 0, 0, 0, DOCTOR_OK},
		{"5.9.16", 0, 0, 0, DOCTOR_FAILED},
		{"4.19.0-27", 0, 0, 0, DOCTOR_FAILED},
		{"something else", 0, 0, 0, DOCTOR_OK},
		{"6.1.0", -ENOPROTOOPT, 0, 0, DOCTOR_FAILED},
		{"6.1.0", 0, -ENOPROTOOPT, 0, DOCTOR_FAILED},
		{"6.1.0", -EPERM, -EPERM, 0, DOCTOR_OK},
		{"6.1.0", 0, -EAFNOSUPPORT, 0, DOCTOR_OK},
		{"6.1.0", 0, 0, -EOPNOTSUPP, DOCTOR_FAILED},
	};
	struct diagnosis diagnosis;

	(void)state;
	diagnosis_init(&diagnosis);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct host_facts facts = sound;

		strcpy(facts.release, cases[i].release);
		facts.transparent_ipv4 = cases[i].ipv4;
		facts.transparent_ipv6 = cases[i].ipv6;
		facts.policy_rules = cases[i].rules;
		assert_int_equal(judge(&diagnosis, &facts, DOCTOR_CHECK_KERNEL)->status,
				 cases[i].status);
	}
	diagnosis_finish(&diagnosis);
}

static void the_capability_is_named_with_how_to_have_it(void **state)
{
	const struct diagnosis_result *result;
	struct host_facts facts = sound;
	struct diagnosis diagnosis;

	(void)state;
	diagnosis_init(&diagnosis);
	facts.net_admin = false;
	result = judge(&diagnosis, &facts, DOCTOR_CHECK_CAPABILITY);
	assert_int_equal(result->status, DOCTOR_FAILED);
	assert_int_equal(result->mend_count, 1);
	diagnosis_finish(&diagnosis);
}

static void a_table_of_connections_is_judged_by_its_fill(void **state)
{
	static const struct {
		uint64_t count, most;
		enum doctor_status status;
	} cases[] = {
		{0, 1000, DOCTOR_OK},        {799, 1000, DOCTOR_OK},
		{800, 1000, DOCTOR_WARNING}, {949, 1000, DOCTOR_WARNING},
		{950, 1000, DOCTOR_FAILED},  {1000, 1000, DOCTOR_FAILED},
		{2000, 1000, DOCTOR_FAILED}, {5, 0, DOCTOR_SKIPPED},
	};
	struct diagnosis diagnosis;

	(void)state;
	diagnosis_init(&diagnosis);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct diagnosis_result *result;
		struct host_facts facts = sound;

		facts.conntrack = true;
		facts.tracked = cases[i].count;
		facts.tracked_most = cases[i].most;
		result = judge(&diagnosis, &facts, DOCTOR_CHECK_CONNTRACK);
		assert_int_equal(result->status, cases[i].status);
		if (result->status == DOCTOR_FAILED)
			assert_string_equal(result->mend[0],
					    "sysctl -w net.netfilter.nf_conntrack_max=4000");
	}
	diagnosis_finish(&diagnosis);
}

static void low_ports_of_clients_are_a_choice(void **state)
{
	static const int starts[] = {1024, 80, 1, 0};
	struct diagnosis diagnosis;

	(void)state;
	diagnosis_init(&diagnosis);
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		const struct diagnosis_result *result;
		struct host_facts facts = sound;

		facts.unprivileged_port = starts[i];
		result = judge(&diagnosis, &facts, DOCTOR_CHECK_CLIENT_PORTS);
		assert_int_equal(result->status, DOCTOR_OK);
		assert_non_null(strstr(result->evidence, "net.ipv4.ip_unprivileged_port_start"));
	}
	diagnosis_finish(&diagnosis);
}

static void clients_ports_that_block_services_are_named(void **state)
{
	const struct diagnosis_result *result;
	struct host_facts facts = sound;
	struct diagnosis diagnosis;

	(void)state;
	diagnosis_init(&diagnosis);
	facts.blocked_count = 2;
	facts.blocked[0] = (struct host_facts_port){5353, true, ADDRESS_IPV4};
	facts.blocked[1] = (struct host_facts_port){22, false, ADDRESS_IPV6};
	result = judge(&diagnosis, &facts, DOCTOR_CHECK_PORT_BLOCKS);
	assert_int_equal(result->status, DOCTOR_WARNING);
	assert_non_null(strstr(result->evidence, "udp 5353, tcp 22"));
	facts.blocked_count = 4000;
	for (size_t i = 0; i < HOST_FACTS_PORTS; i++)
		facts.blocked[i] = (struct host_facts_port){65535, true, ADDRESS_IPV4};
	result = judge(&diagnosis, &facts, DOCTOR_CHECK_PORT_BLOCKS);
	assert_non_null(strstr(result->evidence, "udp 65535 ..."));
	diagnosis_finish(&diagnosis);
}

static void profiles_are_found_by_name_and_mode(void **state)
{
	(void)state;
	assert_int_equal(host_facts_find_profile(""), HOST_FACTS_UNCONFINED);
	assert_int_equal(host_facts_find_profile("/usr/bin/man (enforce)\nmmproxyctl (enforce)\n"),
			 HOST_FACTS_UNCONFINED);
	assert_int_equal(host_facts_find_profile("a (enforce)\n/usr/sbin/mmproxy (enforce)\n"),
			 HOST_FACTS_ENFORCED);
	assert_int_equal(host_facts_find_profile("mmproxy (complain)\nb (enforce)"),
			 HOST_FACTS_COMPLAINING);
}

static void only_an_enforced_profile_is_warned_of(void **state)
{
	struct host_facts facts = sound;
	struct diagnosis diagnosis;

	(void)state;
	diagnosis_init(&diagnosis);
	facts.selinux = true;
	assert_int_equal(judge(&diagnosis, &facts, DOCTOR_CHECK_LSM)->status, DOCTOR_OK);
	facts.apparmor = HOST_FACTS_COMPLAINING;
	assert_int_equal(judge(&diagnosis, &facts, DOCTOR_CHECK_LSM)->status, DOCTOR_OK);
	facts.apparmor = HOST_FACTS_ENFORCED;
	assert_int_equal(judge(&diagnosis, &facts, DOCTOR_CHECK_LSM)->status, DOCTOR_WARNING);
	diagnosis_finish(&diagnosis);
}

/* Listeners. */

static void an_address_may_be_mmproxys_or_the_service_managers(void **state)
{
	static const struct {
		struct listen_facts facts;
		enum doctor_status status;
	} cases[] = {
		{{.error = 0}, DOCTOR_WARNING},
		{{.error = -EADDRINUSE, .holder = {7, "mmproxy", "mmproxy"}}, DOCTOR_OK},
		{{.error = -EADDRINUSE, .holder = {1, "init", "systemd"}}, DOCTOR_OK},
		{{.error = -EADDRINUSE, .holder = {7, "nginx", "nginx"}}, DOCTOR_FAILED},
		{{.error = -EADDRINUSE, .may_look = true}, DOCTOR_FAILED},
		{{.error = -EADDRINUSE}, DOCTOR_SKIPPED},
		{{.error = -EADDRNOTAVAIL, .step = "bind"}, DOCTOR_FAILED},
		{{.error = -EACCES, .step = "bind"}, DOCTOR_SKIPPED},
		{{.error = -EACCES, .step = "bind", .may_look = true}, DOCTOR_FAILED},
		{{.error = -EPERM, .step = "SO_BINDTODEVICE"}, DOCTOR_SKIPPED},
		{{.error = -ENODEV, .step = "SO_BINDTODEVICE"}, DOCTOR_FAILED},
	};
	struct listen_endpoint endpoint = {.both_families = false};
	struct diagnosis diagnosis;

	(void)state;
	diagnosis_init(&diagnosis);
	assert_int_equal(address_parse_endpoint("192.0.2.1:8443", &endpoint.address), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_listen_judge(&cases[i].facts, &endpoint, &diagnosis);
		assert_int_equal(diagnosis.count, i + 1);
		assert_int_equal(diagnosis.results[i].status, cases[i].status);
		assert_non_null(strstr(diagnosis.results[i].evidence, "192.0.2.1:8443"));
	}
	assert_non_null(strstr(diagnosis.results[3].evidence, "nginx (process 7)"));
	diagnosis_finish(&diagnosis);
}

/* A listener at this address, whose balancers are in this prefix; NULL: any. */
static enum doctor_status judge_listener(const char *listen, const char *prefix_text,
					 void (*judge_it)(const struct config_listener *listener,
							  struct diagnosis *diagnosis))
{
	struct config_listener listener = {.listen_count = 1};
	struct prefix_set *set = NULL;
	struct listen_endpoint endpoint = {.both_families = false};
	struct diagnosis diagnosis;
	enum doctor_status status;
	struct prefix prefix;

	diagnosis_init(&diagnosis);
	assert_int_equal(address_parse_endpoint(listen, &endpoint.address), 0);
	listener.listen = &endpoint;
	if (prefix_text != NULL) {
		set = prefix_set_create();
		if (prefix_text[0] != '\0') {
			assert_int_equal(prefix_parse(prefix_text, &prefix), 0);
			assert_int_equal(prefix_set_add(set, &prefix), 0);
		}
		prefix_set_seal(set);
	}
	listener.subnets = set;
	judge_it(&listener, &diagnosis);
	assert_int_equal(diagnosis.count, 1);
	status = diagnosis.results[0].status;
	prefix_set_destroy(set);
	diagnosis_finish(&diagnosis);
	return status;
}

static enum doctor_status judge_subnets(const char *listen, const char *prefix_text)
{
	return judge_listener(listen, prefix_text, check_subnets_judge);
}

static void judge_off(const struct config_listener *listener, struct diagnosis *diagnosis)
{
	check_localnet_judge(listener, &(struct localnet_facts){false, false}, diagnosis);
}

static void judge_on(const struct config_listener *listener, struct diagnosis *diagnosis)
{
	check_localnet_judge(listener, &(struct localnet_facts){true, false}, diagnosis);
}

static void judge_kept(const struct config_listener *listener, struct diagnosis *diagnosis)
{
	check_localnet_judge(listener, &(struct localnet_facts){true, true}, diagnosis);
}

static void loopback_is_out_of_reach_for_balancers_elsewhere(void **state)
{
	(void)state;
	assert_int_equal(judge_listener("127.0.0.1:443", "192.0.2.0/24", judge_off),
			 DOCTOR_WARNING);
	assert_int_equal(judge_listener("127.0.0.1:443", "192.0.2.0/24", judge_kept),
			 DOCTOR_WARNING);
	assert_int_equal(judge_listener("127.0.0.1:443", "192.0.2.0/24", judge_on), DOCTOR_OK);
	assert_int_equal(judge_listener("127.0.0.1:443", "127.0.0.0/8", judge_off), DOCTOR_OK);
	assert_int_equal(judge_listener("127.0.0.1:443", NULL, judge_off), DOCTOR_OK);
	assert_int_equal(judge_listener("0.0.0.0:443", "192.0.2.0/24", judge_off), DOCTOR_OK);
	assert_int_equal(judge_listener("[::1]:443", "2001:db8::/32", judge_off), DOCTOR_OK);
}

static void balancers_that_are_anybody_are_warned_of(void **state)
{
	(void)state;
	assert_int_equal(judge_subnets("0.0.0.0:443", NULL), DOCTOR_WARNING);
	assert_int_equal(judge_subnets("[::]:443", NULL), DOCTOR_WARNING);
	assert_int_equal(judge_subnets("10.0.0.1:443", NULL), DOCTOR_OK);
	assert_int_equal(judge_subnets("10.0.0.1:443", "0.0.0.0/0"), DOCTOR_WARNING);
	assert_int_equal(judge_subnets("10.0.0.1:443", "::/0"), DOCTOR_WARNING);
	assert_int_equal(judge_subnets("0.0.0.0:443", "10.0.0.0/8"), DOCTOR_OK);
	assert_int_equal(judge_subnets("0.0.0.0:443", ""), DOCTOR_FAILED);
}

static void the_examples_balancers_are_warned_of(void **state)
{
	(void)state;
	assert_int_equal(judge_subnets("10.0.0.1:443", "192.0.2.0/24"), DOCTOR_WARNING);
	assert_int_equal(judge_subnets("10.0.0.1:443", "192.0.2.0/25"), DOCTOR_OK);
	assert_int_equal(judge_subnets("10.0.0.1:443", "192.0.2.128/25"), DOCTOR_OK);
	assert_int_equal(judge_subnets("10.0.0.1:443", "192.0.2.0/23"), DOCTOR_OK);
	assert_int_equal(judge_subnets("10.0.0.1:443", "192.0.0.0/22"), DOCTOR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_host_has_nothing_to_tell),
		cmocka_unit_test(a_kernel_is_judged_by_its_number_and_what_it_can_do),
		cmocka_unit_test(the_capability_is_named_with_how_to_have_it),
		cmocka_unit_test(a_table_of_connections_is_judged_by_its_fill),
		cmocka_unit_test(low_ports_of_clients_are_a_choice),
		cmocka_unit_test(clients_ports_that_block_services_are_named),
		cmocka_unit_test(profiles_are_found_by_name_and_mode),
		cmocka_unit_test(only_an_enforced_profile_is_warned_of),
		cmocka_unit_test(an_address_may_be_mmproxys_or_the_service_managers),
		cmocka_unit_test(balancers_that_are_anybody_are_warned_of),
		cmocka_unit_test(the_examples_balancers_are_warned_of),
		cmocka_unit_test(loopback_is_out_of_reach_for_balancers_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
