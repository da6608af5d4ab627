/* SPDX-License-Identifier: MIT */
/*
 * Addresses as people write them in the configuration and on the command line. Each function
 * returns NULL when the text is good, and otherwise what is wrong and what would be right.
 */
#ifndef MMPROXY_DAEMON_CONFIG_ADDRESS_H
#define MMPROXY_DAEMON_CONFIG_ADDRESS_H

#include "base/address.h"
#include "base/prefix_set.h"
#include "os/listen.h"

/* "192.0.2.1:80", "[2001:db8::1]:80" (IPv6 alone), "*:80" (both families). */
const char *config_parse_listen(const char *text, struct listen_endpoint *endpoint);

/* An upstream of that family; its port is not 0. */
const char *config_parse_forward(const char *text, enum address_family family,
				 struct address *address);

const char *config_parse_prefix(const char *text, struct prefix *prefix);

#endif
