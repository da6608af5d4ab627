/* SPDX-License-Identifier: MIT */
/* Asks the kernel what becomes of an upstream's answer, and, where it is lost, what there is. */
#include "routing/return_check.h"

#include <errno.h>
#include <linux/rtnetlink.h>

#include "routing/kernel_routes.h"
#include "routing/kernel_rules.h"
#include "routing/netlink.h"
#include "routing/return_explain.h"

/* How a lookup may end for the packet; all else is a kernel that could not be asked. */
static bool is_fate(int error)
{
	switch (-error) {
	case 0:
	case EACCES:
	case EHOSTUNREACH:
	case EINVAL:
	case ENETUNREACH:
	case EXDEV:
		return true;
	}
	return false;
}

static bool is_absent(int error)
{
	return error == -EAFNOSUPPORT || error == -EOPNOTSUPP;
}

static bool is_sound(const struct return_facts *facts)
{
	return facts->lookup_error == 0 && facts->lookup.type == RTN_LOCAL;
}

/*
 * Where an answer would go that is refused for its source: what a packet without one is told. A
 * source of 127.0.0.0/8 may not leave the host; one that comes in by an interface may be filtered.
 */
static void look_past_refusal(struct netlink *netlink, const struct address *client, uint32_t mark,
			      struct return_facts *facts)
{
	const struct address any = {0};
	struct kernel_lookup found;

	if (kernel_lookup(netlink, client, &any, mark, 0, &found) < 0 || found.type == RTN_LOCAL)
		return;
	facts->lookup_error = 0;
	facts->lookup = found;
}

/* By which interface an upstream's answers come in; 0: it is this host that sends them. */
static unsigned way_in(struct netlink *netlink, const struct address *upstream)
{
	const struct address any = {0};
	struct kernel_lookup found;

	if (kernel_lookup(netlink, upstream, &any, 0, 0, &found) < 0 || found.type == RTN_LOCAL)
		return 0;
	return found.interface;
}

/* 0 or -errno: the kernel could not be asked. What the packet meets is among the facts. */
static int look_up(struct netlink *netlink, const struct return_path *path, uint32_t mark,
		   struct return_facts *facts)
{
	const struct address client =
		return_check_client((enum address_family)path->upstream.family);
	unsigned interface = way_in(netlink, &path->upstream);

	facts->lookup_error =
		kernel_lookup(netlink, &client, &path->upstream, mark, interface, &facts->lookup);
	if (!is_fate(facts->lookup_error))
		return facts->lookup_error;
	/* What would stay here is refused with EINVAL, what would be passed on with EXDEV. */
	facts->elsewhere = interface != 0;
	facts->filtered = interface != 0 && facts->lookup_error == -EINVAL;
	if (facts->lookup_error < 0 && facts->lookup_error != -EACCES &&
	    (interface != 0 || return_path_is_loopback(&path->upstream)))
		look_past_refusal(netlink, &client, mark, facts);
	if (facts->lookup_error < 0 ||
	    if_indextoname(facts->lookup.interface, facts->interface) == NULL)
		facts->interface[0] = '\0';
	return 0;
}

/*
 * An answer carries the mark only where somebody sees to it. An upstream on loopback needs none,
 * but a site may have a rule of its own for it.
 */
static int look_up_answer(struct netlink *netlink, const struct return_path *path,
			  struct return_facts *facts)
{
	bool loopback = return_path_is_loopback(&path->upstream);
	int error = look_up(netlink, path, loopback ? 0 : path->mark, facts);

	if (error == 0 && !is_sound(facts) && loopback && path->mark != 0)
		error = look_up(netlink, path, path->mark, facts);
	return error;
}

/* A host that has IPv6 has ::1. */
static bool lacks_family(struct netlink *netlink, enum address_family family)
{
	struct address loopback;
	struct kernel_lookup found;

	return family == ADDRESS_IPV6 && address_parse_ip("::1", &loopback) == 0 &&
	       (kernel_lookup(netlink, &loopback, &loopback, 0, 0, &found) < 0 ||
		found.type != RTN_LOCAL);
}

static int collect(struct netlink *netlink, enum address_family family, struct return_facts *facts)
{
	int error = kernel_rules_read(netlink, family, &facts->rules);

	return error < 0 ? error : kernel_local_tables_read(netlink, family, &facts->locals);
}

int return_check(struct netlink *netlink, const struct return_plan *plan,
		 const struct return_path *path, struct return_verdict *verdict)
{
	enum address_family family = (enum address_family)path->upstream.family;
	struct return_facts facts = {0};
	int error = look_up_answer(netlink, path, &facts);

	*verdict = (struct return_verdict){0};
	if (error == 0 && !is_sound(&facts) && lacks_family(netlink, family))
		error = -EAFNOSUPPORT;
	if (error == 0 && !is_sound(&facts))
		error = collect(netlink, family, &facts);
	if (error == 0)
		return_explain(plan, path, &facts, verdict);
	verdict->no_family = is_absent(error);
	kernel_rules_finish(&facts.rules);
	kernel_tables_finish(&facts.locals);
	return verdict->no_family ? 0 : error;
}

bool return_check_supported(void)
{
	return true;
}

int return_check_all(const struct return_plan *plan, struct return_verdict *verdicts)
{
	struct netlink *netlink = netlink_open(NETLINK_ROUTE);
	int error = netlink == NULL ? -errno : 0;

	for (size_t i = 0; i < plan->path_count && error == 0; i++)
		error = return_check(netlink, plan, &plan->paths[i], &verdicts[i]);
	netlink_close(netlink);
	return error;
}
