/* SPDX-License-Identifier: MIT */
/*
 * The configuration: every setting with its value, checked, and immutable once loaded. Made from a
 * libconfig file (config_file.c) or from the short command line (options.c); both end here.
 */
#ifndef MMPROXY_CONFIG_CONFIG_H
#define MMPROXY_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/prefix_set.h"
#include "base/report.h"
#include "base/text_list.h"
#include "host/plugin_entry.h"
#include "offload/loopback_needs.h"
#include "os/listen.h"
#include "os/log.h"
#include "os/scheduling.h"
#include "os/seccomp.h"
#include "relay/settings.h"
#include "routing/return_plan.h"

#define CONFIG_WORKERS_MAX 256

struct config_listener {
	char *name;
	char *where; /* "file:line" of its group, or "command line": for errors found later */
	struct listen_endpoint *listen;
	size_t listen_count;
	struct listen_options socket; /* .device points to `device` */
	char *device;
	struct prefix_set *subnets;        /* NULL: any */
	bool any_by_default;               /* any, and nobody said so: the short form without -a */
	struct prefix_set *permit_sources; /* NULL: none */
	struct plugin_list plugins;        /* not given: those at the top */
	bool offload_given;                /* not given: as at the top */
	struct relay_settings relay; /* points to the above; .owner is set by the generation */
};

/* The control socket, for mmproxyctl. */
struct config_control {
	char *socket;  /* its path; NULL: $RUNTIME_DIRECTORY/control.sock, or
			  /run/mmproxy/control.sock */
	uint32_t mode; /* of the file */
	char *group; /* of the file, and whose members may change things; NULL: the daemon's own */
	char *where; /* "file:line" of the group; NULL: nobody asked for it */
};

/* What files this process may open from its start on: Landlock. */
struct config_landlock {
	bool off;
	struct text_list paths; /* opened for reading and writing, with all beneath */
	char *where;            /* "file:line" of the group; NULL: nobody wrote it */
};

/* What becomes of sessions that the kernel carries when mmproxy stops. */
enum config_offload_at_exit {
	CONFIG_OFFLOAD_LEAVE, /* they go on */
	CONFIG_OFFLOAD_DRAIN, /* they have drain_timeout, as the others */
};

/* The longest path of offload_directory, in bytes: folders and pins are beneath it. */
#define CONFIG_OFFLOAD_DIRECTORY_MAX 1024

struct config {
	unsigned workers;   /* never 0: "one a CPU" is resolved when loaded */
	bool workers_given; /* a number was; the count of CPUs may change under way */
	enum scheduling scheduling;
	char *user;
	char *group; /* NULL: the user's own */
	enum seccomp_use seccomp;
	struct config_landlock landlock;
	uint32_t drain_timeout;  /* milliseconds */
	bool offload;            /* of listeners that say nothing themselves */
	char *offload_directory; /* no slash at its end, and no two side by side */
	enum config_offload_at_exit offload_at_exit;
	struct log_options log;
	struct config_control control;
	struct address metrics_listen; /* ADDRESS_NONE: no metrics over HTTP */
	char *metrics_where;           /* "file:line" of it */
	struct routing_settings routing;
	char *routing_where; /* "file:line" of the group; NULL: nobody wrote it */
	struct plugin_list plugins;
	struct config_listener *listeners;
	size_t listener_count;
	struct text_list files; /* that it was read from, as they were opened */
	struct report remarks;  /* what is legal, but does nothing or less than it seems to */
};

/*
 * The defaults, and no listener. Returns 0 or -ENOMEM. (Not "init": libconfig has a config_init,
 * and calls it by that name.)
 */
int config_begin(struct config *config);
void config_finish(struct config *config); /* leaves it empty; may be called again */

/*
 * A listener with the defaults, at the end of the list; NULL when out of memory. Moves the earlier
 * ones: pointers to them are invalid, pointers inside them stay good.
 */
struct config_listener *config_add_listener(struct config *config);

/* Returns 0 or -ENOMEM. */
int config_add_endpoint(struct config_listener *listener, const struct listen_endpoint *endpoint);

/* The one of the listener's endpoints that meant what is bound; NULL: none. */
const struct listen_endpoint *config_find_endpoint(const struct config_listener *listener,
						   const struct listen_endpoint *bound);

/* To be called when a listener is filled: lets .relay and .socket point to its name and lists. */
void config_seal_listener(struct config_listener *listener);

/* The plugins that a listener's sessions pass: its own, or those at the top. */
const struct plugin_list *config_plugins_of(const struct config *config, size_t listener);

/*
 * The return path of every upstream, both families, into a plan that is init. 0 or -ENOMEM. Where
 * routing.method is "mark", each listener has a mark by now: its own, or the table's number.
 */
int config_plan_returns(const struct config *config, struct return_plan *plan);

/* What offload takes of lo, of the listeners that want it. Does any? */

bool config_wants_offload(const struct config *config, struct loopback_needs *needs);
/* The same of one listener. */
bool config_listener_wants_offload(const struct config_listener *listener,
				   struct loopback_needs *needs);

/*
 * Who the daemon runs as, and so owns the programs' pins. 0, or -errno after an error line in the
 * log: see privileges_find_identity().
 */
struct owner;
int config_offload_owner(const struct config *config, struct owner *owner);

/* One warning a remark. */
void config_log_remarks(const struct config *config);
/* One error a line: a mistake, or what cannot be put in place although it is none. */
void config_log_mistakes(const struct report *mistakes);

/* The CPUs that this process may run on, 1 to CONFIG_WORKERS_MAX. */
unsigned config_count_cpus(void);

/*
 * Reads a libconfig file and everything it includes. Each mistake becomes one line of the report,
 * "file:line: setting: what is wrong, what would be right"; remarks are worded like that too.
 * Returns 0, or -EINVAL with at least one line in the report and `config` finished.
 */
int config_load_file(const char *path, struct config *config, struct report *report);

/*
 * Adds an allow-list file to `set`, which is not sealed: one prefix a line, '#' comments, blank
 * lines. A file that cannot be read, or holds no prefix at all, is a mistake; `named_by` says in
 * the report who asked for it ("mmproxy.conf:12: listeners[0].subnets_files[0]", "mmproxy: -a").
 * Returns 0, or -EINVAL with lines in the report.
 */
int config_read_prefix_file(const char *path, const char *named_by, struct prefix_set *set,
			    struct report *report, struct report *remarks);

#endif
