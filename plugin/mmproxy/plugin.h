/* SPDX-License-Identifier: MIT */
/*
 * <mmproxy/plugin.h>: the interface between mmproxy and its plugins, version 1.0.
 *
 * A plugin is a shared object that looks at each session before mmproxy dials the upstream in the
 * client's name: it may let it pass, refuse it, or take its time, and it hears how the session
 * ends. This header is all that it takes to write one:
 *
 *	cc -shared -fPIC $(pkg-config --cflags mmproxy) -o example.so example.c
 *
 * Words: the CLIENT is who the PROXY header names; the BALANCER is who sent the header; the
 * UPSTREAM is the server behind mmproxy; a SESSION is one TCP connection pair or one UDP flow.
 * mmproxy runs a fixed number of WORKER threads; a session lives and dies on one of them.
 *
 * THE PROMISE. Everything here is append-only: a plugin that was built with this header runs with
 * every later mmproxy whose major version of the interface is 1. Structs carry their size, so that
 * each side knows how much of a struct the other has; what one side does not know of is zero.
 *
 * THREADS. mmproxy calls `check`, `open` and `close` on its main thread, before or after all else
 * that it calls of the same instance. All other hooks run on the worker thread of the session:
 * never two at once for one session, at any time concurrently for different ones.
 *
 * A HOOK MUST NOT block or take long: it holds up every session of its worker. (Whoever needs time
 * defers its verdict.) It must not fork, exit, or touch signals, umask, working directory, user or
 * capabilities; these belong to the process.
 *
 * LIFETIMES. Whatever a hook is handed by pointer is good until the hook returns, unless it says
 * otherwise. All texts are UTF-8, or bytes of the wire where that is said, and end with a NUL.
 *
 * A plugin is trusted code: it runs inside the process, with its capability, and a crash of it is a
 * crash of mmproxy. What should not be trusted belongs into a process of its own that the plugin
 * asks; plugin/example-deferred shows how.
 *
 * mmproxy-plugin(3) has the same as a manual page, and the history of this interface.
 */
#ifndef MMPROXY_PLUGIN_H
#define MMPROXY_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The major version is also in the name of the one symbol that a plugin exports. */
#define MMPROXY_ABI_MAJOR 1
#define MMPROXY_ABI_MINOR 0

/* Makes a symbol visible in a plugin that is built with -fvisibility=hidden. */
#define MMPROXY_EXPORT __attribute__((visibility("default")))

/* mmproxy's own; a plugin hands these back and never looks inside. */
struct mmproxy_instance; /* this plugin as one entry of the configuration; from open to close */
struct mmproxy_config;   /* a group of settings, maybe empty; until the hook returns */

/* ---- What a session looks like ---- */

/*
 * inet_ntop(address->family, address->ip, ...) does the right thing. An IPv4-mapped IPv6 address
 * (::ffff:a.b.c.d) is always handed out as IPv4.
 */
struct mmproxy_address {
	uint16_t family; /* AF_INET, AF_INET6, or 0: there is none */
	uint16_t port;   /* host order */
	uint8_t ip[16];  /* network order; IPv4 has the first four bytes, the others are 0 */
};

/* The numbers are those of IPPROTO_*. */
enum mmproxy_protocol { MMPROXY_PROTOCOL_TCP = 6, MMPROXY_PROTOCOL_UDP = 17 };

enum mmproxy_header {
	MMPROXY_HEADER_V1 = 1, /* PROXY protocol, version 1 */
	MMPROXY_HEADER_V2 = 2, /* PROXY protocol, version 2 */
	MMPROXY_HEADER_SPP = 3 /* Cloudflare's Simple Proxy Protocol, UDP only */
};

/* Bits of mmproxy_conn.flags. */
#define MMPROXY_CONN_LOCAL 0x1u /* the header names no client: LOCAL, UNKNOWN, AF_UNSPEC */

/*
 * A session, as its hooks see it. Read-only, and gone when the hook returns; the slot is the
 * session's and stays.
 */
struct mmproxy_conn {
	uint32_t size;    /* of this struct, in bytes */
	uint32_t flags;   /* MMPROXY_CONN_* */
	uint64_t id;      /* of the session, as in mmproxy's log; no two that are alive share one */
	uint64_t started; /* milliseconds of CLOCK_MONOTONIC: accepted, or first datagram */
	uint64_t now;     /* the same clock, as of this round of events */
	uint16_t protocol;             /* enum mmproxy_protocol */
	uint16_t header;               /* enum mmproxy_header */
	uint32_t worker;               /* whose thread this is: 0 to mmproxy_host.workers - 1 */
	const char *listener;          /* its name in the configuration */
	struct mmproxy_address client; /* the balancer's own with MMPROXY_CONN_LOCAL */
	struct mmproxy_address destination; /* what the client asked for; none with LOCAL */
	struct mmproxy_address balancer;    /* of UDP: as of the first datagram */
	struct mmproxy_address upstream;    /* where mmproxy forwards to */
	/*
	 * *slot is this plugin's own pointer for this session: NULL at first, whatever the plugin
	 * put there later. mmproxy never looks at it; `closed` is the time to free what it points
	 * to.
	 */
	void **slot;
};

/* Bits of mmproxy_end.flags. */
#define MMPROXY_END_CONNECTED 0x1u /* the upstream was reached */
#define MMPROXY_END_ADOPTED   0x2u /* begun by an earlier process, see `closed` */

/* How a session ended. */
struct mmproxy_end {
	uint32_t size;  /* of this struct, in bytes */
	uint32_t flags; /* MMPROXY_END_* */
	/*
	 * Why, as number and name. Both keep their meaning for ever and are listed in mmproxy(8): 1
	 * to 99 ended after, or on the way to, a connection; 100 to 199 refused; 200 to 299 failed.
	 * There may be new ones.
	 */
	uint32_t code;
	int32_t error;      /* the negative errno behind a failure, or 0 */
	const char *reason; /* such as "finished" or "plugin-denied"; good for ever */
	const char *plugin; /* the entry whose verdict, error or timeout ended it; or NULL */
	const char *why;    /* what it gave as its reason, or how it failed; or NULL */
	uint64_t duration;  /* milliseconds, from `started` */
	uint64_t bytes_from_client;     /* payload delivered to the upstream */
	uint64_t bytes_from_upstream;   /* payload delivered to the client's side */
	uint64_t datagrams_from_client; /* 0 for TCP */
	uint64_t datagrams_from_upstream;
	/* Where the upstream saw the client, when its own port could not be kept; else none. */
	struct mmproxy_address upstream_sees;
};

/* ---- Verdicts ---- */

enum mmproxy_verdict {
	MMPROXY_PASS = 0,  /* on to the next plugin, or to the upstream */
	MMPROXY_DENY = 1,  /* TCP: an orderly close; UDP: dropped, and for a while without asking */
	MMPROXY_RESET = 2, /* TCP: a reset; UDP: as DENY */
	MMPROXY_PENDING = 3 /* from `filter` only, after defer(): the verdict comes by complete() */
};

/* Names a verdict that is awaited. Never 0, and no two are alike for the life of the process. */
typedef uint64_t mmproxy_ticket;

enum mmproxy_log_level {
	MMPROXY_LOG_ERROR = 0,
	MMPROXY_LOG_WARNING = 1,
	MMPROXY_LOG_INFO = 2,
	MMPROXY_LOG_DEBUG = 3
};

/* ---- What mmproxy does for a plugin ---- */

/*
 * Handed to `check` and `open`; good until `close` returns, or `check`. A function that stands past
 * `size` is not there: this mmproxy is older than the header. Unless it says otherwise a function
 * returns 0 or a positive number, or a negative errno (-EINVAL).
 */
struct mmproxy_host {
	uint32_t size; /* of this struct, in bytes */
	uint16_t abi_major;
	uint16_t abi_minor;
	const char *version; /* mmproxy's own, such as "0.1.0" */
	uint32_t workers;    /* worker threads; 0 in `check` */
	uint32_t reserved;   /* 0 */

	/* -- Any time from open to close, from any thread -- */

	/* A line in mmproxy's log, with the plugin's name. `level`: enum mmproxy_log_level. */
	void (*log)(struct mmproxy_instance *instance, int level, const char *message);

	/*
	 * Only in `open`: a counter that stands beside mmproxy's own, as plugin_<name>_<counter>,
	 * and goes on through reloads; a '-' in the entry's name becomes a '_'. The name has
	 * lower-case letters, digits and '_', at most 32. The same name is the same counter.
	 * mmproxy itself counts "refusals", "errors", "timeouts", "stale_verdicts" and "slow_calls"
	 * of each plugin. Returns what count() wants, or -EINVAL (the name, one of those, or what
	 * a counter of another entry is called already, "b_c" of "a" as "c" of "a_b"; then mmproxy
	 * says so, and does not take the configuration), -ENOSPC (more than 64), -ENOMEM.
	 */
	int (*counter)(struct mmproxy_instance *instance, const char *name);
	/* Adds to a counter. A negative `counter` is nothing: a missing one may be ignored. */
	void (*count)(struct mmproxy_instance *instance, int counter, uint64_t amount);

	/* -- Only in `check` and `open`: the settings of the group `config` -- */

	/*
	 * Each getter returns 1 when the setting is there and sound, and 0 when it is not there;
	 * then *value is left as it is, which makes the caller's default the default. A setting of
	 * the wrong type or out of bounds is -EINVAL: mmproxy has reported it, with file and line,
	 * and the plugin should look at its other settings and then return -EINVAL. A setting that
	 * no getter asked for is warned about. What *value points to is good until the hook
	 * returns.
	 */
	int (*config_text)(const struct mmproxy_config *config, const char *key,
			   const char **value);
	int (*config_int)(const struct mmproxy_config *config, const char *key, int64_t least,
			  int64_t most, int64_t *value);
	/* Whole numbers are numbers, too. */
	int (*config_float)(const struct mmproxy_config *config, const char *key, double least,
			    double most, double *value);
	int (*config_bool)(const struct mmproxy_config *config, const char *key, int *value);

	/*
	 * How many values a setting has: 0 when it is not there, 1 when it is a single one,
	 * otherwise those of the list ( ) or the array [ ].
	 */
	int (*config_count)(const struct mmproxy_config *config, const char *key);
	/* The text at `index` of them, counted from 0. */
	int (*config_item)(const struct mmproxy_config *config, const char *key, unsigned index,
			   const char **value);
	/* The same for groups; NULL when it is not there or no group, which has been reported. */
	const struct mmproxy_config *(*config_group)(const struct mmproxy_config *config,
						     const char *key, unsigned index);
	/*
	 * A path: as config_item(), and a relative one is taken from the folder of the
	 * configuration file that mmproxy was started with, as mmproxy takes its own.
	 */
	int (*config_path)(const struct mmproxy_config *config, const char *key, unsigned index,
			   const char **value);

	/*
	 * Reports a mistake of the plugin's own finding, or a warning: mmproxy puts file, line and
	 * the setting's path in front. The message says what is wrong, and what would be right. The
	 * hook goes on, to find the next, and returns -EINVAL in the end; with a mistake reported
	 * mmproxy takes whatever it returns for that. `key` may be NULL: the group as a whole.
	 */
	void (*config_mistake)(const struct mmproxy_config *config, const char *key,
			       const char *message);
	void (*config_warning)(const struct mmproxy_config *config, const char *key,
			       const char *message);

	/* -- Only in `filter`, `cancel`, `connected` and `closed`, with the conn they were handed
	 * -- */

	/*
	 * The value of a TLV of a PROXY v2 header: the `index`th (from 0) of this type. Returns its
	 * length and points *value at it, bytes as they came from the wire, without a NUL; -ENOENT
	 * when there is none. Types 0x21 to 0x2f are looked for where they stand, inside the SSL
	 * TLV (0x20). Specification: section 2.2.1 and following.
	 */
	int (*tlv)(const struct mmproxy_conn *conn, unsigned type, unsigned index,
		   const uint8_t **value);
	/*
	 * Walks them: the TLV at `position` (from 0) of the header, and its type; those inside the
	 * SSL TLV are not walked.
	 */
	int (*tlv_at)(const struct mmproxy_conn *conn, unsigned position, unsigned *type,
		      const uint8_t **value);

	/* -- Only in `filter` -- */

	/* Why the session is refused, for the log: a short phrase, copied, cut to 120 bytes. */
	void (*explain)(const struct mmproxy_conn *conn, const char *why);

	/*
	 * Takes a ticket for a verdict that comes later; `filter` then returns MMPROXY_PENDING.
	 * Returns 0, which is no ticket, when too many are out (1024 a worker, of all plugins
	 * together): `filter` should then return -EBUSY, and on_error decides. When `filter`
	 * returns anything else than PENDING after all, the ticket is void. A second call for the
	 * same session gives the same ticket.
	 */
	mmproxy_ticket (*defer)(const struct mmproxy_conn *conn);

	/* -- Any time from open to close, from any thread -- */

	/*
	 * Gives the verdict that a ticket stands for: PASS, DENY or RESET; anything else counts as
	 * an error of the plugin. May be called before `filter` has returned. `why` as in
	 * explain(), or NULL. Returns 0: the ticket is used up, and `cancel` will not be called for
	 * it. Returns -ESTALE when it was used or cancelled before, or is none: the session does
	 * not care any more, nothing happens.
	 */
	int (*complete)(struct mmproxy_instance *instance, mmproxy_ticket ticket, int verdict,
			const char *why);
};

/* ---- The plugin ---- */

/*
 * What a plugin is: it exports one of these, constant, as mmproxy_plugin_v1. Every hook may be
 * NULL. Errors are negative errno values; an error of `filter` is answered by the entry's on_error.
 */
struct mmproxy_plugin {
	uint32_t size;      /* sizeof(struct mmproxy_plugin) */
	uint16_t abi_major; /* MMPROXY_ABI_MAJOR */
	uint16_t abi_minor; /* MMPROXY_ABI_MINOR */
	/* For people; an entry of the configuration has a name of its own. Both are required. */
	const char *name;
	const char *version;
	uint64_t flags; /* 0: none is defined yet, and one that mmproxy does not know is refused */

	/*
	 * Called by `mmproxy --check` alone: are these settings sound? Without side effects: no
	 * socket, no thread, nothing written. Returns 0, or an error after config_mistake().
	 */
	int (*check)(const struct mmproxy_host *host, const struct mmproxy_config *config);

	/*
	 * An entry of the configuration comes to life: at the start, or by a reload, beside the
	 * instance of the same entry that it replaces. CAP_NET_ADMIN is the only capability left.
	 * Puts what the other hooks are to get into *state. Threads that it starts are its own to
	 * join in `close`; signals are blocked in them. Returns 0, or an error, which ends the
	 * start, or the reload, with everything as before.
	 */
	int (*open)(const struct mmproxy_host *host, struct mmproxy_instance *instance,
		    const struct mmproxy_config *config, void **state);
	/* The instance ends: after its last session's last hook. Not called when `open` failed. */
	void (*close)(void *state);

	/*
	 * A worker begins to use the instance, on its own thread: before its first session. And
	 * ends to: after its last. Neither can fail; what may do so belongs into `open`.
	 */
	void (*worker_start)(void *state, uint32_t worker);
	void (*worker_stop)(void *state, uint32_t worker);

	/*
	 * May this session be? Called once for each that the listener's subnets, the source policy
	 * and its header let pass and that has an upstream, before that is dialled; for UDP once a
	 * flow, not a datagram. Plugins are asked in the order of the configuration until one
	 * refuses. Returns an enum mmproxy_verdict, or an error.
	 */
	int (*filter)(void *state, const struct mmproxy_conn *conn);
	/*
	 * The verdict is not wanted any more: the client has left, the entry's `timeout` is over,
	 * or mmproxy stops. Comes only for tickets that complete() has not been called for; but one
	 * that another thread completes at this very moment gets -ESTALE there.
	 */
	void (*cancel)(void *state, const struct mmproxy_conn *conn, mmproxy_ticket ticket);
	/*
	 * The upstream was dialled: error is 0, or the negative errno of the failure. Does not come
	 * for a session that ends before that is known.
	 */
	void (*connected)(void *state, const struct mmproxy_conn *conn, int error);
	/*
	 * The session is over. Comes exactly once for each session that `filter` was called for,
	 * whatever became of it, and is the last hook that is called for it. (A plugin without a
	 * `filter` is taken to have let pass whatever came to it.)
	 *
	 * A session that an earlier process of mmproxy began and this one has taken over (which
	 * needs a kernel datapath that outlives the process) has MMPROXY_END_ADOPTED set: `filter`
	 * was called there, `closed` is called here, and the slot is empty.
	 */
	void (*closed)(void *state, const struct mmproxy_conn *conn, const struct mmproxy_end *end);
};

extern MMPROXY_EXPORT const struct mmproxy_plugin mmproxy_plugin_v1;

#ifdef __cplusplus
}
#endif

#endif
