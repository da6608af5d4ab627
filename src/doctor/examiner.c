/* SPDX-License-Identifier: MIT */
/* Opening and closing, once for all paths; and whom the probes speak for. */
#include "doctor/examiner.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/prefix_set.h"
#include "doctor/detour.h"
#include "routing/netlink.h"

/* Whoever is bound to it is the doctor of this network namespace; it goes with the process. */
#define TOKEN "mmproxy-doctor"

static int take_token(void)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	socklen_t length = offsetof(struct sockaddr_un, sun_path) + sizeof(TOKEN);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -errno;
	memcpy(name.sun_path + 1, TOKEN, sizeof(TOKEN) - 1);
	if (bind(fd, (const struct sockaddr *)&name, length) == 0)
		return fd;
	error = errno == EADDRINUSE ? -EBUSY : -errno;
	close(fd);
	return error;
}

/* Every address that a probe has ever spoken for. */
static const char *const clients[] = {"203.0.113.77", "192.0.2.77", "2001:db8:ffff::77"};

/* -EPERM: nothing may be changed at all. */
static int remove_stale(struct netlink *route)
{
	int error = 0;

	for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]) && error == 0; i++) {
		struct address client;

		address_parse_ip(clients[i], &client);
		error = detour_remove_stale(route, &client);
	}
	return error;
}

static int open_tools(struct examiner *examiner)
{
	struct knock_tools *tools = &examiner->tools;
	int error;

	tools->route = netlink_open(NETLINK_ROUTE);
	if (tools->route == NULL)
		return -errno;
	tools->sockets = netlink_open(NETLINK_SOCK_DIAG);
	if (tools->sockets == NULL)
		return -errno;
	error = remove_stale(tools->route);
	examiner->privileged = error == 0;
	if (!examiner->privileged)
		return error == -EPERM ? 0 : error;
	tools->netfilter = netlink_open(NETLINK_NETFILTER);
	tools->trace = trace_open();
	examiner->trace_error = tools->trace == NULL ? -errno : 0;
	return 0;
}

struct examiner *examiner_open(void)
{
	struct examiner *examiner = calloc(1, sizeof(*examiner));
	int error;

	if (examiner == NULL)
		return NULL;
	examiner->trace_error = -EPERM;
	examiner->token = error = take_token();
	if (error >= 0)
		error = open_tools(examiner);
	if (error >= 0)
		return examiner;
	examiner_close(examiner);
	errno = -error;
	return NULL;
}

void examiner_close(struct examiner *examiner)
{
	if (examiner == NULL)
		return;
	trace_close(examiner->tools.trace);
	netlink_close(examiner->tools.netfilter);
	netlink_close(examiner->tools.sockets);
	netlink_close(examiner->tools.route);
	if (examiner->token >= 0)
		close(examiner->token);
	free(examiner);
}

/* Legacy iptables lists the tables that it has; nftables' own front end does not appear there. */
bool examiner_has_legacy_rules(void)
{
	static const char *const lists[] = {"/proc/net/ip_tables_names",
					    "/proc/net/ip6_tables_names"};
	bool found = false;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		FILE *file = fopen(lists[i], "re");

		if (file == NULL)
			continue;
		found = found || fgetc(file) != EOF;
		fclose(file);
	}
	return found;
}

/* Has this host an interface in the network that the client is of? */
static bool is_neighbour(const struct address *client)
{
	struct prefix network = {*client, 24};
	struct sockaddr_storage storage;
	struct ifaddrs *interfaces;
	bool found = false;

	if (getifaddrs(&interfaces) < 0)
		return false;
	for (const struct ifaddrs *i = interfaces; i != NULL; i = i->ifa_next) {
		struct address address;

		if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET)
			continue;
		memset(&storage, 0, sizeof(storage));
		memcpy(&storage, i->ifa_addr, sizeof(struct sockaddr_in));
		address = address_from_sockaddr(&storage);
		found = found || prefix_contains(&network, &address);
	}
	freeifaddrs(interfaces);
	return found;
}

struct address examine_client(enum address_family family)
{
	struct address client;

	address_parse_ip(family == ADDRESS_IPV6 ? clients[2] : clients[0], &client);
	if (family != ADDRESS_IPV6 && is_neighbour(&client))
		address_parse_ip(clients[1], &client);
	return client;
}
