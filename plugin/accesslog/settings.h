/* SPDX-License-Identifier: MIT */
/* What an entry of the configuration asks for. */
#ifndef ACCESSLOG_SETTINGS_H
#define ACCESSLOG_SETTINGS_H

#include <stdbool.h>

#include <mmproxy/plugin.h>

#include "line.h"
#include "record.h"

struct settings {
	const char *file; /* the host's, until the hook returns; NULL with the journal */
	bool to_journal;
	line_format *format;
	struct record_tlv tlvs[RECORD_TLVS_MOST];
	unsigned tlv_count;
};

/* Reads them all. Returns 0, or -EINVAL when the host has been told of at least one mistake. */
int settings_read(struct settings *settings, const struct mmproxy_host *host,
		  const struct mmproxy_config *config);

/* The journal, when it is the target: is there one? Returns 0, or -errno after a mistake. */
int settings_check_journal(const struct settings *settings, const struct mmproxy_host *host,
			   const struct mmproxy_config *config);

#endif
