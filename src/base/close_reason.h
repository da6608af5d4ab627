/* SPDX-License-Identifier: MIT */
/*
 * Why a session ended, or never began. One table (close_reason.def) feeds the enum, the name in
 * logs and counters, the log level, and the sentence that the manual prints.
 */
#ifndef MMPROXY_BASE_CLOSE_REASON_H
#define MMPROXY_BASE_CLOSE_REASON_H

enum close_reason {
#define CLOSE_REASON(id, code, kind, name, sentence) CLOSE_##id,
#include "base/close_reason.def"
#undef CLOSE_REASON
	CLOSE_REASON_COUNT,
};

enum close_kind {
	CLOSE_KIND_END,    /* a session that had reached its upstream has ended */
	CLOSE_KIND_QUIET,  /* nothing happened that anyone would want to read about */
	CLOSE_KIND_REFUSE, /* the balancer's connection or its header was refused */
	CLOSE_KIND_FAIL,   /* the header was good, the upstream could not be reached */
};

unsigned close_reason_code(enum close_reason reason);        /* 1 to 299; stable */
const char *close_reason_name(enum close_reason reason);     /* "header-timeout" */
const char *close_reason_sentence(enum close_reason reason); /* for people */
enum close_kind close_reason_kind(enum close_reason reason);

#endif
