/* SPDX-License-Identifier: MIT */
#include "offload/heritage.h"

#include <errno.h>
#include <stdlib.h>

#include "offload/datapath.h"
#include "offload/udp_datapath.h"

#define FIRST_ROOM 64

struct finding {
	struct heritage *heritage;
	struct datapath *datapath;
	int error;
};

static void forget(struct datapath *datapath, uint64_t session)
{
	struct offload_record record;

	if (datapath_read_record(datapath, session, &record) == 0)
		datapath_forget(
			datapath, session,
			(struct offload_tuple[2]){record.legs[0].tuple, record.legs[1].tuple});
}

static void add(struct finding *finding, struct heritage_list *list, uint64_t id)
{
	size_t room = list->room > 0 ? list->room * 2 : FIRST_ROOM;
	uint64_t *ids;

	if (list->count == list->room) {
		ids = reallocarray(list->ids, room, sizeof(*ids));
		if (ids == NULL) {
			finding->error = -ENOMEM;
			return;
		}
		list->ids = ids;
		list->room = room;
	}
	list->ids[list->count++] = id;
}

static void note_number(struct heritage *heritage, uint64_t id)
{
	if (id > heritage->last)
		heritage->last = id;
}

static void session_found(uint64_t session, void *context)
{
	struct finding *finding = context;
	struct offload_record record = {0};
	struct offload_session noted;
	int error = datapath_look(finding->datapath, session, &noted);

	note_number(finding->heritage, session);
	if (error == 0)
		error = datapath_read_record(finding->datapath, session, &record);
	if (error < 0 || record.over || noted.state == OFFLOAD_OBSERVED)
		forget(finding->datapath, session);
	else
		add(finding, &finding->heritage->sessions, session);
}

static void flow_found(uint64_t flow, void *context)
{
	struct finding *finding = context;

	note_number(finding->heritage, flow);
	add(finding, &finding->heritage->flows, flow);
}

int heritage_find(struct heritage *heritage, struct datapath *datapath)
{
	struct finding finding = {.heritage = heritage, .datapath = datapath};
	int error;

	*heritage = (struct heritage){0};
	error = datapath_each(datapath, session_found, &finding);
	if (error == 0 && datapath->udp != NULL)
		error = udp_datapath_each(datapath, flow_found, &finding);
	return error < 0 ? error : finding.error;
}

void heritage_finish(struct heritage *heritage)
{
	free(heritage->sessions.ids);
	free(heritage->flows.ids);
	free(heritage->flow_workers);
	*heritage = (struct heritage){0};
}
