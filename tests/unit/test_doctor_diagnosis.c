/* SPDX-License-Identifier: MIT */
/* The doctor's list of results, and how people read it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "doctor/diagnosis.h"

static void expect_text(const struct diagnosis *diagnosis, const struct diagnosis_style *style,
			const char *due)
{
	char *text = NULL;
	size_t length;
	FILE *to = open_memstream(&text, &length);

	assert_non_null(to);
	diagnosis_print(diagnosis, style, to);
	fclose(to);
	assert_string_equal(text, due);
	free(text);
}

/* A result of each status, about the host, a listener and an upstream. */
static void fill(struct diagnosis *diagnosis)
{
	diagnosis_init(diagnosis);
	diagnosis_add(diagnosis, DOCTOR_CHECK_KERNEL, DOCTOR_OK, "Linux %s", "6.18.0");
	diagnosis_add(diagnosis, DOCTOR_CHECK_CONNTRACK, DOCTOR_SKIPPED, "nothing is tracked");
	diagnosis_set_subject(diagnosis, "web", NULL);
	diagnosis_add(diagnosis, DOCTOR_CHECK_SUBNETS, DOCTOR_WARNING, "anybody");
	diagnosis_set_subject(diagnosis, "web", "127.0.0.1:8080");
	diagnosis_add(diagnosis, DOCTOR_CHECK_RULE, DOCTOR_FAILED, "no rule");
	diagnosis_mend(diagnosis, "ip rule add from %s", "127.0.0.0/8");
	diagnosis_mend(diagnosis, "ip rule");
	diagnosis_add(diagnosis, DOCTOR_CHECK_SPOOFED, DOCTOR_CONSEQUENCE, "because of rule");
}

static void a_report_has_a_line_a_result_and_the_remedies_below(void **state)
{
	static const struct diagnosis_style ascii = {false, false};
	struct diagnosis diagnosis;

	(void)state;
	fill(&diagnosis);
	expect_text(&diagnosis, &ascii,
		    "+ kernel     Linux 6.18.0\n"
		    "- conntrack  nothing is tracked\n"
		    "! subnets    web                 anybody\n"
		    "X rule       web 127.0.0.1:8080  no rule\n"
		    "    mend: ip rule add from 127.0.0.0/8\n"
		    "    mend: ip rule\n"
		    ". spoofed    web 127.0.0.1:8080  because of rule\n"
		    "1 failed, 1 warning\n");
	diagnosis_finish(&diagnosis);
}

static void marks_follow_the_locale_and_colours_the_terminal(void **state)
{
	static const struct diagnosis_style unicode = {true, false}, coloured = {true, true};
	struct diagnosis diagnosis;

	(void)state;
	diagnosis_init(&diagnosis);
	diagnosis_add(&diagnosis, DOCTOR_CHECK_LSM, DOCTOR_OK, "none");
	expect_text(&diagnosis, &unicode, "✓ lsm  none\nall is well\n");
	diagnosis_add(&diagnosis, DOCTOR_CHECK_LSM, DOCTOR_FAILED, "so");
	diagnosis_add(&diagnosis, DOCTOR_CHECK_LSM, DOCTOR_CONSEQUENCE, "then");
	expect_text(&diagnosis, &coloured,
		    "\033[32m✓\033[0m lsm  none\n\033[31m✗\033[0m lsm  so\n· lsm  then\n"
		    "1 failed, 0 warnings\n");
	diagnosis_finish(&diagnosis);
}

/* A process may be called what it likes, and its name is shown. */
static void nothing_in_it_can_steer_a_terminal(void **state)
{
	struct diagnosis diagnosis;

	(void)state;
	diagnosis_init(&diagnosis);
	diagnosis_add(&diagnosis, DOCTOR_CHECK_LISTEN, DOCTOR_FAILED, "held by %s",
		      "\033[2Jx\n\xc3\xa9\"");
	diagnosis_mend(&diagnosis, "stop %s", "a\tb");
	assert_string_equal(diagnosis.results[0].evidence, "held by \\x1b[2Jx\\x0a\\xc3\\xa9\"");
	assert_string_equal(diagnosis.results[0].mend[0], "stop a\\x09b");
	diagnosis_finish(&diagnosis);
}

static void it_is_sound_unless_something_failed_or_was_lost(void **state)
{
	struct diagnosis diagnosis;

	(void)state;
	diagnosis_init(&diagnosis);
	diagnosis_add(&diagnosis, DOCTOR_CHECK_SUBNETS, DOCTOR_WARNING, "so");
	diagnosis_add(&diagnosis, DOCTOR_CHECK_SEEN, DOCTOR_SKIPPED, "so");
	assert_true(diagnosis_is_sound(&diagnosis));
	diagnosis.lost = true;
	assert_false(diagnosis_is_sound(&diagnosis));
	diagnosis.lost = false;
	diagnosis_add(&diagnosis, DOCTOR_CHECK_RULE, DOCTOR_FAILED, "so");
	assert_false(diagnosis_is_sound(&diagnosis));
	assert_int_equal(diagnosis_count(&diagnosis, DOCTOR_FAILED), 1);
	diagnosis_finish(&diagnosis);
}

static void remedies_are_a_handful(void **state)
{
	struct diagnosis diagnosis;

	(void)state;
	diagnosis_init(&diagnosis);
	diagnosis_mend(&diagnosis, "nothing has been found yet");
	for (int i = 0; i < 40; i++)
		diagnosis_add(&diagnosis, DOCTOR_CHECK_RULE, DOCTOR_FAILED, "%d", i);
	for (int i = 0; i < DIAGNOSIS_MENDS + 1; i++)
		diagnosis_mend(&diagnosis, "%d", i);
	assert_int_equal(diagnosis.count, 40);
	assert_int_equal(diagnosis.results[39].mend_count, DIAGNOSIS_MENDS);
	assert_int_equal(diagnosis.results[38].mend_count, 0);
	assert_null(diagnosis.results[39].listener);
	diagnosis_finish(&diagnosis);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_report_has_a_line_a_result_and_the_remedies_below),
		cmocka_unit_test(marks_follow_the_locale_and_colours_the_terminal),
		cmocka_unit_test(nothing_in_it_can_steer_a_terminal),
		cmocka_unit_test(it_is_sound_unless_something_failed_or_was_lost),
		cmocka_unit_test(remedies_are_a_handful),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
