/* SPDX-License-Identifier: MIT */
/*
 * Asking workers something for a client of the control socket: a call to each, their answers
 * gathered in the main thread, and an answer to the client when all are there or two seconds are
 * over. A worker that is stuck may come back to its call much later; until then the call stays, and
 * no further ones are sent there.
 */
#ifndef MMPROXY_DAEMON_CONTROL_GATHER_H
#define MMPROXY_DAEMON_CONTROL_GATHER_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/timer_wheel.h"
#include "daemon/worker.h"

struct control;
struct control_connection;
struct control_gather;

enum control_answer {
	CONTROL_UNANSWERED,
	CONTROL_ANSWERED,
	CONTROL_WORKER_ENDED, /* which has no sessions any more */
};

struct control_call {
	struct worker_call call;
	struct control_gather *gather;
	unsigned worker;
	bool sent;       /* and not come back yet */
	bool ran;        /* set by the worker's thread, to be read once the call is back */
	void *found;     /* the same: what `ask` has made */
	uint64_t number; /* the same: where a number is all there is to say */
	enum control_answer answer;
};

/* What is asked. */
struct control_question {
	/* On the worker's thread; may leave something in call->found. NULL: a sign of life. */
	void (*ask)(struct control_call *call, struct worker *worker);
	/* Frees what was found; takes NULL. */
	void (*discard)(void *found);
	/* Answers the client, once. */
	void (*reply)(struct control_gather *gather);
	/* Frees what `data` points to. May be NULL. */
	void (*release)(void *data);
	/* It takes a worker some time, so only one at a time, and not one behind the other. */
	bool walks;
	/* It is answered only when all workers have the newest generation, too. */
	bool awaits_adoption;
};

struct control_gather {
	const struct control_question *question;
	struct control *control;
	struct control_connection *connection; /* NULL: nobody waits any more */
	void *data;                            /* the question's own; workers only read it */
	struct list link;                      /* control->gathers, or control->waiting */
	struct timer timer;
	atomic_bool abandoned;       /* a worker that comes to it late need not begin */
	uint64_t began;              /* microseconds */
	unsigned count;              /* workers that are asked */
	unsigned awaited;            /* answers */
	unsigned under_way;          /* calls that are not back */
	struct control_call calls[]; /* one for each of them */
};

/*
 * Asks `count` workers from `first` on, and makes the connection wait. `data` is taken over. When
 * memory is out the client is told.
 */
void control_gather_start(struct control_connection *connection,
			  const struct control_question *question, void *data, unsigned first,
			  unsigned count);

/* The client has gone, or has its answer. Frees the gather, at the latest when no call is out. */
void control_gather_abandon(struct control_gather *gather);

/* Adds "unanswered" to a result when there are any. */
void control_gather_name_unanswered(const struct control_gather *gather, json_t *result);

/* Looks whether gathers have what they wait for: workers may have ended, or adopted a generation.
 */
void control_gather_look(struct control *control);

void control_gather_init(struct control *control);
/* Nobody waits any more. */
void control_gather_close(struct control *control);

#endif
