/* SPDX-License-Identifier: MIT */
/* The quota of a listener's flows: notices between its sockets. */
#include "relay/flow_quota.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int flow_quota_init(struct flow_quota *quota, unsigned limit, unsigned sockets)
{
	*quota = (struct flow_quota){.notices = -1};
	if (limit < sockets)
		limit = sockets;
	atomic_store(&quota->flows.limit, limit);
	if (sockets <= 1)
		return 0;
	quota->share = limit / sockets;
	quota->notices = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
	return quota->notices >= 0 ? 0 : -errno;
}

void flow_quota_finish(struct flow_quota *quota)
{
	if (quota->notices >= 0)
		close(quota->notices);
	quota->notices = -1;
}

bool flow_quota_overdraw(struct flow_quota *quota, unsigned count)
{
	unsigned limit = atomic_load_explicit(&quota->flows.limit, memory_order_relaxed);

	if (count >= quota->share)
		return false;
	if (budget_take_anyway(&quota->flows) >= limit + FLOW_QUOTA_OVERDRAFT) {
		budget_give_back(&quota->flows);
		return false;
	}
	eventfd_write(quota->notices, 1);
	return true;
}

bool flow_quota_owes(const struct flow_quota *quota, unsigned count)
{
	eventfd_t one;

	return count > quota->share && eventfd_read(quota->notices, &one) == 0;
}
