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

int datapath_keep_record(struct datapath *datapath, uint64_t session,
			 const struct offload_record *record)
{
	return bpf_map_update_elem(datapath->programs.fd[PROGRAM_RECORDS], &session, record,
				   BPF_ANY);
}

int datapath_read_record(struct datapath *datapath, uint64_t session, struct offload_record *record)
{
	return bpf_map_lookup_elem(datapath->programs.fd[PROGRAM_RECORDS], &session, record);
}

/* The record first and the places last: whatever a later daemon finds, it can clear away. */
int datapath_observe(struct datapath *datapath, uint64_t session,
		     const struct offload_record *record)
{
	const struct offload_session blank = {.state = OFFLOAD_OBSERVED};
	const struct offload_tuple tuples[2] = {record->legs[0].tuple, record->legs[1].tuple};
	const int *fd = datapath->programs.fd;
	int error = datapath_keep_record(datapath, session, record);

	if (error == 0)
		error = bpf_map_update_elem(fd[PROGRAM_SESSIONS], &session, &blank, BPF_NOEXIST);
	if (error == 0)
		error = add_places(fd[PROGRAM_PLACES], session, record);
	if (error < 0)
		datapath_forget(datapath, session, tuples);
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

int datapath_end(struct datapath *datapath, uint64_t session)
{
	const struct offload_end end = {.session = session};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = &end, .data_size_in = sizeof(end));
	int error = bpf_prog_test_run_opts(datapath->programs.fd[PROGRAM_END], &run);

	if (error < 0)
		return error;
	return run.retval == OFFLOAD_MOVE_DONE ? 0 : -ENOENT;
}

void datapath_forget_places(struct datapath *datapath, uint64_t session,
			    const struct offload_tuple tuples[static 2])
{
	for (unsigned leg = 0; leg < 2; leg++)
		forget_place(datapath->programs.fd[PROGRAM_PLACES], &tuples[leg], session);
}

void datapath_forget(struct datapath *datapath, uint64_t session,
		     const struct offload_tuple tuples[static 2])
{
	const int *fd = datapath->programs.fd;

	datapath_forget_places(datapath, session, tuples);
	bpf_map_delete_elem(fd[PROGRAM_SESSIONS], &session);
	bpf_map_delete_elem(fd[PROGRAM_RECORDS], &session);
}

int datapath_find(struct datapath *datapath, const struct offload_tuple *tuple, uint64_t *session)
{
	struct offload_place place;
	int error = bpf_map_lookup_elem(datapath->programs.fd[PROGRAM_PLACES], tuple, &place);

	if (error == 0)
		*session = place.session;
	return error;
}

int datapath_each(struct datapath *datapath, void (*each)(uint64_t session, void *context),
		  void *context)
{
	const int records = datapath->programs.fd[PROGRAM_RECORDS];
	uint64_t session, next;
	int error = bpf_map_get_next_key(records, NULL, &next);

	/* The next one is looked up first; from one that is gone the walk would begin anew. */
	while (error == 0) {
		session = next;
		error = bpf_map_get_next_key(records, &session, &next);
		each(session, context);
	}
	return error == -ENOENT ? 0 : error;
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
