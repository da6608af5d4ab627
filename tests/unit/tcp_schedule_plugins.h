/* SPDX-License-Identifier: MIT */
/*
 * The plugins that a schedule's session has to pass: its byte string decides what they answer, and
 * when. For tcp_schedule.c alone.
 */
#ifndef MMPROXY_TESTS_TCP_SCHEDULE_PLUGINS_H
#define MMPROXY_TESTS_TCP_SCHEDULE_PLUGINS_H

#include <stdbool.h>
#include <stdint.h>

#include "fake_plugin.h"

struct fake_socket;
struct relay_fixture;

struct schedule_plugins {
	struct fake_plugins plugins;
	struct relay_fixture *fixture;  /* NULL: there are none */
	uint8_t (*next)(void *context); /* the next byte; 0 when there is none left */
	void *context;
};

/* `how`: how many they are, and what becomes of their errors. */
void schedule_plugins_use(struct schedule_plugins *of, struct relay_fixture *fixture, uint8_t how,
			  uint8_t (*next)(void *context), void *context);

/* Gives the verdict that is awaited; `which` says what it is, 0 is PASS. False: none is. */
bool schedule_plugins_answer(struct schedule_plugins *of, uint8_t which);

/* When all is over: the rule that was broken, or NULL. `reliable`: no system call has failed. */
const char *schedule_plugins_check(const struct schedule_plugins *of,
				   const struct fake_socket *client, bool reliable);

#endif
