/* SPDX-License-Identifier: MIT */
/* Interface addresses and the directed broadcasts of their subnets. */
#include "os/own_addresses.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"

struct own_sets {
	struct prefix_set *addresses;
	struct prefix_set *broadcasts;
};

static void own_addresses_destroy(struct refcount *refcount)
{
	struct own_addresses *own = container_of(refcount, struct own_addresses, refcount);

	prefix_set_destroy((struct prefix_set *)(uintptr_t)own->own.addresses);
	prefix_set_destroy((struct prefix_set *)(uintptr_t)own->own.broadcasts);
	free(own);
}

static int add(struct prefix_set *set, struct address address)
{
	struct prefix prefix = {.address = address};

	prefix.address.port = 0;
	prefix.length = address.family == ADDRESS_IPV4 ? 32 : 128;
	return prefix_set_add(set, &prefix);
}

/*
 * The kernel takes the last address of a subnet, and on some versions the first, for a broadcast
 * and replaces it by an address of its own. Point-to-point subnets (/31, /32) have neither.
 */
static int add_broadcasts(struct prefix_set *set, const struct ifaddrs *interface)
{
	const struct sockaddr_in *address = (const void *)interface->ifa_addr;
	const struct sockaddr_in *netmask = (const void *)interface->ifa_netmask;
	uint32_t mask = netmask != NULL ? netmask->sin_addr.s_addr : UINT32_MAX;
	uint32_t first = address->sin_addr.s_addr & mask, last = first | ~mask;

	if (__builtin_popcount(mask) > 30)
		return 0;
	if (add(set, address_from_ipv4((const uint8_t *)&last, 0)) < 0)
		return -ENOMEM;
	return add(set, address_from_ipv4((const uint8_t *)&first, 0));
}

static int add_interface(struct own_sets *sets, const struct ifaddrs *interface)
{
	struct sockaddr_storage storage = {0};
	bool ipv4;

	if (interface->ifa_addr == NULL || (interface->ifa_addr->sa_family != AF_INET &&
					    interface->ifa_addr->sa_family != AF_INET6))
		return 0;
	ipv4 = interface->ifa_addr->sa_family == AF_INET;
	memcpy(&storage, interface->ifa_addr,
	       ipv4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
	if (add(sets->addresses, address_from_sockaddr(&storage)) < 0)
		return -ENOMEM;
	if (ipv4 && (interface->ifa_flags & IFF_LOOPBACK) == 0)
		return add_broadcasts(sets->broadcasts, interface);
	return 0;
}

static int read_interfaces(struct own_sets *sets)
{
	struct ifaddrs *interfaces;
	int error = 0;

	if (getifaddrs(&interfaces) < 0)
		return -errno;
	for (const struct ifaddrs *next = interfaces; next != NULL && error == 0;
	     next = next->ifa_next)
		error = add_interface(sets, next);
	freeifaddrs(interfaces);
	return error;
}

struct own_addresses *own_addresses_read(void)
{
	struct own_addresses *own = calloc(1, sizeof(*own));
	struct own_sets sets = {prefix_set_create(), prefix_set_create()};
	int error = -ENOMEM;

	if (own != NULL && sets.addresses != NULL && sets.broadcasts != NULL)
		error = read_interfaces(&sets);
	if (error < 0) {
		prefix_set_destroy(sets.addresses);
		prefix_set_destroy(sets.broadcasts);
		free(own);
		errno = -error;
		return NULL;
	}
	prefix_set_seal(sets.addresses);
	prefix_set_seal(sets.broadcasts);
	refcount_init(&own->refcount, own_addresses_destroy);
	own->own = (struct source_own){sets.addresses, sets.broadcasts};
	return own;
}

int own_addresses_open_notices(void)
{
	const struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
	int error;

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

void own_addresses_drain_notices(int fd)
{
	char notice[4096];

	/* What changed does not matter; an overrun (ENOBUFS) means the same: read them all again.
	 */
	while (recv(fd, notice, sizeof(notice), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
		continue;
}
