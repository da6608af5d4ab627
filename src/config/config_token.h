/* SPDX-License-Identifier: MIT */
/* The words of a libconfig file: bytes in, tokens out. Opens nothing, allocates nothing. */
#ifndef MMPROXY_CONFIG_CONFIG_TOKEN_H
#define MMPROXY_CONFIG_CONFIG_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

enum config_token_kind {
	CONFIG_TOKEN_END,
	CONFIG_TOKEN_BAD,     /* .fault says why; the lexer can go on behind it */
	CONFIG_TOKEN_INCLUDE, /* .text is what stands between the quotes, still with escapes */
	CONFIG_TOKEN_NAME,
	CONFIG_TOKEN_EQUALS, /* '=' or ':' */
	CONFIG_TOKEN_STRING, /* with its quotes, on one line */
	CONFIG_TOKEN_INTEGER,
	CONFIG_TOKEN_FLOAT,
	CONFIG_TOKEN_BOOLEAN,
	CONFIG_TOKEN_OPEN,  /* one of { [ ( */
	CONFIG_TOKEN_CLOSE, /* one of } ] ) */
	CONFIG_TOKEN_COMMA,
	CONFIG_TOKEN_SEMICOLON,
};

struct config_token {
	enum config_token_kind kind;
	const char *text; /* points into the lexer's bytes; not NUL-terminated */
	size_t length;
	unsigned line; /* where it begins, counted from 1 */
	const char *fault;
};

struct config_lexer {
	const char *cursor;
	const char *end;
	unsigned line;
	bool fresh_line; /* nothing but blanks since the line began: an @include may stand here */
};

/* `bytes` must be followed by a NUL byte and hold none. */
void config_lexer_init(struct config_lexer *lexer, const char *bytes, size_t length);

struct config_token config_lexer_next(struct config_lexer *lexer);

enum config_integer_width {
	CONFIG_INTEGER_PLAIN,   /* libconfig reads it as it is written */
	CONFIG_INTEGER_NEEDS_L, /* libconfig would cut it to 32 bits without a word */
	CONFIG_INTEGER_TOO_BIG, /* past 64 bits, with or without L */
};

enum config_integer_width config_token_integer_width(const struct config_token *token);

#endif
