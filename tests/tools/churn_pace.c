/* SPDX-License-Identifier: MIT */
/*
 * When the ends of a lasting connection speak. Without this both send all they have as fast as the
 * other one takes it, and are gone before a session is worth handing over to the kernel.
 */
#include "tcp_churn.h"

#define MESSAGES_MOST 60 /* of each side, about */
#define SMALL_MOST    20000
#define PAUSES_MOST   2000000
#define MICROSECOND   UINT64_C(1000)

static uint32_t one_of(uint64_t *state, const uint32_t *values, unsigned count)
{
	return values[churn_random(state) % count];
}

/* Microseconds, of all pauses. */
static uint64_t pauses_expected(const struct churn_plan *plan)
{
	const struct churn_pace *pace = &plan->pace;
	uint64_t bytes = (uint64_t)plan->sizes[0] + plan->sizes[1];
	/* Each is sent and received; the smaller ones are messages, too. */
	uint64_t pieces = bytes / (pace->piece_most / 2) * 2 + (pace->in_turns ? MESSAGES_MOST : 0);

	return pieces * pace->pauses * pace->pause_most / 2000;
}

#define ONE_OF(state, values) one_of(state, values, sizeof(values) / sizeof((values)[0]))

/* From a few bytes, over what is one segment, to what fills a window. */
void churn_pace_choose(struct churn_plan *plan, uint64_t *state)
{
	static const uint32_t messages[] = {16, 200, 3000, 20000};
	static const uint32_t streams[] = {2000, 60000, 300000, 1200000};
	static const uint32_t pieces[] = {200, 3000, CHURN_PIECE_MAX};
	static const uint32_t shares[] = {0, 20, 100, 500};
	static const uint32_t lengths[] = {200, 2000, 8000, 50000};
	struct churn_pace *pace = &plan->pace;

	pace->in_turns = churn_random(state) % 2 == 0;
	pace->message_most = ONE_OF(state, messages);
	pace->piece_most = ONE_OF(state, pieces);
	pace->pauses = ONE_OF(state, shares);
	pace->pause_most = ONE_OF(state, lengths);
	for (unsigned i = 0; i < CHURN_SIDES; i++) {
		uint32_t most = pace->in_turns ? pace->message_most * MESSAGES_MOST / 2
					       : ONE_OF(state, streams);

		/* Many small pieces with many pauses would take for ever. */
		if (!pace->in_turns && most > pace->piece_most * 200)
			most = pace->piece_most * 200;
		/* A window smaller than a segment lets few of them through a second. */
		if (plan->small_buffers && most > SMALL_MOST)
			most = SMALL_MOST;
		plan->sizes[i] = (uint32_t)(churn_random(state) % most);
	}
	/* No connection takes much longer than others. */
	while (pace->pauses > 1 && pauses_expected(plan) > PAUSES_MOST)
		pace->pauses /= 2;
	/* Who waits for an end as well as for a message would wait for ever. */
	plan->silent = plan->silent && !pace->in_turns;
	/* One side alone, now and then. */
	if (!pace->in_turns && churn_random(state) % 4 == 0)
		plan->sizes[churn_random(state) % CHURN_SIDES] = 0;
}

static uint32_t message(const struct churn_plan *plan, enum churn_side side, uint32_t number)
{
	uint64_t state = plan->seeds[side] ^ number;

	return 1 + (uint32_t)(churn_random(&state) % plan->pace.message_most);
}

void churn_pace_begin(struct churn_end *end)
{
	const struct churn_plan *plan = &end->connection->plan;

	end->may_send = UINT32_MAX;
	if (!plan->pace.in_turns)
		return;
	end->may_send = end->side == CHURN_CLIENT ? message(plan, CHURN_CLIENT, 0) : 0;
	end->awaits = message(plan, end->side == CHURN_CLIENT ? CHURN_UPSTREAM : CHURN_CLIENT, 0);
}

uint32_t churn_pace_limit(struct churn_end *end, uint32_t length)
{
	const struct churn_plan *plan = &end->connection->plan;
	enum churn_side other = end->side == CHURN_CLIENT ? CHURN_UPSTREAM : CHURN_CLIENT;

	if (!plan->pace.in_turns)
		return length;
	while (end->received >= end->awaits && end->may_send != UINT32_MAX) {
		end->messages++;
		/* The client is one message ahead. */
		end->may_send +=
			message(plan, end->side, end->messages - (end->side == CHURN_UPSTREAM));
		end->awaits += message(plan, other, end->messages);
	}
	/* The other one has no more to say. */
	if (end->end_received || end->received == plan->sizes[other])
		end->may_send = UINT32_MAX;
	return length < end->may_send - end->sent ? length : end->may_send - end->sent;
}

uint64_t churn_pace_pause(struct churn_end *end)
{
	const struct churn_pace *pace = &end->connection->plan.pace;

	if (pace->pauses == 0 || churn_random(&end->connection->random) % 1000 >= pace->pauses)
		return 0;
	return MICROSECOND * (1 + churn_random(&end->connection->random) % pace->pause_most);
}
