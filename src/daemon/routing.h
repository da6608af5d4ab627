/* SPDX-License-Identifier: MIT */
/*
 * The return path, as routing.mode says: looked at, or seen to. What is put in place for a
 * generation stays until its last session has ended, for that session's answers need it.
 */
#ifndef MMPROXY_DAEMON_ROUTING_H
#define MMPROXY_DAEMON_ROUTING_H

#include <stdbool.h>
#include <stdint.h>

struct config;
struct generation;
struct report;
struct return_keeper;
struct routing_hold;
struct server;

/*
 * A stage of the start, after the drop of privileges: putting back and removing happen without
 * them, so the first time shall, too; and before there is a plugin, so that a start that fails here
 * has run nobody else's code. Returns 0, or -1 after a line in the log.
 */
int routing_start(struct server *server);

/*
 * For a generation that nobody has yet. Returns 0, or -EINVAL with a line in `failures`. What is in
 * place goes with the generation.
 */
int routing_prepare(struct server *server, struct generation *generation, struct report *failures);

/* A generation's last word; takes NULL. */
void routing_release(struct routing_hold *hold);

/* Looks at the return path of each upstream, unless the mode is "off": a warning for each thing
 * that is missing, with the command that adds it. `file`: the configuration's, or NULL. */
void routing_check(const struct config *config, const char *file);

struct routing_state {
	const char *mode;                  /* as one writes it */
	bool managed;                      /* and then: */
	uint64_t items, missing, put_back; /* see struct return_keeper_state */
};

struct routing_state routing_look(const struct server *server);

/* At the very end, when there are no generations. */
void routing_finish(struct server *server);

#endif
