/* SPDX-License-Identifier: MIT */
/*
 * When the warm-up ends and counting begins. With --wait it is whoever runs the load who says so:
 * the load writes the line "warm" and goes on as before until a line, or the end, comes on its
 * standard input. So somebody can wait for what a warm-up is for, and look at the proxy before
 * anything counts.
 */
#ifndef MMPROXY_BENCH_GATE_H
#define MMPROXY_BENCH_GATE_H

#include <stdbool.h>

/* All zero: open. */
struct gate {
	bool waits; /* for a line */
	bool asked; /* it was written that there is one to come */
};

/* To be asked over and over once the warm-up is over. It does not wait itself. */
bool gate_is_open(struct gate *gate);

#endif
