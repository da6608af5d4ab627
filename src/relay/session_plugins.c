/* SPDX-License-Identifier: MIT */
/* Telling the log of a refusal, and the plugins of an end. */
#include "relay/session_plugins.h"

#include "host/plugin_session.h"
#include "host/plugin_set.h"
#include "os/log.h"
#include "relay/relay.h"
#include "relay/session_log.h"
#include "relay/settings.h"

void session_plugins_hold(struct relay *relay, const struct relay_settings *settings)
{
	if (settings->plugins != NULL)
		plugin_set_seat_share(settings->plugins->set, relay->tickets);
}

void session_plugins_release(struct relay *relay, const struct relay_settings *settings)
{
	if (settings->plugins != NULL)
		plugin_set_seat_leave(settings->plugins->set, relay->tickets);
}

void session_plugins_log_refusal(struct relay *relay, const struct relay_settings *settings,
				 const struct plugin_session *plugins,
				 const struct address *balancer, const struct address *client)
{
	const struct plugin_refusal refusal = plugin_session_refusal(plugins);
	/* A plugin that refuses does its work; one that fails needs looking after. */
	bool ruled = refusal.reason == CLOSE_PLUGIN_DENIED || refusal.reason == CLOSE_PLUGIN_RESET;
	uint64_t suppressed;

	if (!relay_admit_line(relay, client, refusal.reason, &suppressed))
		return;
	LOG_EVENT(ruled ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "session", "refused",
		  LOG_TEXT("listener", settings->listener_name),
		  LOG_TEXT("reason", close_reason_name(refusal.reason)),
		  LOG_ADDRESS("balancer", balancer), LOG_ADDRESS("client", client),
		  LOG_TEXT("plugin", refusal.plugin),
		  refusal.why != NULL ? LOG_TEXT("why", refusal.why) : LOG_NOTHING,
		  suppressed > 0 ? LOG_NUMBER("suppressed", suppressed) : LOG_NOTHING);
}

void session_plugins_close(struct plugin_session *plugins, const struct session_end *end)
{
	const struct plugin_session_end told = {
		.reason = end->reason,
		.error = end->error,
		.bytes_from_client = end->bytes_from_client,
		.bytes_from_upstream = end->bytes_from_upstream,
		.datagrams_from_client = end->datagrams_from_client,
		.datagrams_from_upstream = end->datagrams_from_upstream,
		.upstream_sees = end->upstream_sees,
	};

	if (end->reason == CLOSE_LEFT_TO_KERNEL)
		plugin_session_leave(plugins);
	else
		plugin_session_close(plugins, &told);
}
