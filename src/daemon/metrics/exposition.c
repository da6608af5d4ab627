/* SPDX-License-Identifier: MIT */
/* Families, samples, labels. */
#include "daemon/metrics/exposition.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/histogram.h"

#define MICROSECONDS 1000000

int exposition_begin(struct exposition *exposition)
{
	*exposition = (struct exposition){0};
	exposition->stream = open_memstream(&exposition->text, &exposition->length);
	return exposition->stream != NULL ? 0 : -ENOMEM;
}

char *exposition_end(struct exposition *exposition)
{
	bool failed = ferror(exposition->stream) != 0;

	/* The stream's end is where the last of it is allocated. */
	failed = fclose(exposition->stream) != 0 || failed;
	exposition->stream = NULL;
	if (!failed)
		return exposition->text;
	free(exposition->text);
	return NULL;
}

/* In a help text the quote is a character like others. */
static void put_escaped(FILE *stream, const char *text, bool quoted)
{
	for (; *text != '\0'; text++) {
		if (*text == '\n')
			fputs("\\n", stream);
		else if (*text == '\\' || (quoted && *text == '"'))
			fprintf(stream, "\\%c", *text);
		else
			fputc(*text, stream);
	}
}

void exposition_family(struct exposition *exposition, const char *name, enum exposition_type type,
		       const char *help)
{
	static const char *const types[] = {
		[EXPOSITION_COUNTER] = "counter",
		[EXPOSITION_GAUGE] = "gauge",
		[EXPOSITION_HISTOGRAM] = "histogram",
	};

	fprintf(exposition->stream, "# HELP %s ", name);
	put_escaped(exposition->stream, help, false);
	fprintf(exposition->stream, "\n# TYPE %s %s\n", name, types[type]);
}

static void put_name(FILE *stream, const char *name, const struct exposition_label *labels)
{
	char before = '{';

	fputs(name, stream);
	for (; labels != NULL && labels->name != NULL; labels++) {
		fprintf(stream, "%c%s=\"", before, labels->name);
		put_escaped(stream, labels->value, true);
		fputc('"', stream);
		before = ',';
	}
	fputs(before == ',' ? "} " : " ", stream);
}

void exposition_number(struct exposition *exposition, const char *name,
		       const struct exposition_label *labels, uint64_t value)
{
	put_name(exposition->stream, name, labels);
	fprintf(exposition->stream, "%" PRIu64 "\n", value);
}

void exposition_seconds(struct exposition *exposition, const char *name,
			const struct exposition_label *labels, uint64_t microseconds)
{
	put_name(exposition->stream, name, labels);
	fprintf(exposition->stream, "%" PRIu64 ".%06" PRIu64 "\n", microseconds / MICROSECONDS,
		microseconds % MICROSECONDS);
}

void exposition_histogram(struct exposition *exposition, const char *name,
			  const struct histogram_sum *sum)
{
	FILE *stream = exposition->stream;
	uint64_t count = 0;

	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
		count += sum->buckets[i];
		fprintf(stream, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
			(double)histogram_bounds[i] / MICROSECONDS, count);
	}
	fprintf(stream, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, sum->count);
	fprintf(stream, "%s_sum %" PRIu64 ".%06" PRIu64 "\n", name, sum->sum / MICROSECONDS,
		sum->sum % MICROSECONDS);
	fprintf(stream, "%s_count %" PRIu64 "\n", name, sum->count);
}
