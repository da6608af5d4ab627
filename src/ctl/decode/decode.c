/* SPDX-License-Identifier: MIT */
/* mmproxyctl decode: input in, headers out, one verdict for the exit status. */
#include "ctl/decode/decode.h"

#include <inttypes.h>
#include <stdlib.h>

#include "ctl/answer.h"
#include "ctl/decode/header.h"
#include "ctl/decode/input.h"
#include "ctl/decode/pcap.h"
#include "ctl/decode/print.h"
#include "ctl/memory.h"
#include "ctl/options.h"

/* Headers of a capture that are shown, unless --limit says otherwise. */
#define LIMIT_DEFAULT 100

/* As for a command line with mistakes: nothing was judged, or not all. */
#define EXIT_UNREADABLE 2

struct shown {
	uint64_t packet;
	json_t *header;
};

/* What has been judged so far. */
struct judged {
	size_t max_header;
	size_t limit;
	uint64_t counts[DECODE_REFUSED + 1];
	size_t shown_by[PROXY_TRANSPORT_DATAGRAM + 1]; /* no transport can crowd out the other */
	size_t shown_count;
	struct shown *shown;
};

static void judge(void *context, const struct decode_sample *sample)
{
	struct judged *judged = context;
	struct decode_verdict verdict = decode_judge(sample, judged->max_header);

	judged->counts[verdict.outcome]++;
	if (judged->shown_by[sample->transport] == judged->limit)
		return;
	judged->shown_by[sample->transport]++;
	judged->shown =
		memory_resize(judged->shown, judged->shown_count + 1, sizeof(*judged->shown));
	judged->shown[judged->shown_count++] = (struct shown){
		.packet = sample->packet,
		.header = decode_header_describe(sample, &verdict, judged->max_header),
	};
}

static int compare_shown(const void *left, const void *right)
{
	const struct shown *a = left, *b = right;

	return (a->packet > b->packet) - (a->packet < b->packet);
}

static void set_count(json_t *object, const char *key, uint64_t count)
{
	json_object_set_new(object, key, json_integer((json_int_t)count));
}

/* In the order of the capture, and the first ones only. Takes the headers over. */
static json_t *result_of(struct judged *judged, const char *format)
{
	json_t *result = json_object(), *headers = json_array();

	if (judged->shown_count > 0)
		qsort(judged->shown, judged->shown_count, sizeof(*judged->shown), compare_shown);
	for (size_t i = 0; i < judged->shown_count; i++) {
		if (i < judged->limit)
			json_array_append(headers, judged->shown[i].header);
		json_decref(judged->shown[i].header);
	}
	free(judged->shown);
	json_object_set_new(result, "input", json_string(format));
	set_count(result, "accepted", judged->counts[DECODE_ACCEPTED]);
	set_count(result, "incomplete", judged->counts[DECODE_INCOMPLETE]);
	set_count(result, "refused", judged->counts[DECODE_REFUSED]);
	json_object_set_new(result, "headers", headers);
	return result;
}

static void print_headers(const json_t *headers, struct lines *lines)
{
	const json_t *header;
	size_t i;

	json_array_foreach (headers, i, header) {
		if (i > 0)
			lines_add(lines, LINE_PLAIN, "%s", "");
		decode_print_header(header, lines);
	}
}

static void print_result(const json_t *result, bool capture)
{
	const json_t *headers = answer_array(result, "headers");
	struct lines lines = {0};

	if (!capture)
		lines_add(&lines, LINE_PLAIN, "%-13s%s, %" PRIu64 " bytes", "input",
			  answer_text(result, "input"),
			  answer_count(json_array_get(headers, 0), "length"));
	print_headers(headers, &lines);
	if (capture && json_array_size(headers) > 0)
		lines_add(&lines, LINE_PLAIN, "%s", "");
	if (capture)
		decode_print_summary(result, &lines);
	lines_print(&lines, 0, stdout);
	lines_finish(&lines);
}

static int show(const struct options *options, json_t *result, bool capture)
{
	uint64_t good = answer_count(result, "accepted");
	uint64_t others = answer_count(result, "incomplete") + answer_count(result, "refused");

	if (options->json)
		answer_print_json(result);
	else
		print_result(result, capture);
	json_decref(result);
	return good > 0 && others == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int decode_bytes(const struct options *options, const struct decode_input *input,
			struct judged *judged)
{
	const struct decode_sample sample = {
		.transport = options->udp ? PROXY_TRANSPORT_DATAGRAM : PROXY_TRANSPORT_STREAM,
		.bytes = input->bytes,
		.length = input->length,
		.total = input->length,
	};

	judge(judged, &sample);
	return show(options, result_of(judged, input->said), false);
}

static void describe_capture(json_t *result, const struct decode_capture *capture, uint64_t silent)
{
	json_t *skipped = json_object();
	uint64_t judged = answer_count(result, "accepted") + answer_count(result, "incomplete") +
			  answer_count(result, "refused");

	set_count(result, "left_out", judged - json_array_size(answer_array(result, "headers")));
	set_count(result, "packets", capture->packets);
	set_count(result, "silent", silent);
	set_count(skipped, "fragments", capture->fragments);
	set_count(skipped, "other", capture->other);
	set_count(skipped, "broken", capture->broken);
	json_object_set_new(result, "skipped", skipped);
}

static int decode_capture(const struct options *options, const struct decode_input *input,
			  struct judged *judged)
{
	struct decode_flows *flows = decode_flows_create(judged->max_header, judge, judged);
	char wrong[DECODE_PCAP_WRONG_SIZE];
	struct decode_capture capture = {0};
	int read, status;
	json_t *result;
	uint64_t silent;

	if (flows == NULL) {
		answer_complain("out of memory");
		return EXIT_UNREADABLE;
	}
	read = decode_pcap_read(input->pcap, flows, &capture, wrong);
	silent = decode_flows_finish(flows);
	result = result_of(judged, input->said);
	if (read < 0 && capture.packets == 0) {
		json_decref(result);
		answer_complain("%.200s: %s", input->name, wrong);
		return EXIT_UNREADABLE;
	}
	describe_capture(result, &capture, silent);
	status = show(options, result, true);
	/* What there was has been shown; it is not all there should have been. */
	if (read < 0)
		answer_complain("%.200s: %s", input->name, wrong);
	return read < 0 ? EXIT_UNREADABLE : status;
}

int decode_run(const struct options *options)
{
	struct judged judged = {
		.max_header = options->max_header,
		.limit = options->limit > 0 ? options->limit : LIMIT_DEFAULT,
	};
	struct decode_input input;
	int status = EXIT_UNREADABLE;

	if (decode_input_open(&input, options) == 0)
		status = input.pcap != NULL ? decode_capture(options, &input, &judged)
					    : decode_bytes(options, &input, &judged);
	decode_input_finish(&input);
	return status;
}
