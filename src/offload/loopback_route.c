/* SPDX-License-Identifier: MIT */
#include "offload/loopback_route.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>

#define SETTINGS "/proc/sys/net/ipv4/conf/"

static bool is_set(const char *path)
{
	FILE *file = fopen(path, "re");
	int value = 0;

	if (file == NULL)
		return false;
	if (fscanf(file, "%d", &value) != 1)
		value = 0;
	fclose(file);
	return value != 0;
}

bool loopback_route_is_open(const __u32 destination[static 4])
{
	bool ipv4 = destination[0] == 0 && destination[1] == 0 && destination[2] == htonl(0xffff);

	if (!ipv4 || ntohl(destination[3]) >> IN_CLASSA_NSHIFT != IN_LOOPBACKNET)
		return true;
	return is_set(SETTINGS "lo/route_localnet") || is_set(SETTINGS "all/route_localnet");
}
