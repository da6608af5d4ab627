/* SPDX-License-Identifier: MIT */
/* Inside the examination: what it looks with, opened once for all paths. */
#ifndef MMPROXY_DOCTOR_EXAMINER_H
#define MMPROXY_DOCTOR_EXAMINER_H

#include <stdbool.h>

#include "doctor/examine.h"
#include "doctor/knock.h"

struct examiner {
	struct knock_tools tools;
	int token;       /* a descriptor: no other doctor is at work here */
	bool privileged; /* may change what is in the kernel */
	int trace_error; /* -errno: why there is no trace */
};

/* Has this network namespace rules of legacy iptables? */
bool examiner_has_legacy_rules(void);

#endif
