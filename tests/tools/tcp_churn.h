/* SPDX-License-Identifier: MIT */
/*
 * The parts of tcp_churn: what happens to a connection (churn_plan.c), the bytes of its streams
 * (churn_stream.c), when its ends speak (churn_pace.c), how they carry that out (churn_end.c) and
 * what has to come of it (churn_judge.c). churn_run.c opens, accepts and gives turns, tcp_churn.c
 * goes round.
 */
#ifndef MMPROXY_TOOLS_TCP_CHURN_H
#define MMPROXY_TOOLS_TCP_CHURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/address.h"

#define CHURN_PIECE_MAX  32768 /* bytes that are sent or received at once */
#define CHURN_HEADER_MAX 512
#define CHURN_CUTS_MAX   3

enum churn_kind {
	CHURN_SERVED,          /* both sides send all they have, and end */
	CHURN_CLIENT_RESETS,   /* in the middle; it sends no end before */
	CHURN_UPSTREAM_RESETS, /* likewise */
	CHURN_CLIENT_LEAVES,   /* closes, whatever may still come */
	CHURN_UPSTREAM_LEAVES,
	CHURN_HALF_HEADER, /* then an end or a reset */
	CHURN_BAD_HEADER,
	CHURN_EMPTY,    /* connects, and closes without a byte */
	CHURN_DEAD_END, /* a listener whose upstream does not listen */
	CHURN_KINDS,
};

enum churn_order { CHURN_BOTH, CHURN_CLIENT_FIRST, CHURN_UPSTREAM_FIRST };

/* Both index what there is for either side. */
enum churn_side { CHURN_CLIENT, CHURN_UPSTREAM, CHURN_SIDES };

/* Which connections a run has. */
enum churn_mix {
	CHURN_ANY,     /* of all kinds, and most are short */
	CHURN_LASTING, /* served, reset or left, but only after a while, with messages and pauses */
	CHURN_SOUND,   /* likewise, and all are served: for a link on which a reset may be lost */
};

/* How one connection speaks, where it lasts. */
struct churn_pace {
	bool in_turns;         /* messages: the client's, the upstream's, the client's, ... */
	uint32_t message_most; /* bytes of one of them */
	uint32_t piece_most;   /* bytes that are sent or received at once */
	uint32_t pauses;       /* of a thousand pieces, how many are followed by one */
	uint32_t pause_most;   /* microseconds */
};

/* A function of the run's seed and the connection's number. */
struct churn_plan {
	enum churn_kind kind;
	enum churn_order order; /* who ends first; the other one waits for that */
	bool silent;            /* and also sends nothing before */
	bool graceful;          /* a half header is followed by an end, not by a reset */
	bool small_buffers;
	uint64_t seeds[CHURN_SIDES];
	uint32_t sizes[CHURN_SIDES]; /* payload bytes */
	uint32_t break_at;           /* who resets or leaves does, after so many bytes both ways */
	struct churn_pace pace;
	struct address client;
	bool v2;
	uint8_t header[CHURN_HEADER_MAX];
	size_t header_length;
	size_t cuts[CHURN_CUTS_MAX]; /* in order: places at which the header is sent in parts */
};

struct churn_end {
	struct churn_connection *connection;
	enum churn_side side;
	int fd; /* -1: not open, or not any more */
	bool queued;
	size_t header_sent;
	uint32_t sent, received;   /* payload bytes */
	uint32_t messages;         /* in turns: of the other side, whole ones */
	uint32_t may_send, awaits; /* in turns: so many bytes in all; and when received, more */
	uint64_t wakes;            /* from a pause, nanoseconds; 0: there is none */
	struct churn_end *next_paused;
	bool end_sent, end_received;   /* FIN */
	bool was_reset, broken_off;    /* by the other side; by this one */
	bool wrong;                    /* a byte was not the one that had to come */
	int error;                     /* another one than a reset */
	struct churn_end *next_queued; /* whose turn comes again */
};

struct churn_connection {
	uint64_t number;
	struct churn_plan plan;
	struct churn_end ends[CHURN_SIDES];
	uint64_t random;   /* state: sizes of pieces */
	bool accepted;     /* by the upstream */
	uint64_t progress; /* when anything happened last; nanoseconds */
	struct churn_connection *next_dead;
};

/* What is counted besides the kinds: each of these is a fault. */
enum churn_fault {
	CHURN_WRONG_BYTE,     /* lost, doubled, out of order, or another's */
	CHURN_CUT_SHORT,      /* an end before everything that was sent had come */
	CHURN_RESET_AS_END,   /* an end that nobody had sent */
	CHURN_NOT_SERVED,     /* reset or failed without a reason */
	CHURN_NOT_REFUSED,    /* bytes came back to somebody who must be refused */
	CHURN_LEAKED,         /* reached the upstream, and must not */
	CHURN_STRANGER,       /* nobody whom the upstream could have expected, or twice the same */
	CHURN_STUCK,          /* nothing happened for a long time */
	CHURN_CONNECT_FAILED, /* mmproxy could not be reached */
	CHURN_FAULTS,
};

struct churn_counts {
	uint64_t opened;
	uint64_t kinds[CHURN_KINDS]; /* over, without a fault */
	uint64_t faults[CHURN_FAULTS];
	uint64_t bytes[CHURN_SIDES]; /* that have arrived at it, payload */
	uint64_t v1, v2, ipv6, cut_headers;
	uint64_t unseen; /* reset or left before the upstream had the connection */
};

void churn_plan_make(struct churn_plan *plan, uint64_t seed, uint64_t number, enum churn_mix mix,
		     bool ipv6);
/* Whose address this is; UINT64_MAX: nobody's. */
uint64_t churn_number_of(const struct address *client);
/* Must the upstream ever see it? */
bool churn_reaches_upstream(enum churn_kind kind);

/* A pseudorandom number, of a state that any number may begin. */
uint64_t churn_random(uint64_t *state);
/* `length` bytes of a stream from `offset` on. */
void churn_stream_fill(uint64_t seed, uint64_t offset, uint8_t *bytes, size_t length);
/* Are they that? At most CHURN_PIECE_MAX. */
bool churn_stream_check(uint64_t seed, uint64_t offset, const uint8_t *bytes, size_t length);

void churn_pace_choose(struct churn_plan *plan, uint64_t *state);
void churn_pace_begin(struct churn_end *end);
/* So many payload bytes of `length` may be sent now. */
uint32_t churn_pace_limit(struct churn_end *end, uint32_t length);
/* A piece was sent or received: nanoseconds to pause, mostly none. */
uint64_t churn_pace_pause(struct churn_end *end);

/*
 * One turn of an end: sends and receives a piece, and closes when all is done. True: it has more to
 * do at once; false: it waits for an event of its socket (edge-triggered), or is closed.
 */
bool churn_end_turn(struct churn_end *end);
void churn_end_close(struct churn_end *end, bool with_reset);

/* Counts a connection that is over, and says what is wrong with the first ones. */
void churn_judge(struct churn_counts *counts, const struct churn_connection *connection);
void churn_fault(struct churn_counts *counts, enum churn_fault fault,
		 const struct churn_connection *connection);
uint64_t churn_faults(const struct churn_counts *counts);
void churn_print(const struct churn_counts *counts, double seconds, unsigned open);

#endif
