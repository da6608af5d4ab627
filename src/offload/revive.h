/* SPDX-License-Identifier: MIT */
/*
 * A socket in the place of one that was closed without a word: for a session that the kernel has
 * carried, when somebody has to speak to its far ends. Needs CAP_NET_ADMIN.
 */
#ifndef MMPROXY_OFFLOAD_REVIVE_H
#define MMPROXY_OFFLOAD_REVIVE_H

#include "offload/layout.h"

/*
 * The leg as its far end knows it: connected, non-blocking, close-on-exec. Nothing is sent. What is
 * on its way is lost. Returns the descriptor or -errno.
 */
int revive(const struct offload_record *record, const struct offload_session *noted,
	   enum offload_leg_name leg);

/*
 * Asks the leg's far end for a sign of life, as a keepalive does; the kernel notes the answer.
 * 0 or -errno.
 */
int revive_probe(const struct offload_record *record, const struct offload_session *noted,
		 enum offload_leg_name leg);

#endif
