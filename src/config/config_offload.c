/* SPDX-License-Identifier: MIT */
/* The offload: which listeners' sessions may be handed to the kernel, and by whose programs. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>
#include <string.h>

#include "config/config_loader.h"
#include "offload/programs.h"
#include "os/privileges.h"
#include "routing/return_plan.h"

#ifdef HAVE_BPF
static const bool has_bpf = true;
#else
static const bool has_bpf = false;
#endif

/* In the order of the range. */
enum choice { OFF, AUTO };

static bool read_choice(struct config_loader *loader, config_setting_t *setting,
			const struct setting *known, bool *field)
{
	int choice = config_get_choice(loader, setting, known);

	if (choice < 0)
		return false;
	*field = choice == AUTO;
	if (choice == AUTO && !has_bpf)
		config_remark(loader, setting,
			      "sessions stay relays: the offload needs libbpf, which this program "
			      "was built without; write \"off\"");
	return true;
}

void config_read_offload(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field)
{
	read_choice(loader, setting, known, field);
}

void config_read_listener_offload(struct config_loader *loader, config_setting_t *setting,
				  const struct setting *known, void *field)
{
	struct config_listener *listener = field;

	if (read_choice(loader, setting, known, &listener->relay.offload))
		listener->offload_given = true;
}

/* The programs' filters are found again by this name, so it has one spelling. */
static void remove_slashes(char *path)
{
	char *to = path;

	for (const char *from = path; *from != '\0'; from++) {
		if (from[0] != '/' || (from[1] != '/' && from[1] != '\0'))
			*to++ = *from;
	}
	*to = '\0';
}

static bool has_dots(const char *path)
{
	for (const char *at = path; (at = strchr(at, '/')) != NULL; at++) {
		size_t length = strcspn(at + 1, "/");

		if ((length == 1 && at[1] == '.') || (length == 2 && at[1] == '.' && at[2] == '.'))
			return true;
	}
	return false;
}

void config_read_offload_directory(struct config_loader *loader, config_setting_t *setting,
				   const struct setting *known, void *field)
{
	const char *text = config_get_text(loader, setting);

	if (text == NULL)
		return;
	if (text[0] != '/' || strspn(text, "/") == strlen(text) || has_dots(text))
		config_mistake(loader, setting,
			       "\"%.80s\" is no folder for the kernel's programs; write a path "
			       "below a BPF file system, without . and .., such as "
			       "\"/sys/fs/bpf/mmproxy\"",
			       text);
	else if (strlen(text) > CONFIG_OFFLOAD_DIRECTORY_MAX)
		config_mistake(loader, setting, "this path has %zu bytes; write one of at most %d",
			       strlen(text), CONFIG_OFFLOAD_DIRECTORY_MAX);
	else {
		config_read_text(loader, setting, known, field);
		if (*(char **)field != NULL)
			remove_slashes(*(char **)field);
	}
}

void config_read_offload_at_exit(struct config_loader *loader, config_setting_t *setting,
				 const struct setting *known, void *field)
{
	int choice = config_get_choice(loader, setting, known);

	if (choice >= 0)
		*(enum config_offload_at_exit *)field = (enum config_offload_at_exit)choice;
}

void config_settle_offload(struct config *config)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		if (!config->listeners[i].offload_given)
			config->listeners[i].relay.offload = config->offload;
	}
}

/* May balancers that speak IPv4 come by an interface? In doubt they may. */
static bool takes_from_interfaces(const struct config_listener *listener)
{
	for (size_t i = 0; i < listener->listen_count; i++) {
		const struct listen_endpoint *endpoint = &listener->listen[i];

		if (return_path_is_loopback(&endpoint->address))
			continue;
		/* The wildcard of IPv6 may be both families'. */
		if (endpoint->address.family == ADDRESS_IPV4 || endpoint->both_families)
			return true;
	}
	return listener->listen_count == 0; /* the service manager's */
}

bool config_listener_wants_offload(const struct config_listener *listener,
				   struct loopback_needs *needs)
{
	const struct address *upstream = &listener->relay.forward_ipv4;
	struct loopback_need *need = &needs->tracked;

	if (!listener->relay.offload)
		return false;
	if (takes_from_interfaces(listener))
		need = &needs->always;
	if (upstream->family == ADDRESS_NONE)
		return true;
	if (return_path_is_loopback(upstream))
		need->loopback_upstream = true;
	else
		need->other_upstream = true;
	return true;
}

bool config_wants_offload(const struct config *config, struct loopback_needs *needs)
{
	bool wants = false;

	for (size_t i = 0; i < config->listener_count; i++) {
		if (config_listener_wants_offload(&config->listeners[i], needs))
			wants = true;
	}
	return wants;
}

int config_offload_owner(const struct config *config, struct owner *owner)
{
	struct privileges_identity identity;
	int error = privileges_find_identity(config->user, config->group, &identity);

	if (error == 0)
		*owner = (struct owner){identity.uid, identity.gid};
	return error;
}
