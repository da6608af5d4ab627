/* SPDX-License-Identifier: MIT */
/* A relay's loop without waiting and with a clock that the test moves: what fixtures share. */
#ifndef MMPROXY_TESTS_FAKE_LOOP_H
#define MMPROXY_TESTS_FAKE_LOOP_H

#include <stdint.h>

#include "os/loop.h"

void fake_loop_start(struct loop *loop, uint64_t now);

/* What a round does after its events. */
void fake_loop_end_round(struct loop *loop);
void fake_loop_run_deferred(struct loop *loop);

/* Moves the clock towards `end`, no farther than to the next timer. Returns by how much. */
uint64_t fake_loop_step(struct loop *loop, uint64_t end);

#endif
