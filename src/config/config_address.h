/* SPDX-License-Identifier: MIT */
/*
 * Addresses as people write them in the configuration and on the command line. Each function
 * returns NULL when the text is good, and otherwise what is wrong and what would be right.
 */
#ifndef MMPROXY_CONFIG_CONFIG_ADDRESS_H
#define MMPROXY_CONFIG_CONFIG_ADDRESS_H

#include "base/address.h"
#include "base/prefix_set.h"
#include "os/listen.h"

/* "192.0.2.1:80", "[2001:db8::1]:80" (IPv6 alone), "*:80" (both families). */
const char *config_parse_listen(const char *text, struct listen_endpoint *endpoint);

/* An address that only this host reaches, for what has no password. */
const char *config_parse_loopback(const char *text, struct address *address);

/* An upstream of that family, an address that a host can have; its port is not 0. */
const char *config_parse_forward(const char *text, enum address_family family,
				 struct address *address);

const char *config_parse_prefix(const char *text, struct prefix *prefix);

/* Room for a remark about a prefix, its NUL included. */
#define CONFIG_PREFIX_REMARK_SIZE 192

/*
 * What is worth a remark about a good prefix: it was written with host bits, which are not used; a
 * permit for it opens nothing. Returns NULL when nothing is, and otherwise a text that may stand in
 * `room`.
 */
const char *config_prefix_remark(const char *text, const struct prefix *prefix,
				 char room[static CONFIG_PREFIX_REMARK_SIZE]);
const char *config_permit_remark(const char *text, const struct prefix *prefix,
				 char room[static CONFIG_PREFIX_REMARK_SIZE]);

#endif
