/* SPDX-License-Identifier: MIT */
/*
 * The settings of a listener, and what holds across listeners: names are unique, and nothing is
 * listened on twice.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_address.h"
#include "daemon/config_loader.h"

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

/* There is one protocol so far, so there is nothing to keep. */
static void read_protocol(struct config_loader *loader, config_setting_t *setting,
			  const struct setting *known, void *field)
{
	(void)field;
	if (config_setting_type(setting) == CONFIG_TYPE_STRING &&
	    strcmp(config_setting_get_string(setting), "udp") == 0)
		config_mistake(loader, setting, "\"udp\" is not built yet; write \"tcp\"");
	else
		config_get_choice(loader, setting, known);
}

static void add_endpoint(struct config_loader *loader, config_setting_t *element, const char *text,
			 void *context)
{
	struct config_listener *listener = context;
	struct listen_endpoint endpoint;
	struct config_origin *origins;
	const char *wrong = config_parse_listen(text, &endpoint);

	if (wrong != NULL) {
		config_mistake(loader, element, "\"%.80s\": %s", text, wrong);
		return;
	}
	origins = reallocarray(loader->origins, loader->origin_count + 1, sizeof(*origins));
	if (origins != NULL)
		loader->origins = origins;
	if (origins == NULL || config_add_endpoint(listener, &endpoint) < 0) {
		config_out_of_memory(loader, element);
		return;
	}
	origins[loader->origin_count++] = (struct config_origin){
		.written = element,
		.listener = loader->config->listener_count - 1,
		.endpoint = listener->listen_count - 1,
	};
}

static void read_listen(struct config_loader *loader, config_setting_t *setting,
			const struct setting *known, void *field)
{
	(void)known;
	if (config_setting_type(setting) == CONFIG_TYPE_STRING) {
		add_endpoint(loader, setting, config_setting_get_string(setting), field);
		return;
	}
	config_each_text(loader, setting, add_endpoint, field);
	if (config_setting_is_aggregate(setting) && config_setting_length(setting) == 0)
		config_mistake(loader, setting,
			       "the list is empty; write at least one address such as *:8443");
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

static struct prefix_set *need_set(struct config_loader *loader, config_setting_t *setting,
				   struct prefix_set **set)
{
	if (*set == NULL)
		*set = prefix_set_create();
	if (*set == NULL)
		config_out_of_memory(loader, setting);
	return *set;
}

static void add_prefix(struct config_loader *loader, config_setting_t *element, const char *text,
		       void *context)
{
	struct prefix_set *set = need_set(loader, element, context);
	struct prefix prefix;
	const char *wrong = config_parse_prefix(text, &prefix);

	if (wrong != NULL)
		config_mistake(loader, element, "\"%.80s\": %s", text, wrong);
	else if (set != NULL && prefix_set_add(set, &prefix) < 0)
		config_out_of_memory(loader, element);
}

static void read_prefixes(struct config_loader *loader, config_setting_t *setting,
			  const struct setting *known, void *field)
{
	(void)known;
	config_each_text(loader, setting, add_prefix, field);
}

static bool says_any(const config_setting_t *setting)
{
	return setting != NULL && config_setting_type(setting) == CONFIG_TYPE_STRING &&
	       strcmp(config_setting_get_string(setting), "any") == 0;
}

static void read_subnets(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field)
{
	if (says_any(setting))
		return;
	if (config_setting_type(setting) == CONFIG_TYPE_STRING)
		config_mistake(
			loader, setting,
			"\"%.80s\" stands alone; write a list such as [ \"192.0.2.0/24\" ], or "
			"\"any\" to take any balancer",
			config_setting_get_string(setting));
	else
		read_prefixes(loader, setting, known, field);
}

static void add_prefix_file(struct config_loader *loader, config_setting_t *element,
			    const char *text, void *context)
{
	struct config_place place =
		config_scan_place(loader->scan, config_setting_source_line(element));
	struct prefix_set *set = need_set(loader, element, context);
	char *path = config_scan_resolve(loader->scan, text);
	char setting[128], named_by[512];

	if (set == NULL || path == NULL) {
		config_out_of_memory(loader, element);
	} else {
		config_path(element, setting, sizeof(setting));
		snprintf(named_by, sizeof(named_by), "%.350s:%u: %s", place.file, place.line,
			 setting);
		if (config_read_prefix_file(path, named_by, set, loader->report) < 0)
			loader->failed = true;
	}
	free(path);
}

static void read_subnets_files(struct config_loader *loader, config_setting_t *setting,
			       const struct setting *known, void *field)
{
	(void)known;
	config_each_text(loader, setting, add_prefix_file, field);
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

#define FIELD(member) offsetof(struct config_listener, member)

static const struct config_rule listener_rules[SETTING_COUNT] = {
	[SETTING_listener_name] = {read_name, FIELD(name)},
	[SETTING_listener_protocol] = {read_protocol, 0},
	[SETTING_listener_listen] = {read_listen, 0},
	[SETTING_listener_forward] = {read_forward, 0},
	[SETTING_listener_subnets] = {read_subnets, FIELD(subnets)},
	[SETTING_listener_subnets_files] = {read_subnets_files, FIELD(subnets)},
	[SETTING_listener_permit_sources] = {read_prefixes, FIELD(permit_sources)},
	[SETTING_listener_mark] = {config_read_uint32, FIELD(relay.mark)},
	[SETTING_listener_port_conflict] = {read_port_conflict, FIELD(relay.port_conflict)},
	[SETTING_listener_header_timeout] = {config_read_seconds, FIELD(relay.header_timeout)},
	[SETTING_listener_connect_timeout] = {config_read_seconds, FIELD(relay.connect_timeout)},
	[SETTING_listener_idle_timeout] = {config_read_seconds, FIELD(relay.idle_timeout)},
	[SETTING_listener_user_timeout] = {config_read_seconds, FIELD(relay.user_timeout)},
	[SETTING_listener_keepalive] = {config_read_seconds, FIELD(relay.keepalive)},
	[SETTING_listener_max_header] = {config_read_uint32, FIELD(relay.max_header)},
	[SETTING_listener_max_sessions] = {config_read_uint32, FIELD(relay.max_sessions)},
	[SETTING_listener_backlog] = {read_backlog, FIELD(socket.backlog)},
	[SETTING_listener_freebind] = {config_read_bool, FIELD(socket.freebind)},
	[SETTING_listener_device] = {read_device, FIELD(device)},
};

#undef FIELD

/* Whoever means "anybody may connect" has to say so; a list that came out empty does not. */
static void check_subnets(struct config_loader *loader, const config_setting_t *group)
{
	const config_setting_t *subnets = config_setting_get_member(group, "subnets");
	const config_setting_t *files = config_setting_get_member(group, "subnets_files");
	int entries = 0;

	if (subnets == NULL && files == NULL) {
		if (config_group_has(group, SETTING_SCOPE_listener, "subnets") ||
		    config_group_has(group, SETTING_SCOPE_listener, "subnets_files"))
			return;
		config_mistake_missing(loader, group, "subnets",
				       "list the balancers' prefixes, or say subnets = \"any\" to "
				       "take any balancer");
		return;
	}
	if (says_any(subnets)) {
		if (files != NULL)
			config_mistake(
				loader, files,
				"it has no effect beside subnets = \"any\"; remove one of the "
				"two");
		return;
	}
	if (subnets != NULL && config_setting_is_aggregate(subnets))
		entries += config_setting_length(subnets);
	else if (subnets != NULL)
		return; /* not a list at all, which has been said */
	if (files != NULL && config_setting_is_aggregate(files))
		entries += config_setting_length(files);
	else if (files != NULL)
		return;
	if (entries == 0)
		config_mistake(
			loader, subnets != NULL ? subnets : files,
			"it holds no prefix, so nobody could connect; list the balancers, or "
			"say subnets = \"any\" to take any balancer");
}

static void check_required(struct config_loader *loader, const config_setting_t *group)
{
	if (!config_group_has(group, SETTING_SCOPE_listener, "name"))
		config_mistake_missing(loader, group, "name",
				       "write one for the logs, such as name = \"web\"");
	if (!config_group_has(group, SETTING_SCOPE_listener, "listen"))
		config_mistake_missing(loader, group, "listen",
				       "write where to listen, such as listen = \"*:8443\"");
	if (!config_group_has(group, SETTING_SCOPE_listener, "forward"))
		config_mistake_missing(loader, group, "forward",
				       "write where to connect, such as forward = { ipv4 = "
				       "\"127.0.0.1:443\"; }");
	check_subnets(loader, group);
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
	config_seal_listener(listener);
}

/* A port taken twice on the same address; "*" is both "0.0.0.0" and "::". */
static bool endpoints_clash(const struct listen_endpoint *a, const struct listen_endpoint *b)
{
	static const uint8_t any[16];
	const struct listen_endpoint *both = a->both_families ? a : b;
	const struct listen_endpoint *other = both == a ? b : a;

	if (a->address.port != b->address.port)
		return false;
	if (both->both_families)
		return memcmp(other->address.ip, any, sizeof(any)) == 0;
	return address_equal(&a->address, &b->address);
}

static bool same_device(const struct config_listener *a, const struct config_listener *b)
{
	if (a->device == NULL || b->device == NULL)
		return a->device == b->device;
	return strcmp(a->device, b->device) == 0;
}

/* Once all are read: only then is it known which device a listener is bound to. */
static void check_endpoints(struct config_loader *loader)
{
	const struct config_listener *listeners = loader->config->listeners;

	for (size_t i = 1; i < loader->origin_count; i++) {
		const struct config_origin *late = &loader->origins[i];
		const struct config_listener *later = &listeners[late->listener];

		for (size_t j = 0; j < i; j++) {
			const struct config_origin *early = &loader->origins[j];
			const struct config_listener *earlier = &listeners[early->listener];
			struct config_place place;

			if (!endpoints_clash(&later->listen[late->endpoint],
					     &earlier->listen[early->endpoint]) ||
			    !same_device(later, earlier))
				continue;
			place = config_scan_place(loader->scan,
						  config_setting_source_line(early->written));
			config_mistake(loader, late->written,
				       "\"%s\" is listened on already, see %s:%u; write another "
				       "address or port",
				       config_setting_get_string(late->written), place.file,
				       place.line);
			break;
		}
	}
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
	check_endpoints(loader);
}
