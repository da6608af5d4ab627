/* SPDX-License-Identifier: MIT */
/*
 * The functions themselves. No header of libc's is included that declares one of them: here each
 * takes six words and hands all of them on, which the calling conventions of 64-bit Linux allow for
 * functions of up to six integers and pointers, variadic ones too.
 */
#include "fail_call.h"

#include <errno.h>
#include <stddef.h>

_Static_assert(sizeof(long) == 8 && sizeof(void *) == 8, "arguments are words");

#define EXPORTED __attribute__((visibility("default")))
#define NONE     (-1)
#define ERRNO    (-2)

enum {
#define CALL(name, failed, count, kind) CALL_##name,
#include "fail_call.def"
#undef CALL
	CALL_COUNT
};

_Static_assert(CALL_COUNT <= FAIL_CALL_MAX, "fail_call.h has room for all");

const char *const fail_call_names[] = {
#define CALL(name, failed, count, kind) #name,
#include "fail_call.def"
#undef CALL
};
const enum fail_call_kind fail_call_kinds[] = {
#define CALL(name, failed, count, kind) FAIL_CALL_##kind,
#include "fail_call.def"
#undef CALL
};
const unsigned fail_call_count = CALL_COUNT;

typedef long function(long a, long b, long c, long d, long e, long f);

static _Atomic(function *) next[CALL_COUNT];

static function *behind(unsigned id)
{
	function *found = next[id];

	if (found == NULL)
		next[id] = found = (function *)fail_call_next(fail_call_names[id]);
	return found;
}

static long call(unsigned id, long failed, int count, long words[static 6])
{
	/* Found first: looking for it might change errno. */
	function *real = behind(id);
	int error = fail_call_judge(id, words, count >= 0 ? &words[count] : NULL);
	long result;

	/* close() has closed, whatever it returns: a second try would close somebody else's. */
	if (error != 0 && id == CALL_close)
		real(words[0], 0, 0, 0, 0, 0);
	if (error == 0) {
		fail_call_inside += fail_call_kinds[id] == FAIL_CALL_ENDS;
		result = real(words[0], words[1], words[2], words[3], words[4], words[5]);
		fail_call_inside -= fail_call_kinds[id] == FAIL_CALL_ENDS;
		return result;
	}
	if (failed == ERRNO)
		return error;
	errno = error;
	return failed;
}

#define CALL(name, failed, count, kind)                                                            \
	EXPORTED long name(long a, long b, long c, long d, long e, long f);                        \
	long name(long a, long b, long c, long d, long e, long f)                                  \
	{                                                                                          \
		long words[6] = {a, b, c, d, e, f};                                                \
                                                                                                   \
		return call(CALL_##name, failed, count, words);                                    \
	}
#include "fail_call.def"
#undef CALL
