/* SPDX-License-Identifier: MIT */
/* UDP flows in the kernel's maps. */
#include "offload/kernel_udp_datapath.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include <bpf/bpf.h>

#include "offload/kernel_datapath.h"
#include "offload/programs.h"
#include "routing/kernel_routes.h"
#include "routing/netlink.h"

#define LOOPBACK_INTERFACE 1

/* Another flow may have it. */
static void forget_place(int map, const void *key, uint64_t id)
{
	uint64_t found;

	if (bpf_map_lookup_elem(map, key, &found) == 0 && found == id)
		bpf_map_delete_elem(map, key);
}

static void take(struct datapath *datapath, const struct udp_places *places)
{
	const int *fd = kernel_datapath_fds(datapath);

	forget_place(fd[PROGRAM_UDP_PLACES], &places->key, places->id);
	forget_place(fd[PROGRAM_UDP_REPLIES], &places->reply, places->id);
}

static void forget(struct datapath *datapath, uint64_t id)
{
	const int *fd = kernel_datapath_fds(datapath);

	bpf_map_delete_elem(fd[PROGRAM_UDP_FLOWS], &id);
	bpf_map_delete_elem(fd[PROGRAM_UDP_RECORDS], &id);
}

/*
 * The record first: whatever a later daemon finds, it can clear away. And replies before what they
 * answer.
 */
static int give(struct datapath *datapath, const struct udp_places *places,
		const struct offload_udp_flow *flow, const struct offload_udp_record *record)
{
	const int *fd = kernel_datapath_fds(datapath);
	const uint64_t id = places->id;
	int error = bpf_map_update_elem(fd[PROGRAM_UDP_RECORDS], &id, record, BPF_NOEXIST);

	if (error < 0)
		return error;
	error = bpf_map_update_elem(fd[PROGRAM_UDP_FLOWS], &id, flow, BPF_NOEXIST);
	if (error == 0)
		error = bpf_map_update_elem(fd[PROGRAM_UDP_REPLIES], &places->reply, &id,
					    BPF_NOEXIST);
	if (error == 0)
		error = bpf_map_update_elem(fd[PROGRAM_UDP_PLACES], &places->key, &id, BPF_NOEXIST);
	if (error < 0) {
		take(datapath, places);
		forget(datapath, id);
	}
	return error;
}

static int look(struct datapath *datapath, uint64_t id, struct offload_udp_flow *noted)
{
	return bpf_map_lookup_elem(kernel_datapath_fds(datapath)[PROGRAM_UDP_FLOWS], &id, noted);
}

static int read_record(struct datapath *datapath, uint64_t id, struct offload_udp_record *record)
{
	return bpf_map_lookup_elem(kernel_datapath_fds(datapath)[PROGRAM_UDP_RECORDS], &id, record);
}

static int keep_record(struct datapath *datapath, uint64_t id,
		       const struct offload_udp_record *record)
{
	return bpf_map_update_elem(kernel_datapath_fds(datapath)[PROGRAM_UDP_RECORDS], &id, record,
				   BPF_EXIST);
}

static int find(struct datapath *datapath, const struct offload_tuple *reply, uint64_t *id)
{
	return bpf_map_lookup_elem(kernel_datapath_fds(datapath)[PROGRAM_UDP_REPLIES], reply, id);
}

static int each(struct datapath *datapath, void (*visit)(uint64_t id, void *context), void *context)
{
	const int records = kernel_datapath_fds(datapath)[PROGRAM_UDP_RECORDS];
	uint64_t id, next;
	int error = bpf_map_get_next_key(records, NULL, &next);

	/* The next one is looked up first; from one that is gone the walk would begin anew. */
	while (error == 0) {
		id = next;
		error = bpf_map_get_next_key(records, &id, &next);
		visit(id, context);
	}
	return error == -ENOENT ? 0 : error;
}

/* The kernel's own word on a packet: what arrives by `iif`, or, where that is 0, what is sent. */
static int ask_route(const struct address *from, const struct address *to, unsigned iif,
		     struct kernel_lookup *route)
{
	struct netlink *netlink = netlink_open(NETLINK_ROUTE);
	int error;

	if (netlink == NULL)
		return -errno;
	error = kernel_lookup(netlink, to, from, 0, iif, route);
	netlink_close(netlink);
	return error;
}

static int way_out(struct datapath *datapath, const struct address *from, const struct address *to)
{
	struct kernel_lookup route = {0};
	int error = ask_route(from, to, 0, &route);

	(void)datapath;
	return error < 0 ? error : (int)route.interface;
}

static int way_in(struct datapath *datapath, const struct address *from, const struct address *to)
{
	struct kernel_lookup route = {0};
	int error = 0;

	(void)datapath;
	/* IPv6 judges no source. */
	if (to->family == ADDRESS_IPV4)
		error = ask_route(from, to, LOOPBACK_INTERFACE, &route);
	if (error == 0 && to->family == ADDRESS_IPV4 && route.type != RTN_LOCAL)
		error = -EHOSTUNREACH;
	return error;
}

const struct udp_datapath_calls kernel_udp_datapath = {
	.give = give,
	.take = take,
	.look = look,
	.forget = forget,
	.way_out = way_out,
	.way_in = way_in,
	.read_record = read_record,
	.keep_record = keep_record,
	.find = find,
	.each = each,
};
