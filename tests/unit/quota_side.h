/* SPDX-License-Identifier: MIT */
/*
 * The sockets of a listener as its quota sees them: what each has, counted and published as
 * udp_flow.c does. Behind cmocka.h.
 */
#ifndef MMPROXY_TESTS_QUOTA_SIDE_H
#define MMPROXY_TESTS_QUOTA_SIDE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>

#include "relay/flow_quota.h"

#define SIDES 8

struct side {
	unsigned count, fresh;
};

static struct flow_quota quota;
static struct side sides[SIDES];

static inline void begin(unsigned limit, unsigned sockets)
{
	for (unsigned i = 0; i < SIDES; i++)
		sides[i] = (struct side){0};
	assert_int_equal(flow_quota_init(&quota, limit, sockets), 0);
}

static inline int end(void **state)
{
	(void)state;
	flow_quota_finish(&quota);
	return 0;
}

static inline unsigned used(void)
{
	return atomic_load(&quota.flows.used);
}

static inline unsigned limit_of(void)
{
	return atomic_load(&quota.flows.limit);
}

static inline unsigned most_of(void)
{
	unsigned limit = limit_of();

	if (quota.member_count == 1)
		return limit;
	return limit + (limit < FLOW_QUOTA_OVERDRAFT ? limit : FLOW_QUOTA_OVERDRAFT);
}

static inline unsigned debt_of(unsigned member)
{
	return atomic_load(&quota.members[member].debt);
}

static inline unsigned debts(void)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < quota.member_count; i++)
		sum += debt_of(i);
	return sum;
}

/* Since the test asked last. */
static inline bool noticed(unsigned member)
{
	eventfd_t posted;

	return quota.members[member].notices >= 0 &&
	       eventfd_read(quota.members[member].notices, &posted) == 0;
}

static inline void publish(unsigned member)
{
	flow_quota_publish(&quota.members[member], sides[member].count, sides[member].fresh);
}

static inline void forget(unsigned member, bool fresh)
{
	assert_true(fresh ? sides[member].fresh > 0 : sides[member].count > sides[member].fresh);
	sides[member].count--;
	sides[member].fresh -= fresh;
	publish(member);
}

static inline void leave(unsigned member, bool fresh)
{
	forget(member, fresh);
	flow_quota_give_back(&quota, &quota.members[member], false);
}

/* Fresh ones while there are any. */
static inline void evict(unsigned member)
{
	forget(member, sides[member].fresh > 0);
	flow_quota_give_back(&quota, &quota.members[member], true);
}

static inline void assure(unsigned member)
{
	assert_true(sides[member].fresh > 0);
	sides[member].fresh--;
	publish(member);
}

static inline void add(unsigned member)
{
	sides[member].count++;
	sides[member].fresh++;
	publish(member);
}

/* A client comes. */
static inline enum flow_room come(unsigned member)
{
	enum flow_room room = flow_quota_take(&quota, &quota.members[member]);

	if (room == FLOW_ROOM_EVICT)
		evict(member);
	if (room != FLOW_ROOM_NONE)
		add(member);
	return room;
}

/* Returns how many find room in this way and no other. */
static inline unsigned come_as(unsigned member, enum flow_room room, unsigned clients)
{
	for (unsigned i = 0; i < clients; i++) {
		if (come(member) != room)
			return i;
	}
	return clients;
}

/* Clients that are assured before the next one comes. */
static inline unsigned come_to_stay(unsigned member, unsigned clients)
{
	for (unsigned i = 0; i < clients; i++) {
		if (come(member) != FLOW_ROOM_TAKEN)
			return i;
		assure(member);
	}
	return clients;
}

/* Returns how many the member lets go. */
static inline unsigned wake(unsigned member)
{
	unsigned gone = 0;

	noticed(member);
	for (; flow_quota_owes(&quota, &quota.members[member]); gone++)
		evict(member);
	return gone;
}

static inline void leave_all(void)
{
	for (unsigned i = 0; i < quota.member_count; i++) {
		while (sides[i].count > 0)
			evict(i);
	}
	assert_int_equal(used(), 0);
}

static inline void expect_in_order(void)
{
	unsigned count = 0, payable = 0;

	for (unsigned i = 0; i < quota.member_count; i++) {
		count += sides[i].count;
		payable += sides[i].count < debt_of(i) ? sides[i].count : debt_of(i);
	}
	assert_int_equal(used(), count);
	assert_true(used() <= most_of());
	/* Each that is too many is owed by one who has it. */
	assert_true(used() <= limit_of() + payable);
}

static uint64_t random_state;

static inline unsigned random_below(unsigned limit)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(random_state >> 33) % limit;
}

/* In any order; whoever owes has been told. */
static inline void expect_room_once_all_have_paid(void)
{
	unsigned first = random_below(quota.member_count);

	for (unsigned i = 0; i < 2 * quota.member_count; i++) {
		unsigned member = (first + i) % quota.member_count;

		if (noticed(member))
			wake(member);
	}
	assert_true(used() <= limit_of());
	assert_int_equal(debts(), 0);
}

#endif
