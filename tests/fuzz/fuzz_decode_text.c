/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: what people paste into mmproxyctl decode. Read as hex and as a log's escaped text,
 * it never takes more room than was promised, and a mistake is one line. The same bytes written as
 * either come back; and what decode says of them is what the parsers say.
 */
#include "base/escape.h"
#include "ctl/decode/header.h"
#include "ctl/decode/print.h"
#include "ctl/decode/text.h"
#include "ctl/decode/verdict.h"
#include "fuzz.h"

#define MAX_HEADER 4096

typedef long reader(const char *, size_t, uint8_t *, char[static DECODE_TEXT_WRONG_SIZE]);

/* Returns what it stands for, to be freed, with its length; NULL after a mistake. */
static uint8_t *read_text(reader *read, size_t room, const char *text, size_t length, long *count)
{
	char wrong[DECODE_TEXT_WRONG_SIZE];
	char *copy = fuzz_copy(text, length);
	uint8_t *bytes = malloc(room > 0 ? room : 1);

	DEMAND(bytes != NULL);
	memset(wrong, 'x', sizeof(wrong));
	*count = read(copy, length, bytes, wrong);
	free(copy);
	if (*count >= 0) {
		DEMAND((size_t)*count <= room);
		return bytes;
	}
	DEMAND(*count == -1);
	DEMAND(memchr(wrong, '\0', sizeof(wrong)) != NULL && strlen(wrong) > 10);
	free(bytes);
	return NULL;
}

static void expect_back(reader *read, size_t room, const char *text, size_t length,
			const uint8_t *bytes, size_t size)
{
	long count;
	uint8_t *back = read_text(read, room, text, length, &count);

	DEMAND(back != NULL && (size_t)count == size);
	DEMAND(size == 0 || memcmp(back, bytes, size) == 0);
	free(back);
}

static void write_and_read(const uint8_t *bytes, size_t size)
{
	char *text = malloc(4 * size + 1);
	size_t length = 0;

	DEMAND(text != NULL);
	for (size_t i = 0; i < size; i++)
		length += (size_t)snprintf(text + length, 4, "%02x", bytes[i]);
	if (size > 0)
		expect_back(decode_text_read_hex, length / 2, text, length, bytes, size);
	length = escape_bytes(text, 4 * size + 1, bytes, size);
	/* Behind first_bytes= the text would begin anew. */
	if (size > 0 && memmem(text, length, "first_bytes=", 12) == NULL)
		expect_back(decode_text_read_escaped, length, text, length, bytes, size);
	free(text);
}

static void read_as_either(const uint8_t *bytes, size_t size)
{
	char *copy = fuzz_copy(bytes, size);
	long count;

	DEMAND(decode_text_recognise(copy, size) <= DECODE_TEXT_NONE);
	free(read_text(decode_text_read_hex, size / 2, copy, size, &count));
	free(read_text(decode_text_read_escaped, size, copy, size, &count));
	free(copy);
}

static void check_verdict(const struct decode_sample *sample, const struct decode_verdict *verdict)
{
	struct proxy_header header;
	enum close_reason reason;

	DEMAND(verdict->offset == DECODE_NOWHERE || verdict->offset <= sample->length);
	if (decode_is_spp(sample))
		return;
	switch (proxy_header_parse(sample->bytes, sample->length, MAX_HEADER, sample->transport,
				   &header, &reason)) {
	case PROXY_PARSE_OK:
		DEMAND(verdict->outcome == DECODE_ACCEPTED || verdict->outcome == DECODE_REFUSED);
		DEMAND(verdict->header.length == header.length);
		break;
	case PROXY_PARSE_MORE:
		DEMAND(verdict->missing > 0);
		DEMAND(verdict->outcome == DECODE_INCOMPLETE ||
		       verdict->reason == CLOSE_HEADER_TRUNCATED);
		break;
	case PROXY_PARSE_BAD:
		DEMAND(verdict->outcome == DECODE_REFUSED && verdict->reason == reason);
		DEMAND(verdict->offset < sample->length);
		break;
	}
}

/* As bytes of one transport: judged, described, and written as lines. */
static void judge(const uint8_t *bytes, size_t size, enum proxy_transport transport)
{
	struct decode_sample sample = {
		.transport = transport,
		.bytes = fuzz_copy(bytes, size),
		.length = size,
		.total = size,
	};
	struct decode_verdict verdict = decode_judge(&sample, MAX_HEADER);
	struct lines lines = {0};
	json_t *description;

	check_verdict(&sample, &verdict);
	description = decode_header_describe(&sample, &verdict, MAX_HEADER);
	DEMAND(description != NULL);
	decode_print_header(description, &lines);
	DEMAND(lines.count > 0);
	for (size_t i = 0; i < lines.count; i++) {
		for (const char *at = lines.items[i].text; *at != '\0'; at++)
			DEMAND(*at >= ' ' && *at <= '~');
	}
	lines_finish(&lines);
	json_decref(description);
	free((void *)(uintptr_t)sample.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	read_as_either(bytes, size);
	write_and_read(bytes, size);
	/* Nothing at all is refused where the input is opened. */
	if (size > 0) {
		judge(bytes, size, PROXY_TRANSPORT_STREAM);
		judge(bytes, size, PROXY_TRANSPORT_DATAGRAM);
	}
	return 0;
}
