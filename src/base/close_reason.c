/* SPDX-License-Identifier: MIT */
/* The table of close reasons, looked up. */
#include "base/close_reason.h"

static const struct {
	unsigned code;
	enum close_kind kind;
	const char *name;
	const char *sentence;
} reasons[CLOSE_REASON_COUNT] = {
#define CLOSE_REASON(id, code, kind, name, sentence)                                               \
	[CLOSE_##id] = {code, CLOSE_KIND_##kind, name, sentence},
#include "base/close_reason.def"
#undef CLOSE_REASON
};

unsigned close_reason_code(enum close_reason reason)
{
	return reasons[reason].code;
}

const char *close_reason_name(enum close_reason reason)
{
	return reasons[reason].name;
}

const char *close_reason_sentence(enum close_reason reason)
{
	return reasons[reason].sentence;
}

enum close_kind close_reason_kind(enum close_reason reason)
{
	return reasons[reason].kind;
}
