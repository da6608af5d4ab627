/* SPDX-License-Identifier: MIT */
/*
 * Inside the loader: what the files that read settings share. Here libconfig's tree meets struct
 * config; nobody else sees libconfig.
 */
#ifndef MMPROXY_CONFIG_CONFIG_LOADER_H
#define MMPROXY_CONFIG_CONFIG_LOADER_H

#include <libconfig.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "config/config_scan.h"
#include "config/setting.h"

/* Where an endpoint was written, until it is known that nobody else listens there. */
struct config_origin {
	const config_setting_t *written;
	size_t listener;
	size_t endpoint;
};

struct config_loader {
	const struct config_scan *scan;
	struct config *config;
	struct report *report;
	bool failed; /* at least one mistake */
	struct config_origin *origins;
	size_t origin_count;
	const config_setting_t *metrics_listen; /* where that was written, if it is sound */
};

/*
 * How one setting is read: `read` gets it with its row of the table and the field at `offset` of
 * whatever the scope fills.
 */
struct config_rule {
	void (*read)(struct config_loader *loader, config_setting_t *setting,
		     const struct setting *known, void *field);
	size_t offset;
};

/* Reports the mistake at the setting's place, under its path. */
void config_mistake(struct config_loader *loader, const config_setting_t *setting,
		    const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same for what cannot be looked at now, and may be right. */
void config_fail(struct config_loader *loader, const config_setting_t *setting, const char *format,
		 ...) __attribute__((format(printf, 3, 4)));

/* The same for what is no mistake, but does nothing or less than it seems to. */
void config_remark(struct config_loader *loader, const config_setting_t *setting,
		   const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A mistake as well: a setting that the group lacks. */
void config_mistake_missing(struct config_loader *loader, const config_setting_t *group,
			    const char *name, const char *advice);

/*
 * Whether the group has the setting, or a misspelt one that was told "did you mean" it: then a
 * second line to say that it is missing would only confuse.
 */
bool config_group_has(const config_setting_t *group, enum setting_scope scope, const char *name);

/* Reads each setting of a group by its rule; `rules` is indexed by enum setting_id. */
void config_read_group(struct config_loader *loader, config_setting_t *group,
		       enum setting_scope scope, const struct config_rule *rules, void *target);

/* Rules for plain values. The field is a uint32_t; milliseconds in one; a bool; a char *. */
void config_read_uint32(struct config_loader *loader, config_setting_t *setting,
			const struct setting *known, void *field);
void config_read_seconds(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field);
void config_read_bool(struct config_loader *loader, config_setting_t *setting,
		      const struct setting *known, void *field);
void config_read_text(struct config_loader *loader, config_setting_t *setting,
		      const struct setting *known, void *field);

/* A CHOICE's position in its range, or -1 with the mistake reported. */
int config_get_choice(struct config_loader *loader, config_setting_t *setting,
		      const struct setting *known);

/* The text, or NULL with the mistake reported when it is something else. */
const char *config_get_text(struct config_loader *loader, const config_setting_t *setting);

/* A whole number of either width, written so that libconfig reads all of it; else reported. */
bool config_get_integer(struct config_loader *loader, const config_setting_t *setting,
			long long *value);

/* Calls `each` for every text of a list or array; says so when it is something else. */
void config_each_text(struct config_loader *loader, config_setting_t *setting,
		      void (*each)(struct config_loader *loader, config_setting_t *element,
				   const char *text, void *context),
		      void *context);

void config_out_of_memory(struct config_loader *loader, const config_setting_t *setting);

/* `listeners`, whose field is the struct config. */
void config_read_listeners(struct config_loader *loader, config_setting_t *setting,
			   const struct setting *known, void *field);

/* config_service.c: `control`, whose field is the struct config_control, and `metrics`. */
void config_read_control(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field);
void config_read_metrics(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field);

/* config_lockdown.c: `seccomp`, and `landlock`, whose field is the struct config_landlock. */
void config_read_seccomp(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field);
void config_read_landlock(struct config_loader *loader, config_setting_t *setting,
			  const struct setting *known, void *field);

/* config_routing.c: `routing`, whose field is the struct config. */
void config_read_routing(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field);

/* Once all is read: marks that follow from it, and upstreams that it cannot help. */
void config_settle_routing(struct config_loader *loader, const config_setting_t *root);

/* config_offload.c: the settings that begin with `offload`, at the top and of a listener. */
void config_read_offload(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field);
void config_read_offload_directory(struct config_loader *loader, config_setting_t *setting,
				   const struct setting *known, void *field);
void config_read_offload_at_exit(struct config_loader *loader, config_setting_t *setting,
				 const struct setting *known, void *field);
void config_read_listener_offload(struct config_loader *loader, config_setting_t *setting,
				  const struct setting *known, void *field);

/* Once all is read: listeners that say nothing do as the top says. */
void config_settle_offload(struct config *config);

/* config_endpoints.c: `listen`, whose field is the struct config_listener. */
void config_read_listen(struct config_loader *loader, config_setting_t *setting,
			const struct setting *known, void *field);

/* Once all is read: nothing is listened on twice. */
void config_check_endpoints(struct config_loader *loader);

/* config_subnets.c: the lists of prefixes. The field is a struct prefix_set *. */
void config_read_subnets(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field);
void config_read_subnets_files(struct config_loader *loader, config_setting_t *setting,
			       const struct setting *known, void *field);
void config_read_permit_sources(struct config_loader *loader, config_setting_t *setting,
				const struct setting *known, void *field);

/* config_plugins.c: `plugins`, whose field is the struct plugin_list. */
void config_read_plugins(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field);

/* Once a listener is read: it says who may connect. */
void config_check_subnets(struct config_loader *loader, const config_setting_t *group);

/* A setting's path, such as listeners[0].forward.ipv4; cut when it does not fit. */
void config_path(const config_setting_t *setting, char *path, size_t size);

/* "file:line", which is said of what fails later; NULL when out of memory, which is reported. */
char *config_place_of(struct config_loader *loader, const config_setting_t *setting);

/* "file:line: path", for what is found later; NULL when out of memory. */
char *config_where(const struct config_loader *loader, const config_setting_t *setting);

#endif
