/* SPDX-License-Identifier: MIT */
#include "offload/filters.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "routing/netlink.h"

/* "mm". Behind the filters of others, which have smaller numbers as a rule. */
#define FILTERS_PRIORITY 0x6d6d

/* FNV-1a. */
#define HASH_BASIS 2166136261U
#define HASH_PRIME 16777619U

uint32_t filters_handle(const char *layout_directory)
{
	uint32_t hash = HASH_BASIS;

	for (const char *c = layout_directory; *c != '\0'; c++)
		hash = (hash ^ (uint8_t)*c) * HASH_PRIME;
	return hash != 0 ? hash : 1;
}

int64_t filters_find(unsigned interface, uint32_t handle)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)interface, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = handle, .priority = FILTERS_PRIORITY);
	int error = bpf_tc_query(&hook, &filter);

	/* EINVAL: it has no clsact. EOPNOTSUPP: this kernel has no filters at all. */
	if (error == -EINVAL || error == -EOPNOTSUPP)
		return -ENOENT;
	if (error < 0)
		return error;
	return filter.prog_id;
}

static int64_t number_of(int program)
{
	struct bpf_prog_info information = {0};
	__u32 size = sizeof(information);

	if (bpf_obj_get_info_by_fd(program, &information, &size) < 0)
		return -errno;
	return information.id;
}

int filters_attach(unsigned interface, uint32_t handle, int program, bool *made_qdisc)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)interface, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = handle, .priority = FILTERS_PRIORITY,
		    .prog_fd = program, .flags = BPF_TC_F_REPLACE);
	int64_t number = number_of(program);
	int error;

	*made_qdisc = false;
	if (number < 0)
		return (int)number;
	if (filters_find(interface, handle) == number)
		return 0;
	error = bpf_tc_hook_create(&hook);
	if (error < 0 && error != -EEXIST)
		return error;
	*made_qdisc = error == 0;
	error = bpf_tc_attach(&hook, &filter);
	return error < 0 ? error : 1;
}

/* What was to be taken away has gone: by itself, with its clsact, or with the interface. */
static bool has_gone(int error)
{
	return error == -ENOENT || error == -EINVAL || error == -ENODEV;
}

int filters_detach(unsigned interface, uint32_t handle)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)interface, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = handle, .priority = FILTERS_PRIORITY);
	int64_t number = filters_find(interface, handle);
	int error = number < 0 ? (int)number : bpf_tc_detach(&hook, &filter);

	if (has_gone(error))
		return 0;
	return error < 0 ? error : 1;
}

struct listing {
	unsigned any, ours;
};

static int each_filter(const struct nlmsghdr *message, void *context)
{
	const struct tcmsg *filter = mnl_nlmsg_get_payload(message);
	struct listing *listing = context;

	if (message->nlmsg_type != RTM_NEWTFILTER)
		return 0;
	listing->any++;
	if (TC_H_MAJ(filter->tcm_info) >> 16 == FILTERS_PRIORITY)
		listing->ours++;
	return 0;
}

static void begin_again(void *context)
{
	*(struct listing *)context = (struct listing){0};
}

static int list_filters(unsigned interface, unsigned minor, struct listing *listing)
{
	union netlink_request request = {0};
	struct netlink *netlink = netlink_open(NETLINK_ROUTE);
	struct nlmsghdr *header;
	struct tcmsg *payload;
	int error;

	*listing = (struct listing){0};
	if (netlink == NULL)
		return -errno;
	header = mnl_nlmsg_put_header(request.bytes);
	header->nlmsg_type = RTM_GETTFILTER;
	header->nlmsg_flags = NLM_F_DUMP;
	payload = mnl_nlmsg_put_extra_header(header, sizeof(*payload));
	payload->tcm_family = AF_UNSPEC;
	payload->tcm_ifindex = (int)interface;
	payload->tcm_parent = TC_H_MAKE(TC_H_CLSACT, minor);
	error = netlink_ask(netlink, header, each_filter, begin_again, listing);
	netlink_close(netlink);
	return error;
}

int filters_any(unsigned interface)
{
	struct listing listing;
	int error = list_filters(interface, TC_H_MIN_INGRESS, &listing);

	return error < 0 ? error : listing.ours > 0;
}

int filters_remove_qdisc(unsigned interface)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)interface,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	struct listing ingress, egress = {0};
	int error = list_filters(interface, TC_H_MIN_INGRESS, &ingress);

	if (error == 0)
		error = list_filters(interface, TC_H_MIN_EGRESS, &egress);
	if (error < 0)
		return error;
	if (ingress.any > 0 || egress.any > 0)
		return 0;
	error = bpf_tc_hook_destroy(&hook);
	if (has_gone(error))
		return 0;
	return error < 0 ? error : 1;
}
