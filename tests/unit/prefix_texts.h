/* SPDX-License-Identifier: MIT */
/* Addresses and prefixes of tests, written as text. */
#ifndef MMPROXY_TESTS_PREFIX_TEXTS_H
#define MMPROXY_TESTS_PREFIX_TEXTS_H

#include <string.h>

#include "base/address.h"
#include "base/prefix_set.h"

/* Both fail the test where the text is none. After <cmocka.h>. */
static inline struct address address_of(const char *text)
{
	struct address address;

	if (address_parse_ip(text, &address) != 0)
		fail_msg("%s is no address", text);
	return address;
}

static inline struct prefix prefix_of(const char *text)
{
	struct prefix prefix;

	/* What is not filled in is to show. */
	memset(&prefix, 0xa5, sizeof(prefix));
	if (prefix_parse(text, &prefix) != 0)
		fail_msg("%s is no prefix", text);
	return prefix;
}

#endif
