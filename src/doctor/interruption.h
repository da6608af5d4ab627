/* SPDX-License-Identifier: MIT */
/*
 * SIGINT, SIGTERM and SIGHUP are held back while something of ours is in the kernel that has to
 * come out again. Whoever works meanwhile asks between two steps, and ends early.
 */
#ifndef MMPROXY_DOCTOR_INTERRUPTION_H
#define MMPROXY_DOCTOR_INTERRUPTION_H

#include <signal.h>
#include <stdbool.h>

struct interruption {
	sigset_t before; /* the mask to go back to */
};

void interruption_hold(struct interruption *interruption);
bool interruption_waits(void); /* one of them has come */
/* Lets them in: one that waits has its effect now. */
void interruption_release(const struct interruption *interruption);

#endif
