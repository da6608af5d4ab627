/* SPDX-License-Identifier: MIT */
/*
 * One message of NFNLGRP_NFTRACE, taken apart; and a rule's line found by its handle in what nft(8)
 * lists. Pure.
 */
#ifndef MMPROXY_DOCTOR_TRACE_EVENT_H
#define MMPROXY_DOCTOR_TRACE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "doctor/trace.h"

struct nlmsghdr;

struct trace_event {
	uint32_t
		packet; /* the same number, as long as the packet is on its way through one chain */
	uint8_t family; /* of the table, NFPROTO_* */
	uint32_t type;  /* NFT_TRACETYPE_* */
	uint32_t verdict; /* NF_ACCEPT, NF_DROP, NFT_JUMP ...; of a policy as well */
	uint64_t handle;  /* of the rule; 0: none */
	uint32_t iif, oif;
	char table[TRACE_NAME_SIZE], chain[TRACE_NAME_SIZE];
	/* The packet's addresses and ports, where the message has them: the first of a chain does.
	 */
	struct address from, to;
};

/* 0; -EINVAL: it is no message of a trace. */
int trace_event_read(const struct nlmsghdr *message, struct trace_event *event);

/* "inet" for NFPROTO_INET, and so on; "" for what is not known. */
const char *trace_family_name(uint8_t family);

/*
 * Finds the rule with this handle in a listing with handles, and copies it without the handle and
 * without what surrounds it; on one line, if it takes several. "" when it is not there.
 */
void trace_rule_find(const char *listing, uint64_t handle, char rule[static TRACE_RULE_SIZE]);

/* Does such a rule translate the source of packets? */
bool trace_rule_is_nat(const char *rule);

/* Does it translate their destination? */
bool trace_rule_redirects(const char *rule);

#endif
