/* SPDX-License-Identifier: MIT */
/*
 * Who makes room for a flow, of all the sockets of a listener. For each place over the limit there
 * is a debt of one member, so the total comes back to the limit when all debts are paid.
 */
#include "relay/flow_quota.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

int flow_quota_init(struct flow_quota *quota, unsigned limit, unsigned sockets)
{
	size_t size = sockets * sizeof(struct flow_quota_member);

	*quota = (struct flow_quota){0};
	atomic_store(&quota->flows.limit, limit < sockets ? sockets : limit);
	quota->members = aligned_alloc(_Alignof(struct flow_quota_member), size);
	if (quota->members == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < sockets; i++) {
		quota->members[i] = (struct flow_quota_member){.notices = -1};
		quota->member_count++;
		if (sockets == 1)
			break;
		quota->members[i].notices = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (quota->members[i].notices < 0)
			return -errno;
	}
	return 0;
}

void flow_quota_finish(struct flow_quota *quota)
{
	for (unsigned i = 0; i < quota->member_count; i++) {
		if (quota->members[i].notices >= 0)
			close(quota->members[i].notices);
	}
	free(quota->members);
	*quota = (struct flow_quota){0};
}

static unsigned read_count(const atomic_uint *count)
{
	return atomic_load_explicit(count, memory_order_relaxed);
}

/* What a member still has when it has paid its debts. */
static unsigned left_of(const struct flow_quota_member *member, const atomic_uint *count)
{
	unsigned has = read_count(count), debt = read_count(&member->debt);

	return has > debt ? has - debt : 0;
}

static unsigned fresh_left(const struct flow_quota_member *member)
{
	return left_of(member, &member->fresh);
}

static unsigned count_left(const struct flow_quota_member *member)
{
	return left_of(member, &member->count);
}

/* The member that has the most by this measure. */
static struct flow_quota_member *
richest(const struct flow_quota *quota, unsigned (*measure)(const struct flow_quota_member *member))
{
	struct flow_quota_member *most = &quota->members[0];

	for (unsigned i = 1; i < quota->member_count; i++) {
		if (measure(&quota->members[i]) > measure(most))
			most = &quota->members[i];
	}
	return most;
}

static void ask(struct flow_quota_member *debtor)
{
	/* Who sees the debt sees the place that it is for. */
	atomic_fetch_add_explicit(&debtor->debt, 1, memory_order_release);
	eventfd_write(debtor->notices, 1);
}

/* A place over the limit, for which `debtor` is to let a flow go. */
static bool overdraw(struct flow_quota *quota, struct flow_quota_member *debtor)
{
	unsigned limit = read_count(&quota->flows.limit);
	unsigned overdraft = limit < FLOW_QUOTA_OVERDRAFT ? limit : FLOW_QUOTA_OVERDRAFT;

	if (budget_take_anyway(&quota->flows) >= limit + overdraft) {
		budget_give_back(&quota->flows);
		return false;
	}
	ask(debtor);
	return true;
}

/* No fresh flow anywhere: whoever has the most lets an assured one go. */
static enum flow_room take_from_assured(struct flow_quota *quota, struct flow_quota_member *member)
{
	struct flow_quota_member *most = richest(quota, count_left);

	/* It is about to have one more. */
	if (count_left(most) > count_left(member) + 1)
		return overdraw(quota, most) ? FLOW_ROOM_TAKEN : FLOW_ROOM_NONE;
	if (read_count(&member->count) == 0)
		return FLOW_ROOM_NONE;
	budget_take_anyway(&quota->flows);
	return FLOW_ROOM_EVICT;
}

enum flow_room flow_quota_take(struct flow_quota *quota, struct flow_quota_member *member)
{
	struct flow_quota_member *most;

	if (budget_take(&quota->flows))
		return FLOW_ROOM_TAKEN;
	most = richest(quota, fresh_left);
	if (fresh_left(most) == 0)
		return take_from_assured(quota, member);
	if (fresh_left(most) > fresh_left(member) && overdraw(quota, most))
		return FLOW_ROOM_TAKEN;
	if (read_count(&member->fresh) == 0)
		return FLOW_ROOM_NONE;
	budget_take_anyway(&quota->flows);
	return FLOW_ROOM_EVICT;
}

static bool pay_back(atomic_uint *debt)
{
	unsigned before = read_count(debt);

	while (before > 0 &&
	       !atomic_compare_exchange_weak_explicit(debt, &before, before - 1,
						      memory_order_acquire, memory_order_relaxed))
		continue;
	return before > 0;
}

bool flow_quota_owes(struct flow_quota *quota, struct flow_quota_member *member)
{
	while (pay_back(&member->debt)) {
		struct flow_quota_member *most;

		/* Flows of others have ended by themselves. */
		if (read_count(&quota->flows.used) <= read_count(&quota->flows.limit))
			continue;
		if (read_count(&member->count) > 0)
			return true;
		/* All of its own have ended since it was asked: somebody else has to. */
		most = richest(quota, fresh_left);
		if (fresh_left(most) == 0)
			most = richest(quota, count_left);
		if (most != member)
			ask(most);
	}
	return false;
}

void flow_quota_give_back(struct flow_quota *quota, struct flow_quota_member *member, bool evicted)
{
	budget_give_back(&quota->flows);
	/* A flow that ends by itself is one that need not be evicted any more. */
	if (!evicted)
		pay_back(&member->debt);
}
