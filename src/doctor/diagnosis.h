/* SPDX-License-Identifier: MIT */
/*
 * What the doctor has found: a list of results, each of one check, in the order in which people
 * read them. Whoever judges adds to it; whoever prints reads it.
 */
#ifndef MMPROXY_DOCTOR_DIAGNOSIS_H
#define MMPROXY_DOCTOR_DIAGNOSIS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum doctor_check {
#define DOCTOR_CHECK(check, name) DOCTOR_CHECK_##check,
#include "doctor/doctor_check.def"
#undef DOCTOR_CHECK
};

enum doctor_status {
	DOCTOR_OK,
	DOCTOR_FAILED,
	DOCTOR_WARNING,
	DOCTOR_SKIPPED,     /* cannot be judged here */
	DOCTOR_CONSEQUENCE, /* is so because of a check that has failed */
};

/* Commands or settings that one result can name. */
#define DIAGNOSIS_MENDS 4

struct diagnosis_result {
	enum doctor_check check;
	enum doctor_status status;
	char *listener; /* NULL: it is about the host */
	char *upstream; /* "127.0.0.1:22"; NULL: it is about no single one */
	char *evidence; /* printable ASCII, one line */
	char *mend[DIAGNOSIS_MENDS];
	size_t mend_count;
};

struct diagnosis {
	struct diagnosis_result *results;
	size_t count;
	size_t capacity;
	bool lost; /* memory was out, and a result is missing */
	/* What the next results are about. */
	const char *listener;
	const char *upstream;
};

void diagnosis_init(struct diagnosis *diagnosis);
void diagnosis_finish(struct diagnosis *diagnosis);

/* What the results from now on are about; NULL, NULL: the host. The texts are copied as used. */
void diagnosis_set_subject(struct diagnosis *diagnosis, const char *listener, const char *upstream);

/*
 * printf-like. Each byte of the evidence that is not printable ASCII becomes \xNN: parts of it are
 * what others have written, such as the names of processes.
 */
void diagnosis_add(struct diagnosis *diagnosis, enum doctor_check check, enum doctor_status status,
		   const char *format, ...) __attribute__((format(printf, 4, 5)));

void diagnosis_add_list(struct diagnosis *diagnosis, enum doctor_check check,
			enum doctor_status status, const char *format, va_list arguments)
	__attribute__((format(printf, 4, 0)));

/*
 * A command or a setting that mends the result added last. The same treatment; past the fourth, and
 * when memory is out, it is left out.
 */
void diagnosis_mend(struct diagnosis *diagnosis, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Has anything failed, or been lost? */
bool diagnosis_is_sound(const struct diagnosis *diagnosis);
size_t diagnosis_count(const struct diagnosis *diagnosis, enum doctor_status status);

const char *doctor_check_name(enum doctor_check check);
const char *doctor_status_name(enum doctor_status status);

/* How a report looks; all false is plain ASCII. */
struct diagnosis_style {
	bool unicode; /* marks beyond ASCII: the terminal's locale can show them */
	bool colours; /* it is a terminal */
};

/* One line a result, the remedies below it, and a line that sums up. */
void diagnosis_print(const struct diagnosis *diagnosis, const struct diagnosis_style *style,
		     FILE *to);

#endif
