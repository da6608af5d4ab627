/* SPDX-License-Identifier: MIT */
/*
 * What a test and the shim that it had loaded into mmproxy share: one of these at the start of the
 * file that FAIL_CALL_FILE names. The test writes what is to fail, and `armed` last; the shim
 * writes `names` once, and the counts.
 *
 * Its reader is tests/integration/fail_call.py, which has the same members in the same order.
 */
#ifndef MMPROXY_TESTS_FAIL_CALL_H
#define MMPROXY_TESTS_FAIL_CALL_H

#include <stdatomic.h>
#include <stdint.h>

/* Bytes of a function's name with its end; room for functions. */
#define FAIL_CALL_NAME 32
#define FAIL_CALL_MAX  96

/* Arguments that a call can be chosen by: the first ones. */
#define FAIL_CALL_WANTED 3

struct fail_call {
	char call[FAIL_CALL_NAME]; /* the function that is to fail */
	_Atomic uint32_t armed;    /* 0: nothing fails */
	uint32_t error;            /* an errno; 0: the call is made, with a count of `limit` */
	uint32_t limit;            /* at most so many bytes, messages or events */
	uint32_t at;               /* the first call that fails; 1 is the next one */
	uint32_t times;            /* how many fail, one after the other */
	uint32_t wanted_mask;      /* bit i: only calls whose argument i is wanted[i] count */
	_Atomic uint32_t reached;  /* calls that counted since `armed` was set */
	_Atomic uint32_t hits;     /* of these, those that failed */
	int32_t wanted[FAIL_CALL_WANTED + 1]; /* one more for the alignment of what follows */
	_Atomic uint64_t seen[FAIL_CALL_MAX]; /* calls of each function since the start */
	char names[FAIL_CALL_MAX][FAIL_CALL_NAME];
};

/* What a function owes to whoever is told that it has failed, or what it is to the others. */
enum fail_call_kind {
	FAIL_CALL_NOTHING,
	FAIL_CALL_READABLE, /* after EAGAIN, of the descriptor in the first argument */
	FAIL_CALL_WRITABLE, /* likewise; of splice() each end is what it can be */
	FAIL_CALL_VITAL,
	FAIL_CALL_ENDS,
};

/*
 * Judges a call of function `id` with these arguments. Returns the errno that it is to fail with,
 * or 0 when it is to be made, with what *count says now.
 */
int fail_call_judge(unsigned id, const long *arguments, long *count);

/* How many functions that ENDS this thread is inside of. */
extern _Thread_local unsigned fail_call_inside;

/* The next function of this name behind the shim's. Ends the process when there is none. */
void *fail_call_next(const char *name);

extern const char *const fail_call_names[];
extern const enum fail_call_kind fail_call_kinds[];
extern const unsigned fail_call_count;

#endif
