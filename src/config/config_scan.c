/* SPDX-License-Identifier: MIT */
/*
 * Files into one text. The text is written token by token, and its line breaks are ours: a new line
 * begins with each setting's name and wherever the source line changes, so that a line number from
 * libconfig leads back to a file and a line. One exception keeps libconfig's numbers right: it
 * notes the line of a text in a list only when it has seen the token behind it, so a separator or a
 * closing bracket stays on the line of the text it follows.
 */
#include "config/config_scan.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/report.h"
#include "config/file_text.h"

/* Bytes, all files together: a hundred thousand prefixes fit, a wrong file name is noticed. */
#define SCAN_BYTES_MAX (4U << 20)

/* Includes, all together. Ten levels of ten files each that include the next level are 10^10. */
#define SCAN_INCLUDES_MAX 1000

/* Characters of a token in a message. */
#define SCAN_QUOTE_MAX 40

struct open_file {
	const struct open_file *includer; /* NULL for the main file */
	const char *name;
	struct file_text text;
};

struct scanner {
	struct config_scan *scan;
	struct report *report;
	struct config_grammar grammar;
	enum config_token_kind last; /* what was written last */
	size_t name_line;            /* the line of the text where the last name stands */
	size_t bytes;
	unsigned includes;
	bool failed;       /* libconfig must not see the text */
	bool lost_grammar; /* after a first fault in the order of tokens, others mean nothing */
};

static bool emit_bytes(struct config_scan *scan, const char *bytes, size_t length)
{
	if (scan->length + length + 1 > scan->capacity) {
		size_t capacity = (scan->length + length + 1) * 2;
		char *text = realloc(scan->text, capacity);

		if (text == NULL)
			return false;
		scan->text = text;
		scan->capacity = capacity;
	}
	memcpy(scan->text + scan->length, bytes, length);
	scan->length += length;
	scan->text[scan->length] = '\0';
	return true;
}

static bool emit_line_start(struct config_scan *scan, const struct config_place *place)
{
	if (scan->line_count == scan->line_capacity) {
		size_t capacity = scan->line_capacity > 0 ? scan->line_capacity * 2 : 64;
		struct config_scan_line *lines =
			reallocarray(scan->lines, capacity, sizeof(*lines));

		if (lines == NULL)
			return false;
		scan->lines = lines;
		scan->line_capacity = capacity;
	}
	if (scan->line_count > 0 && !emit_bytes(scan, "\n", 1))
		return false;
	scan->lines[scan->line_count++] =
		(struct config_scan_line){.place = *place, .offset = scan->length};
	return true;
}

static bool wants_new_line(const struct scanner *scanner, const struct config_token *token,
			   const struct config_place *place)
{
	const struct config_scan *scan = scanner->scan;
	const struct config_place *last;

	if (scan->line_count == 0 || token->kind == CONFIG_TOKEN_NAME)
		return true;
	if (scanner->last == CONFIG_TOKEN_STRING &&
	    (token->kind == CONFIG_TOKEN_CLOSE || token->kind == CONFIG_TOKEN_COMMA ||
	     token->kind == CONFIG_TOKEN_SEMICOLON))
		return false;
	last = &scan->lines[scan->line_count - 1].place;
	return last->file != place->file || last->line != place->line;
}

static void out_of_memory(struct scanner *scanner)
{
	report_add_failure(scanner->report, "%s: out of memory",
			   scanner->scan->file_count > 0 ? scanner->scan->files[0]
							 : "configuration");
	scanner->failed = true;
}

/* libconfig would cut a number that lacks its L, so it gets one, and the loader a note. */
static bool emit_width(struct scanner *scanner, enum config_integer_width width)
{
	struct config_scan *scan = scanner->scan;

	if (scanner->name_line > 0 && width > scan->lines[scanner->name_line - 1].integer)
		scan->lines[scanner->name_line - 1].integer = width;
	return width != CONFIG_INTEGER_NEEDS_L || emit_bytes(scan, "L", 1);
}

static void emit(struct scanner *scanner, const struct config_token *token,
		 const struct config_place *place)
{
	struct config_scan *scan = scanner->scan;
	bool good;

	if (wants_new_line(scanner, token, place))
		good = emit_line_start(scan, place);
	else
		good = emit_bytes(scan, " ", 1);
	good = good && emit_bytes(scan, token->text, token->length);
	if (good && token->kind == CONFIG_TOKEN_NAME)
		scanner->name_line = scan->line_count;
	if (good && token->kind == CONFIG_TOKEN_INTEGER)
		good = emit_width(scanner, config_token_integer_width(token));
	if (!good && !scanner->failed)
		out_of_memory(scanner);
	scanner->last = token->kind;
}

/* As much of a token as a message quotes: its first line, and not too much of that. */
static int shown_length(const struct config_token *token)
{
	int length = 0;

	while ((size_t)length < token->length && length < SCAN_QUOTE_MAX &&
	       token->text[length] != '\n')
		length++;
	return length;
}

static void check_order(struct scanner *scanner, const struct config_token *token,
			const struct config_place *place)
{
	char why[256];

	if (scanner->lost_grammar ||
	    config_grammar_step(&scanner->grammar, token, place, why, sizeof(why)) == 0)
		return;
	if (token->kind == CONFIG_TOKEN_END)
		report_add(scanner->report, "%s:%u: syntax: the file ends here; %s", place->file,
			   place->line, why);
	else
		report_add(scanner->report, "%s:%u: syntax: %.*s is out of place; %s", place->file,
			   place->line, shown_length(token), token->text, why);
	scanner->lost_grammar = true;
	scanner->failed = true;
}

/* libconfig's escapes inside an include's quotes: \\ and \". */
static char *unescape(const char *text, size_t length)
{
	char *path = malloc(length + 1), *end = path;

	if (path == NULL)
		return NULL;
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\\' && i + 1 < length &&
		    (text[i + 1] == '"' || text[i + 1] == '\\'))
			i++;
		*end++ = text[i];
	}
	*end = '\0';
	return path;
}

/* Keeps a name for as long as the scan lives: places point to it. Takes ownership. */
static const char *keep_file_name(struct config_scan *scan, char *name)
{
	char **files;

	if (name == NULL)
		return NULL;
	files = reallocarray(scan->files, scan->file_count + 1, sizeof(*files));
	if (files == NULL) {
		free(name);
		return NULL;
	}
	scan->files = files;
	files[scan->file_count++] = name;
	return name;
}

static bool is_open_already(const struct open_file *file, const struct file_text *text)
{
	for (; file != NULL; file = file->includer) {
		if (file->text.device == text->device && file->text.inode == text->inode)
			return true;
	}
	return false;
}

static unsigned depth_of(const struct open_file *file)
{
	unsigned depth = 0;

	for (; file != NULL; file = file->includer)
		depth++;
	return depth;
}

static void scan_tokens(struct scanner *scanner, const struct open_file *file);

/* Why the file cannot be included from there, or NULL with its bytes in `text`. */
static const char *read_include(struct scanner *scanner, const struct open_file *includer,
				const char *path, struct file_text *text, int *error)
{
	const char *why;

	*error = -EINVAL;
	if (depth_of(includer) > CONFIG_SCAN_DEPTH)
		return "includes are nested more than 10 deep; write some of them out";
	if (++scanner->includes > SCAN_INCLUDES_MAX)
		return "more than 1000 includes; write some of them out";
	*error = file_text_read(path, SCAN_BYTES_MAX - scanner->bytes, text, &why);
	if (*error < 0)
		return why;
	if (is_open_already(includer, text)) {
		free(text->bytes);
		text->bytes = NULL;
		return "this file is included from itself; remove one of the two";
	}
	return NULL;
}

static void scan_include(struct scanner *scanner, const struct open_file *includer,
			 const struct config_token *token)
{
	char *written = unescape(token->text, token->length);
	char *path = written != NULL ? config_scan_resolve(scanner->scan, written) : NULL;
	struct open_file file = {.includer = includer};
	const char *why;
	int error;

	free(written);
	file.name = keep_file_name(scanner->scan, path);
	if (file.name == NULL) {
		out_of_memory(scanner);
		return;
	}
	why = read_include(scanner, includer, file.name, &file.text, &error);
	if (why != NULL) {
		report_add_error(scanner->report, error, "%s:%u: @include: \"%.200s\": %s",
				 includer->name, token->line, file.name, why);
		scanner->failed = true;
		return;
	}
	scan_tokens(scanner, &file);
	free(file.text.bytes);
}

static void scan_bad(struct scanner *scanner, const struct open_file *file,
		     const struct config_token *token)
{
	bool readable = token->length > 0 && token->text[0] > ' ' && token->text[0] < 0x7f;

	scanner->failed = true;
	if (scanner->lost_grammar)
		return;
	scanner->lost_grammar = true;
	if (readable)
		report_add(scanner->report, "%s:%u: syntax: %.*s: %s", file->name, token->line,
			   shown_length(token), token->text, token->fault);
	else
		report_add(scanner->report,
			   "%s:%u: syntax: byte 0x%02x has no meaning here; only texts in double "
			   "quotes and comments may hold it",
			   file->name, token->line, (unsigned char)token->text[0]);
}

static void scan_tokens(struct scanner *scanner, const struct open_file *file)
{
	struct config_place place = {.file = file->name};
	struct config_lexer lexer;
	const char *why;

	scanner->bytes += file->text.length;
	place.line = file_text_fault(&file->text, &why);
	if (place.line > 0) {
		report_add(scanner->report, "%s:%u: %s", place.file, place.line, why);
		scanner->failed = true;
		scanner->lost_grammar = true;
		return;
	}
	config_lexer_init(&lexer, file->text.bytes, file->text.length);
	for (;;) {
		struct config_token token = config_lexer_next(&lexer);

		place.line = token.line;
		switch (token.kind) {
		case CONFIG_TOKEN_END:
			if (file->includer == NULL)
				check_order(scanner, &token, &place);
			return;
		case CONFIG_TOKEN_BAD:
			scan_bad(scanner, file, &token);
			break;
		case CONFIG_TOKEN_INCLUDE:
			scan_include(scanner, file, &token);
			break;
		case CONFIG_TOKEN_NAME:
		case CONFIG_TOKEN_EQUALS:
		case CONFIG_TOKEN_STRING:
		case CONFIG_TOKEN_INTEGER:
		case CONFIG_TOKEN_FLOAT:
		case CONFIG_TOKEN_BOOLEAN:
		case CONFIG_TOKEN_OPEN:
		case CONFIG_TOKEN_CLOSE:
		case CONFIG_TOKEN_COMMA:
		case CONFIG_TOKEN_SEMICOLON:
			check_order(scanner, &token, &place);
			emit(scanner, &token, &place);
			break;
		}
	}
}

static int scan_main_file(struct scanner *scanner, const char *path)
{
	struct config_scan *scan = scanner->scan;
	struct open_file file = {.name = keep_file_name(scan, strdup(path))};
	const char *slash = strrchr(path, '/');
	const char *why;
	int error;

	scan->folder = strndup(path, slash != NULL ? (size_t)(slash + 1 - path) : 0);
	if (file.name == NULL || scan->folder == NULL) {
		out_of_memory(scanner);
		return -EINVAL;
	}
	error = file_text_read(path, SCAN_BYTES_MAX, &file.text, &why);
	if (error < 0) {
		report_add_error(scanner->report, error, "%s: cannot read the configuration: %s",
				 path, why);
		return -EINVAL;
	}
	scan_tokens(scanner, &file);
	free(file.text.bytes);
	if (!scanner->failed && scan->line_count == 0) {
		report_add(scanner->report,
			   "%s:1: the file holds no setting; it takes at least one listener", path);
		scanner->failed = true;
	}
	return scanner->failed ? -EINVAL : 0;
}

int config_scan_file(const char *path, struct config_scan *scan, struct report *report)
{
	struct scanner scanner = {.scan = scan, .report = report};

	memset(scan, 0, sizeof(*scan));
	config_grammar_init(&scanner.grammar);
	return scan_main_file(&scanner, path);
}

void config_scan_finish(struct config_scan *scan)
{
	for (size_t i = 0; i < scan->file_count; i++)
		free(scan->files[i]);
	free(scan->files);
	free(scan->folder);
	free(scan->lines);
	free(scan->text);
	memset(scan, 0, sizeof(*scan));
}

struct config_place config_scan_place(const struct config_scan *scan, unsigned line)
{
	if (scan->line_count == 0)
		return (struct config_place){scan->file_count > 0 ? scan->files[0] : "", 1};
	if (line == 0)
		return (struct config_place){scan->files[0], 1};
	if (line > scan->line_count)
		line = (unsigned)scan->line_count;
	return scan->lines[line - 1].place;
}

enum config_integer_width config_scan_integer(const struct config_scan *scan, unsigned line)
{
	if (line == 0 || line > scan->line_count)
		return CONFIG_INTEGER_PLAIN;
	return scan->lines[line - 1].integer;
}

size_t config_scan_name(const struct config_scan *scan, unsigned line, const char **name)
{
	if (line > scan->line_count)
		line = (unsigned)scan->line_count;
	for (; line > 0; line--) {
		struct config_lexer lexer;
		struct config_token token;
		const char *start = scan->text + scan->lines[line - 1].offset;

		config_lexer_init(&lexer, start, (size_t)(scan->text + scan->length - start));
		token = config_lexer_next(&lexer);
		if (token.kind == CONFIG_TOKEN_NAME) {
			*name = token.text;
			return token.length;
		}
	}
	return 0;
}

char *config_scan_resolve(const struct config_scan *scan, const char *path)
{
	char *resolved;

	if (path[0] == '/')
		return strdup(path);
	if (asprintf(&resolved, "%s%s", scan->folder, path) < 0)
		return NULL;
	return resolved;
}
