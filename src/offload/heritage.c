/* SPDX-License-Identifier: MIT */
#include "offload/heritage.h"

#include <errno.h>
#include <stdlib.h>

#include "offload/datapath.h"

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

static int add(struct heritage *heritage, uint64_t session)
{
	size_t room = heritage->room > 0 ? heritage->room * 2 : FIRST_ROOM;
	uint64_t *sessions;

	if (heritage->count == heritage->room) {
		sessions = reallocarray(heritage->sessions, room, sizeof(*sessions));
		if (sessions == NULL)
			return -ENOMEM;
		heritage->sessions = sessions;
		heritage->room = room;
	}
	heritage->sessions[heritage->count++] = session;
	return 0;
}

static void found(uint64_t session, void *context)
{
	struct finding *finding = context;
	struct heritage *heritage = finding->heritage;
	struct offload_session noted;
	int error = datapath_look(finding->datapath, session, &noted);

	if (session > heritage->last)
		heritage->last = session;
	if (error < 0 || noted.state == OFFLOAD_OBSERVED)
		forget(finding->datapath, session);
	else if (add(heritage, session) < 0)
		finding->error = -ENOMEM;
}

int heritage_find(struct heritage *heritage, struct datapath *datapath)
{
	struct finding finding = {.heritage = heritage, .datapath = datapath};
	int error;

	*heritage = (struct heritage){0};
	error = datapath_each(datapath, found, &finding);
	return error < 0 ? error : finding.error;
}

void heritage_finish(struct heritage *heritage)
{
	free(heritage->sessions);
	*heritage = (struct heritage){0};
}
