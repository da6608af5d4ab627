/* SPDX-License-Identifier: MIT */
/* A listener's checks. */
#include "doctor/check_listener.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "doctor/diagnosis.h"
#include "doctor/interface_setting.h"
#include "doctor/socket_diag.h"
#include "os/listen.h"
#include "routing/kernel_routes.h"
#include "routing/return_check.h"
#include "routing/return_plan.h"

/* Do two sockets want the same port of the same address? */
static bool sockets_meet(const struct socket_info *socket, const struct listen_endpoint *endpoint)
{
	const struct address *wanted = &endpoint->address;

	if (address_is_wildcard(wanted) && (endpoint->both_families || socket->both_families ||
					    socket->local.family == wanted->family))
		return true;
	return socket_info_takes(socket, wanted);
}

static void find_holder(struct listen_facts *facts, bool udp,
			const struct listen_endpoint *endpoint, struct netlink *sockets)
{
	struct socket_list list = {NULL, 0};

	if (socket_diag_listening(sockets, udp, endpoint->address.port, &list) < 0)
		return;
	for (size_t i = 0; i < list.count && facts->holder.pid == 0; i++) {
		if (sockets_meet(&list.sockets[i], endpoint) &&
		    process_find(list.sockets[i].inode, &facts->holder) < 0)
			facts->holder.pid = 0;
	}
	socket_list_finish(&list);
}

void listen_facts_read(struct listen_facts *facts, const struct config_listener *listener,
		       const struct listen_endpoint *endpoint, struct netlink *sockets)
{
	bool udp = listener->relay.protocol == RELAY_PROTOCOL_UDP;

	memset(facts, 0, sizeof(*facts));
	facts->may_look = geteuid() == 0;
	facts->error = listen_try(endpoint, &listener->socket, udp, &facts->step);
	if (facts->error == -EADDRINUSE && sockets != NULL)
		find_holder(facts, udp, endpoint, sockets);
}

static bool is_called(const struct process *process, const char *name)
{
	return strcmp(process->name, name) == 0 || strcmp(process->comm, name) == 0;
}

/* Room for an endpoint as it is written. */
static const char *format_endpoint(const struct listen_endpoint *endpoint,
				   char text[static ADDRESS_TEXT_SIZE])
{
	if (!endpoint->both_families)
		return address_format(&endpoint->address, text);
	snprintf(text, ADDRESS_TEXT_SIZE, "*:%u", (unsigned)endpoint->address.port);
	return text;
}

static void judge_held(const struct listen_facts *facts, const char *where,
		       struct diagnosis *diagnosis)
{
	const struct process *holder = &facts->holder;

	if (holder->pid == 0 && !facts->may_look)
		diagnosis_add(diagnosis, DOCTOR_CHECK_LISTEN, DOCTOR_SKIPPED,
			      "%s is taken; by whom is shown to root", where);
	else if (holder->pid == 0)
		diagnosis_add(diagnosis, DOCTOR_CHECK_LISTEN, DOCTOR_FAILED,
			      "%s is taken, by no process that can be seen from here", where);
	else if (is_called(holder, "mmproxy"))
		diagnosis_add(diagnosis, DOCTOR_CHECK_LISTEN, DOCTOR_OK,
			      "%s is held by mmproxy (process %d)", where, (int)holder->pid);
	else if (holder->pid == 1 || is_called(holder, "systemd"))
		diagnosis_add(diagnosis, DOCTOR_CHECK_LISTEN, DOCTOR_OK,
			      "%s is held by the service manager (process %d)", where,
			      (int)holder->pid);
	else {
		diagnosis_add(diagnosis, DOCTOR_CHECK_LISTEN, DOCTOR_FAILED,
			      "%s is taken by %s (process %d)", where, holder->name,
			      (int)holder->pid);
		diagnosis_mend(diagnosis, "let %s listen elsewhere, or the listener: listen = ...",
			       holder->name);
	}
}

/* Nobody is served there: mmproxy does not run, or not with this configuration. */
static void judge_free(const struct listen_endpoint *endpoint, const char *where,
		       struct diagnosis *diagnosis)
{
	diagnosis_add(diagnosis, DOCTOR_CHECK_LISTEN, DOCTOR_WARNING,
		      "%s is free: no mmproxy listens there%s", where,
		      endpoint->address.port < 1024
			      ? "; a port below 1024 takes a start as root, or mmproxy.socket"
			      : "");
	diagnosis_mend(diagnosis, "systemctl start mmproxy.service");
	diagnosis_mend(diagnosis, "or, if it runs: mmproxyctl reload");
}

void check_listen_judge(const struct listen_facts *facts, const struct listen_endpoint *endpoint,
			struct diagnosis *diagnosis)
{
	char where[ADDRESS_TEXT_SIZE];

	format_endpoint(endpoint, where);
	switch (-facts->error) {
	case 0:
		judge_free(endpoint, where, diagnosis);
		break;
	case EADDRINUSE:
		judge_held(facts, where, diagnosis);
		break;
	case EADDRNOTAVAIL:
		diagnosis_add(diagnosis, DOCTOR_CHECK_LISTEN, DOCTOR_FAILED,
			      "no interface of this host has the address of %s", where);
		diagnosis_mend(diagnosis, "freebind = true;");
		break;
	case EACCES:
		diagnosis_add(diagnosis, DOCTOR_CHECK_LISTEN,
			      facts->may_look ? DOCTOR_FAILED : DOCTOR_SKIPPED,
			      "%s: a port below 1024 takes a start as root, or mmproxy.socket",
			      where);
		break;
	default:
		diagnosis_add(
			diagnosis, DOCTOR_CHECK_LISTEN,
			facts->error == -EPERM && !facts->may_look ? DOCTOR_SKIPPED : DOCTOR_FAILED,
			"%s cannot be opened: %s: %s", where, facts->step, strerror(-facts->error));
		break;
	}
}

/* An address at which strangers can knock: a wildcard, which has all of this host's. */
static bool listens_everywhere(const struct config_listener *listener)
{
	for (size_t i = 0; i < listener->listen_count; i++) {
		if (address_is_wildcard(&listener->listen[i].address))
			return true;
	}
	return false;
}

static bool has(const struct prefix_set *set, const char *text)
{
	struct address address;

	return address_parse_ip(text, &address) == 0 && prefix_set_contains(set, &address);
}

/* The prefix that the configuration comes with, which is nobody's: RFC 5737. */
static bool holds_the_example(const struct prefix_set *subnets)
{
	return has(subnets, "192.0.2.0") && has(subnets, "192.0.2.255") &&
	       !has(subnets, "192.0.1.255") && !has(subnets, "192.0.3.0");
}

void check_subnets_judge(const struct config_listener *listener, struct diagnosis *diagnosis)
{
	const struct prefix_set *subnets = listener->subnets;

	if (subnets == NULL && listens_everywhere(listener)) {
		diagnosis_add(diagnosis, DOCTOR_CHECK_SUBNETS, DOCTOR_WARNING,
			      "anybody who reaches an address of this host can claim to be any "
			      "client");
		diagnosis_mend(diagnosis, "subnets = [ the balancers' addresses ];");
	} else if (subnets == NULL) {
		diagnosis_add(diagnosis, DOCTOR_CHECK_SUBNETS, DOCTOR_OK,
			      "any balancer, at an address that was chosen");
	} else if (prefix_set_count(subnets) == 0) {
		diagnosis_add(diagnosis, DOCTOR_CHECK_SUBNETS, DOCTOR_FAILED,
			      "no balancer may connect: the list is empty");
		diagnosis_mend(diagnosis, "subnets = [ the balancers' addresses ];");
	} else if (prefix_set_is_everybody(subnets, ADDRESS_IPV4) ||
		   prefix_set_is_everybody(subnets, ADDRESS_IPV6)) {
		diagnosis_add(diagnosis, DOCTOR_CHECK_SUBNETS, DOCTOR_WARNING,
			      "the list holds the whole of %s: anybody can claim to be any client",
			      prefix_set_is_everybody(subnets, ADDRESS_IPV4) ? "IPv4" : "IPv6");
		diagnosis_mend(diagnosis, "subnets = [ the balancers' addresses ];");
	} else if (holds_the_example(subnets)) {
		diagnosis_add(diagnosis, DOCTOR_CHECK_SUBNETS, DOCTOR_WARNING,
			      "192.0.2.0/24 is an example's, and has no balancer of yours");
		diagnosis_mend(diagnosis, "subnets = [ the balancers' addresses ];");
	} else {
		diagnosis_add(diagnosis, DOCTOR_CHECK_SUBNETS, DOCTOR_OK,
			      "%zu prefix%s of balancers", prefix_set_count(subnets),
			      prefix_set_count(subnets) == 1 ? "" : "es");
	}
}

/* The address of 127.0.0.0/8 that it listens on; NULL: none. */
static const struct address *find_loopback(const struct config_listener *listener)
{
	for (size_t i = 0; i < listener->listen_count; i++) {
		const struct address *address = &listener->listen[i].address;

		if (address->family == ADDRESS_IPV4 && return_path_is_loopback(address))
			return address;
	}
	return NULL;
}

void localnet_facts_read(struct localnet_facts *facts, struct netlink *routes)
{
	const struct address client = return_check_client(ADDRESS_IPV4);
	struct kernel_lookup lookup;
	struct address loopback;

	facts->routed = interface_setting_is_on_somewhere("route_localnet");
	facts->kept = address_parse_ip("127.0.0.1", &loopback) == 0 &&
		      kernel_lookup(routes, &client, &loopback, 0, 0, &lookup) == 0 &&
		      lookup.type == RTN_LOCAL;
}

/*
 * What comes in by an interface and has been redirected to 127.0.0.0/8 is dropped, unless that
 * setting is on; and then the return path of upstreams on loopback keeps the answers here as well.
 * So balancers that are not on this host hardly get there.
 */
void check_localnet_judge(const struct config_listener *listener,
			  const struct localnet_facts *facts, struct diagnosis *diagnosis)
{
	const struct address *address = find_loopback(listener);
	char text[ADDRESS_TEXT_SIZE];

	if (address == NULL) {
		diagnosis_add(diagnosis, DOCTOR_CHECK_ROUTE_LOCALNET, DOCTOR_OK,
			      "listens on no address of 127.0.0.0/8");
	} else if (listener->subnets == NULL || prefix_set_contains(listener->subnets, address)) {
		diagnosis_add(diagnosis, DOCTOR_CHECK_ROUTE_LOCALNET, DOCTOR_OK,
			      "a balancer on this host reaches %s", address_format(address, text));
	} else if (facts->routed && !facts->kept) {
		diagnosis_add(diagnosis, DOCTOR_CHECK_ROUTE_LOCALNET, DOCTOR_OK,
			      "is on: what is redirected to %s gets there",
			      address_format(address, text));
	} else {
		diagnosis_add(diagnosis, DOCTOR_CHECK_ROUTE_LOCALNET, DOCTOR_WARNING,
			      "no balancer that `subnets` lets in is on loopback, and from outside "
			      "%s %s",
			      facts->routed ? "the return path keeps the answers of"
					    : "nothing is redirected, as it is off, to",
			      address_format(address, text));
		diagnosis_mend(diagnosis, "listen = \"*:%u\";", (unsigned)address->port);
	}
}

void check_listener(const struct config_listener *listener, struct netlink *routes,
		    struct netlink *sockets, struct diagnosis *diagnosis)
{
	struct localnet_facts localnet;
	struct listen_facts facts;

	if (listener->listen_count == 0)
		diagnosis_add(diagnosis, DOCTOR_CHECK_LISTEN, DOCTOR_SKIPPED,
			      "its socket comes from the service manager");
	for (size_t i = 0; i < listener->listen_count; i++) {
		listen_facts_read(&facts, listener, &listener->listen[i], sockets);
		check_listen_judge(&facts, &listener->listen[i], diagnosis);
	}
	check_subnets_judge(listener, diagnosis);
	localnet_facts_read(&localnet, routes);
	check_localnet_judge(listener, &localnet, diagnosis);
}
