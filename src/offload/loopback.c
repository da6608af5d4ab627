/* SPDX-License-Identifier: MIT */
/*
 * What lo has is asked by netlink, since a unit may hide /proc/sys; `all` counts for rp_filter
 * alone, where the greater of the two is in force. The others could be on for `all`, too: then
 * setting them for lo changes nothing, and that they are is not worth finding out.
 */
#include "offload/loopback.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/report.h"
#include "offload/conntrack.h"
#include "offload/interfaces.h"
#include "offload/remembered.h"

/* Of rp_filter: */
#define STRICT 1
#define LOOSE  2

static const char *const names[LOOPBACK_SETTING_COUNT] = {
	[LOOPBACK_ROUTE_LOCALNET] = "net.ipv4.conf.lo.route_localnet",
	[LOOPBACK_ACCEPT_LOCAL] = "net.ipv4.conf.lo.accept_local",
	[LOOPBACK_RP_FILTER] = "net.ipv4.conf.lo.rp_filter",
};

static const char *const paths[LOOPBACK_SETTING_COUNT] = {
	[LOOPBACK_ROUTE_LOCALNET] = "/proc/sys/net/ipv4/conf/lo/route_localnet",
	[LOOPBACK_ACCEPT_LOCAL] = "/proc/sys/net/ipv4/conf/lo/accept_local",
	[LOOPBACK_RP_FILTER] = "/proc/sys/net/ipv4/conf/lo/rp_filter",
};

const char *loopback_setting_name(enum loopback_setting setting)
{
	return names[setting];
}

/* Of the greater of the two, without rp_filter of `all` where it is not to be had. */
static bool is_strict(const struct interface_settings *lo)
{
	int all = interfaces_rp_filter_all();

	return lo->rp_filter == STRICT || (all == STRICT && lo->rp_filter < STRICT);
}

int loopback_look(const struct loopback_needs *needs,
		  struct loopback_lack lacks[static LOOPBACK_SETTING_COUNT])
{
	bool tracked = conntrack_is_active();
	bool loopback =
		needs->always.loopback_upstream || (tracked && needs->tracked.loopback_upstream);
	bool other = needs->always.other_upstream || (tracked && needs->tracked.other_upstream);
	struct interfaces interfaces;
	int count = 0, error;

	if (!loopback && !other)
		return 0;
	error = interfaces_read(&interfaces);
	if (error == 0 && !interfaces.lo.known)
		error = -ENODATA;
	if (error == 0 && loopback && !interfaces.lo.route_localnet)
		lacks[count++] = (struct loopback_lack){LOOPBACK_ROUTE_LOCALNET, 1};
	if (error == 0 && !interfaces.lo.accept_local)
		lacks[count++] = (struct loopback_lack){LOOPBACK_ACCEPT_LOCAL, 1};
	if (error == 0 && other && is_strict(&interfaces.lo))
		lacks[count++] = (struct loopback_lack){LOOPBACK_RP_FILTER, LOOSE};
	interfaces_finish(&interfaces);
	return error < 0 ? error : count;
}

/* The number, or -errno. */
static int read_setting(enum loopback_setting setting)
{
	char text[16] = "";
	int fd = open(paths[setting], O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (fd < 0)
		return -errno;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	return length > 0 ? atoi(text) : -EIO;
}

static int write_setting(enum loopback_setting setting, int value)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d\n", value);
	int fd = open(paths[setting], O_WRONLY | O_CLOEXEC), error = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)length) < 0)
		error = -errno;
	close(fd);
	return error;
}

static int prepare_one(const struct loopback_lack *lack, int map)
{
	struct remembered what = {.kind = REMEMBERED_SETTING,
				  .index = lack->setting,
				  .former = read_setting(lack->setting),
				  .set = lack->should_be};
	int error = what.former < 0 ? what.former : remembered_add(map, &what);

	return error < 0 ? error : write_setting(lack->setting, lack->should_be);
}

int loopback_prepare(const struct loopback_needs *needs, int remembered, struct report *report)
{
	struct loopback_lack lacks[LOOPBACK_SETTING_COUNT];
	int count = loopback_look(needs, lacks), error = 0;

	if (count < 0)
		report_add_failure(report, "the settings of lo cannot be read: %s",
				   strerror(-count));
	for (int i = 0; i < count && error == 0; i++) {
		error = prepare_one(&lacks[i], remembered);
		if (error < 0)
			report_add_failure(report, "cannot set %s=%d: %s", names[lacks[i].setting],
					   lacks[i].should_be, strerror(-error));
	}
	return error < 0 ? error : count;
}

/* The user can write to what is remembered. */
static bool may_have_been_prepared(const struct remembered *what)
{
	if (what->index == LOOPBACK_RP_FILTER)
		return (what->former == 0 || what->former == STRICT) && what->set == LOOSE;
	return what->former == 0 && what->set == 1;
}

int loopback_put_back(const struct remembered *what, struct report *notes, struct report *report)
{
	int now, error;

	/* Of a later version. */
	if (what->index >= LOOPBACK_SETTING_COUNT)
		return 0;
	now = read_setting((enum loopback_setting)what->index);
	if (now != what->set)
		return 0;
	if (!may_have_been_prepared(what)) {
		report_add(notes, "%s stays %d: load would not have changed %d to %d",
			   names[what->index], now, what->former, what->set);
		return 0;
	}
	error = write_setting((enum loopback_setting)what->index, what->former);
	if (error < 0)
		report_add_failure(report, "cannot set %s=%d: %s", names[what->index], what->former,
				   strerror(-error));
	return error;
}
