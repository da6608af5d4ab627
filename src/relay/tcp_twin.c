/* SPDX-License-Identifier: MIT */
/*
 * A session that the kernel carries has no socket that would keep its four-tuple from being dialled
 * once more; its upstream would answer the new connection as the old one.
 */
#include <errno.h>

#include "offload/datapath.h"
#include "offload/tuple.h"
#include "os/sys.h"
#include "relay/relay.h"
#include "relay/tcp_offload.h"

static bool find(const struct relay *relay, const struct address *client,
		 const struct address *upstream, uint64_t *session)
{
	const struct offload_tuple tuple = offload_tuple_of(upstream, client);

	return datapath_find(relay->datapath, &tuple, session) == 0;
}

bool tcp_twin_exists(const struct relay *relay, const struct address *client,
		     const struct address *upstream)
{
	uint64_t session;

	return find(relay, client, upstream, &session);
}

static void reset_legs(struct relay *relay, const struct offload_record *record,
		       const struct offload_session *noted)
{
	const struct sys *sys = relay->sys;

	for (unsigned leg = 0; leg < 2; leg++) {
		int fd =
			datapath_revive(relay->datapath, record, noted, (enum offload_leg_name)leg);

		if (fd < 0)
			continue;
		sys->reset_on_close(fd);
		sys->close(fd);
	}
}

/* It may be another worker's, which is told as of any other end, and finds nobody left to tell. */
void tcp_twin_reset(struct relay *relay, uint64_t session, const struct offload_record *record)
{
	const struct offload_tuple tuples[2] = {record->legs[0].tuple, record->legs[1].tuple};
	struct datapath *datapath = relay->datapath;
	struct offload_session noted;

	if (datapath_look(datapath, session, &noted) < 0)
		return;
	if (noted.state == OFFLOAD_OBSERVED)
		return; /* it has sockets, of which the dial will hear */
	if (noted.state == OFFLOAD_MOVED && datapath_end(datapath, session) == 0)
		reset_legs(relay, record, &noted);
	datapath_forget_places(datapath, session, tuples);
}

void tcp_twin_end(struct relay *relay, const struct address *client, const struct address *upstream)
{
	struct offload_record record;
	uint64_t session;

	if (find(relay, client, upstream, &session) &&
	    datapath_read_record(relay->datapath, session, &record) == 0)
		tcp_twin_reset(relay, session, &record);
}
