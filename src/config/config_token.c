/* SPDX-License-Identifier: MIT */
/*
 * The lexer of libconfig's language, stricter in two places where libconfig 1.5 says nothing: a
 * comment that never ends swallows the rest of the file, and a text whose closing quote is missing
 * goes on over the following lines. Both are faults here, at the line where they begin.
 */
#include "config/config_token.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex_digit(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool begins_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '*';
}

static bool continues_name(char c)
{
	return begins_name(c) || is_digit(c) || c == '-' || c == '_';
}

/* The terminating NUL is no digit and no letter, so these never run past the end. */
static const char *skip_digits(const char *p)
{
	while (is_digit(*p))
		p++;
	return p;
}

static const char *skip_long_suffix(const char *p)
{
	if (*p == 'L')
		p++;
	if (p[-1] == 'L' && *p == 'L')
		p++;
	return p;
}

/* Behind an exponent ("e5", "E-3"), or `p` itself where there is none. */
static const char *skip_exponent(const char *p)
{
	const char *digits = p + 1;

	if (*p != 'e' && *p != 'E')
		return p;
	if (*digits == '-' || *digits == '+')
		digits++;
	return is_digit(*digits) ? skip_digits(digits) : p;
}

void config_lexer_init(struct config_lexer *lexer, const char *bytes, size_t length)
{
	lexer->cursor = bytes;
	lexer->end = bytes + length;
	lexer->line = 1;
	lexer->fresh_line = true;
}

/* The token from the cursor to `stop`; the cursor moves there. */
static struct config_token take(struct config_lexer *lexer, enum config_token_kind kind,
				const char *stop)
{
	struct config_token token = {
		.kind = kind,
		.text = lexer->cursor,
		.length = (size_t)(stop - lexer->cursor),
		.line = lexer->line,
	};

	lexer->cursor = stop;
	lexer->fresh_line = false;
	return token;
}

static struct config_token take_bad(struct config_lexer *lexer, const char *stop, const char *fault)
{
	struct config_token token = take(lexer, CONFIG_TOKEN_BAD, stop);

	token.fault = fault;
	return token;
}

static const char *end_of_line(const struct config_lexer *lexer, const char *from)
{
	const char *stop = memchr(from, '\n', (size_t)(lexer->end - from));

	return stop != NULL ? stop : lexer->end;
}

/* The closing quote of a text that begins behind `p`, or NULL when the line ends first. */
static const char *find_quote(const struct config_lexer *lexer, const char *p)
{
	for (; p < lexer->end && *p != '\n'; p++) {
		if (*p == '"')
			return p;
		if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
			p++;
	}
	return NULL;
}

static struct config_token take_string(struct config_lexer *lexer)
{
	const char *quote = find_quote(lexer, lexer->cursor + 1);

	if (quote == NULL)
		return take_bad(lexer, end_of_line(lexer, lexer->cursor),
				"the text has no closing quote on its line");
	return take(lexer, CONFIG_TOKEN_STRING, quote + 1);
}

static struct config_token take_include(struct config_lexer *lexer)
{
	static const char word[] = "@include";
	static const char fault[] = "write @include \"FILE\" at the beginning of a line";
	const char *open = lexer->cursor + sizeof(word) - 1, *close;
	struct config_token token;

	if (!lexer->fresh_line || strncmp(lexer->cursor, word, sizeof(word) - 1) != 0 ||
	    !is_blank(*open))
		return take_bad(lexer, end_of_line(lexer, lexer->cursor), fault);
	while (is_blank(*open))
		open++;
	close = *open == '"' ? find_quote(lexer, open + 1) : NULL;
	if (close == NULL)
		return take_bad(lexer, end_of_line(lexer, lexer->cursor), fault);
	token = take(lexer, CONFIG_TOKEN_INCLUDE, close + 1);
	token.text = open + 1;
	token.length = (size_t)(close - open - 1);
	return token;
}

static struct config_token take_number(struct config_lexer *lexer)
{
	const char *start = lexer->cursor, *p = start, *after;
	bool digits;

	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X') && is_hex_digit(p[2])) {
		for (p += 2; is_hex_digit(*p); p++)
			;
		return take(lexer, CONFIG_TOKEN_INTEGER, skip_long_suffix(p));
	}
	if (*p == '-' || *p == '+')
		p++;
	after = skip_digits(p);
	digits = after > p;
	p = after;
	if (*p == '.') {
		after = skip_digits(p + 1);
		digits = digits || after > p + 1;
		p = skip_exponent(after);
		if (digits)
			return take(lexer, CONFIG_TOKEN_FLOAT, p);
	}
	if (!digits)
		return take_bad(lexer, start + 1, "a sign or a point without a digit is no number");
	after = skip_exponent(p);
	if (after > p)
		return take(lexer, CONFIG_TOKEN_FLOAT, after);
	return take(lexer, CONFIG_TOKEN_INTEGER, skip_long_suffix(p));
}

static struct config_token take_name(struct config_lexer *lexer)
{
	const char *p = lexer->cursor;
	size_t length;

	while (continues_name(*p))
		p++;
	length = (size_t)(p - lexer->cursor);
	if ((length == 4 && strncasecmp(lexer->cursor, "true", 4) == 0) ||
	    (length == 5 && strncasecmp(lexer->cursor, "false", 5) == 0))
		return take(lexer, CONFIG_TOKEN_BOOLEAN, p);
	return take(lexer, CONFIG_TOKEN_NAME, p);
}

/* Behind the comment; NULL when it has no end. */
static const char *skip_block_comment(struct config_lexer *lexer)
{
	const char *stop = strstr(lexer->cursor + 2, "*/");

	if (stop == NULL)
		return NULL;
	for (const char *p = lexer->cursor; p < stop; p++) {
		if (*p == '\n')
			lexer->line++;
	}
	return stop + 2;
}

/* Moves over white space and comments. Returns false at a comment that has no end. */
static bool skip_space(struct config_lexer *lexer)
{
	while (lexer->cursor < lexer->end) {
		const char *p = lexer->cursor;

		if (*p == '\n') {
			lexer->line++;
			lexer->fresh_line = true;
			lexer->cursor++;
		} else if (is_blank(*p)) {
			lexer->cursor++;
		} else if (*p == '\r' || *p == '\f') {
			lexer->fresh_line = false;
			lexer->cursor++;
		} else if (*p == '#' || (p[0] == '/' && p[1] == '/')) {
			lexer->cursor = end_of_line(lexer, p);
		} else if (p[0] == '/' && p[1] == '*') {
			p = skip_block_comment(lexer);
			if (p == NULL)
				return false;
			lexer->cursor = p;
			lexer->fresh_line = false;
		} else {
			return true;
		}
	}
	return true;
}

struct config_token config_lexer_next(struct config_lexer *lexer)
{
	const char *p;

	if (!skip_space(lexer))
		return take_bad(lexer, lexer->end, "the comment has no end; close it with */");
	p = lexer->cursor;
	if (p == lexer->end)
		return take(lexer, CONFIG_TOKEN_END, p);
	if (begins_name(*p))
		return take_name(lexer);
	if (is_digit(*p))
		return take_number(lexer);
	switch (*p) {
	case '=':
	case ':':
		return take(lexer, CONFIG_TOKEN_EQUALS, p + 1);
	case ',':
		return take(lexer, CONFIG_TOKEN_COMMA, p + 1);
	case ';':
		return take(lexer, CONFIG_TOKEN_SEMICOLON, p + 1);
	case '{':
	case '[':
	case '(':
		return take(lexer, CONFIG_TOKEN_OPEN, p + 1);
	case '}':
	case ']':
	case ')':
		return take(lexer, CONFIG_TOKEN_CLOSE, p + 1);
	case '"':
		return take_string(lexer);
	case '@':
		return take_include(lexer);
	case '+':
	case '-':
	case '.':
		return take_number(lexer);
	default:
		return take_bad(lexer, p + 1, "this character has no meaning here");
	}
}

enum config_integer_width config_token_integer_width(const struct config_token *token)
{
	bool hex = token->length > 2 && (token->text[1] == 'x' || token->text[1] == 'X');
	bool marked = token->text[token->length - 1] == 'L';
	long long value;

	errno = 0;
	value = strtoll(token->text, NULL, hex ? 16 : 10);
	if (errno == ERANGE)
		return CONFIG_INTEGER_TOO_BIG;
	if (!marked && (value > INT32_MAX || value < INT32_MIN))
		return CONFIG_INTEGER_NEEDS_L;
	return CONFIG_INTEGER_PLAIN;
}
