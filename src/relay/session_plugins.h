/* SPDX-License-Identifier: MIT */
/* What TCP sessions and UDP flows have in common towards their plugins. */
#ifndef MMPROXY_RELAY_SESSION_PLUGINS_H
#define MMPROXY_RELAY_SESSION_PLUGINS_H

#include "base/address.h"

struct plugin_session;
struct relay;
struct relay_settings;
struct session_end;

/*
 * A session that may come to ask the plugins of its settings begins, and ends: until then the
 * worker keeps its seat with them, whatever has been reloaded meanwhile.
 */
void session_plugins_hold(struct relay *relay, const struct relay_settings *settings);
void session_plugins_release(struct relay *relay, const struct relay_settings *settings);

/* The line about a session that its plugins have refused. */
void session_plugins_log_refusal(struct relay *relay, const struct relay_settings *settings,
				 const struct plugin_session *plugins,
				 const struct address *balancer, const struct address *client);

/*
 * The plugins hear of the end, and `plugins` is freed. When the session is left to the kernel those
 * of the next process do. Takes NULL.
 */
void session_plugins_close(struct plugin_session *plugins, const struct session_end *end);

#endif
