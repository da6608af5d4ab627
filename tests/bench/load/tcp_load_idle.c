/* SPDX-License-Identifier: MIT */
/* Connections that were of use once, and stay. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tcp_load.h"

bool tcp_load_idle(const struct tcp_load_options *options)
{
	struct tcp_connection *all = calloc(options->connections, sizeof(*all));
	struct tcp_target target = options->target;
	char byte;

	if (all == NULL)
		err(EXIT_FAILURE, "calloc");
	for (unsigned i = 0; i < options->connections; i++) {
		tcp_connection_open(&all[i], &target);
		tcp_connection_exchange(&all[i], &options->payload, options->size);
	}
	printf("connections=%u\n", options->connections);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	/* Each is still of use. */
	for (unsigned i = 0; i < options->connections; i++)
		tcp_connection_exchange(&all[i], &options->payload, options->size);
	free(all);
	return true;
}
