/* SPDX-License-Identifier: MIT */
/*
 * The order of words in a libconfig file, checked ahead of libconfig: its own answer is "syntax
 * error" and nothing else, and it loses memory on some of them.
 */
#ifndef MMPROXY_CONFIG_CONFIG_GRAMMAR_H
#define MMPROXY_CONFIG_CONFIG_GRAMMAR_H

#include <stddef.h>

#include "config/config_token.h"

/* Brackets inside brackets. The deepest setting of ours is at 4; libconfig's tree is recursive. */
#define CONFIG_GRAMMAR_DEPTH 32

/*
 * Settings of a group. No group of ours has more than a few dozen; libconfig compares each with all
 * before it, and takes a minute for 100,000.
 */
#define CONFIG_GRAMMAR_SETTINGS 1000

struct config_place {
	const char *file;
	unsigned line; /* counted from 1 */
};

struct config_grammar {
	enum {
		CONFIG_GRAMMAR_NAME,   /* a setting's name, or the end of the group */
		CONFIG_GRAMMAR_EQUALS, /* behind a name */
		CONFIG_GRAMMAR_VALUE,  /* behind '=', or behind ',' in a list */
		CONFIG_GRAMMAR_FIRST,  /* behind '[' or '(': a value, or the end */
		CONFIG_GRAMMAR_AFTER,  /* behind a value */
	} expects;
	bool after_string; /* texts side by side are one text */
	unsigned depth;
	unsigned settings[CONFIG_GRAMMAR_DEPTH + 1]; /* so far, of each group that is open */
	struct {
		char bracket;
		struct config_place place;
	} open[CONFIG_GRAMMAR_DEPTH];
};

void config_grammar_init(struct config_grammar *grammar);

/*
 * Takes the next token, CONFIG_TOKEN_END of the whole configuration included; never an include or a
 * bad one. Returns 0; or -EINVAL and says in `why` what belongs there instead, and then takes no
 * more.
 */
int config_grammar_step(struct config_grammar *grammar, const struct config_token *token,
			const struct config_place *place, char *why, size_t why_size);

#endif
