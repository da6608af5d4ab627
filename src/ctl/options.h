/* SPDX-License-Identifier: MIT */
/* mmproxyctl's command line. */
#ifndef MMPROXY_CTL_OPTIONS_H
#define MMPROXY_CTL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "ctl/command.h"

struct report;

enum options_action { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION };

/* What `decode` is given. */
enum options_format {
	OPTIONS_FORMAT_AUTO,
	OPTIONS_FORMAT_HEX,
	OPTIONS_FORMAT_RAW,
	OPTIONS_FORMAT_PCAP,
};

struct options {
	enum options_action action;
	const struct command *command; /* NULL unless OPTIONS_RUN */
	const char *argument;          /* the command's; NULL: none was given */
	const char *socket;            /* never NULL */
	const char *config;            /* the configuration file; never NULL */
	bool json;
	bool no_wait;
	bool once;
	bool nft;
	const char *client;   /* NULL: any; an address or prefix */
	const char *listener; /* NULL: any; no blank in it */
	double older;         /* seconds; 0: any */
	unsigned limit;       /* 0: as many as the daemon likes */
	double interval;      /* seconds */
	char **words;         /* the command's, where its argument is text: there may be several */
	int word_count;
	const char *file; /* NULL: none was given */
	enum options_format format;
	bool udp;
	size_t max_header; /* bytes */
};

/*
 * Reads argv, which keeps the texts. Returns 0, or -EINVAL with a line a mistake in `report`, which
 * the caller has initialised.
 */
int options_parse(int argc, char **argv, struct options *options, struct report *report);

/* Fits a terminal of 24 lines of 80 columns, with a prompt below. */
const char *options_help(void);

/* The command `help`. */
int options_show_help(const struct options *options);

#endif
