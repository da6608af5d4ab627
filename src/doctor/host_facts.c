/* SPDX-License-Identifier: MIT */
/* Reads the host: /proc, /sys, and what happens to a few sockets. */
#include "doctor/host_facts.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/address.h"
#include "doctor/conntrack.h"
#include "doctor/socket_diag.h"
#include "os/privileges.h"
#include "routing/kernel_rules.h"

/* Bytes of a file that is read whole: a host has some hundred profiles. */
#define FILE_SIZE (64 << 10)

/* Returns the text's length, cut to size - 1; -errno when the file cannot be read. */
static ssize_t read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t length;

	text[0] = '\0';
	if (fd < 0)
		return -errno;
	do {
		length = read(fd, text + used, size - 1 - used);
		used += length > 0 ? (size_t)length : 0;
	} while (length > 0 && used < size - 1);
	close(fd);
	text[used] = '\0';
	return (ssize_t)used;
}

/* The number in a file of one; -1: there is none to be had. */
static int read_number(const char *path)
{
	char text[32];

	if (read_file(path, text, sizeof(text)) <= 0 || text[0] < '0' || text[0] > '9')
		return -1;
	return (int)strtol(text, NULL, 10);
}

/* 0 or -errno of setting the option that a socket needs to speak for others. */
static int try_transparent(int domain)
{
	int fd = socket(domain, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, error = 0;

	if (fd < 0)
		return -errno;
	if (domain == AF_INET6
		    ? setsockopt(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, &one, sizeof(one)) < 0
		    : setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &one, sizeof(one)) < 0)
		error = -errno;
	close(fd);
	return error;
}

/*
 * As a service binds: those of TCP set SO_REUSEADDR, and mmproxy's sockets then make room; those of
 * UDP do not, and any socket with that port is in their way.
 */
static bool port_is_blocked(const struct socket_info *client)
{
	struct address wildcard = {.family = client->local.family, .port = client->local.port};
	struct sockaddr_storage address;
	socklen_t length = address_to_sockaddr(&wildcard, &address);
	int fd, one = 1;
	bool blocked;

	fd = socket(address.ss_family, (client->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	if (wildcard.family == ADDRESS_IPV6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (!client->udp)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	blocked = bind(fd, (struct sockaddr *)&address, length) < 0 && errno == EADDRINUSE;
	close(fd);
	return blocked;
}

/* Is there a service on this port already? Then the client's is in nobody's way. */
static bool port_is_served(const struct socket_list *services, const struct socket_info *client)
{
	for (size_t i = 0; i < services->count; i++) {
		if (services->sockets[i].local.port == client->local.port)
			return true;
	}
	return false;
}

static void look_for_blocks(struct host_facts *facts, struct netlink *sockets, bool udp)
{
	struct socket_list foreign = {NULL, 0}, services = {NULL, 0};
	int error = socket_diag_foreign(sockets, udp, &foreign);

	if (error == 0)
		error = socket_diag_listening(sockets, udp, 0, &services);
	if (error < 0)
		facts->blocked_error = error;
	for (size_t i = 0; error == 0 && i < foreign.count; i++) {
		const struct socket_info *client = &foreign.sockets[i];

		if (port_is_served(&services, client) || !port_is_blocked(client))
			continue;
		if (facts->blocked_count < HOST_FACTS_PORTS)
			facts->blocked[facts->blocked_count] = (struct host_facts_port){
				client->local.port, udp, client->local.family};
		facts->blocked_count++;
	}
	socket_list_finish(&foreign);
	socket_list_finish(&services);
}

static void read_blocks(struct host_facts *facts, struct netlink *sockets)
{
	if (sockets == NULL) {
		facts->blocked_error = -EPROTONOSUPPORT;
		return;
	}
	look_for_blocks(facts, sockets, false);
	if (facts->blocked_error == 0)
		look_for_blocks(facts, sockets, true);
}

enum host_facts_confinement host_facts_find_profile(const char *profiles)
{
	enum host_facts_confinement found = HOST_FACTS_UNCONFINED;
	char name[256], mode[32];

	for (const char *line = profiles; *line != '\0';) {
		const char *base;

		if (sscanf(line, "%255s (%31[^)])", name, mode) == 2) {
			base = strrchr(name, '/') != NULL ? strrchr(name, '/') + 1 : name;
			if (strcmp(base, "mmproxy") == 0)
				found = strcmp(mode, "enforce") == 0 ? HOST_FACTS_ENFORCED
								     : HOST_FACTS_COMPLAINING;
		}
		line += strcspn(line, "\n");
		line += *line == '\n' ? 1 : 0;
	}
	return found;
}

static void read_security(struct host_facts *facts)
{
	char *profiles = malloc(FILE_SIZE);

	facts->selinux = read_number("/sys/fs/selinux/enforce") == 1;
	if (profiles != NULL &&
	    read_file("/sys/kernel/security/apparmor/profiles", profiles, FILE_SIZE) > 0)
		facts->apparmor = host_facts_find_profile(profiles);
	free(profiles);
}

static void read_kernel(struct host_facts *facts, struct netlink *routes)
{
	struct kernel_rules rules = {NULL, 0};
	struct utsname names;

	if (uname(&names) == 0)
		snprintf(facts->release, sizeof(facts->release), "%s", names.release);
	facts->transparent_ipv4 = try_transparent(AF_INET);
	facts->transparent_ipv6 = try_transparent(AF_INET6);
	facts->policy_rules =
		routes != NULL ? kernel_rules_read(routes, ADDRESS_IPV4, &rules) : -EPROTONOSUPPORT;
	kernel_rules_finish(&rules);
}

void host_facts_read(struct host_facts *facts, struct netlink *routes, struct netlink *sockets)
{
	struct conntrack_fill fill;

	memset(facts, 0, sizeof(*facts));
	read_kernel(facts, routes);
	facts->net_admin = privileges_hold_net_admin() == 1;
	if (conntrack_fill(&fill) == 0) {
		facts->conntrack = true;
		facts->tracked = fill.count;
		facts->tracked_most = fill.max;
	}
	facts->unprivileged_port = read_number("/proc/sys/net/ipv4/ip_unprivileged_port_start");
	read_blocks(facts, sockets);
	read_security(facts);
}
