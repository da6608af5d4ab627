/* SPDX-License-Identifier: MIT */
#include "fake_udp_datapath.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"

static struct fake_udp_datapath *self_of(struct datapath *datapath)
{
	return container_of(datapath, struct fake_udp_datapath, datapath);
}

static void expect(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fake_udp_datapath: %s\n", what);
	abort();
}

struct fake_udp_carried *fake_udp_datapath_flow(struct fake_udp_datapath *self, uint64_t id)
{
	for (size_t i = 0; i < FAKE_UDP_CARRIED_MAX; i++)
		if (self->carried[i].used && self->carried[i].id == id)
			return &self->carried[i];
	return NULL;
}

struct fake_udp_carried *fake_udp_datapath_place(struct fake_udp_datapath *self)
{
	for (size_t i = 0; i < FAKE_UDP_CARRIED_MAX; i++)
		if (!self->carried[i].used)
			return &self->carried[i];
	expect(false, "there are more flows than it has room for");
	return NULL;
}

size_t fake_udp_datapath_count(const struct fake_udp_datapath *self)
{
	size_t count = 0;

	for (size_t i = 0; i < FAKE_UDP_CARRIED_MAX; i++)
		count += self->carried[i].used;
	return count;
}

static struct fake_udp_carried *find_reply(struct fake_udp_datapath *self,
					   const struct offload_tuple *reply)
{
	for (size_t i = 0; i < FAKE_UDP_CARRIED_MAX; i++) {
		struct fake_udp_carried *carried = &self->carried[i];

		if (carried->used && carried->has_places &&
		    memcmp(&carried->places.reply, reply, sizeof(*reply)) == 0)
			return carried;
	}
	return NULL;
}

static bool has_key(const struct fake_udp_datapath *self, const struct offload_udp_key *key)
{
	for (size_t i = 0; i < FAKE_UDP_CARRIED_MAX; i++) {
		const struct fake_udp_carried *carried = &self->carried[i];

		if (carried->used && carried->has_places &&
		    memcmp(&carried->places.key, key, sizeof(*key)) == 0)
			return true;
	}
	return false;
}

static int give(struct datapath *datapath, const struct udp_places *places,
		const struct offload_udp_flow *flow, const struct offload_udp_record *record)
{
	struct fake_udp_datapath *self = self_of(datapath);

	expect(fake_udp_datapath_flow(self, places->id) == NULL, "a flow is given twice");
	if (find_reply(self, &places->reply) != NULL || has_key(self, &places->key))
		return -EEXIST;
	*fake_udp_datapath_place(self) = (struct fake_udp_carried){
		.used = true,
		.has_places = true,
		.id = places->id,
		.places = *places,
		.flow = *flow,
		.record = *record,
	};
	return 0;
}

static void take(struct datapath *datapath, const struct udp_places *places)
{
	struct fake_udp_carried *carried = fake_udp_datapath_flow(self_of(datapath), places->id);

	if (carried == NULL)
		return;
	expect(memcmp(&carried->places.key, &places->key, sizeof(places->key)) == 0 &&
		       memcmp(&carried->places.reply, &places->reply, sizeof(places->reply)) == 0,
	       "another's places are taken");
	carried->has_places = false;
}

static int look(struct datapath *datapath, uint64_t id, struct offload_udp_flow *noted)
{
	struct fake_udp_carried *carried = fake_udp_datapath_flow(self_of(datapath), id);

	if (carried == NULL)
		return -ENOENT;
	*noted = carried->flow;
	return 0;
}

static void forget(struct datapath *datapath, uint64_t id)
{
	struct fake_udp_carried *carried = fake_udp_datapath_flow(self_of(datapath), id);

	if (carried == NULL)
		return;
	expect(!carried->has_places, "a flow is forgotten whose datagrams are the kernel's");
	carried->used = false;
}

static int way_out(struct datapath *datapath, const struct address *from, const struct address *to)
{
	(void)datapath;
	(void)from;
	(void)to;
	return FAKE_UDP_LOOPBACK;
}

static int way_in(struct datapath *datapath, const struct address *from, const struct address *to)
{
	(void)datapath;
	(void)from;
	(void)to;
	return 0;
}

static int read_record(struct datapath *datapath, uint64_t id, struct offload_udp_record *record)
{
	struct fake_udp_carried *carried = fake_udp_datapath_flow(self_of(datapath), id);

	if (carried == NULL)
		return -ENOENT;
	*record = carried->record;
	return 0;
}

static int keep_record(struct datapath *datapath, uint64_t id,
		       const struct offload_udp_record *record)
{
	struct fake_udp_carried *carried = fake_udp_datapath_flow(self_of(datapath), id);

	if (carried == NULL)
		return -ENOENT;
	carried->record = *record;
	return 0;
}

static int find(struct datapath *datapath, const struct offload_tuple *reply, uint64_t *id)
{
	const struct fake_udp_carried *carried = find_reply(self_of(datapath), reply);

	if (carried == NULL)
		return -ENOENT;
	*id = carried->id;
	return 0;
}

static int each(struct datapath *datapath, void (*visit)(uint64_t id, void *context), void *context)
{
	struct fake_udp_datapath *self = self_of(datapath);

	for (size_t i = 0; i < FAKE_UDP_CARRIED_MAX; i++)
		if (self->carried[i].used)
			visit(self->carried[i].id, context);
	return 0;
}

static const struct udp_datapath_calls calls = {
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

void fake_udp_datapath_init(struct fake_udp_datapath *self)
{
	*self = (struct fake_udp_datapath){.datapath = {.udp = &calls}};
}
