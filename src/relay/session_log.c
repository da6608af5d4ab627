/* SPDX-License-Identifier: MIT */
/* Log lines about sessions. Those that a peer can provoke at will are held back per peer. */
#include "relay/session_log.h"

#include <stdbool.h>

#include "os/log.h"
#include "relay/relay.h"
#include "relay/settings.h"
#include "wire/refusal_hint.h"

/* Bytes of a refused header that its log line shows. */
#define FIRST_BYTES_SHOWN 48

static struct log_field optional_address(const char *key, const struct address *address)
{
	return address->family != ADDRESS_NONE ? LOG_ADDRESS(key, address) : LOG_NOTHING;
}

static struct log_field optional_number(const char *key, uint64_t number)
{
	return number > 0 ? LOG_NUMBER(key, number) : LOG_NOTHING;
}

/* A session that reached its upstream, or should have. */
static void log_ended(struct relay *relay, const struct session_end *end)
{
	bool failed = close_reason_kind(end->reason) == CLOSE_KIND_FAIL;
	bool named = end->header != NULL; /* a header has said who the client is */
	bool udp = end->settings->protocol == RELAY_PROTOCOL_UDP;
	uint64_t suppressed = 0;

	if (failed && !relay_admit_line(relay, &end->balancer, end->reason, &suppressed))
		return;
	LOG_EVENT(failed ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "session",
		  failed ? "failed" : "closed", LOG_NUMBER("id", end->id),
		  LOG_TEXT("listener", end->settings->listener_name),
		  LOG_TEXT("reason", close_reason_name(end->reason)),
		  named ? LOG_ADDRESS("client", &end->client) : LOG_NOTHING,
		  optional_address("upstream_sees", &end->upstream_sees),
		  LOG_ADDRESS("balancer", &end->balancer),
		  optional_address("destination", &end->destination),
		  named ? LOG_ADDRESS("upstream",
				      relay_settings_forward(end->settings, end->client.family))
			: LOG_NOTHING,
		  named ? LOG_TEXT("header", end->header) : LOG_NOTHING,
		  end->failed_step != NULL ? LOG_TEXT("step", end->failed_step) : LOG_NOTHING,
		  end->error != 0 ? LOG_ERRNO("error", end->error) : LOG_NOTHING,
		  udp ? LOG_NUMBER("datagrams_from_client", end->datagrams_from_client)
		      : LOG_NOTHING,
		  udp ? LOG_NUMBER("datagrams_from_upstream", end->datagrams_from_upstream)
		      : LOG_NOTHING,
		  LOG_NUMBER("bytes_from_client", end->bytes_from_client),
		  LOG_NUMBER("bytes_from_upstream", end->bytes_from_upstream),
		  LOG_SECONDS("duration", relay->loop.now - end->started),
		  optional_number("suppressed", suppressed));
}

void session_log_end(struct relay *relay, const struct session_end *end)
{
	switch (close_reason_kind(end->reason)) {
	case CLOSE_KIND_END:
	case CLOSE_KIND_FAIL:
		log_ended(relay, end);
		break;
	case CLOSE_KIND_QUIET:
		log_debug("session", "closed", LOG_NUMBER("id", end->id),
			  LOG_TEXT("listener", end->settings->listener_name),
			  LOG_TEXT("reason", close_reason_name(end->reason)),
			  LOG_ADDRESS("balancer", &end->balancer));
		break;
	case CLOSE_KIND_REFUSE:
		/* Logged where the bytes that were refused are still at hand. */
		break;
	}
}

void session_log_refusal(struct relay *relay, const struct relay_settings *settings,
			 enum close_reason reason, const struct address *balancer,
			 const struct address *client, const uint8_t *bytes, size_t length)
{
	uint64_t suppressed;

	if (!relay_admit_line(relay, balancer, reason, &suppressed))
		return;
	log_warning("session", "refused", LOG_TEXT("listener", settings->listener_name),
		    LOG_TEXT("reason", close_reason_name(reason)),
		    LOG_ADDRESS("balancer", balancer),
		    client != NULL ? LOG_ADDRESS("client", client) : LOG_NOTHING,
		    LOG_BYTES("first_bytes", bytes,
			      length < FIRST_BYTES_SHOWN ? length : FIRST_BYTES_SHOWN),
		    LOG_TEXT("hint", refusal_hint(reason, bytes, length)),
		    optional_number("suppressed", suppressed));
}

void session_log_no_memory(struct relay *relay, const struct relay_settings *settings,
			   const struct address *balancer)
{
	uint64_t suppressed;

	if (!relay_admit_line(relay, balancer, CLOSE_NO_MEMORY, &suppressed))
		return;
	log_error("session",
		  settings->protocol == RELAY_PROTOCOL_UDP ? "no memory for a flow"
							   : "no memory for a session",
		  LOG_TEXT("listener", settings->listener_name), LOG_ADDRESS("balancer", balancer),
		  optional_number("suppressed", suppressed));
}

void session_log_stranger(struct relay *relay, const struct relay_settings *settings,
			  const struct address *balancer)
{
	uint64_t suppressed;

	if (!relay_admit_line(relay, balancer, CLOSE_BALANCER_NOT_ALLOWED, &suppressed))
		return;
	log_warning(
		"session", "refused", LOG_TEXT("listener", settings->listener_name),
		LOG_TEXT("reason", close_reason_name(CLOSE_BALANCER_NOT_ALLOWED)),
		LOG_ADDRESS("balancer", balancer),
		LOG_TEXT("hint", "add the balancer's address to subnets, if it is one of yours"),
		optional_number("suppressed", suppressed));
}
