/* SPDX-License-Identifier: MIT */
#include "offload/interfaces.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool has_ethernet(int fd, const char *name)
{
	struct ifreq request = {0};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return ioctl(fd, SIOCGIFHWADDR, &request) == 0 &&
	       (request.ifr_hwaddr.sa_family == ARPHRD_ETHER ||
		request.ifr_hwaddr.sa_family == ARPHRD_LOOPBACK);
}

static bool is_port(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/class/net/%s/master", name);
	return access(path, F_OK) == 0;
}

int interfaces_each(int (*each)(unsigned index, const char *name, void *context), void *context)
{
	struct if_nameindex *interfaces = if_nameindex();
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), result = 0;

	if (interfaces == NULL || fd < 0)
		result = -errno;
	for (size_t i = 0; result == 0 && interfaces[i].if_index != 0; i++)
		if (has_ethernet(fd, interfaces[i].if_name) && !is_port(interfaces[i].if_name))
			result = each(interfaces[i].if_index, interfaces[i].if_name, context);
	if (fd >= 0)
		close(fd);
	if (interfaces != NULL)
		if_freenameindex(interfaces);
	return result;
}
