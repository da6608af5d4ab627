/* SPDX-License-Identifier: MIT */
/* What /proc says of the filter, and what the kernel's own lookup does about a packet. */
#include "doctor/rp_filter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/interface_setting.h"
#include "routing/kernel_routes.h"
#include "routing/route_message.h"

#define NETSTAT "/proc/net/netstat"
#define COUNTER "IPReversePathFilter"

/* Bytes of /proc/net/netstat that are looked at: today it has some 4,000. */
#define NETSTAT_SIZE 65536

int rp_filter_read(const char *interface, struct rp_filter *filter)
{
	int all = interface_setting_read("all", "rp_filter"), own, mode;

	*filter = (struct rp_filter){0};
	own = interface_setting_read(interface, "rp_filter");
	if (all < 0 || own < 0)
		return -ENOENT;
	mode = all > own ? all : own;
	snprintf(filter->interface, sizeof(filter->interface), "%s", interface);
	filter->mode = mode == 0 ? RP_FILTER_OFF : mode == 1 ? RP_FILTER_STRICT : RP_FILTER_LOOSE;
	filter->by_all = all >= own && all > 0;
	filter->src_valid_mark = interface_setting_read("all", "src_valid_mark") > 0 ||
				 interface_setting_read(interface, "src_valid_mark") > 0;
	return 0;
}

int rp_filter_drops(struct netlink *netlink, const struct address *upstream,
		    const struct address *client, uint32_t mark, unsigned interface)
{
	struct kernel_lookup lookup;
	int error = kernel_lookup(netlink, client, upstream, mark, interface, &lookup);
	struct rp_filter filter;
	char name[IF_NAMESIZE];

	/* What would stay on this host is refused as if it were malformed: -EINVAL. */
	if (error == -EINVAL && if_indextoname(interface, name) != NULL &&
	    rp_filter_read(name, &filter) == 0 && filter.mode != RP_FILTER_OFF)
		error = -EXDEV;
	return error == -EXDEV ? 1 : error;
}

unsigned rp_filter_find(struct netlink *netlink, const struct address *upstream,
			const struct address *client, uint32_t mark, unsigned *interface)
{
	struct if_nameindex *interfaces = if_nameindex();
	unsigned found = 0;

	if (interfaces == NULL)
		return 0;
	for (const struct if_nameindex *i = interfaces; i->if_index != 0; i++) {
		if (i->if_index == ROUTE_MESSAGE_LOOPBACK ||
		    rp_filter_drops(netlink, upstream, client, mark, i->if_index) != 1)
			continue;
		*interface = i->if_index;
		found++;
	}
	if_freenameindex(interfaces);
	return found;
}

/* The number in the place, counted in words, in which its name stands in the line before. */
static uint64_t word_number(const char *line, const char *end, size_t place)
{
	while (line < end && place-- > 0) {
		while (line < end && *line != ' ')
			line++;
		while (line < end && *line == ' ')
			line++;
	}
	return line < end ? strtoull(line, NULL, 10) : 0;
}

uint64_t rp_filter_count_in(const char *netstat)
{
	const char *name = strstr(netstat, " " COUNTER " "), *start, *names_end, *values_end;
	size_t place = 1;

	if (name == NULL)
		name = strstr(netstat, " " COUNTER "\n");
	if (name == NULL)
		return 0;
	names_end = strchr(name + 1, '\n');
	if (names_end == NULL)
		return 0;
	for (start = name; start > netstat && *start != '\n'; start--) {
		if (start != name && *start == ' ')
			place++;
	}
	values_end = strchr(names_end + 1, '\n');
	if (values_end == NULL)
		values_end = names_end + strlen(names_end);
	return word_number(names_end + 1, values_end, place);
}

uint64_t rp_filter_count(void)
{
	FILE *file = fopen(NETSTAT, "re");
	char *text = malloc(NETSTAT_SIZE);
	uint64_t count = 0;

	if (file != NULL && text != NULL) {
		text[fread(text, 1, NETSTAT_SIZE - 1, file)] = '\0';
		count = rp_filter_count_in(text);
	}
	free(text);
	if (file != NULL)
		fclose(file);
	return count;
}
