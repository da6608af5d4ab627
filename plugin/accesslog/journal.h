/* SPDX-License-Identifier: MIT */
/* The other target: the journal, with each field of a session as a field of the entry. */
#ifndef ACCESSLOG_JOURNAL_H
#define ACCESSLOG_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "line.h"

/* Where journald receives entries. */
#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* An entry, as journal_send() takes it. */
line_format journal_entry;

/*
 * Sends entries, *sent of them. Waits for a journal that is slow, but not for ever. Returns 0 when
 * all were sent, or -errno.
 */
int journal_send(const char *entries, size_t length, uint64_t *sent);

/* Does one run? Without side effects. Returns 0 or -errno. */
int journal_check(void);

#endif
