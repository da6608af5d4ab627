/* SPDX-License-Identifier: MIT */
/*
 * Keeps the kernel as the plans in force need it: puts in place what is missing, watches over it,
 * puts back what something wipes, and takes away what no plan and no other instance needs any more
 * (token.h). What it puts there carries our tag; without the tag nothing is ever removed. After a
 * crash it all stays, and the next start goes on with it.
 *
 * The main thread's, like the loop that it watches with. Writes to the log.
 */
#ifndef MMPROXY_ROUTING_RETURN_KEEPER_H
#define MMPROXY_ROUTING_RETURN_KEEPER_H

#include <stddef.h>
#include <stdint.h>

struct loop;
struct report;
struct return_keeper;
struct return_plan;

/* NULL with errno set: no netlink to be had, or memory or descriptors are out. `loop` outlives it.
 */
struct return_keeper *return_keeper_create(struct loop *loop);
/* Takes NULL. Each plan has been released. */
void return_keeper_destroy(struct return_keeper *keeper);

/*
 * Puts a plan in force beside those that are. What needs IPv6 on a host that has none is left out,
 * with a line in the log, until there is IPv6. Returns 0, or -EIO with everything as it was and
 * a line in `failures`.
 */
int return_keeper_hold(struct return_keeper *keeper, const struct return_plan *plan,
		       struct report *failures);

/* For each plan that is held, once. What goes wrong is logged. */
void return_keeper_release(struct return_keeper *keeper, const struct return_plan *plan);

struct return_keeper_state {
	size_t items;      /* rules, routes and tables that the plans in force need */
	size_t missing;    /* of them, those that could not be put back, or lack their family */
	uint64_t put_back; /* so often something had wiped one */
};

struct return_keeper_state return_keeper_look(const struct return_keeper *keeper);

#endif
