/* SPDX-License-Identifier: MIT */
/* The addresses that are listened on, and that none of them is listened on twice. */
#include <stdlib.h>
#include <string.h>

#include "config/config_address.h"
#include "config/config_loader.h"

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

void config_read_listen(struct config_loader *loader, config_setting_t *setting,
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

/* A port taken twice on the same address; "*" is both "0.0.0.0" and "::". */
static bool endpoints_clash(const struct listen_endpoint *a, const struct listen_endpoint *b)
{
	const struct listen_endpoint *both = a->both_families ? a : b;
	const struct listen_endpoint *other = both == a ? b : a;

	if (a->address.port != b->address.port)
		return false;
	if (both->both_families)
		return address_is_wildcard(&other->address);
	return address_equal(&a->address, &b->address);
}

static bool same_device(const struct config_listener *a, const struct config_listener *b)
{
	if (a->device == NULL || b->device == NULL)
		return a->device == b->device;
	return strcmp(a->device, b->device) == 0;
}

/* Ports are per protocol, and a device has its own. */
static bool origins_clash(const struct config *config, const struct config_origin *a,
			  const struct config_origin *b)
{
	const struct config_listener *one = &config->listeners[a->listener];
	const struct config_listener *other = &config->listeners[b->listener];

	return one->relay.protocol == other->relay.protocol && same_device(one, other) &&
	       endpoints_clash(&one->listen[a->endpoint], &other->listen[b->endpoint]);
}

static void report_clash(struct config_loader *loader, const config_setting_t *late,
			 const config_setting_t *early)
{
	struct config_place place =
		config_scan_place(loader->scan, config_setting_source_line(early));

	config_mistake(loader, late,
		       "\"%s\" is listened on already, see %s:%u; write another address or port",
		       config_setting_get_string(late), place.file, place.line);
}

/*
 * The socket of the metrics joins no SO_REUSEPORT group: whoever listens on the port, on any
 * device, must have another address. One of all addresses is its own too.
 */
static bool clashes_with_metrics(const struct config *config, const struct config_origin *origin)
{
	const struct config_listener *listener = &config->listeners[origin->listener];
	const struct listen_endpoint *endpoint = &listener->listen[origin->endpoint];
	const struct address *metrics = &config->metrics_listen;

	if (listener->relay.protocol != RELAY_PROTOCOL_TCP ||
	    endpoint->address.port != metrics->port)
		return false;
	return address_equal_ip(&endpoint->address, metrics) || endpoint->both_families ||
	       (endpoint->address.family == metrics->family &&
		address_is_wildcard(&endpoint->address));
}

static void check_metrics(struct config_loader *loader)
{
	for (size_t i = 0; loader->metrics_listen != NULL && i < loader->origin_count; i++) {
		const struct config_origin *origin = &loader->origins[i];

		if (clashes_with_metrics(loader->config, origin)) {
			report_clash(loader, loader->metrics_listen, origin->written);
			return;
		}
	}
}

/* Only once all are read each listener's protocol and device are known. */
void config_check_endpoints(struct config_loader *loader)
{
	for (size_t i = 1; i < loader->origin_count; i++) {
		const struct config_origin *late = &loader->origins[i];

		for (size_t j = 0; j < i; j++) {
			const struct config_origin *early = &loader->origins[j];

			if (!origins_clash(loader->config, late, early))
				continue;
			report_clash(loader, late->written, early->written);
			break;
		}
	}
	check_metrics(loader);
}
