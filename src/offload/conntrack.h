/* SPDX-License-Identifier: MIT */
/*
 * Connection tracking sees the packets of a session that was moved otherwise than before. Needs
 * CAP_NET_ADMIN.
 */
#ifndef MMPROXY_OFFLOAD_CONNTRACK_H
#define MMPROXY_OFFLOAD_CONNTRACK_H

#include <stdbool.h>

#include "offload/layout.h"

/* Does this network namespace track connections now? */
bool conntrack_is_active(void);

/*
 * Has it forget the connection of this tuple: it will see none of its packets again, not even the
 * last ones, and would keep it for days. Best effort.
 */
void conntrack_forget(const struct offload_tuple *tuple);

#endif
