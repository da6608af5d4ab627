/* SPDX-License-Identifier: MIT */
/*
 * News from the kernel of what may have wiped a rule, a route or an nftables table. A host can have
 * a great deal of news, such as a full routing feed: what does not concern us is dropped by a look
 * at a few bytes of it.
 */
#ifndef MMPROXY_ROUTING_ROUTE_NOTICES_H
#define MMPROXY_ROUTING_ROUTE_NOTICES_H

#include <stdbool.h>
#include <stdint.h>

/* Descriptors to wait on, or -errno. The second takes CAP_NET_ADMIN. */
int route_notices_open(void);
int table_notices_open(void);

/*
 * Read what has come, up to a bound; what is left keeps the descriptor readable. True: a rule that
 * led to one of the tables has gone, a route of one has changed, or IPv6 has come; or news were
 * lost (then anything may have happened).
 */
bool route_notices_read(int fd, bool (*concerns)(uint32_t table, void *context), void *context);

/* True: one of the tables that return_mark_table() names has lost something, or news were lost. */
bool table_notices_read(int fd);

#endif
