/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: a configuration, with the files that it includes and the lists that it names
 * (fuzz_files.h). One that is refused is refused in so many lines, and leaves nothing; one that is
 * taken keeps what the manual page promises of each setting and of them together, and is no change
 * against itself.
 */
#include <errno.h>

#include "config/config.h"
#include "config/setting.h"
#include "daemon/changes.h"
#include "fuzz.h"
#include "fuzz_files.h"
#include "host/plugin_config.h"

static const uint8_t *input;
static size_t input_size;

/* Somewhere in the files, as it is or written as bytes. */
static bool somebody_wrote_any(void)
{
	return memmem(input, input_size, "\"any\"", 5) != NULL ||
	       memmem(input, input_size, "\\x", 2) != NULL;
}

static bool in_range(enum setting_id id, double value)
{
	return setting_in_range(&setting_table[id], value);
}

/* What the loader keeps in milliseconds. */
static bool seconds_in_range(enum setting_id id, uint32_t milliseconds)
{
	return in_range(id, milliseconds / 1000.0);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* "file:line", and maybe more. */
static void check_place(const char *where)
{
	const char *colon = where != NULL ? strchr(where, ':') : NULL;

	DEMAND(colon != NULL && colon > where && colon[1] >= '1' && colon[1] <= '9');
}

static void check_lines(const struct report *lines)
{
	for (size_t i = 0; i < lines->count; i++) {
		DEMAND(lines->lines[i][0] != '\0');
		for (const char *at = lines->lines[i]; *at != '\0'; at++)
			DEMAND((uint8_t)*at >= ' ' && *at != 0x7f);
	}
}

static void check_plugins(const struct plugin_list *list)
{
	DEMAND(list->given || list->count == 0);
	for (size_t i = 0; i < list->count; i++) {
		const struct plugin_entry *entry = &list->entries[i];

		DEMAND(entry->name != NULL && strlen(entry->name) >= 1 &&
		       strlen(entry->name) <= 32);
		check_place(entry->where);
		DEMAND(entry->on_error == PLUGIN_ON_ERROR_DENY ||
		       entry->on_error == PLUGIN_ON_ERROR_PASS);
		DEMAND(seconds_in_range(SETTING_plugin_timeout, entry->timeout));
		DEMAND(entry->config != NULL);
		for (size_t j = 0; j < i; j++)
			DEMAND(strcmp(entry->name, list->entries[j].name) != 0);
	}
}

static void check_numbers(const struct config_listener *listener)
{
	const struct relay_settings *relay = &listener->relay;

	DEMAND(seconds_in_range(SETTING_listener_header_timeout, relay->header_timeout));
	DEMAND(seconds_in_range(SETTING_listener_connect_timeout, relay->connect_timeout));
	DEMAND(seconds_in_range(SETTING_listener_idle_timeout, relay->idle_timeout));
	DEMAND(seconds_in_range(SETTING_listener_user_timeout, relay->user_timeout));
	DEMAND(seconds_in_range(SETTING_listener_keepalive, relay->keepalive));
	DEMAND(in_range(SETTING_listener_max_header, relay->max_header));
	DEMAND(in_range(SETTING_listener_max_sessions, relay->max_sessions));
	DEMAND(in_range(SETTING_listener_backlog, listener->socket.backlog));
	DEMAND(seconds_in_range(SETTING_udp_idle_timeout, relay->udp.idle_timeout));
	DEMAND(in_range(SETTING_udp_max_flows, relay->udp.max_flows));
	DEMAND(relay->udp.framing <= UDP_FRAMING_SPP);
	DEMAND(relay->protocol <= RELAY_PROTOCOL_UDP);
	DEMAND(relay->port_conflict == RELAY_PORT_CONFLICT_ANY_PORT ||
	       relay->port_conflict == RELAY_PORT_CONFLICT_REFUSE);
}

static void check_upstream(const struct config *config, const struct relay_settings *relay,
			   const struct address *upstream, enum address_family family)
{
	if (upstream->family == ADDRESS_NONE)
		return;
	DEMAND(upstream->family == family && upstream->port != 0);
	DEMAND(!address_is_wildcard(upstream));
	if (config->routing.mode == ROUTING_MODE_MANAGE)
		DEMAND(return_path_is_loopback(upstream) || relay->mark != 0);
}

static void check_listener(const struct config *config, size_t number)
{
	const struct config_listener *listener = &config->listeners[number];
	const struct relay_settings *relay = &listener->relay;

	DEMAND(listener->name != NULL && strlen(listener->name) >= 1 &&
	       strlen(listener->name) <= 64);
	for (size_t i = 0; i < number; i++)
		DEMAND(strcmp(listener->name, config->listeners[i].name) != 0);
	check_place(listener->where);
	check_numbers(listener);
	DEMAND(relay->listener_name == listener->name);
	DEMAND(relay->subnets == listener->subnets);
	DEMAND(relay->permit_sources == listener->permit_sources);
	DEMAND(listener->socket.device == listener->device);
	DEMAND(listener->device == NULL || strlen(listener->device) < 16);
	/* Anybody may connect where somebody has said so, and nowhere else. */
	DEMAND(listener->subnets == NULL ? somebody_wrote_any()
					 : prefix_set_count(listener->subnets) > 0);
	DEMAND(relay->forward_ipv4.family != ADDRESS_NONE ||
	       relay->forward_ipv6.family != ADDRESS_NONE);
	check_upstream(config, relay, &relay->forward_ipv4, ADDRESS_IPV4);
	check_upstream(config, relay, &relay->forward_ipv6, ADDRESS_IPV6);
	if (config->routing.method == ROUTING_METHOD_MARK)
		DEMAND(relay->mark != 0);
	check_plugins(&listener->plugins);
	check_plugins(config_plugins_of(config, number));
}

/* The same address and port, for the same protocol and device. */
static bool clash(const struct config_listener *a, size_t i, const struct config_listener *b,
		  size_t j)
{
	const struct listen_endpoint *one = &a->listen[i], *other = &b->listen[j];

	if (a->relay.protocol != b->relay.protocol || !same_text(a->device, b->device) ||
	    one->address.port != other->address.port)
		return false;
	if (one->both_families || other->both_families)
		return address_is_wildcard(&one->address) && address_is_wildcard(&other->address);
	return address_equal(&one->address, &other->address);
}

static void check_endpoints(const struct config *config)
{
	for (size_t a = 0; a < config->listener_count; a++) {
		const struct config_listener *one = &config->listeners[a];

		for (size_t i = 0; i < one->listen_count; i++) {
			DEMAND(one->listen[i].address.family != ADDRESS_NONE);
			DEMAND(one->listen[i].address.port != 0);
			for (size_t b = 0; b <= a; b++) {
				const struct config_listener *other = &config->listeners[b];

				for (size_t j = 0; j < (a == b ? i : other->listen_count); j++)
					DEMAND(!clash(one, i, other, j));
			}
		}
	}
}

/* The metrics share no port with a listener that would take theirs. */
static void check_metrics(const struct config *config)
{
	const struct address *metrics = &config->metrics_listen;

	if (metrics->family == ADDRESS_NONE)
		return;
	check_place(config->metrics_where);
	DEMAND(metrics->port != 0 && return_path_is_loopback(metrics));
	for (size_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];

		for (size_t j = 0; j < listener->listen_count; j++) {
			const struct address *other = &listener->listen[j].address;

			DEMAND(listener->relay.protocol == RELAY_PROTOCOL_UDP ||
			       other->port != metrics->port ||
			       !(address_equal_ip(other, metrics) ||
				 listener->listen[j].both_families ||
				 (address_is_wildcard(other) && other->family == metrics->family)));
		}
	}
}

static bool needs_rule(const struct relay_settings *relay, const struct address *upstream)
{
	return upstream->family != ADDRESS_NONE &&
	       (relay->mark != 0 || return_path_is_loopback(upstream));
}

static bool any_needs_rule(const struct config *config)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		const struct relay_settings *relay = &config->listeners[i].relay;

		if (needs_rule(relay, &relay->forward_ipv4) ||
		    needs_rule(relay, &relay->forward_ipv6))
			return true;
	}
	return false;
}

static void check_returns(const struct config *config)
{
	struct return_plan plan;

	return_plan_init(&plan);
	DEMAND(config_plan_returns(config, &plan) == 0);
	/* Answers from elsewhere that carry no mark are somebody else's matter. */
	DEMAND((plan.rule_count > 0) == any_needs_rule(config));
	DEMAND((plan.route_count > 0) == (plan.rule_count > 0));
	for (size_t i = 0; i < plan.rule_count; i++)
		DEMAND(plan.rules[i].table == config->routing.table);
	return_plan_finish(&plan);
}

static void check_good(const struct config *config)
{
	DEMAND(config->workers >= 1 && in_range(SETTING_top_workers, config->workers));
	DEMAND(config->user != NULL && config->user[0] != '\0');
	DEMAND(config->group == NULL || config->group[0] != '\0');
	DEMAND(seconds_in_range(SETTING_top_drain_timeout, config->drain_timeout));
	DEMAND(config->log.level <= LOG_LEVEL_DEBUG);
	DEMAND(config->control.mode <= 0777);
	DEMAND(config->control.socket == NULL || config->control.socket[0] == '/');
	DEMAND(config->routing.table > 0 &&
	       (config->routing.table < 253 || config->routing.table > 255));
	check_plugins(&config->plugins);
	DEMAND(config->listener_count >= 1);
	for (size_t i = 0; i < config->listener_count; i++)
		check_listener(config, i);
	check_endpoints(config);
	check_metrics(config);
	check_returns(config);
}

/* A reload of the file as it is. */
static void check_again(const struct config *config)
{
	struct report mistakes = {0};
	struct config again;

	DEMAND(config_load_file("main", &again, &mistakes) == 0);
	DEMAND(again.listener_count == config->listener_count);
	DEMAND(again.remarks.count == config->remarks.count);
	DEMAND(changes_admit(config, &again, &mistakes) == 0 && mistakes.count == 0);
	config_finish(&again);
	report_finish(&mistakes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const struct config empty;
	struct report mistakes = {0};
	struct config config;
	int error;

	input = bytes;
	input_size = size;
	fuzz_files_set(bytes, size);
	error = config_load_file("main", &config, &mistakes);
	DEMAND(fuzz_files_main_read() >= 1);
	DEMAND((error == 0) == (mistakes.count == 0));
	check_lines(&mistakes);
	if (error == 0) {
		check_lines(&config.remarks);
		check_good(&config);
		check_again(&config);
		config_finish(&config);
	} else {
		DEMAND(error == -EINVAL);
		DEMAND(memcmp(&config, &empty, sizeof(config)) == 0);
	}
	report_finish(&mistakes);
	return 0;
}
