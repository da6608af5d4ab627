/* SPDX-License-Identifier: MIT */
/*
 * Counters: asks in `open` for each that the list `names` has, and logs what it was given; each
 * session then adds `amount` to all of them, and something to a counter that is none.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <mmproxy/plugin.h>

#define NAMES_MAX 128

struct counting {
	const struct mmproxy_host *host;
	struct mmproxy_instance *instance;
	int64_t amount;
	int count;
	int counters[NAMES_MAX];
};

static void ask(struct counting *counting, const char *name)
{
	char text[256];
	int counter = counting->host->counter(counting->instance, name);

	snprintf(text, sizeof(text), "counter '%s' is %d", name, counter);
	counting->host->log(counting->instance, MMPROXY_LOG_INFO, text);
	counting->counters[counting->count++] = counter;
}

static int open_instance(const struct mmproxy_host *host, struct mmproxy_instance *instance,
			 const struct mmproxy_config *config, void **state)
{
	struct counting *counting = calloc(1, sizeof(*counting));
	int count = host->config_count(config, "names");

	if (counting == NULL)
		return -ENOMEM;
	counting->host = host;
	counting->instance = instance;
	counting->amount = 1;
	*state = counting;
	host->config_int(config, "amount", 0, INT64_MAX, &counting->amount);
	for (int i = 0; i < count && i < NAMES_MAX; i++) {
		const char *name;

		if (host->config_item(config, "names", (unsigned)i, &name) > 0)
			ask(counting, name);
	}
	return 0;
}

static void close_instance(void *state)
{
	free(state);
}

static int filter(void *state, const struct mmproxy_conn *conn)
{
	struct counting *counting = state;

	(void)conn;
	for (int i = 0; i < counting->count; i++)
		counting->host->count(counting->instance, counting->counters[i],
				      (uint64_t)counting->amount);
	counting->host->count(counting->instance, -1, 5);
	return MMPROXY_PASS;
}

const struct mmproxy_plugin mmproxy_plugin_v1 = {
	.size = sizeof(struct mmproxy_plugin),
	.abi_major = MMPROXY_ABI_MAJOR,
	.abi_minor = MMPROXY_ABI_MINOR,
	.name = "counting",
	.version = "1",
	.open = open_instance,
	.close = close_instance,
	.filter = filter,
};
