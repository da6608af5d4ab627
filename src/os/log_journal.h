/* SPDX-License-Identifier: MIT */
/* Log lines as entries of the journal, over a socket of our own. Any thread may send. */
#ifndef MMPROXY_OS_LOG_JOURNAL_H
#define MMPROXY_OS_LOG_JOURNAL_H

#include "os/log_line.h"

/*
 * Connects to journald, to be called once, before there are threads. Returns 0 or -errno. After a
 * failure there is a socket all the same where one could be made, and each entry tries again.
 */
int log_journal_open(void);

/*
 * Gives journald an entry. Returns 0; -EAGAIN when it has no room for one and the entry is lost;
 * another -errno when there is nobody to give it to.
 */
int log_journal_send(const struct log_line_head *head, const struct log_field *fields,
		     size_t count);

/* All counters, twice over; it stands on the stack of whatever thread logs, a plugin's too. */
#define LOG_ENTRY_SIZE 8192
/*
 * The entry's datagram, in the format of https://systemd.io/JOURNAL_NATIVE_PROTOCOL. A field for
 * which there is no room is left out whole. Returns the length.
 */
size_t log_journal_entry(char entry[static LOG_ENTRY_SIZE], const struct log_line_head *head,
			 const struct log_field *fields, size_t count);

#endif
