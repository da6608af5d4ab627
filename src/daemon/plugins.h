/* SPDX-License-Identifier: MIT */
/* Where the configuration's plugins meet the plugin host. */
#ifndef MMPROXY_DAEMON_PLUGINS_H
#define MMPROXY_DAEMON_PLUGINS_H

struct config;
struct generation;
struct plugin_host;
struct report;

/*
 * Opens the plugins of a generation that no worker has yet, and gives each listener its chain. What
 * is odd is added to the configuration's remarks. Returns 0, or -EINVAL after lines in `mistakes`;
 * what was opened goes with the generation.
 */
int plugins_open(struct plugin_host *host, struct generation *generation, struct report *mistakes);

/*
 * Loads each plugin and lets it judge its settings, without side effects; for `--check`. Returns
 * and reports like plugins_open().
 */
int plugins_check(struct config *config, struct report *mistakes);

#endif
