/* SPDX-License-Identifier: MIT */
/*
 * What Prometheus is told: every counter there is and what else one wants to watch, as text.
 * doc/metrics.md lists it.
 *
 *   metrics.c          the text as a whole; sessions, listeners, workers, the configuration
 *   metrics_counters.c base/counter.def and the close reasons as families with labels
 *   process.c          what is told of any process
 *   http.c             the text over HTTP
 */
#ifndef MMPROXY_DAEMON_METRICS_H
#define MMPROXY_DAEMON_METRICS_H

#include <stdint.h>

#include "base/counter.h"

struct exposition;
struct server;

/*
 * The text as it is now, of EXPOSITION_CONTENT_TYPE; the caller frees it. NULL when out of memory.
 * Main thread only.
 */
char *metrics_text(const struct server *server);

/* The parts. */

/*
 * Every counter, in a family of its own, mmproxy_<name>_total, where the table in
 * metrics_counters.c has no better one. `values` has COUNTER_COUNT.
 */
void metrics_put_counters(struct exposition *exposition, const uint64_t *values);

/* `started`: Unix time in seconds. `descriptor_limit` is RLIMIT_NOFILE. */
void metrics_put_process(struct exposition *exposition, uint64_t started,
			 unsigned descriptor_limit);

#endif
