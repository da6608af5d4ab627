/* SPDX-License-Identifier: MIT */
/* The list of results. */
#include "doctor/diagnosis.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *doctor_check_name(enum doctor_check check)
{
	static const char *const names[] = {
#define DOCTOR_CHECK(id, name) [DOCTOR_CHECK_##id] = (name),
#include "doctor/doctor_check.def"
#undef DOCTOR_CHECK
	};

	return names[check];
}

const char *doctor_status_name(enum doctor_status status)
{
	switch (status) {
	case DOCTOR_OK:
		return "ok";
	case DOCTOR_FAILED:
		return "failed";
	case DOCTOR_WARNING:
		return "warning";
	case DOCTOR_SKIPPED:
		return "skipped";
	case DOCTOR_CONSEQUENCE:
		return "consequence";
	}
	return "?";
}

void diagnosis_init(struct diagnosis *diagnosis)
{
	memset(diagnosis, 0, sizeof(*diagnosis));
}

static void finish_result(struct diagnosis_result *result)
{
	free(result->listener);
	free(result->upstream);
	free(result->evidence);
	for (size_t i = 0; i < result->mend_count; i++)
		free(result->mend[i]);
}

void diagnosis_finish(struct diagnosis *diagnosis)
{
	for (size_t i = 0; i < diagnosis->count; i++)
		finish_result(&diagnosis->results[i]);
	free(diagnosis->results);
	diagnosis_init(diagnosis);
}

void diagnosis_set_subject(struct diagnosis *diagnosis, const char *listener, const char *upstream)
{
	diagnosis->listener = listener;
	diagnosis->upstream = upstream;
}

/* The printable copy of a formatted text; NULL when memory is out. */
static char *__attribute__((format(printf, 1, 0)))
format_text(const char *format, va_list arguments)
{
	static const char hex[] = "0123456789abcdef";
	char *raw, *text, *to;

	if (vasprintf(&raw, format, arguments) < 0)
		return NULL;
	text = reallocarray(NULL, strlen(raw) + 1, 4); /* four characters at most for a byte */
	if (text != NULL) {
		to = text;
		for (const unsigned char *c = (const unsigned char *)raw; *c != '\0'; c++) {
			if (*c >= ' ' && *c <= '~') {
				*to++ = (char)*c;
				continue;
			}
			*to++ = '\\';
			*to++ = 'x';
			*to++ = hex[*c >> 4];
			*to++ = hex[*c & 0xf];
		}
		*to = '\0';
	}
	free(raw);
	return text;
}

/* Returns false when there is a text and no memory for its copy. */
static bool copy_text(const char *text, char **copy)
{
	*copy = text != NULL ? strdup(text) : NULL;
	return text == NULL || *copy != NULL;
}

static struct diagnosis_result *next_result(struct diagnosis *diagnosis)
{
	if (diagnosis->count == diagnosis->capacity) {
		size_t capacity = diagnosis->capacity > 0 ? diagnosis->capacity * 2 : 32;
		struct diagnosis_result *results =
			reallocarray(diagnosis->results, capacity, sizeof(*results));

		if (results == NULL)
			return NULL;
		diagnosis->results = results;
		diagnosis->capacity = capacity;
	}
	return &diagnosis->results[diagnosis->count];
}

void diagnosis_add_list(struct diagnosis *diagnosis, enum doctor_check check,
			enum doctor_status status, const char *format, va_list arguments)
{
	struct diagnosis_result *result = next_result(diagnosis);

	if (result == NULL) {
		diagnosis->lost = true;
		return;
	}
	memset(result, 0, sizeof(*result));
	result->check = check;
	result->status = status;
	result->evidence = format_text(format, arguments);
	if (result->evidence == NULL || !copy_text(diagnosis->listener, &result->listener) ||
	    !copy_text(diagnosis->upstream, &result->upstream)) {
		finish_result(result);
		diagnosis->lost = true;
		return;
	}
	diagnosis->count++;
}

void diagnosis_add(struct diagnosis *diagnosis, enum doctor_check check, enum doctor_status status,
		   const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	diagnosis_add_list(diagnosis, check, status, format, arguments);
	va_end(arguments);
}

void diagnosis_mend(struct diagnosis *diagnosis, const char *format, ...)
{
	struct diagnosis_result *result;
	va_list arguments;
	char *text;

	if (diagnosis->count == 0)
		return;
	result = &diagnosis->results[diagnosis->count - 1];
	if (result->mend_count == DIAGNOSIS_MENDS)
		return;
	va_start(arguments, format);
	text = format_text(format, arguments);
	va_end(arguments);
	if (text != NULL)
		result->mend[result->mend_count++] = text;
}

size_t diagnosis_count(const struct diagnosis *diagnosis, enum doctor_status status)
{
	size_t count = 0;

	for (size_t i = 0; i < diagnosis->count; i++)
		count += diagnosis->results[i].status == status ? 1 : 0;
	return count;
}

bool diagnosis_is_sound(const struct diagnosis *diagnosis)
{
	return !diagnosis->lost && diagnosis_count(diagnosis, DOCTOR_FAILED) == 0;
}
