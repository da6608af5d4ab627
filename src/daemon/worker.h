/* SPDX-License-Identifier: MIT */
/*
 * A worker: one thread with its own loop, relay and listening sockets. The main thread speaks to it
 * through its inbox and in no other way.
 *
 *   worker.c           the thread and its inbox
 *   worker_listeners.c what it receives from
 */
#ifndef MMPROXY_DAEMON_WORKER_H
#define MMPROXY_DAEMON_WORKER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "os/loop.h"
#include "relay/relay.h"

struct budget;
struct flow_quota;
struct flow_quota_member;
struct generation;
struct header_queue;
struct heritage;
struct plugin_set;
struct worker;

/* A socket that a worker is to receive from. */
struct worker_socket {
	uint64_t id;                       /* it keeps this through reloads */
	int fd;                            /* -1: the worker has it already */
	bool shared;                       /* by several workers; TCP */
	bool lives_on;                     /* it stays open when the worker closes its descriptor */
	size_t listener;                   /* its place in the configuration's list */
	struct budget *budget;             /* of that listener, shared by all workers; for TCP */
	struct header_queue *header_queue; /* of that listener, this worker's; for TCP */
	struct flow_quota *quota;          /* the same for UDP */
	struct flow_quota_member *quota_member;
};

/* All that a worker is to receive from under a generation: what is not in it any more ends. */
struct worker_update {
	struct list link;
	struct generation *generation; /* held */
	size_t count;
	struct worker_socket sockets[]; /* their descriptors belong to the update until taken */
};

/*
 * Something that a worker's thread is asked to do: `run` in that thread, between two rounds of
 * events, then `done` in the main thread. A worker that ends first leaves `run` out; `done` comes
 * in any case, and may free the call.
 */
struct worker_call {
	struct list link;
	void (*run)(struct worker_call *call, struct worker *worker);
	void (*done)(struct worker_call *call);
};

/* Calls on their way back to the main thread, from all workers. */
struct worker_returns {
	pthread_mutex_t lock;
	struct list calls;
	int wake; /* eventfd: there is one */
};

enum worker_ending {
	WORKER_RUNS,
	WORKER_DRAINS, /* begins no more sessions, ends with its last */
	WORKER_STOPS,  /* ends now */
};

struct worker {
	struct relay relay;
	unsigned index;
	struct plugin_set *plugins; /* in which it has a seat: those of its generation */
	const struct heritage *heritage;
	sem_t may_adopt; /* posted by the main thread when all workers have been started */
	sem_t adopts;    /* posted when it has taken over what an earlier process has left */
	pthread_t thread;
	bool started;
	bool draining;      /* its own note that it has begun to end */
	atomic_int ending;  /* enum worker_ending, set by the main thread */
	atomic_bool leaves; /* the same: what the kernel carries goes on when this ends */
	int done;           /* eventfd of the main thread: this worker has ended */
	int adopted;        /* the same: it has put a generation in place */
	struct worker_returns *returns;
	atomic_bool over;       /* set by its own thread: no session is left, no call is run */
	_Atomic uint64_t pings; /* sent by the main thread */
	_Atomic uint64_t pongs; /* the last ping that was answered */

	struct list listeners; /* worker_listeners.c */
	struct timer sweep;
	struct loop_task sweep_task;

	int inbox_event; /* eventfd: there is mail */
	pthread_mutex_t inbox_lock;
	struct list news; /* of this host's addresses */
	struct list updates;
	struct list calls;
	struct list endings; /* of sessions that the kernel carried */
	struct loop_source inbox_source;
	struct loop_task inbox_task;
};

struct worker_options {
	struct relay_options relay;
	struct worker_update *update;    /* taken over */
	const struct heritage *heritage; /* as long as the worker's thread */
	int done;
	int adopted;
	struct worker_returns *returns;
};

/*
 * Prepares and starts a worker on the caller's memory, which must not move. Returns 0 or -errno;
 * after a failure there is nothing to finish.
 */
int worker_start(struct worker *worker, const struct worker_options *options);

/*
 * Lets it take over what is there, and begin its work: once, when nothing can fail any more. One
 * that is stopped before leaves everything as it is.
 */
void worker_begin(struct worker *worker);

/* Until it has taken over what is there: once. */
void worker_wait(struct worker *worker);

/* With room for so many sockets, and a hold of the generation. NULL when out of memory. */
struct worker_update *worker_update_create(struct generation *generation, size_t room);
void worker_update_add(struct worker_update *update, const struct worker_socket *socket);
void worker_update_destroy(struct worker_update *update); /* takes NULL */

/* Cannot fail. The update is taken over. */
void worker_send_update(struct worker *worker, struct worker_update *update);

/* Returns 0 or -ENOMEM. The worker takes a hold of its own. */
int worker_send_own_addresses(struct worker *worker, struct own_addresses *own);

/* Cannot fail. `call` stays the main thread's to keep, and is not to be touched until it is done.
 */
void worker_send_call(struct worker *worker, struct worker_call *call);

/* Asks for a sign of life, which a worker gives as soon as it has nothing older to do. */
void worker_send_ping(struct worker *worker);
/* Has the last ping been answered? */
bool worker_is_alive(const struct worker *worker);
/* Has it ended in good order? */
bool worker_is_over(const struct worker *worker);

int worker_returns_init(struct worker_returns *returns); /* 0 or -errno; finish it in either case */
void worker_returns_finish(struct worker_returns *returns);
/* On the main thread: whatever has come back is done. */
void worker_returns_run(struct worker_returns *returns);

/* The kernel says that a session of this worker's has ended. Best effort: it looks by itself, too.
 */
void worker_send_ending(struct worker *worker, uint64_t session);

/*
 * Accept no more; end when the last session has, or (`leave`) all that are left are the kernel's.
 * Cannot fail.
 */
void worker_send_drain(struct worker *worker, bool leave);
/* End now. Cannot fail. */
void worker_send_stop(struct worker *worker);

/*
 * worker_listeners.c, for the worker's own thread: whatever it receives from.
 */

void worker_listeners_init(struct worker *worker);
/* Returns 0, or the first -errno of a socket that could not be taken up; the rest has been. */
int worker_listeners_update(struct worker *worker, struct worker_update *update);
/* Begin no more sessions. */
void worker_listeners_drain(struct worker *worker);
/* At the end. */
void worker_listeners_close(struct worker *worker);

/* Waits for the thread, which must have been told to end, and frees what it had. */
void worker_join(struct worker *worker);

#endif
