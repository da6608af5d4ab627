/* SPDX-License-Identifier: MIT */
/* The plugin of doc/plugins.md: refuses clients whose port is too low. */
#include <errno.h>
#include <mmproxy/plugin.h>

static int example_check(const struct mmproxy_host *host, const struct mmproxy_config *config)
{
	int64_t port;

	return host->config_int(config, "least_port", 1, 65535, &port) < 0 ? -EINVAL : 0;
}

static int example_open(const struct mmproxy_host *host, struct mmproxy_instance *instance,
			const struct mmproxy_config *config, void **state)
{
	int64_t port = 1024;

	(void)instance;
	if (host->config_int(config, "least_port", 1, 65535, &port) < 0)
		return -EINVAL;
	*state = (void *)(intptr_t)port;
	return 0;
}

static int example_filter(void *state, const struct mmproxy_conn *conn)
{
	return conn->client.port < (intptr_t)state ? MMPROXY_DENY : MMPROXY_PASS;
}

const struct mmproxy_plugin mmproxy_plugin_v1 = {
	.size = sizeof(struct mmproxy_plugin),
	.abi_major = MMPROXY_ABI_MAJOR,
	.abi_minor = MMPROXY_ABI_MINOR,
	.name = "example",
	.version = "1.0",
	.check = example_check,
	.open = example_open,
	.filter = example_filter,
};
