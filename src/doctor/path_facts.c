/* SPDX-License-Identifier: MIT */
/* Gathers what is known of the way to one upstream. */
#include "doctor/path_facts.h"

#include <linux/rtnetlink.h>
#include <string.h>

#include "doctor/socket_diag.h"
#include "routing/kernel_routes.h"
#include "routing/return_mark.h"

static void read_place(struct path_facts *facts, struct netlink *routes)
{
	const struct address any = {0};
	struct kernel_lookup found;

	facts->place = PATH_NOWHERE;
	if (kernel_lookup(routes, &facts->path->upstream, &any, 0, 0, &found) < 0)
		return;
	if (found.type == RTN_LOCAL) {
		facts->place = PATH_LOCAL;
		return;
	}
	facts->place = found.gateway.family != ADDRESS_NONE ? PATH_BEYOND : PATH_BEHIND;
	facts->gateway = found.gateway;
	if (if_indextoname(found.interface, facts->interface) == NULL)
		facts->interface[0] = '\0';
}

static void read_way_out(struct path_facts *facts, struct netlink *routes)
{
	const struct return_path *path = facts->path;
	const struct address client =
		return_check_client((enum address_family)path->upstream.family);
	struct kernel_lookup found;

	facts->unrouted = facts->place == PATH_LOCAL && path->mark != 0 &&
			  !return_path_is_loopback(&path->upstream) &&
			  (facts->udp || !return_mark_is_accepted()) &&
			  kernel_lookup(routes, &client, &path->upstream, 0, 0, &found) < 0;
}

/* The source that a socket without one gets when it answers a client. */
static void read_choice(struct path_facts *facts, struct netlink *routes)
{
	const struct address any = {0};
	struct address client =
		return_check_client((enum address_family)facts->path->upstream.family);
	struct kernel_lookup found;

	if (kernel_lookup(routes, &client, &any, 0, 0, &found) == 0)
		facts->answers_from = found.preferred;
}

static void add_other(struct path_facts *facts, const struct socket_info *socket)
{
	struct path_other *other;

	if (facts->other_count == PATH_FACTS_OTHERS)
		return;
	other = &facts->others[facts->other_count++];
	other->address = socket->local;
	if (process_find(socket->inode, &other->process) < 0)
		other->process.pid = 0;
}

static int read_sockets(struct path_facts *facts, struct netlink *sockets)
{
	const struct address *upstream = &facts->path->upstream;
	struct socket_list list = {NULL, 0};
	const struct socket_info *taker;
	int error;

	error = socket_diag_listening(sockets, facts->udp, upstream->port, &list);
	if (error < 0)
		return error;
	taker = facts->place == PATH_LOCAL ? socket_list_taker(&list, upstream) : NULL;
	if (taker != NULL) {
		facts->served = true;
		facts->bound = taker->local;
		facts->by_wildcard = address_is_wildcard(&taker->local);
	} else {
		for (size_t i = 0; i < list.count; i++)
			add_other(facts, &list.sockets[i]);
	}
	socket_list_finish(&list);
	return 0;
}

int path_facts_read(struct path_facts *facts, const struct path_sources *sources)
{
	int error = return_check(sources->routes, facts->plan, facts->path, &facts->verdict);

	if (error < 0 || !path_has_family(facts))
		return error;
	read_place(facts, sources->routes);
	read_way_out(facts, sources->routes);
	if (sources->sockets != NULL)
		error = read_sockets(facts, sources->sockets);
	else /* who is there cannot be known; that nobody is must not be said */
		facts->served = facts->place == PATH_LOCAL;
	if (error < 0)
		return error;
	if (facts->by_wildcard)
		read_choice(facts, sources->routes);
	return examine_path(sources->examiner, facts->path, facts->udp, &facts->verdict,
			    &facts->findings);
}
