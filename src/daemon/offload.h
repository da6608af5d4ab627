/* SPDX-License-Identifier: MIT */
/*
 * The offload as the daemon has it: programs that it opens, or as root loads, before it drops its
 * privileges, and works with after. Whatever is missing, it goes on as a relay, and says so once.
 */
#ifndef MMPROXY_DAEMON_OFFLOAD_H
#define MMPROXY_DAEMON_OFFLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "offload/programs.h"
#include "os/loop.h"

struct config;
struct generation;
struct server;

#define OFFLOAD_WHY_SIZE        512
#define OFFLOAD_INTERFACES_SIZE 512

struct offload {
	bool wanted;                              /* by a listener, at the start */
	char why[OFFLOAD_WHY_SIZE];               /* it is not in use; "" as long as it is */
	char interfaces[OFFLOAD_INTERFACES_SIZE]; /* that have the filter, "lo, eth0" */
	struct programs programs;                 /* while server->datapath is there */
	uint32_t handle;
	int remembered; /* a map; -1: it could not be opened */
	int lock;       /* -1: none */
	int notices;    /* netlink: interfaces have changed; -1: none */
	struct loop_source notices_source;
};

void offload_init(struct offload *offload);

/* Stages of the start, which never fail: before privileges are dropped, and after. */
int offload_open(struct server *server);
int offload_try(struct server *server);

/* The loop is there: interfaces that appear get the filter. */
int offload_watch(struct server *server);

/*
 * A generation that nobody has yet: listeners whose sessions this host would drop stay relays, with
 * a line each.
 */
void offload_admit(struct server *server, struct generation *generation);

/* A reload is in place: interfaces that lack the filter get it. */
void offload_reloaded(struct server *server);

/* Sessions and flows that the kernel carries. 0 or -errno. */
int offload_count_live(const struct server *server, uint64_t *live);

/* At the very end, when there are no workers. What is loaded stays, and goes on. */
void offload_finish(struct server *server);

#endif
