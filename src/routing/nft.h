/* SPDX-License-Identifier: MIT */
/*
 * The nftables table that brings a mark back on the answers, put in place and taken away through
 * libnftables: in this process, for a system-call filter may forbid another. It takes
 * CAP_NET_ADMIN.
 *
 * libnftables is not made for several threads: the main thread alone calls these.
 */
#ifndef MMPROXY_ROUTING_NFT_H
#define MMPROXY_ROUTING_NFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Was this program built with libnftables? Otherwise all below fails. */
bool nft_supported(void);

/* Room for one line that says what is wrong, with NUL. */
#define NFT_ERROR_SIZE 256

/*
 * Puts `table inet mmproxy_MARK` in place of whatever has its name, in one transaction, with a
 * comment that says whose it is. 0, or -EIO with what nftables said in `error`.
 */
int nft_mark_apply(uint32_t mark, char error[static NFT_ERROR_SIZE]);
int nft_mark_remove(uint32_t mark, char error[static NFT_ERROR_SIZE]);

/*
 * The table as nftables lists it, for free(); two listings are equal when the tables are. NULL with
 * errno set: ENOENT, there is none; or it cannot be told.
 */
char *nft_mark_list(uint32_t mark);

/* Has it been put there by nft_mark_apply(), of whatever process? */
bool nft_mark_is_ours(const char *listing);

/* Are all its chains and rules in this listing, as far as their number says? */
bool nft_mark_is_whole(uint32_t mark, const char *listing);

/* The marks that have a table by the name of one of ours; *marks is for free(). */
size_t nft_marks_read(uint32_t **marks);

#endif
