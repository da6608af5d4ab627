/* SPDX-License-Identifier: MIT */
/*
 * The command line: `--config FILE`, or the short form that users of mmproxy-rs and go-mmproxy
 * know, which describes one listener.
 */
#ifndef MMPROXY_DAEMON_OPTIONS_H
#define MMPROXY_DAEMON_OPTIONS_H

#include <stdbool.h>

#include "config/config.h"

struct report;

enum options_action {
	OPTIONS_RUN,
	OPTIONS_CHECK,   /* load everything, say what is wrong, stop */
	OPTIONS_HELP,    /* print options_help() to stdout, exit 0 */
	OPTIONS_VERSION, /* print the version and what was built in, exit 0 */
};

struct options {
	enum options_action action;
	const char *config_file; /* --config; NULL: the short form was used */
	bool verbose;            /* -v: log level debug, whatever the file says */
};

/*
 * Reads argv. With --config, loads the file into `config`; otherwise fills `config` with the one
 * listener of the short form, named "default". For OPTIONS_HELP and OPTIONS_VERSION `config` stays
 * empty. Returns 0, or -EINVAL with lines in the report and `config` finished. Lines about the
 * command line begin with "mmproxy: ", those about a file with its name. May be called again, on a
 * reload say; it reorders argv like getopt.
 */
int options_parse(int argc, char **argv, struct options *options, struct config *config,
		  struct report *report);

/* Fits a terminal of 24 lines of 80 columns, with a prompt below. */
const char *options_help(void);

#endif
