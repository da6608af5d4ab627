/* SPDX-License-Identifier: MIT */
/* mmproxyctl doctor: the diagnosis in text or JSON. What is judged, and how, is in src/doctor. */
#include "ctl/doctor.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/answer.h"
#include "ctl/options.h"
#include "doctor/diagnosis.h"
#include "doctor/doctor.h"

static json_t *text_or_null(const char *text)
{
	return text != NULL ? json_string(text) : json_null();
}

static json_t *result_json(const struct diagnosis_result *result)
{
	json_t *mend = json_array();

	for (size_t i = 0; i < result->mend_count; i++)
		json_array_append_new(mend, json_string(result->mend[i]));
	return json_pack("{s:s, s:o, s:o, s:s, s:s, s:o}", "check",
			 doctor_check_name(result->check), "listener",
			 text_or_null(result->listener), "upstream", text_or_null(result->upstream),
			 "status", doctor_status_name(result->status), "evidence", result->evidence,
			 "mend", mend);
}

static void print_json(const struct diagnosis *diagnosis)
{
	json_t *checks = json_array(), *whole;

	for (size_t i = 0; i < diagnosis->count; i++)
		json_array_append_new(checks, result_json(&diagnosis->results[i]));
	whole = json_pack("{s:b, s:o}", "ok", diagnosis_is_sound(diagnosis), "checks", checks);
	answer_print_json(whole);
	json_decref(whole);
}

static bool terminal_has_colours(void)
{
	const char *terminal = getenv("TERM"), *no_colour = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && (no_colour == NULL || no_colour[0] == '\0') &&
	       terminal != NULL && strcmp(terminal, "dumb") != 0;
}

static void print_text(const struct diagnosis *diagnosis)
{
	struct diagnosis_style style = {.colours = terminal_has_colours()};

	setlocale(LC_CTYPE, "");
	style.unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	diagnosis_print(diagnosis, &style, stdout);
}

/* Without a whole diagnosis there is none: what was not looked at might be what is broken. */
static void complain(int error)
{
	if (error == -EBUSY)
		answer_complain("doctor: another one is at work on this host; wait for it, or look "
				"for who has bound @mmproxy-doctor (ss -xap)");
	else if (error == -EINTR)
		answer_complain("doctor: interrupted; nothing of it is left behind");
	else
		answer_complain("doctor: the kernel cannot be asked: %s", strerror(-error));
}

int doctor_run(const struct options *options)
{
	int status = EXIT_FAILURE, error;
	struct diagnosis diagnosis;

	diagnosis_init(&diagnosis);
	error = doctor_examine(options->config, &diagnosis);
	if (error < 0) {
		complain(error);
	} else {
		if (options->json)
			print_json(&diagnosis);
		else
			print_text(&diagnosis);
		status = diagnosis_is_sound(&diagnosis) ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	diagnosis_finish(&diagnosis);
	return status;
}
