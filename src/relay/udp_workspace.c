/* SPDX-License-Identifier: MIT */
/* The workspace: made with a worker's first UDP listener. */
#include "relay/udp_workspace.h"

#include <stdlib.h>

#include "relay/relay.h"
#include "relay/udp_spill.h"

static void flush_run(struct loop_task *task)
{
	udp_reply_flush(container_of(task, struct udp_workspace, flush)->relay);
}

struct udp_workspace *udp_workspace_create(struct relay *relay)
{
	struct udp_workspace *workspace = calloc(1, sizeof(*workspace));

	if (workspace == NULL)
		return NULL;
	workspace->relay = relay;
	loop_task_init(&workspace->flush, flush_run);
	workspace->upstream = udp_sender_create(true, udp_inbound_report);
	workspace->replies = udp_sender_create(false, udp_reply_report);
	if (udp_receiver_init(&workspace->arrivals, true) == 0 &&
	    udp_receiver_init(&workspace->answers, false) == 0 && workspace->upstream != NULL &&
	    workspace->replies != NULL)
		return workspace;
	udp_workspace_destroy(workspace);
	return NULL;
}

void udp_workspace_destroy(struct udp_workspace *workspace)
{
	if (workspace == NULL)
		return;
	loop_task_drop(&workspace->flush);
	udp_spill_destroy(workspace->spill);
	udp_sender_destroy(workspace->upstream);
	udp_sender_destroy(workspace->replies);
	udp_receiver_finish(&workspace->arrivals);
	udp_receiver_finish(&workspace->answers);
	free(workspace);
}
