/* SPDX-License-Identifier: MIT */
/* The diagnosis as people read it: a line a result, in columns, with the remedies below. */
#include "doctor/diagnosis.h"

#include <string.h>

struct look {
	const char *unicode;
	const char *ascii;
	const char *colour; /* of "select graphic rendition"; "": none */
};

static const struct look looks[] = {
	[DOCTOR_OK] = {"\xe2\x9c\x93", "+", "32"},     /* a check mark, green */
	[DOCTOR_FAILED] = {"\xe2\x9c\x97", "X", "31"}, /* a cross, red */
	[DOCTOR_WARNING] = {"!", "!", "33"},           /* yellow */
	[DOCTOR_SKIPPED] = {"-", "-", ""},
	[DOCTOR_CONSEQUENCE] = {"\xc2\xb7", ".", ""}, /* a middle dot */
};

static void print_mark(enum doctor_status status, const struct diagnosis_style *style, FILE *to)
{
	const struct look *look = &looks[status];
	const char *mark = style->unicode ? look->unicode : look->ascii;

	if (style->colours && look->colour[0] != '\0')
		fprintf(to, "\033[%sm%s\033[0m", look->colour, mark);
	else
		fputs(mark, to);
}

/* "ssh 127.0.0.1:22", "ssh", or "" for the host. Returns its length; prints unless `to` is NULL. */
static size_t print_subject(const struct diagnosis_result *result, FILE *to)
{
	size_t length = 0;

	if (result->listener != NULL) {
		length += strlen(result->listener);
		if (to != NULL)
			fputs(result->listener, to);
	}
	if (result->upstream != NULL) {
		length += 1 + strlen(result->upstream);
		if (to != NULL)
			fprintf(to, " %s", result->upstream);
	}
	return length;
}

struct columns {
	size_t name;
	size_t subject;
};

static struct columns measure_columns(const struct diagnosis *diagnosis)
{
	struct columns columns = {0, 0};

	for (size_t i = 0; i < diagnosis->count; i++) {
		const struct diagnosis_result *result = &diagnosis->results[i];
		size_t name = strlen(doctor_check_name(result->check));
		size_t subject = print_subject(result, NULL);

		columns.name = name > columns.name ? name : columns.name;
		columns.subject = subject > columns.subject ? subject : columns.subject;
	}
	return columns;
}

/* The host's results come first, and leave no room for a listener's name. */
static void print_result(const struct diagnosis_result *result, const struct columns *columns,
			 const struct diagnosis_style *style, FILE *to)
{
	size_t subject;

	print_mark(result->status, style, to);
	fprintf(to, " %-*s  ", (int)columns->name, doctor_check_name(result->check));
	if (result->listener != NULL) {
		subject = print_subject(result, to);
		fprintf(to, "%*s  ", (int)(columns->subject - subject), "");
	}
	fprintf(to, "%s\n", result->evidence);
	for (size_t i = 0; i < result->mend_count; i++)
		fprintf(to, "    mend: %s\n", result->mend[i]);
}

static void print_sum(const struct diagnosis *diagnosis, FILE *to)
{
	size_t failed = diagnosis_count(diagnosis, DOCTOR_FAILED);
	size_t warnings = diagnosis_count(diagnosis, DOCTOR_WARNING);

	if (diagnosis->lost)
		fputs("out of memory: results are missing\n", to);
	if (failed == 0 && warnings == 0 && !diagnosis->lost)
		fputs("all is well\n", to);
	else
		fprintf(to, "%zu failed, %zu warning%s\n", failed, warnings,
			warnings == 1 ? "" : "s");
}

void diagnosis_print(const struct diagnosis *diagnosis, const struct diagnosis_style *style,
		     FILE *to)
{
	struct columns columns = measure_columns(diagnosis);

	for (size_t i = 0; i < diagnosis->count; i++)
		print_result(&diagnosis->results[i], &columns, style, to);
	print_sum(diagnosis, to);
}
