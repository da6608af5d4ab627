/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: a TCP session under a schedule (tests/unit/tcp_schedule.h). Every byte arrives once
 * and in order, and both sides are told how it ended.
 */
#include "fuzz.h"
#include "tcp_schedule.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *broken = tcp_schedule_run(bytes, size, NULL);

	if (broken == NULL)
		return 0;
	/* Once more, to tell the story. */
	tcp_schedule_run(bytes, size, stderr);
	fuzz_demand(false, broken, __FILE__, __LINE__);
	return 0;
}
