/* SPDX-License-Identifier: MIT */
/*
 * A fake kernel datapath behind struct datapath, for the sockets of fake_sys.h. What it notes of a
 * session it reads off them. Of one that was moved it carries each peer's bytes, FIN and reset to
 * the other peer, so that what the peers have got shows whether the hand-off lost or doubled a
 * byte. Ends become events, which the fixture delivers in its rounds.
 *
 * It aborts where numbers are handed to it that would not make one connection of two.
 */
#ifndef MMPROXY_TESTS_FAKE_DATAPATH_H
#define MMPROXY_TESTS_FAKE_DATAPATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fake_sys.h"
#include "offload/datapath.h"

enum fake_datapath_call {
	FAKE_OBSERVE,
	FAKE_KEEP_RECORD,
	FAKE_READ_RECORD,
	FAKE_LOOK,
	FAKE_FIND_WAY,
	FAKE_MOVE,
	FAKE_END,
	FAKE_REVIVE,
	FAKE_PROBE,
	FAKE_DATAPATH_CALL_COUNT,
};

#define FAKE_CARRIED_MAX 64

struct fake_datapath;

/* A session that it knows of. */
struct fake_carried {
	struct fake_carrier carrier; /* of both sockets, once it has moved */
	struct fake_datapath *of;
	bool used, has_places;
	uint64_t id;
	struct offload_record record;
	struct offload_session noted; /* what does not show in the sockets */
	struct fake_socket *sockets[2];
	size_t sent[2];      /* by the sockets, when it moved */
	uint64_t last_probe; /* milliseconds, the fake's clock */
};

struct fake_datapath {
	struct datapath datapath;
	struct fake_sys *fake;
	struct fake_carried carried[FAKE_CARRIED_MAX];
	uint64_t events[FAKE_CARRIED_MAX]; /* of ends; the oldest first */
	size_t event_count;
	bool lose_events;
	unsigned untracked;     /* how often it was asked to */
	bool full;              /* there is no room for another session */
	bool unseen[2];         /* packets of this leg come by another way */
	bool odd[2];            /* there was something in them that can't be carried over */
	unsigned interfaces[2]; /* that they come by; 1 is lo */

	/* Before a move: something may come in. Called once for each, may be NULL. */
	void (*before_move)(void *context);
	void *context;

	unsigned calls[FAKE_DATAPATH_CALL_COUNT];
	unsigned fail_in[FAKE_DATAPATH_CALL_COUNT]; /* calls from now; 0: none fails */
	int errors[FAKE_DATAPATH_CALL_COUNT];
};

void fake_datapath_init(struct fake_datapath *datapath, struct fake_sys *fake);

/* Makes a call fail: 1 is the next one of its kind. */
void fake_datapath_fail(struct fake_datapath *datapath, enum fake_datapath_call call, unsigned in,
			int error);

/* The next event, if there is one. */
bool fake_datapath_event(struct fake_datapath *datapath, uint64_t *session);

/* NULL where it knows of none. */
struct fake_carried *fake_datapath_session(struct fake_datapath *datapath, uint64_t session);
size_t fake_datapath_count(const struct fake_datapath *datapath);

/* The far end of a leg begins another connection in this one's place. */
void fake_datapath_begin_another(struct fake_carried *carried, enum offload_leg_name leg);

#endif
