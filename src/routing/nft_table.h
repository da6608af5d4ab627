/* SPDX-License-Identifier: MIT */
/*
 * Whether nftables has a table. What keeps libnftables from reading the tables, it takes for tables
 * that are not there, and says so in the same words; the kernel itself has an answer of its own to
 * each.
 */
#ifndef MMPROXY_ROUTING_NFT_TABLE_H
#define MMPROXY_ROUTING_NFT_TABLE_H

/* `table inet NAME`. 0: there is one; -ENOENT: there is none; or another -errno: it cannot be told.
 */
int nft_table_find(const char *name);

#endif
