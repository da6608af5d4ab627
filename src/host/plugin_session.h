/* SPDX-License-Identifier: MIT */
/*
 * A session as its plugins see it: who it is, whom of the chain it has passed, the slot of each,
 * and the verdict that is awaited. Whoever relays the session makes one, asks for the ruling, and
 * tells it how the dial and the session ended. All on the session's worker.
 */
#ifndef MMPROXY_HOST_PLUGIN_SESSION_H
#define MMPROXY_HOST_PLUGIN_SESSION_H

#include <mmproxy/plugin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/close_reason.h"

struct plugin_chain;
struct ticket_pool;

enum plugin_ruling {
	PLUGIN_PASSED,
	PLUGIN_REFUSED, /* plugin_session_refusal() says why */
	PLUGIN_AWAITED, /* `decided` will be called */
};

/* What is known of a session before it is dialled. */
struct plugin_session_facts {
	uint64_t id;
	uint64_t started;     /* milliseconds, the loop's clock */
	const char *listener; /* outlives the session */
	struct address client;
	struct address destination; /* ADDRESS_NONE for LOCAL */
	struct address balancer;
	struct address upstream;
	uint8_t protocol; /* enum mmproxy_protocol */
	uint8_t header;   /* enum mmproxy_header */
	bool local;
	const uint8_t *tlvs; /* copied */
	size_t tlvs_length;
};

/* How it ended. */
struct plugin_session_end {
	enum close_reason reason;
	int error; /* -errno behind it, or 0 */
	uint64_t bytes_from_client;
	uint64_t bytes_from_upstream;
	uint64_t datagrams_from_client;
	uint64_t datagrams_from_upstream;
	struct address upstream_sees; /* ADDRESS_NONE: the client's own port */
};

struct plugin_refusal {
	enum close_reason reason; /* CLOSE_PLUGIN_* */
	const char *plugin;       /* the entry's name */
	const char *why;          /* what it said; NULL: nothing */
};

struct plugin_session;

/*
 * `decided` is called with `owner` once, later, if the ruling is awaited; never from within a call
 * of the owner's. NULL when out of memory.
 */
struct plugin_session *
plugin_session_create(const struct plugin_chain *chain, struct ticket_pool *worker,
		      const struct plugin_session_facts *facts,
		      void (*decided)(void *owner, enum plugin_ruling ruling), void *owner);

/*
 * A session that an earlier process judged and began: its plugins hear of the end alone, which is
 * marked as adopted.
 */
struct plugin_session *plugin_session_adopt(const struct plugin_chain *chain,
					    struct ticket_pool *worker,
					    const struct plugin_session_facts *facts);

/* Asks the plugins. Once. */
enum plugin_ruling plugin_session_judge(struct plugin_session *session);

/* After PLUGIN_REFUSED; good until the session is closed. */
struct plugin_refusal plugin_session_refusal(const struct plugin_session *session);

/* The TLVs that it was made with. */
const uint8_t *plugin_session_tlvs(const struct plugin_session *session, size_t *length);

/* The upstream was dialled; error is 0 or -errno. Of one that was adopted nobody is told. */
void plugin_session_connected(struct plugin_session *session, int error);

/* Cancels what is awaited, tells the plugins, frees. Takes NULL. */
void plugin_session_close(struct plugin_session *session, const struct plugin_session_end *end);

/* The session goes on without this process: nobody is told, and it is freed. Takes NULL. */
void plugin_session_leave(struct plugin_session *session);

/* For host_functions.c: a conn that a hook was handed is a session's. */
int plugin_session_tlv(const struct mmproxy_conn *conn, unsigned type, unsigned index,
		       const uint8_t **value);
int plugin_session_tlv_at(const struct mmproxy_conn *conn, unsigned position, unsigned *type,
			  const uint8_t **value);
void plugin_session_explain(const struct mmproxy_conn *conn, const char *why);
mmproxy_ticket plugin_session_defer(const struct mmproxy_conn *conn);

#endif
