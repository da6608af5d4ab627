/* SPDX-License-Identifier: MIT */
/* Addresses as the kernel's programs have them; see layout.h. */
#ifndef MMPROXY_OFFLOAD_TUPLE_H
#define MMPROXY_OFFLOAD_TUPLE_H

#include "base/address.h"
#include "offload/layout.h"

struct offload_address offload_address_of(const struct address *address);
struct address offload_address_read(const struct offload_address *from);

struct offload_tuple offload_tuple_of(const struct address *source,
				      const struct address *destination);

bool offload_tuple_is_ipv4(const struct offload_tuple *tuple);

/* Of the packets that answer. */
struct offload_tuple offload_tuple_turned(const struct offload_tuple *tuple);

#endif
