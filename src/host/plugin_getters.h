/* SPDX-License-Identifier: MIT */
/* The getters of the plugin interface: what each does stands in <mmproxy/plugin.h>. */
#ifndef MMPROXY_HOST_PLUGIN_GETTERS_H
#define MMPROXY_HOST_PLUGIN_GETTERS_H

#include <stdint.h>

struct mmproxy_config;

int plugin_get_text(const struct mmproxy_config *config, const char *key, const char **value);
int plugin_get_int(const struct mmproxy_config *config, const char *key, int64_t least,
		   int64_t most, int64_t *value);
int plugin_get_float(const struct mmproxy_config *config, const char *key, double least,
		     double most, double *value);
int plugin_get_bool(const struct mmproxy_config *config, const char *key, int *value);
int plugin_get_count(const struct mmproxy_config *config, const char *key);
int plugin_get_item(const struct mmproxy_config *config, const char *key, unsigned index,
		    const char **value);
int plugin_get_path(const struct mmproxy_config *config, const char *key, unsigned index,
		    const char **value);
const struct mmproxy_config *plugin_get_group(const struct mmproxy_config *config, const char *key,
					      unsigned index);
void plugin_report_mistake(const struct mmproxy_config *config, const char *key,
			   const char *message);
void plugin_report_warning(const struct mmproxy_config *config, const char *key,
			   const char *message);

#endif
