/* SPDX-License-Identifier: MIT */
/*
 * The group `routing`: who sees to the return path, and how. What a build lacks is refused here
 * rather than at the start, so that --check says it.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "config/config_loader.h"

/* The tables that the kernel fills itself: default, main and local. */
#define KERNEL_TABLES_FIRST 253
#define KERNEL_TABLES_LAST  255

#ifdef HAVE_LIBMNL
static const bool has_libmnl = true;
#else
static const bool has_libmnl = false;
#endif
#ifdef HAVE_LIBNFTABLES
static const bool has_libnftables = true;
#else
static const bool has_libnftables = false;
#endif

static void read_mode(struct config_loader *loader, config_setting_t *setting,
		      const struct setting *known, void *field)
{
	int choice = config_get_choice(loader, setting, known);

	if (choice < 0)
		return;
	*(enum routing_mode *)field = (enum routing_mode)choice;
	if (has_libmnl)
		return;
	switch ((enum routing_mode)choice) {
	case ROUTING_MODE_MANAGE:
		config_mistake(loader, setting,
			       "\"manage\" needs libmnl, which this program was built without; "
			       "write \"off\", and set the rules and routes yourself");
		break;
	case ROUTING_MODE_CHECK:
		config_remark(loader, setting,
			      "nothing is checked: that needs libmnl, which this program was built "
			      "without; write \"off\"");
		break;
	case ROUTING_MODE_OFF:
		break;
	}
}

static void read_table(struct config_loader *loader, config_setting_t *setting,
		       const struct setting *known, void *field)
{
	uint32_t *table = field;

	config_read_uint32(loader, setting, known, table);
	if (*table >= KERNEL_TABLES_FIRST && *table <= KERNEL_TABLES_LAST)
		config_mistake(loader, setting,
			       "table %u is one of the kernel's own (default, main, local), where "
			       "a local default would keep all traffic on this host; write "
			       "another, such as 123",
			       (unsigned)*table);
}

static void read_method(struct config_loader *loader, config_setting_t *setting,
			const struct setting *known, void *field)
{
	int choice = config_get_choice(loader, setting, known);

	if (choice >= 0)
		*(enum routing_method *)field = (enum routing_method)choice;
}

static const struct config_rule routing_rules[SETTING_COUNT] = {
	[SETTING_routing_mode] = {read_mode, offsetof(struct routing_settings, mode)},
	[SETTING_routing_table] = {read_table, offsetof(struct routing_settings, table)},
	[SETTING_routing_method] = {read_method, offsetof(struct routing_settings, method)},
};

void config_read_routing(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field)
{
	struct config *config = field;

	(void)known;
	if (!config_setting_is_group(setting)) {
		config_mistake(loader, setting,
			       "wrong type; write routing = { mode = \"manage\"; }");
		return;
	}
	config->routing_where = config_place_of(loader, setting);
	config_read_group(loader, setting, SETTING_SCOPE_routing, routing_rules, &config->routing);
}

/* An upstream elsewhere than on loopback, where mmproxy itself is to see to its answers. */
static void check_upstream(struct config_loader *loader, const config_setting_t *written,
			   const struct address *upstream, uint32_t mark)
{
	char text[ADDRESS_TEXT_SIZE];

	if (written == NULL || upstream->family == ADDRESS_NONE ||
	    return_path_is_loopback(upstream))
		return;
	if (mark == 0)
		config_mistake(loader, written,
			       "%s is not on loopback, so only a mark tells its answers; write "
			       "mark = %u; in this listener, or method = \"mark\"; in routing",
			       address_format_ip(upstream, text),
			       (unsigned)loader->config->routing.table);
	else if (!has_libnftables)
		config_mistake(loader, written,
			       "%s is not on loopback, and marking its answers needs libnftables, "
			       "which this program was built without; write routing = { mode = "
			       "\"check\"; } and set the rules yourself (mmproxyctl routing show)",
			       address_format_ip(upstream, text));
}

static void settle_listener(struct config_loader *loader, const config_setting_t *group,
			    struct relay_settings *relay)
{
	const struct routing_settings *routing = &loader->config->routing;
	const config_setting_t *forward = config_setting_get_member(group, "forward");

	if (routing->method == ROUTING_METHOD_MARK && relay->mark == 0)
		relay->mark = routing->table;
	if (routing->mode != ROUTING_MODE_MANAGE || forward == NULL)
		return;
	check_upstream(loader, config_setting_get_member(forward, "ipv4"), &relay->forward_ipv4,
		       relay->mark);
	check_upstream(loader, config_setting_get_member(forward, "ipv6"), &relay->forward_ipv6,
		       relay->mark);
}

void config_settle_routing(struct config_loader *loader, const config_setting_t *root)
{
	const config_setting_t *list = config_setting_get_member(root, "listeners");
	struct config *config = loader->config;

	/* After another mistake the two lists need not match. */
	if (list == NULL || !config_setting_is_list(list) ||
	    (size_t)config_setting_length(list) != config->listener_count)
		return;
	for (size_t i = 0; i < config->listener_count; i++)
		settle_listener(loader, config_setting_get_elem(list, (unsigned)i),
				&config->listeners[i].relay);
}
