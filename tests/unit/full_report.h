/* SPDX-License-Identifier: MIT */
/* A report without room for another line, as every report is when memory is out. */
#ifndef MMPROXY_TESTS_UNIT_FULL_REPORT_H
#define MMPROXY_TESTS_UNIT_FULL_REPORT_H

#include "base/report.h"

/* Nothing has been lost yet. */
static inline void full_report_init(struct report *full)
{
	size_t before;

	report_init(full);
	do {
		before = full->count;
		report_add(full, "a line");
	} while (full->count > before);
	report_cut(full, before);
}

#endif
