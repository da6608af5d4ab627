/* SPDX-License-Identifier: MIT */
#ifndef MMPROXY_OFFLOAD_WAY_H
#define MMPROXY_OFFLOAD_WAY_H

struct offload_tuple;

/* See find_way of struct datapath_calls. */
int way_find(unsigned from, unsigned to, const struct offload_tuple *tuple);

#endif
