/* SPDX-License-Identifier: MIT */
/* The plugin of doc/plugins.md: refuses clients whose port is too low, and counts them. */
#include <errno.h>
#include <mmproxy/plugin.h>
#include <stdlib.h>

struct example {
	const struct mmproxy_host *host;
	struct mmproxy_instance *instance;
	int64_t least_port;
	int refused; /* a counter */
};

static int example_check(const struct mmproxy_host *host, const struct mmproxy_config *config)
{
	int64_t port;

	return host->config_int(config, "least_port", 1, 65535, &port) < 0 ? -EINVAL : 0;
}

static int example_open(const struct mmproxy_host *host, struct mmproxy_instance *instance,
			const struct mmproxy_config *config, void **state)
{
	struct example *example = malloc(sizeof(*example));

	if (example == NULL)
		return -ENOMEM;
	*example = (struct example){host, instance, 1024, host->counter(instance, "refused")};
	if (host->config_int(config, "least_port", 1, 65535, &example->least_port) < 0) {
		free(example);
		return -EINVAL;
	}
	*state = example;
	return 0;
}

static int example_filter(void *state, const struct mmproxy_conn *conn)
{
	struct example *example = state;

	if (conn->client.port >= example->least_port)
		return MMPROXY_PASS;
	example->host->count(example->instance, example->refused, 1);
	example->host->explain(conn, "the client's port is too low");
	return MMPROXY_DENY;
}

const struct mmproxy_plugin mmproxy_plugin_v1 = {
	.size = sizeof(struct mmproxy_plugin),
	.abi_major = MMPROXY_ABI_MAJOR,
	.abi_minor = MMPROXY_ABI_MINOR,
	.name = "example",
	.version = "1.0",
	.check = example_check,
	.open = example_open,
	.close = free,
	.filter = example_filter,
};
