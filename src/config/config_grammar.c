/* SPDX-License-Identifier: MIT */
/*
 * libconfig's grammar as a state and a stack of open brackets. A group holds settings; an array
 * [ ] holds plain values; a list ( ) holds values of any kind. The file itself is a group.
 */
#include "config/config_grammar.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void config_grammar_init(struct config_grammar *grammar)
{
	memset(grammar, 0, sizeof(*grammar));
}

/* The innermost open bracket; '{' for the file itself. */
static char innermost(const struct config_grammar *grammar)
{
	return grammar->depth > 0 ? grammar->open[grammar->depth - 1].bracket : '{';
}

static char closing(char bracket)
{
	switch (bracket) {
	case '{':
		return '}';
	case '[':
		return ']';
	default:
		return ')';
	}
}

static int refuse_close(const struct config_grammar *grammar, const struct config_token *token,
			char *why, size_t why_size)
{
	const struct config_place *place;
	char bracket = innermost(grammar);

	if (grammar->depth == 0) {
		snprintf(why, why_size, "there is no open bracket that it could close");
		return -EINVAL;
	}
	place = &grammar->open[grammar->depth - 1].place;
	if (token->kind == CONFIG_TOKEN_END)
		snprintf(why, why_size, "'%c' of %s:%u is still open; close it with '%c'", bracket,
			 place->file, place->line, closing(bracket));
	else
		snprintf(why, why_size, "it cannot close '%c' of %s:%u; that takes '%c'", bracket,
			 place->file, place->line, closing(bracket));
	return -EINVAL;
}

static int step_close(struct config_grammar *grammar, const struct config_token *token, char *why,
		      size_t why_size)
{
	if (grammar->depth == 0 || closing(innermost(grammar)) != token->text[0])
		return refuse_close(grammar, token, why, why_size);
	grammar->depth--;
	grammar->expects = CONFIG_GRAMMAR_AFTER;
	return 0;
}

static int step_open(struct config_grammar *grammar, const struct config_token *token,
		     const struct config_place *place, char *why, size_t why_size)
{
	if (innermost(grammar) == '[') {
		snprintf(why, why_size, "an array [ ] holds plain values only; use a list ( )");
		return -EINVAL;
	}
	if (grammar->depth == CONFIG_GRAMMAR_DEPTH) {
		snprintf(why, why_size, "brackets are nested deeper than any setting is");
		return -EINVAL;
	}
	grammar->open[grammar->depth].bracket = token->text[0];
	grammar->open[grammar->depth].place = *place;
	grammar->depth++;
	grammar->settings[grammar->depth] = 0;
	grammar->expects = token->text[0] == '{' ? CONFIG_GRAMMAR_NAME : CONFIG_GRAMMAR_FIRST;
	return 0;
}

static bool is_plain_value(const struct config_token *token)
{
	return token->kind == CONFIG_TOKEN_STRING || token->kind == CONFIG_TOKEN_INTEGER ||
	       token->kind == CONFIG_TOKEN_FLOAT || token->kind == CONFIG_TOKEN_BOOLEAN;
}

static int step_name(struct config_grammar *grammar, const struct config_token *token, char *why,
		     size_t why_size)
{
	if (token->kind == CONFIG_TOKEN_NAME) {
		if (++grammar->settings[grammar->depth] > CONFIG_GRAMMAR_SETTINGS) {
			snprintf(why, why_size, "no group has more than %d settings",
				 CONFIG_GRAMMAR_SETTINGS);
			return -EINVAL;
		}
		grammar->expects = CONFIG_GRAMMAR_EQUALS;
		return 0;
	}
	if (token->kind == CONFIG_TOKEN_END)
		return grammar->depth == 0 ? 0 : refuse_close(grammar, token, why, why_size);
	if (token->kind == CONFIG_TOKEN_CLOSE)
		return step_close(grammar, token, why, why_size);
	snprintf(why, why_size, "the name of a setting belongs here");
	return -EINVAL;
}

static int step_value(struct config_grammar *grammar, const struct config_token *token,
		      const struct config_place *place, char *why, size_t why_size)
{
	if (is_plain_value(token)) {
		grammar->after_string = token->kind == CONFIG_TOKEN_STRING;
		grammar->expects = CONFIG_GRAMMAR_AFTER;
		return 0;
	}
	if (token->kind == CONFIG_TOKEN_OPEN)
		return step_open(grammar, token, place, why, why_size);
	if (token->kind == CONFIG_TOKEN_CLOSE && grammar->expects == CONFIG_GRAMMAR_FIRST)
		return step_close(grammar, token, why, why_size);
	snprintf(why, why_size,
		 "a value belongs here; names, addresses and other texts stand in "
		 "double quotes");
	return -EINVAL;
}

static int step_after(struct config_grammar *grammar, const struct config_token *token,
		      bool after_string, char *why, size_t why_size)
{
	bool in_group = innermost(grammar) == '{';

	if (token->kind == CONFIG_TOKEN_STRING && after_string) {
		grammar->after_string = true;
		return 0;
	}
	if (token->kind == CONFIG_TOKEN_CLOSE)
		return step_close(grammar, token, why, why_size);
	if (in_group) {
		grammar->expects = CONFIG_GRAMMAR_NAME;
		if (token->kind == CONFIG_TOKEN_SEMICOLON || token->kind == CONFIG_TOKEN_COMMA)
			return 0;
		if (token->kind == CONFIG_TOKEN_NAME || token->kind == CONFIG_TOKEN_END)
			return step_name(grammar, token, why, why_size);
		snprintf(why, why_size,
			 "';' belongs here, behind the value; names, addresses and "
			 "other texts stand in double quotes");
		return -EINVAL;
	}
	if (token->kind == CONFIG_TOKEN_COMMA) {
		grammar->expects = CONFIG_GRAMMAR_VALUE;
		return 0;
	}
	if (token->kind == CONFIG_TOKEN_END)
		return refuse_close(grammar, token, why, why_size);
	snprintf(why, why_size, "',' or '%c' belongs here", closing(innermost(grammar)));
	return -EINVAL;
}

int config_grammar_step(struct config_grammar *grammar, const struct config_token *token,
			const struct config_place *place, char *why, size_t why_size)
{
	bool after_string = grammar->after_string;

	grammar->after_string = false;
	switch (grammar->expects) {
	case CONFIG_GRAMMAR_NAME:
		return step_name(grammar, token, why, why_size);
	case CONFIG_GRAMMAR_EQUALS:
		if (token->kind == CONFIG_TOKEN_EQUALS) {
			grammar->expects = CONFIG_GRAMMAR_VALUE;
			return 0;
		}
		snprintf(why, why_size, "'=' belongs here, behind the name of a setting");
		return -EINVAL;
	case CONFIG_GRAMMAR_VALUE:
	case CONFIG_GRAMMAR_FIRST:
		return step_value(grammar, token, place, why, why_size);
	case CONFIG_GRAMMAR_AFTER:
		return step_after(grammar, token, after_string, why, why_size);
	}
	return -EINVAL;
}
