/* SPDX-License-Identifier: MIT */
/* The daemon as a whole: what the main thread owns, from the start sequence to the last line. */
#ifndef MMPROXY_DAEMON_SERVER_H
#define MMPROXY_DAEMON_SERVER_H

#include "config/config.h"

/* Loads the configuration again, as at the start. Returns 0, or -EINVAL with lines reported. */
typedef int server_reload_config(void *user_data, struct config *config, struct report *report);

struct server_options {
	struct config *config; /* taken over */
	server_reload_config *reload_config;
	void *user_data;
	const char *config_file; /* its name for people; NULL: there is none */
};

/*
 * The exit status when the command line or the configuration is at fault, whatever found it:
 * another start would end the same way. EXIT_FAILURE is for what may be over by then.
 */
#define SERVER_EXIT_MISTAKE 2

/* Runs until it is told to stop. Returns the process's exit status. */
int server_run(const struct server_options *options);

#endif
