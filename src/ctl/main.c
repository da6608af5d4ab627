/* SPDX-License-Identifier: MIT */
/* mmproxyctl: argv in, exit status out. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/report.h"
#include "ctl/answer.h"
#include "ctl/command.h"
#include "ctl/decode/decode.h"
#include "ctl/options.h"
#include "ctl/top.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unversioned"
#endif

static int run(const struct options *options)
{
	switch (options->action) {
	case OPTIONS_HELP:
		return options_show_help(options);
	case OPTIONS_VERSION:
		printf("mmproxyctl %s\n%clibpcap\n%cncurses\n", PACKAGE_VERSION,
		       decode_reads_captures() ? '+' : '-', top_has_screen() ? '+' : '-');
		return EXIT_SUCCESS;
	case OPTIONS_RUN:
		break;
	}
	return options->command->run(options);
}

int main(int argc, char **argv)
{
	struct options options;
	struct report report;
	bool failed;
	int status;

	report_init(&report);
	if (options_parse(argc, argv, &options, &report) < 0) {
		for (size_t i = 0; i < report.count; i++)
			fprintf(stderr, "%s\n", report.lines[i]);
		report_finish(&report);
		return COMMAND_MISTAKE;
	}
	report_finish(&report);
	status = run(&options);
	/* A full disk must not look like an answer. What failed before now has left no errno. */
	errno = 0;
	failed = fflush(stdout) != 0 || ferror(stdout);
	if (failed && status == EXIT_SUCCESS) {
		answer_complain("standard output cannot be written%s%s", errno != 0 ? ": " : "",
				errno != 0 ? strerror(errno) : "");
		status = EXIT_FAILURE;
	}
	return status;
}
