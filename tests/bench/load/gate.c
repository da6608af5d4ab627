/* SPDX-License-Identifier: MIT */
#include "gate.h"

#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool gate_is_open(struct gate *gate)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

	if (!gate->waits)
		return true;
	if (!gate->asked) {
		puts("warm");
		fflush(stdout);
		gate->asked = true;
	}
	if (poll(&input, 1, 0) < 0)
		err(EXIT_FAILURE, "poll");
	gate->waits = input.revents == 0;
	return !gate->waits;
}
