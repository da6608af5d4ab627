/* SPDX-License-Identifier: MIT */
#include "offload/kernel_datapath.h"

#include <errno.h>
#include <stdlib.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/list.h"
#include "offload/conntrack.h"
#include "offload/datapath.h"
#include "offload/kernel_udp_datapath.h"
#include "offload/programs.h"
#include "offload/revive.h"
#include "offload/way.h"

struct kernel_datapath {
	struct datapath datapath;
	struct programs programs;
	struct ring_buffer *events;
	/* Of the call that reads them: */
	void (*ended)(uint64_t session, void *context);
	void *context;
};

static struct kernel_datapath *self_of(struct datapath *datapath)
{
	return container_of(datapath, struct kernel_datapath, datapath);
}

static const int *fds_of(struct datapath *datapath)
{
	return self_of(datapath)->programs.fd;
}

const int *kernel_datapath_fds(struct datapath *datapath)
{
	return fds_of(datapath);
}

static int add_places(int places, uint64_t session, const struct offload_record *record)
{
	for (unsigned leg = 0; leg < 2; leg++) {
		const struct offload_place place = {.session = session, .leg = leg};
		int error =
			bpf_map_update_elem(places, &record->legs[leg].tuple, &place, BPF_NOEXIST);

		if (error < 0)
			return error;
	}
	return 0;
}

static void forget_place(int places, const struct offload_tuple *tuple, uint64_t session)
{
	struct offload_place place;

	/* Another session may have it. */
	if (bpf_map_lookup_elem(places, tuple, &place) == 0 && place.session == session)
		bpf_map_delete_elem(places, tuple);
}

static void forget_places(struct datapath *datapath, uint64_t session,
			  const struct offload_tuple tuples[static 2])
{
	for (unsigned leg = 0; leg < 2; leg++)
		forget_place(fds_of(datapath)[PROGRAM_PLACES], &tuples[leg], session);
}

static void forget(struct datapath *datapath, uint64_t session,
		   const struct offload_tuple tuples[static 2])
{
	const int *fd = fds_of(datapath);

	forget_places(datapath, session, tuples);
	bpf_map_delete_elem(fd[PROGRAM_SESSIONS], &session);
	bpf_map_delete_elem(fd[PROGRAM_RECORDS], &session);
}

static int keep_record(struct datapath *datapath, uint64_t session,
		       const struct offload_record *record)
{
	return bpf_map_update_elem(fds_of(datapath)[PROGRAM_RECORDS], &session, record, BPF_ANY);
}

static int read_record(struct datapath *datapath, uint64_t session, struct offload_record *record)
{
	return bpf_map_lookup_elem(fds_of(datapath)[PROGRAM_RECORDS], &session, record);
}

/* The record first and the places last: whatever a later daemon finds, it can clear away. */
static int observe(struct datapath *datapath, uint64_t session, const struct offload_record *record)
{
	const struct offload_session blank = {.state = OFFLOAD_OBSERVED};
	const struct offload_tuple tuples[2] = {record->legs[0].tuple, record->legs[1].tuple};
	const int *fd = fds_of(datapath);
	int error = keep_record(datapath, session, record);

	if (error == 0)
		error = bpf_map_update_elem(fd[PROGRAM_SESSIONS], &session, &blank, BPF_NOEXIST);
	if (error == 0)
		error = add_places(fd[PROGRAM_PLACES], session, record);
	if (error < 0)
		forget(datapath, session, tuples);
	return error;
}

static int look(struct datapath *datapath, uint64_t session, struct offload_session *noted)
{
	return bpf_map_lookup_elem_flags(fds_of(datapath)[PROGRAM_SESSIONS], &session, noted,
					 BPF_F_LOCK);
}

static int move(struct datapath *datapath, const struct offload_move *move)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = move, .data_size_in = sizeof(*move));
	int error = bpf_prog_test_run_opts(fds_of(datapath)[PROGRAM_MOVE], &run);

	if (error < 0)
		return error;
	switch ((enum offload_move_result)run.retval) {
	case OFFLOAD_MOVE_DONE:
		return 0;
	case OFFLOAD_MOVE_LATE:
		return -EAGAIN;
	case OFFLOAD_MOVE_UNKNOWN:
		break;
	}
	return -ENOENT;
}

static int end(struct datapath *datapath, uint64_t session)
{
	const struct offload_end end = {.session = session};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = &end, .data_size_in = sizeof(end));
	int error = bpf_prog_test_run_opts(fds_of(datapath)[PROGRAM_END], &run);

	if (error < 0)
		return error;
	return run.retval == OFFLOAD_MOVE_DONE ? 0 : -ENOENT;
}

static int find(struct datapath *datapath, const struct offload_tuple *tuple, uint64_t *session)
{
	struct offload_place place;
	int error = bpf_map_lookup_elem(fds_of(datapath)[PROGRAM_PLACES], tuple, &place);

	if (error == 0)
		*session = place.session;
	return error;
}

static int each(struct datapath *datapath, void (*visit)(uint64_t session, void *context),
		void *context)
{
	const int records = fds_of(datapath)[PROGRAM_RECORDS];
	uint64_t session, next;
	int error = bpf_map_get_next_key(records, NULL, &next);

	/* The next one is looked up first; from one that is gone the walk would begin anew. */
	while (error == 0) {
		session = next;
		error = bpf_map_get_next_key(records, &session, &next);
		visit(session, context);
	}
	return error == -ENOENT ? 0 : error;
}

static int find_way(struct datapath *datapath, unsigned from, unsigned to,
		    const struct offload_tuple *tuple)
{
	(void)datapath;
	return way_find(from, to, tuple);
}

static void untrack(struct datapath *datapath, const struct offload_tuple *tuple)
{
	(void)datapath;
	if (conntrack_is_active())
		conntrack_forget(tuple);
}

static int kernel_revive(struct datapath *datapath, const struct offload_record *record,
			 const struct offload_session *noted, enum offload_leg_name leg)
{
	(void)datapath;
	return revive(record, noted, leg);
}

static int kernel_probe(struct datapath *datapath, const struct offload_record *record,
			const struct offload_session *noted, enum offload_leg_name leg)
{
	(void)datapath;
	return revive_probe(record, noted, leg);
}

static const struct datapath_calls kernel_calls = {
	.observe = observe,
	.keep_record = keep_record,
	.read_record = read_record,
	.look = look,
	.find_way = find_way,
	.untrack = untrack,
	.move = move,
	.end = end,
	.forget_places = forget_places,
	.forget = forget,
	.find = find,
	.each = each,
	.revive = kernel_revive,
	.probe = kernel_probe,
};

static int event_read(void *datapath, void *bytes, size_t size)
{
	const struct kernel_datapath *self = datapath;
	const struct offload_event *event = bytes;

	if (size >= sizeof(*event))
		self->ended(event->session, self->context);
	return 0;
}

struct datapath *kernel_datapath_open(const char *directory)
{
	struct kernel_datapath *self = calloc(1, sizeof(*self));
	int error;

	if (self == NULL)
		return NULL;
	self->datapath.calls = &kernel_calls;
	self->datapath.udp = &kernel_udp_datapath;
	error = programs_open(directory, &self->programs);
	if (error == 0) {
		self->events =
			ring_buffer__new(self->programs.fd[PROGRAM_EVENTS], event_read, self, NULL);
		error = self->events == NULL ? -errno : 0;
	}
	if (error < 0) {
		kernel_datapath_close(&self->datapath);
		errno = -error;
		return NULL;
	}
	return &self->datapath;
}

void kernel_datapath_close(struct datapath *datapath)
{
	struct kernel_datapath *self;

	if (datapath == NULL)
		return;
	self = self_of(datapath);
	ring_buffer__free(self->events);
	programs_close(&self->programs);
	free(self);
}

int kernel_datapath_events(const struct datapath *datapath)
{
	const struct kernel_datapath *self =
		container_of(datapath, const struct kernel_datapath, datapath);

	return ring_buffer__epoll_fd(self->events);
}

void kernel_datapath_read(struct datapath *datapath, void (*ended)(uint64_t session, void *context),
			  void *context)
{
	struct kernel_datapath *self = self_of(datapath);

	self->ended = ended;
	self->context = context;
	ring_buffer__consume(self->events);
}
