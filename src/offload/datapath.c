/* SPDX-License-Identifier: MIT */
#include "offload/datapath.h"

#include <errno.h>
#include <stdlib.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "offload/programs.h"

struct datapath {
	struct programs programs;
	struct ring_buffer *events;
	/* Of the call that reads them: */
	void (*ended)(uint64_t session, void *context);
	void *context;
};

static int event_read(void *datapath, void *bytes, size_t size)
{
	const struct datapath *self = datapath;
	const struct offload_event *event = bytes;

	if (size >= sizeof(*event))
		self->ended(event->session, self->context);
	return 0;
}

struct datapath *datapath_open(const char *directory)
{
	struct datapath *datapath = calloc(1, sizeof(*datapath));
	int error;

	if (datapath == NULL)
		return NULL;
	error = programs_open(directory, &datapath->programs);
	if (error == 0) {
		datapath->events = ring_buffer__new(datapath->programs.fd[PROGRAM_EVENTS],
						    event_read, datapath, NULL);
		error = datapath->events == NULL ? -errno : 0;
	}
	if (error < 0) {
		datapath_close(datapath);
		errno = -error;
		return NULL;
	}
	return datapath;
}

void datapath_close(struct datapath *datapath)
{
	if (datapath == NULL)
		return;
	ring_buffer__free(datapath->events);
	programs_close(&datapath->programs);
	free(datapath);
}

int datapath_observe(struct datapath *datapath, uint64_t session,
		     const struct offload_tuple tuples[static 2])
{
	const struct offload_session blank = {.state = OFFLOAD_OBSERVED};
	const struct programs *programs = &datapath->programs;
	int error =
		bpf_map_update_elem(programs->fd[PROGRAM_SESSIONS], &session, &blank, BPF_NOEXIST);
	unsigned leg = 0;

	if (error < 0)
		return error;
	for (; leg < 2 && error == 0; leg++) {
		const struct offload_place place = {.session = session, .leg = leg};

		error = bpf_map_update_elem(programs->fd[PROGRAM_PLACES], &tuples[leg], &place,
					    BPF_NOEXIST);
	}
	if (error == 0)
		return 0;
	/* The one that failed is another session's. */
	if (leg > 1)
		bpf_map_delete_elem(programs->fd[PROGRAM_PLACES], &tuples[0]);
	bpf_map_delete_elem(programs->fd[PROGRAM_SESSIONS], &session);
	return error;
}

int datapath_look(struct datapath *datapath, uint64_t session, struct offload_session *noted)
{
	return bpf_map_lookup_elem_flags(datapath->programs.fd[PROGRAM_SESSIONS], &session, noted,
					 BPF_F_LOCK);
}

int datapath_move(struct datapath *datapath, const struct offload_move *move)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = move, .data_size_in = sizeof(*move));
	int error = bpf_prog_test_run_opts(datapath->programs.fd[PROGRAM_MOVE], &run);

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

static void forget_place(int places, const struct offload_tuple *tuple, uint64_t session)
{
	struct offload_place place;

	/* A later connection of the same two may have it by now. */
	if (bpf_map_lookup_elem(places, tuple, &place) == 0 && place.session == session)
		bpf_map_delete_elem(places, tuple);
}

void datapath_forget(struct datapath *datapath, uint64_t session,
		     const struct offload_tuple tuples[static 2])
{
	for (unsigned leg = 0; leg < 2; leg++)
		forget_place(datapath->programs.fd[PROGRAM_PLACES], &tuples[leg], session);
	bpf_map_delete_elem(datapath->programs.fd[PROGRAM_SESSIONS], &session);
}

int datapath_events_fd(const struct datapath *datapath)
{
	return ring_buffer__epoll_fd(datapath->events);
}

void datapath_read_events(struct datapath *datapath, void (*ended)(uint64_t session, void *context),
			  void *context)
{
	datapath->ended = ended;
	datapath->context = context;
	ring_buffer__consume(datapath->events);
}
