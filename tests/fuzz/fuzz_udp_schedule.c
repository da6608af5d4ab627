/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: a UDP listener under a schedule (tests/unit/udp_schedule.h). A datagram arrives
 * at most once, behind those before it, and what does not arrive has been counted.
 */
#include "fuzz.h"
#include "udp_schedule.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *broken = udp_schedule_run(bytes, size, NULL);

	if (broken == NULL)
		return 0;
	/* Once more, to tell the story. */
	udp_schedule_run(bytes, size, stderr);
	fuzz_demand(false, broken, __FILE__, __LINE__);
	return 0;
}
