/* SPDX-License-Identifier: MIT */
/*
 * The stuck one: its filter does not return while the file `while` exists, and so holds up the
 * worker that called it and all its sessions, which no plugin should.
 *
 *	port   only sessions of clients with this port do so; by default all
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <mmproxy/plugin.h>

/* Nanoseconds between two looks. */
#define PATIENCE 5000000

struct stuck {
	char *file;
	int64_t port;
};

static int stuck_open(const struct mmproxy_host *host, struct mmproxy_instance *instance,
		      const struct mmproxy_config *config, void **state)
{
	struct stuck *stuck = calloc(1, sizeof(*stuck));
	const char *file = "";

	(void)instance;
	if (stuck == NULL)
		return -ENOMEM;
	if (host->config_path(config, "while", 0, &file) >= 0 &&
	    host->config_int(config, "port", 0, 65535, &stuck->port) >= 0)
		stuck->file = strdup(file);
	if (stuck->file == NULL) {
		free(stuck);
		return -EINVAL;
	}
	*state = stuck;
	return 0;
}

static void stuck_close(void *state)
{
	struct stuck *stuck = state;

	free(stuck->file);
	free(stuck);
}

static int stuck_filter(void *state, const struct mmproxy_conn *conn)
{
	const struct timespec patience = {.tv_nsec = PATIENCE};
	const struct stuck *stuck = state;

	if (stuck->port != 0 && conn->client.port != stuck->port)
		return MMPROXY_PASS;
	while (access(stuck->file, F_OK) == 0)
		nanosleep(&patience, NULL);
	return MMPROXY_PASS;
}

const struct mmproxy_plugin mmproxy_plugin_v1 = {
	.size = sizeof(struct mmproxy_plugin),
	.abi_major = MMPROXY_ABI_MAJOR,
	.abi_minor = MMPROXY_ABI_MINOR,
	.name = "stuck",
	.version = "1",
	.open = stuck_open,
	.close = stuck_close,
	.filter = stuck_filter,
};
