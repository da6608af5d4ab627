/* SPDX-License-Identifier: MIT */
/* No handler and no flag: a signal that is held back stays pending, which is all there is to know.
 */
#include "doctor/interruption.h"

#include <stddef.h>

static const int held[] = {SIGINT, SIGTERM, SIGHUP};

void interruption_hold(struct interruption *interruption)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++)
		sigaddset(&set, held[i]);
	sigprocmask(SIG_BLOCK, &set, &interruption->before);
}

bool interruption_waits(void)
{
	sigset_t pending;

	sigpending(&pending);
	for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
		if (sigismember(&pending, held[i]) == 1)
			return true;
	}
	return false;
}

void interruption_release(const struct interruption *interruption)
{
	sigprocmask(SIG_SETMASK, &interruption->before, NULL);
}
