/* SPDX-License-Identifier: MIT */
/* Samples, and the rates between two. */
#include "ctl/top_sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/close_reason.h"
#include "base/counter.h"
#include "ctl/answer.h"

static const char *const requests[TOP_PART_COUNT] = {
	[TOP_STATUS] = "status",
	[TOP_LISTENERS] = "listeners",
	/* More than are shown: who rises into sight has been looked at before, and has a rate. */
	[TOP_CLIENTS] = "clients limit=200",
	[TOP_COUNTERS] = "counters",
};

const char *top_sample_request(enum top_part part)
{
	return requests[part];
}

void top_sample_finish(struct top_sample *sample)
{
	for (size_t i = 0; i < TOP_PART_COUNT; i++)
		json_decref(sample->parts[i]);
	memset(sample, 0, sizeof(*sample));
}

double top_rate(uint64_t before, uint64_t after, double seconds)
{
	if (!(seconds > 0) || after < before)
		return -1;
	return (double)(after - before) / seconds;
}

bool top_sample_follows(const struct top_sample *before, const struct top_sample *after)
{
	return before != NULL && after->time > before->time &&
	       answer_count(before->parts[TOP_STATUS], "pid") ==
		       answer_count(after->parts[TOP_STATUS], "pid");
}

uint64_t top_sample_counter(const struct top_sample *sample, const char *name)
{
	return answer_count(json_object_get(sample->parts[TOP_COUNTERS], "counters"), name);
}

double top_counter_rate(const struct top_sample *before, const struct top_sample *after,
			const char *name)
{
	if (!top_sample_follows(before, after))
		return -1;
	return top_rate(top_sample_counter(before, name), top_sample_counter(after, name),
			after->time - before->time);
}

static const json_t *find_element(const struct top_sample *sample, enum top_part part,
				  const char *key, const char *text)
{
	static const char *const arrays[TOP_PART_COUNT] = {
		[TOP_LISTENERS] = "listeners",
		[TOP_CLIENTS] = "clients",
	};
	const json_t *element;
	size_t i;

	if (arrays[part] == NULL)
		return NULL;
	json_array_foreach (json_object_get(sample->parts[part], arrays[part]), i, element) {
		if (strcmp(answer_text(element, key), text) == 0)
			return element;
	}
	return NULL;
}

double top_element_rate(const struct top_sample *before, const struct top_sample *after,
			enum top_part part, const char *key, const char *text, const char *figure)
{
	const json_t *was, *is;

	if (!top_sample_follows(before, after))
		return -1;
	was = find_element(before, part, key, text);
	is = find_element(after, part, key, text);
	if (was == NULL || is == NULL)
		return -1;
	return top_rate(answer_count(was, figure), answer_count(is, figure),
			after->time - before->time);
}

/* Fastest first; of the same speed, the most frequent; of the same number, by name. */
static int compare_causes(const void *a, const void *b)
{
	const struct top_cause *one = a, *other = b;

	if (one->rate != other->rate)
		return one->rate > other->rate ? -1 : 1;
	if (one->total != other->total)
		return one->total > other->total ? -1 : 1;
	return strcmp(one->name, other->name);
}

/* What went wrong; sessions that ended, and health checks, did not. */
static bool is_cause(enum counter counter, const char *name)
{
	enum close_kind kind;

	if (counter < COUNTER_FIRST_CLOSED)
		return strncmp(name, "datagrams_dropped_", strlen("datagrams_dropped_")) == 0 ||
		       strncmp(name, "replies_dropped_", strlen("replies_dropped_")) == 0;
	kind = close_reason_kind((enum close_reason)(counter - COUNTER_FIRST_CLOSED));
	return kind == CLOSE_KIND_REFUSE || kind == CLOSE_KIND_FAIL;
}

size_t top_sample_causes(const struct top_sample *before, const struct top_sample *after,
			 struct top_cause *causes, size_t room)
{
	size_t count = 0;

	for (unsigned i = 0; i < COUNTER_COUNT && count < room; i++) {
		enum counter counter = (enum counter)i;
		char name[COUNTER_NAME_SIZE];
		uint64_t total;

		counter_name(counter, name);
		total = top_sample_counter(after, name);
		if (total == 0 || !is_cause(counter, name))
			continue;
		causes[count].total = total;
		causes[count].rate = top_counter_rate(before, after, name);
		/* As the log has it: header-timeout, not sessions_closed_header_timeout. */
		snprintf(causes[count].name, sizeof(causes[count].name), "%s",
			 counter < COUNTER_FIRST_CLOSED ? name
							: close_reason_name((enum close_reason)(
								  counter - COUNTER_FIRST_CLOSED)));
		count++;
	}
	qsort(causes, count, sizeof(*causes), compare_causes);
	return count;
}
