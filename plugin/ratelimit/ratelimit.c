/* SPDX-License-Identifier: MIT */
/*
 * The plugin ratelimit: so many new sessions a second, and so many at once, for each client prefix.
 * README.md has the settings.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <mmproxy/plugin.h>

#include "table.h"

/* A session in 17 minutes; and more than any host begins in a second. */
#define RATE_LEAST 0.001
#define RATE_MOST  1e6

/* Sessions. At the least rate a bucket of these is full after 31 years, which 64 bits still have.
 */
#define BURST_MOST 1000000

#define SESSIONS_MOST 1000000

/* Clients; 48 bytes each at the most, so these are 800 MB. */
#define CLIENTS_DEFAULT 65536
#define CLIENTS_MOST    16777216

struct settings {
	double rate; /* 0: no limit */
	int64_t burst;
	int64_t max_sessions; /* 0: no limit */
	int64_t ipv4_prefix;
	int64_t ipv6_prefix;
	int64_t max_clients;
	enum mmproxy_verdict refusal;
};

struct ratelimit {
	const struct mmproxy_host *host;
	struct mmproxy_instance *instance;
	struct settings settings;
	struct ratelimit_table *table;
	int limited_rate, limited_sessions, table_full, evicted; /* counters */
};

static int read_refusal(struct settings *settings, const struct mmproxy_host *host,
			const struct mmproxy_config *config)
{
	const char *text;
	char message[160];
	int found = host->config_text(config, "refuse_with", &text);

	if (found <= 0)
		return found;
	if (strcmp(text, "deny") == 0 || strcmp(text, "reset") == 0) {
		settings->refusal = strcmp(text, "reset") == 0 ? MMPROXY_RESET : MMPROXY_DENY;
		return 0;
	}
	snprintf(message, sizeof(message), "\"%.60s\" is not known; write \"deny\" or \"reset\"",
		 text);
	host->config_mistake(config, "refuse_with", message);
	return -EINVAL;
}

/* What the settings say together. */
static int judge_settings(struct settings *settings, bool burst_is_set,
			  const struct mmproxy_host *host, const struct mmproxy_config *config)
{
	if (settings->rate == 0 && settings->max_sessions == 0) {
		host->config_mistake(config, NULL,
				     "neither rate nor max_sessions is set; set one or both");
		return -EINVAL;
	}
	if (settings->rate == 0 && burst_is_set)
		host->config_warning(config, "burst", "it has no effect without rate; set rate");
	if (burst_is_set)
		return 0;
	/* A second's worth, and no part of a session. */
	settings->burst = (int64_t)settings->rate;
	if ((double)settings->burst < settings->rate)
		settings->burst++;
	return 0;
}

static int read_settings(struct settings *settings, const struct mmproxy_host *host,
			 const struct mmproxy_config *config)
{
	int burst, found[7];

	*settings = (struct settings){.ipv4_prefix = 32,
				      .ipv6_prefix = 64,
				      .max_clients = CLIENTS_DEFAULT,
				      .refusal = MMPROXY_DENY};
	burst = host->config_int(config, "burst", 1, BURST_MOST, &settings->burst);
	found[0] = burst;
	found[1] = host->config_float(config, "rate", RATE_LEAST, RATE_MOST, &settings->rate);
	found[2] =
		host->config_int(config, "max_sessions", 0, SESSIONS_MOST, &settings->max_sessions);
	found[3] = host->config_int(config, "ipv4_prefix", 0, 32, &settings->ipv4_prefix);
	found[4] = host->config_int(config, "ipv6_prefix", 0, 128, &settings->ipv6_prefix);
	found[5] = host->config_int(config, "max_clients", 1, CLIENTS_MOST, &settings->max_clients);
	found[6] = read_refusal(settings, host, config);
	for (unsigned i = 0; i < 7; i++)
		if (found[i] < 0)
			return -EINVAL;
	return judge_settings(settings, burst > 0, host, config);
}

static int ratelimit_check(const struct mmproxy_host *host, const struct mmproxy_config *config)
{
	struct settings settings;

	return read_settings(&settings, host, config);
}

static int ratelimit_open(const struct mmproxy_host *host, struct mmproxy_instance *instance,
			  const struct mmproxy_config *config, void **state)
{
	struct ratelimit *ratelimit = calloc(1, sizeof(*ratelimit));
	struct ratelimit_limits limits;
	int result;

	if (ratelimit == NULL)
		return -ENOMEM;
	result = read_settings(&ratelimit->settings, host, config);
	if (result < 0)
		goto failed;
	limits.rate =
		ratelimit_rate_of(ratelimit->settings.rate, (uint32_t)ratelimit->settings.burst);
	limits.max_sessions = (uint32_t)ratelimit->settings.max_sessions;
	limits.max_clients = (uint32_t)ratelimit->settings.max_clients;
	ratelimit->table = ratelimit_table_create(&limits);
	if (ratelimit->table == NULL) {
		result = -errno;
		goto failed;
	}
	ratelimit->host = host;
	ratelimit->instance = instance;
	/* Without them everything works but counting, which host->count() knows. */
	ratelimit->limited_rate = host->counter(instance, "limited_rate");
	ratelimit->limited_sessions = host->counter(instance, "limited_sessions");
	ratelimit->table_full = host->counter(instance, "table_full");
	ratelimit->evicted = host->counter(instance, "evicted");
	*state = ratelimit;
	return 0;

failed:
	free(ratelimit);
	return result;
}

static void ratelimit_close(void *state)
{
	struct ratelimit *ratelimit = state;

	ratelimit_table_destroy(ratelimit->table);
	free(ratelimit);
}

/* The client's prefix, IPv4 in the form ::ffff:a.b.c.d, which no IPv6 client has. */
static void prefix_of(const struct settings *settings, const struct mmproxy_address *client,
		      uint8_t prefix[static 16])
{
	unsigned length, whole;

	memset(prefix, 0, 16);
	if (client->family == AF_INET) {
		prefix[10] = prefix[11] = 0xff;
		memcpy(prefix + 12, client->ip, 4);
		length = 96 + (unsigned)settings->ipv4_prefix;
	} else {
		memcpy(prefix, client->ip, 16);
		length = (unsigned)settings->ipv6_prefix;
	}
	whole = length / 8;
	if (whole == 16)
		return;
	prefix[whole] &= (uint8_t)(0xff00U >> (length % 8));
	memset(prefix + whole + 1, 0, 15 - whole);
}

static void explain(const struct ratelimit *ratelimit, const struct mmproxy_conn *conn,
		    const uint8_t prefix[static 16], enum ratelimit_answer answer)
{
	const struct settings *settings = &ratelimit->settings;
	bool ipv4 = conn->client.family == AF_INET;
	char ip[INET6_ADDRSTRLEN] = "", why[121];
	int length = (int)(ipv4 ? settings->ipv4_prefix : settings->ipv6_prefix);

	inet_ntop(ipv4 ? AF_INET : AF_INET6, ipv4 ? prefix + 12 : prefix, ip, sizeof(ip));
	if (answer == RATELIMIT_TOO_FAST)
		snprintf(why, sizeof(why), "more than %g new sessions a second from %s/%d",
			 settings->rate, ip, length);
	else
		snprintf(why, sizeof(why), "%s/%d has max_sessions already (%d)", ip, length,
			 (int)settings->max_sessions);
	ratelimit->host->explain(conn, why);
}

/* A session that names no client is the balancer's own, a health check: it must not be refused. */
static int ratelimit_filter(void *state, const struct mmproxy_conn *conn)
{
	const struct ratelimit *ratelimit = state;
	struct ratelimit_place *place;
	enum ratelimit_answer answer;
	uint8_t prefix[16];
	int counter = -1;
	bool evicted;

	if ((conn->flags & MMPROXY_CONN_LOCAL) != 0)
		return MMPROXY_PASS;
	prefix_of(&ratelimit->settings, &conn->client, prefix);
	answer = ratelimit_table_begin(ratelimit->table, prefix, conn->now, &place, &evicted);
	*conn->slot = place;
	if (evicted)
		ratelimit->host->count(ratelimit->instance, ratelimit->evicted, 1);
	switch (answer) {
	case RATELIMIT_ADMITTED:
		return MMPROXY_PASS;
	case RATELIMIT_TABLE_FULL:
		ratelimit->host->count(ratelimit->instance, ratelimit->table_full, 1);
		return MMPROXY_PASS;
	case RATELIMIT_TOO_FAST:
		counter = ratelimit->limited_rate;
		break;
	case RATELIMIT_TOO_MANY:
		counter = ratelimit->limited_sessions;
		break;
	}
	ratelimit->host->count(ratelimit->instance, counter, 1);
	explain(ratelimit, conn, prefix, answer);
	return ratelimit->settings.refusal;
}

/* The slot is empty when the session was refused, was not counted, or is an earlier process's. */
static void ratelimit_closed(void *state, const struct mmproxy_conn *conn,
			     const struct mmproxy_end *end)
{
	const struct ratelimit *ratelimit = state;
	struct ratelimit_place *place = *conn->slot;

	(void)end;
	*conn->slot = NULL;
	if (place != NULL)
		ratelimit_table_end(ratelimit->table, place);
}

const struct mmproxy_plugin mmproxy_plugin_v1 = {
	.size = sizeof(struct mmproxy_plugin),
	.abi_major = MMPROXY_ABI_MAJOR,
	.abi_minor = MMPROXY_ABI_MINOR,
	.name = "ratelimit",
	.version = "1.0",
	.check = ratelimit_check,
	.open = ratelimit_open,
	.close = ratelimit_close,
	.filter = ratelimit_filter,
	.closed = ratelimit_closed,
};
