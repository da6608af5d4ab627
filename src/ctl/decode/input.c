/* SPDX-License-Identifier: MIT */
/* The argument, a file or standard input, and what is in it. */
#include "ctl/decode/input.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/answer.h"
#include "ctl/decode/text.h"
#include "ctl/memory.h"

/* Bytes. A header has 65,551 at most: whoever has more has something else in mind. */
#define INPUT_MAX (64UL << 20)

/* How a capture begins, in either byte order: pcap of micro- and nanoseconds, and pcapng. */
static const uint8_t capture_magics[][4] = {
	{0xa1, 0xb2, 0xc3, 0xd4}, {0xd4, 0xc3, 0xb2, 0xa1}, {0xa1, 0xb2, 0x3c, 0x4d},
	{0x4d, 0x3c, 0xb2, 0xa1}, {0x0a, 0x0d, 0x0d, 0x0a},
};

#define MAGIC_LENGTH sizeof(capture_magics[0])

static bool is_capture(const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < sizeof(capture_magics) / MAGIC_LENGTH; i++) {
		if (length >= MAGIC_LENGTH && memcmp(bytes, capture_magics[i], MAGIC_LENGTH) == 0)
			return true;
	}
	return false;
}

/* The words of the command line, with the blanks between them that the shell took away. */
static int take_words(struct decode_input *input, const struct options *options)
{
	if (input->format == OPTIONS_FORMAT_PCAP) {
		answer_complain(
			"decode: a pcap is read from a file: --file FILE, or standard input");
		return -1;
	}
	for (int i = 0; i < options->word_count; i++) {
		const char *word = options->words[i];
		size_t length = strlen(word);

		input->bytes = memory_resize(input->bytes, input->length + length + 1, 1);
		if (i > 0)
			input->bytes[input->length++] = ' ';
		memcpy(input->bytes + input->length, word, length);
		input->length += length;
	}
	return 0;
}

static int read_all(struct decode_input *input, FILE *file)
{
	size_t room = 65536, got;

	do {
		input->bytes = memory_resize(input->bytes, room, 1);
		got = fread(input->bytes + input->length, 1, room - input->length, file);
		input->length += got;
		if (input->length == room)
			room *= 2;
	} while (got > 0 && input->length <= INPUT_MAX);
	if (ferror(file)) {
		answer_complain("%.200s: %s", input->name, strerror(errno));
		return -1;
	}
	if (input->length > INPUT_MAX) {
		answer_complain("%.200s: more than %lu MiB; a header has 65551 bytes at most, so "
				"give its beginning (head -c 65551)",
				input->name, INPUT_MAX >> 20);
		return -1;
	}
	return 0;
}

/* Takes the file over. */
static int take_file(struct decode_input *input, FILE *file)
{
	uint8_t magic[MAGIC_LENGTH];
	size_t length = fread(magic, 1, sizeof(magic), file);
	int status;

	/* They came out of its buffer, and go back there. */
	for (size_t i = length; i > 0; i--)
		ungetc(magic[i - 1], file);
	if (input->format == OPTIONS_FORMAT_AUTO && is_capture(magic, length))
		input->format = OPTIONS_FORMAT_PCAP;
	if (input->format == OPTIONS_FORMAT_PCAP) {
		input->pcap = file;
		return 0;
	}
	status = read_all(input, file);
	if (file != stdin)
		fclose(file);
	return status;
}

static int find(struct decode_input *input, const struct options *options)
{
	bool is_dash = options->word_count == 1 && strcmp(options->words[0], "-") == 0;
	const char *path = options->file;
	FILE *file = stdin;

	if (options->word_count > 0 && path != NULL) {
		answer_complain("decode takes HEX or --file, not both");
		return -1;
	}
	if (options->word_count > 0 && !is_dash)
		return take_words(input, options);
	input->name = "standard input";
	if (path != NULL && strcmp(path, "-") != 0) {
		input->name = path;
		file = fopen(path, "rbe");
	}
	if (file == NULL) {
		answer_complain("%.200s: %s", input->name, strerror(errno));
		return -1;
	}
	return take_file(input, file);
}

/* In place of text, puts the bytes that it stands for. */
static int read_text(struct decode_input *input, enum decode_text_kind kind)
{
	char wrong[DECODE_TEXT_WRONG_SIZE];
	const char *text = (const char *)input->bytes;
	uint8_t *bytes = memory_resize(NULL, input->length + 1, 1);
	long length = kind == DECODE_TEXT_HEX
			      ? decode_text_read_hex(text, input->length, bytes, wrong)
			      : decode_text_read_escaped(text, input->length, bytes, wrong);

	free(input->bytes);
	input->bytes = bytes;
	if (length < 0) {
		answer_complain("%.200s: %s", input->name, wrong);
		return -1;
	}
	input->length = (size_t)length;
	input->format = OPTIONS_FORMAT_HEX;
	input->said = kind == DECODE_TEXT_HEX ? "hex" : "escaped";
	return 0;
}

/* A line of the log where it is written as JSON: what is left of it is the field, escaped. */
static bool take_json_line(struct decode_input *input)
{
	json_error_t error;
	json_t *line = json_loadb((const char *)input->bytes, input->length, JSON_DISABLE_EOF_CHECK,
				  &error);
	const char *field = json_string_value(json_object_get(line, "first_bytes"));
	size_t length = field != NULL ? strlen(field) : 0;

	/* Its quotes and backslashes cost it more there. */
	if (field != NULL && length <= input->length) {
		memcpy(input->bytes, field, length);
		input->length = length;
	}
	json_decref(line);
	return field != NULL;
}

/* Escaped text is the other spelling of hex. */
static int recognise(struct decode_input *input)
{
	enum decode_text_kind kind = DECODE_TEXT_NONE;

	if (input->format != OPTIONS_FORMAT_RAW && input->bytes[0] == '{' && take_json_line(input))
		kind = DECODE_TEXT_ESCAPED;
	else if (input->format != OPTIONS_FORMAT_RAW)
		kind = decode_text_recognise((const char *)input->bytes, input->length);
	if (input->format == OPTIONS_FORMAT_HEX && kind == DECODE_TEXT_NONE)
		kind = DECODE_TEXT_HEX;
	if (kind != DECODE_TEXT_NONE)
		return read_text(input, kind);
	input->format = OPTIONS_FORMAT_RAW;
	input->said = "raw";
	return 0;
}

int decode_input_open(struct decode_input *input, const struct options *options)
{
	*input = (struct decode_input){
		.name = "HEX",
		.format = options->format,
		.said = "pcap",
	};
	if (find(input, options) < 0)
		return -1;
	if (input->format == OPTIONS_FORMAT_PCAP)
		return 0;
	if (input->length > 0 && recognise(input) < 0)
		return -1;
	/* A dump may have offsets and nothing else. */
	if (input->length > 0)
		return 0;
	answer_complain("%.200s: there is not a byte to decode", input->name);
	return -1;
}

void decode_input_finish(struct decode_input *input)
{
	free(input->bytes);
}
