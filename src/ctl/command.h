/* SPDX-License-Identifier: MIT */
/* The commands: what each is called, what it takes, and the function that carries it out. */
#ifndef MMPROXY_CTL_COMMAND_H
#define MMPROXY_CTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

struct options;

/* Exit status: the command line has mistakes, or asks for what was not built in. */
#define COMMAND_MISTAKE 2

/* Options that only some commands take. */
enum command_option {
	COMMAND_CLIENT = 1 << 0,
	COMMAND_LISTENER = 1 << 1,
	COMMAND_OLDER = 1 << 2,
	COMMAND_LIMIT = 1 << 3,
	COMMAND_NO_WAIT = 1 << 4,
	COMMAND_INTERVAL = 1 << 5,
	COMMAND_ONCE = 1 << 6,
	COMMAND_CONFIG = 1 << 7,
	COMMAND_NFT = 1 << 8,
	COMMAND_FILE = 1 << 9,
	COMMAND_FORMAT = 1 << 10,
	COMMAND_UDP = 1 << 11,
	COMMAND_MAX_HEADER = 1 << 12,
	COMMAND_JSON = 1 << 13,
	COMMAND_LAST = COMMAND_JSON, /* of those above */
};

/* Beside them: the argument is text, of any characters and in any number of words. */
#define COMMAND_TEXT (1U << 31)

struct command {
	const char *name;
	const char *argument; /* what its argument is called; NULL: it takes none */
	bool argument_needed;
	unsigned options;                          /* of enum command_option, and COMMAND_TEXT */
	int (*run)(const struct options *options); /* returns the exit status */
};

extern const struct command command_table[];
extern const size_t command_count;

/* NULL: there is none of this name. */
const struct command *command_find(const char *name);

#endif
