/* SPDX-License-Identifier: MIT */
/*
 * The settings of a listener: its plain ones and its groups, and what holds of them together. Where
 * it listens is read in config_endpoints.c, its lists of prefixes in config_subnets.c.
 */
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "config/config_address.h"
#include "config/config_loader.h"

/* Characters. A name stands in every log line of its sessions. */
#define LISTENER_NAME_MAX 64

static void read_name(struct config_loader *loader, config_setting_t *setting,
		      const struct setting *known, void *field)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";
	const char *text = config_get_text(loader, setting);
	size_t length;

	if (text == NULL)
		return;
	length = strlen(text);
	if (length == 0 || length > LISTENER_NAME_MAX || strspn(text, allowed) < length)
		config_mistake(loader, setting, "\"%.80s\" is no name for a listener; write %s",
			       text, known->range);
	else
		config_read_text(loader, setting, known, field);
}

static void read_protocol(struct config_loader *loader, config_setting_t *setting,
			  const struct setting *known, void *field)
{
	int choice = config_get_choice(loader, setting, known);

	if (choice >= 0)
		*(enum relay_protocol *)field = (enum relay_protocol)choice;
}

static void read_forward_to(struct config_loader *loader, config_setting_t *setting,
			    enum address_family family, struct address *address)
{
	const char *text = config_get_text(loader, setting);
	const char *wrong = text != NULL ? config_parse_forward(text, family, address) : NULL;

	if (wrong != NULL)
		config_mistake(loader, setting, "\"%.80s\": %s", text, wrong);
}

static void read_forward_ipv4(struct config_loader *loader, config_setting_t *setting,
			      const struct setting *known, void *field)
{
	(void)known;
	read_forward_to(loader, setting, ADDRESS_IPV4, field);
}

static void read_forward_ipv6(struct config_loader *loader, config_setting_t *setting,
			      const struct setting *known, void *field)
{
	(void)known;
	read_forward_to(loader, setting, ADDRESS_IPV6, field);
}

static const struct config_rule forward_rules[SETTING_COUNT] = {
	[SETTING_forward_ipv4] = {read_forward_ipv4,
				  offsetof(struct config_listener, relay.forward_ipv4)},
	[SETTING_forward_ipv6] = {read_forward_ipv6,
				  offsetof(struct config_listener, relay.forward_ipv6)},
};

static void read_forward(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field)
{
	(void)known;
	if (!config_setting_is_group(setting)) {
		config_mistake(loader, setting,
			       "wrong type; write forward = { ipv4 = \"127.0.0.1:443\"; }");
		return;
	}
	config_read_group(loader, setting, SETTING_SCOPE_forward, forward_rules, field);
	if (!config_group_has(setting, SETTING_SCOPE_forward, "ipv4") &&
	    !config_group_has(setting, SETTING_SCOPE_forward, "ipv6"))
		config_mistake(loader, setting,
			       "it names no upstream; write ipv4 = \"127.0.0.1:443\" or ipv6 = "
			       "\"[::1]:443\" or both");
}

static void read_port_conflict(struct config_loader *loader, config_setting_t *setting,
			       const struct setting *known, void *field)
{
	int choice = config_get_choice(loader, setting, known);

	if (choice >= 0)
		*(enum relay_port_conflict *)field = (enum relay_port_conflict)choice;
}

static void read_backlog(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field)
{
	uint32_t backlog = 0;

	config_read_uint32(loader, setting, known, &backlog);
	*(int *)field = (int)backlog;
}

static void read_device(struct config_loader *loader, config_setting_t *setting,
			const struct setting *known, void *field)
{
	const char *text = config_get_text(loader, setting);

	if (text == NULL)
		return;
	if (strlen(text) >= IFNAMSIZ || strpbrk(text, "/ \t\r\n") != NULL)
		config_mistake(loader, setting,
			       "\"%.80s\" is no name of a network interface; write one of at most "
			       "15 characters, such as \"eth0\"",
			       text);
	else
		config_read_text(loader, setting, known, field);
}

static void read_framing(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field)
{
	int choice = config_get_choice(loader, setting, known);

	if (choice >= 0)
		*(enum udp_framing *)field = (enum udp_framing)choice;
}

#define FIELD(member) offsetof(struct config_listener, member)

static const struct config_rule udp_rules[SETTING_COUNT] = {
	[SETTING_udp_framing] = {read_framing, FIELD(relay.udp.framing)},
	[SETTING_udp_idle_timeout] = {config_read_seconds, FIELD(relay.udp.idle_timeout)},
	[SETTING_udp_max_flows] = {config_read_uint32, FIELD(relay.udp.max_flows)},
};

static void read_udp(struct config_loader *loader, config_setting_t *setting,
		     const struct setting *known, void *field)
{
	(void)known;
	if (config_setting_is_group(setting))
		config_read_group(loader, setting, SETTING_SCOPE_udp, udp_rules, field);
	else
		config_mistake(loader, setting, "wrong type; write udp = { framing = \"every\"; }");
}

static const struct config_rule listener_rules[SETTING_COUNT] = {
	[SETTING_listener_name] = {read_name, FIELD(name)},
	[SETTING_listener_protocol] = {read_protocol, FIELD(relay.protocol)},
	[SETTING_listener_listen] = {config_read_listen, 0},
	[SETTING_listener_forward] = {read_forward, 0},
	[SETTING_listener_subnets] = {config_read_subnets, FIELD(subnets)},
	[SETTING_listener_subnets_files] = {config_read_subnets_files, FIELD(subnets)},
	[SETTING_listener_permit_sources] = {config_read_permit_sources, FIELD(permit_sources)},
	[SETTING_listener_mark] = {config_read_uint32, FIELD(relay.mark)},
	[SETTING_listener_port_conflict] = {read_port_conflict, FIELD(relay.port_conflict)},
	[SETTING_listener_header_timeout] = {config_read_seconds, FIELD(relay.header_timeout)},
	[SETTING_listener_connect_timeout] = {config_read_seconds, FIELD(relay.connect_timeout)},
	[SETTING_listener_idle_timeout] = {config_read_seconds, FIELD(relay.idle_timeout)},
	[SETTING_listener_user_timeout] = {config_read_seconds, FIELD(relay.user_timeout)},
	[SETTING_listener_keepalive] = {config_read_seconds, FIELD(relay.keepalive)},
	[SETTING_listener_max_header] = {config_read_uint32, FIELD(relay.max_header)},
	[SETTING_listener_max_sessions] = {config_read_uint32, FIELD(relay.max_sessions)},
	[SETTING_listener_max_sessions_per_client] = {config_read_uint32,
						      FIELD(relay.max_sessions_per_client)},
	[SETTING_listener_max_waiting_headers] = {config_read_uint32,
						  FIELD(relay.max_waiting_headers)},
	[SETTING_listener_backlog] = {read_backlog, FIELD(socket.backlog)},
	[SETTING_listener_freebind] = {config_read_bool, FIELD(socket.freebind)},
	[SETTING_listener_device] = {read_device, FIELD(device)},
	[SETTING_listener_offload] = {config_read_listener_offload, 0},
	[SETTING_listener_udp] = {read_udp, 0},
	[SETTING_listener_plugins] = {config_read_plugins, FIELD(plugins)},
};

#undef FIELD

static void check_required(struct config_loader *loader, const config_setting_t *group)
{
	if (!config_group_has(group, SETTING_SCOPE_listener, "name"))
		config_mistake_missing(loader, group, "name",
				       "write one for the logs, such as name = \"web\"");
	if (!config_group_has(group, SETTING_SCOPE_listener, "listen"))
		config_remark(
			loader, group,
			"no listen: it takes sockets that the service manager passes under its "
			"name, and no others");
	if (!config_group_has(group, SETTING_SCOPE_listener, "forward"))
		config_mistake_missing(loader, group, "forward",
				       "write where to connect, such as forward = { ipv4 = "
				       "\"127.0.0.1:443\"; }");
	config_check_subnets(loader, group);
}

static void check_name(struct config_loader *loader, const config_setting_t *group)
{
	const struct config *config = loader->config;
	const char *name = config->listeners[config->listener_count - 1].name;

	for (size_t i = 0; name != NULL && i + 1 < config->listener_count; i++) {
		const struct config_listener *other = &config->listeners[i];

		if (other->name != NULL && strcmp(other->name, name) == 0) {
			config_mistake(loader, config_setting_get_member(group, "name"),
				       "\"%s\" is the name of the listener at %s already; write "
				       "another",
				       name, other->where);
			return;
		}
	}
}

/* What a listener of one protocol has no use for, and what to do about it. */
static const struct {
	enum setting_id id;
	enum relay_protocol protocol;
	const char *advice;
} without_effect[] = {
	{SETTING_listener_header_timeout, RELAY_PROTOCOL_UDP, "remove it"},
	{SETTING_listener_connect_timeout, RELAY_PROTOCOL_UDP, "remove it"},
	{SETTING_listener_idle_timeout, RELAY_PROTOCOL_UDP, "write udp = { idle_timeout = ...; }"},
	{SETTING_listener_user_timeout, RELAY_PROTOCOL_UDP, "remove it"},
	{SETTING_listener_keepalive, RELAY_PROTOCOL_UDP, "remove it"},
	{SETTING_listener_max_sessions, RELAY_PROTOCOL_UDP, "write udp = { max_flows = ...; }"},
	{SETTING_listener_max_waiting_headers, RELAY_PROTOCOL_UDP, "remove it"},
	{SETTING_listener_backlog, RELAY_PROTOCOL_UDP, "remove it"},
	{SETTING_listener_udp, RELAY_PROTOCOL_TCP, "remove it, or write protocol = \"udp\""},
};

/* Once all are read: the protocol may stand behind them. */
static void remark_without_effect(struct config_loader *loader, const config_setting_t *group,
				  enum relay_protocol protocol)
{
	for (size_t i = 0; i < sizeof(without_effect) / sizeof(without_effect[0]); i++) {
		const char *name = setting_table[without_effect[i].id].name;
		const config_setting_t *setting = config_setting_get_member(group, name);

		if (setting != NULL && protocol == without_effect[i].protocol)
			config_remark(loader, setting,
				      "it has no effect with protocol = \"%s\"; %s",
				      protocol == RELAY_PROTOCOL_UDP ? "udp" : "tcp",
				      without_effect[i].advice);
	}
}

static void read_listener(struct config_loader *loader, config_setting_t *group)
{
	struct config_place place =
		config_scan_place(loader->scan, config_setting_source_line(group));
	struct config_listener *listener;

	if (!config_setting_is_group(group)) {
		config_mistake(loader, group, "wrong type; write a group { name = ...; }");
		return;
	}
	listener = config_add_listener(loader->config);
	if (listener == NULL) {
		config_out_of_memory(loader, group);
		return;
	}
	if (asprintf(&listener->where, "%s:%u", place.file, place.line) < 0) {
		listener->where = NULL; /* asprintf leaves it undefined */
		config_out_of_memory(loader, group);
		return;
	}
	config_read_group(loader, group, SETTING_SCOPE_listener, listener_rules, listener);
	check_required(loader, group);
	check_name(loader, group);
	remark_without_effect(loader, group, listener->relay.protocol);
	config_seal_listener(listener);
}

void config_read_listeners(struct config_loader *loader, config_setting_t *setting,
			   const struct setting *known, void *field)
{
	int length;

	(void)known;
	(void)field;
	if (!config_setting_is_list(setting)) {
		config_mistake(loader, setting,
			       "wrong type; write a list of groups, listeners = ( { ... } );");
		return;
	}
	length = config_setting_length(setting);
	if (length == 0)
		config_mistake(loader, setting,
			       "the list is empty; write at least one, listeners = ( { ... } );");
	for (int i = 0; i < length; i++)
		read_listener(loader, config_setting_get_elem(setting, (unsigned)i));
}
