/* SPDX-License-Identifier: MIT */
/*
 * What brings a mark back on the answers, which a lookup cannot see: on connections that this host
 * accepts itself a sysctl, on all else a table of nftables.
 */
#ifndef MMPROXY_ROUTING_RETURN_MARK_H
#define MMPROXY_ROUTING_RETURN_MARK_H

#include <stdbool.h>
#include <stdint.h>

#include "routing/return_check.h"
#include "routing/return_plan.h"

/* The sysctl, as a command. */
#define RETURN_MARK_ACCEPT_COMMAND "sysctl -w net.ipv4.tcp_fwmark_accept=1"

/* Is it on? */
bool return_mark_is_accepted(void);

/* Has the mark upstreams for which the sysctl is not enough? `verdicts`: one for each of the
 * plan's paths; NULL: not known. */
bool return_mark_takes_nftables(const struct return_plan *plan,
				const struct return_verdict *verdicts, uint32_t mark);

/* Room for a command that names a file, with NUL. */
#define RETURN_MARK_COMMAND_SIZE 512

/*
 * The command that adds the tables of a configuration file. A path that a shell could take for more
 * than a word, or that is too long, is left for the reader to put in place of FILE.
 */
const char *return_mark_command(const char *config, char text[static RETURN_MARK_COMMAND_SIZE]);

/* A shell, and nft(8), take it for a word and nothing else. */
bool return_mark_is_plain_word(const char *word);

#endif
