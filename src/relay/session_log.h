/* SPDX-License-Identifier: MIT */
/* The lines that say how a session ended, or why it never began: the same for TCP and UDP. */
#ifndef MMPROXY_RELAY_SESSION_LOG_H
#define MMPROXY_RELAY_SESSION_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/close_reason.h"

struct relay;
struct relay_settings;

/* All that is known of a session at its end. Addresses may be ADDRESS_NONE. */
struct session_end {
	const struct relay_settings *settings;
	enum close_reason reason;
	uint64_t id;
	uint64_t started;             /* milliseconds, the loop's clock */
	const char *header;           /* "v1", "v2", "spp" or "local"; NULL: none was read */
	struct address client;        /* told only when a header was read */
	struct address upstream_sees; /* when that is not the client's own port */
	struct address balancer;
	struct address destination;
	const char *failed_step; /* the call that made it fail, or NULL */
	int error;               /* its -errno, or 0 */
	uint64_t bytes_from_client;
	uint64_t bytes_from_upstream;
	uint64_t datagrams_from_client; /* UDP */
	uint64_t datagrams_from_upstream;
};

/* Writes the line that the reason's kind asks for; a refusal has had its own. */
void session_log_end(struct relay *relay, const struct session_end *end);

/*
 * A header, or who it names, was refused. `client` is NULL where the header did not get as far as
 * naming one; `bytes` are the first that came.
 */
void session_log_refusal(struct relay *relay, const struct relay_settings *settings,
			 enum close_reason reason, const struct address *balancer,
			 const struct address *client, const uint8_t *bytes, size_t length);

/* There was no memory for a session or a flow. */
void session_log_no_memory(struct relay *relay, const struct relay_settings *settings,
			   const struct address *balancer);

/* Whoever sent this is in none of the listener's subnets. */
void session_log_stranger(struct relay *relay, const struct relay_settings *settings,
			  const struct address *balancer);

#endif
