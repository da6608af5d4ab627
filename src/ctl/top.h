/* SPDX-License-Identifier: MIT */
/* mmproxyctl top: what happens right now, once a second. */
#ifndef MMPROXY_CTL_TOP_H
#define MMPROXY_CTL_TOP_H

#include <stdbool.h>

struct options;

/*
 * A live screen where standard output is a terminal that can be drawn on and --once was not given;
 * else a block of plain lines an interval. Returns the exit status: 0 after `q`.
 */
int top_run(const struct options *options);

/* Whether the screen was built in. */
bool top_has_screen(void);

#endif
