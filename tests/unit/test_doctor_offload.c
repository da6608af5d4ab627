/* SPDX-License-Identifier: MIT */
/* The doctor's judgement of the offload, from facts that are made up. Nothing of it ever fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "doctor/check_offload.h"
#include "doctor/diagnosis.h"
#include "doctor/offload_facts.h"

static const struct offload_facts sound = {
	.wanted = true,
	.built = true,
	.directory = "/sys/fs/bpf/mmproxy",
	.filters = 2,
	.live = 7,
};

static void expect(const struct offload_facts *facts, enum doctor_status status,
		   const char *evidence, const char *mend)
{
	struct diagnosis diagnosis;
	const struct diagnosis_result *result;

	diagnosis_init(&diagnosis);
	check_offload_judge(facts, &diagnosis);
	assert_int_equal(diagnosis.count, 1);
	result = &diagnosis.results[0];
	assert_int_equal(result->check, DOCTOR_CHECK_OFFLOAD);
	assert_int_equal(result->status, status);
	assert_non_null(strstr(result->evidence, evidence));
	assert_int_equal(result->mend_count > 0, mend != NULL);
	if (mend != NULL)
		assert_string_equal(result->mend[0], mend);
	diagnosis_finish(&diagnosis);
}

static void where_all_is_in_place_it_says_what_the_kernel_carries(void **state)
{
	(void)state;
	expect(&sound, DOCTOR_OK, "the kernel carries 7 sessions; 2 interfaces have the filter",
	       NULL);
}

static void nothing_is_judged_that_nobody_wants(void **state)
{
	struct offload_facts facts = sound;

	(void)state;
	facts.wanted = false;
	expect(&facts, DOCTOR_SKIPPED, "no listener has offload = \"auto\"", NULL);
	expect(NULL, DOCTOR_SKIPPED, "it takes a configuration", NULL);
}

static void a_build_without_libbpf_is_named(void **state)
{
	struct offload_facts facts = sound;

	(void)state;
	facts.built = false;
	expect(&facts, DOCTOR_WARNING, "built without libbpf", NULL);
}

static void programs_that_are_missing_are_to_be_loaded(void **state)
{
	struct offload_facts facts = sound;

	(void)state;
	facts.programs = -ENOENT;
	expect(&facts, DOCTOR_WARNING, "no programs are loaded in /sys/fs/bpf/mmproxy",
	       "mmproxyctl offload load");
	facts.others = 1;
	expect(&facts, DOCTOR_WARNING, "are another version's", "mmproxyctl offload load");
	facts.programs = -EPROTO;
	expect(&facts, DOCTOR_WARNING, "cannot be used", "mmproxyctl offload clear");
	facts.programs = -EACCES;
	expect(&facts, DOCTOR_SKIPPED, "not open to this user", NULL);
}

static void what_the_host_lacks_is_told_one_at_a_time(void **state)
{
	struct offload_facts facts = sound;

	(void)state;
	strcpy(facts.without, "eth0");
	expect(&facts, DOCTOR_WARNING, "sessions by the interface eth0 stay relays",
	       "mmproxyctl offload load");
	strcpy(facts.setting, "net.ipv4.conf.lo.accept_local");
	facts.should_be = 1;
	expect(&facts, DOCTOR_WARNING, "net.ipv4.conf.lo.accept_local is not 1",
	       "mmproxyctl offload load");
	facts.refused = true;
	expect(&facts, DOCTOR_WARNING, "before Linux 5.19",
	       "sysctl -w kernel.unprivileged_bpf_disabled=0");
	facts.error = -EMFILE;
	expect(&facts, DOCTOR_SKIPPED, "the interfaces cannot be looked at", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_all_is_in_place_it_says_what_the_kernel_carries),
		cmocka_unit_test(nothing_is_judged_that_nobody_wants),
		cmocka_unit_test(a_build_without_libbpf_is_named),
		cmocka_unit_test(programs_that_are_missing_are_to_be_loaded),
		cmocka_unit_test(what_the_host_lacks_is_told_one_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
