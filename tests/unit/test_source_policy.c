/* SPDX-License-Identifier: MIT */
/*
 * The source policy: which addresses a header may not name, why, and what permit_sources opens.
 * Each kind stands at both edges of its range and beside its neighbours.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/address.h"
#include "base/close_reason.h"
#include "base/prefix_set.h"
#include "base/source_policy.h"

#define PERMITTED CLOSE_REASON_COUNT

/* A host with one interface: 198.51.100.7/24, 203.0.113.9/30, 2001:db8:7::7, fe80::7, loopback. */
static const char *const own_texts[] = {
	"198.51.100.7", "203.0.113.9", "2001:db8:7::7", "fe80::7", "127.0.0.1", "::1", NULL};
static const char *const broadcast_texts[] = {"198.51.100.255", "198.51.100.0", "203.0.113.8",
					      "203.0.113.11", NULL};

static struct prefix_set *own_addresses, *own_broadcasts;
static struct source_own own;

static struct prefix_set *set_of(const char *const *texts)
{
	struct prefix_set *set = prefix_set_create();

	assert_non_null(set);
	for (; *texts != NULL; texts++) {
		struct prefix prefix;

		assert_int_equal(prefix_parse(*texts, &prefix), 0);
		assert_int_equal(prefix_set_add(set, &prefix), 0);
	}
	prefix_set_seal(set);
	return set;
}

static int make_host(void **state)
{
	(void)state;
	own_addresses = set_of(own_texts);
	own_broadcasts = set_of(broadcast_texts);
	own = (struct source_own){own_addresses, own_broadcasts};
	return 0;
}

static int drop_host(void **state)
{
	(void)state;
	prefix_set_destroy(own_addresses);
	prefix_set_destroy(own_broadcasts);
	return 0;
}

/* The reason, or PERMITTED. */
static enum close_reason judge(const char *text, const struct prefix_set *permit)
{
	enum close_reason reason = PERMITTED;
	struct address client;

	assert_int_equal(address_parse_ip(text, &client), 0);
	client.port = 40000;
	if (source_policy_permits(&client, permit, &own, &reason))
		return PERMITTED;
	if (reason == PERMITTED)
		fail_msg("%s is refused without a reason", text);
	return reason;
}

static const char *name_of(enum close_reason reason)
{
	return reason == PERMITTED ? "permitted" : close_reason_name(reason);
}

static void expect_with(const char *text, const struct prefix_set *permit, enum close_reason due)
{
	enum close_reason got = judge(text, permit);

	if (got != due)
		fail_msg("%s is %s, and should be %s", text, name_of(got), name_of(due));
}

static void expect(const char *text, enum close_reason due)
{
	expect_with(text, NULL, due);
}

/* With permit_sources = [ range ]. */
static void expect_when(const char *range, const char *text, enum close_reason due)
{
	struct prefix_set *permit = set_of((const char *const[]){range, NULL});

	expect_with(text, permit, due);
	prefix_set_destroy(permit);
}

static void ordinary_clients_are_permitted(void **state)
{
	static const char *const texts[] = {
		"192.0.2.1",       "1.0.0.0",     "10.1.2.3",         "100.64.0.1",
		"172.16.0.1",      "192.168.1.1", "126.255.255.255",  "128.0.0.0",
		"169.253.255.255", "169.255.0.0", "223.255.255.255",  "198.51.100.8",
		"2001:db8::1",     "2a00::1",     "fc00::1",          "fd12::1",
		"100::1",          "fe7f::1",     "2002:c000:201::1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		expect(texts[i], PERMITTED);
}

static void unspecified_addresses_are_refused(void **state)
{
	(void)state;
	expect("0.0.0.0", CLOSE_SOURCE_UNSPECIFIED);
	expect("0.0.0.1", CLOSE_SOURCE_UNSPECIFIED);
	expect("0.255.255.255", CLOSE_SOURCE_UNSPECIFIED);
	expect("::", CLOSE_SOURCE_UNSPECIFIED);
}

static void no_address_at_all_is_refused(void **state)
{
	const struct address nobody = {.family = ADDRESS_NONE};
	enum close_reason reason = PERMITTED;

	(void)state;
	assert_false(source_policy_permits(&nobody, NULL, &own, &reason));
	assert_int_equal(reason, CLOSE_SOURCE_UNSPECIFIED);
}

static void loopback_addresses_are_refused(void **state)
{
	(void)state;
	expect("127.0.0.0", CLOSE_SOURCE_LOOPBACK);
	expect("127.0.0.1", CLOSE_SOURCE_LOOPBACK);
	expect("127.255.255.255", CLOSE_SOURCE_LOOPBACK);
	expect("::1", CLOSE_SOURCE_LOOPBACK);
}

static void multicast_addresses_are_refused(void **state)
{
	(void)state;
	expect("224.0.0.0", CLOSE_SOURCE_MULTICAST);
	expect("224.0.0.1", CLOSE_SOURCE_MULTICAST);
	expect("239.255.255.255", CLOSE_SOURCE_MULTICAST);
	expect("ff00::", CLOSE_SOURCE_MULTICAST);
	expect("ff02::1", CLOSE_SOURCE_MULTICAST);
	expect("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", CLOSE_SOURCE_MULTICAST);
}

static void the_limited_broadcast_is_refused(void **state)
{
	(void)state;
	expect("255.255.255.255", CLOSE_SOURCE_BROADCAST);
}

static void directed_broadcasts_of_the_hosts_subnets_are_refused(void **state)
{
	(void)state;
	for (const char *const *text = broadcast_texts; *text != NULL; text++)
		expect(*text, CLOSE_SOURCE_BROADCAST);
	/* Another site's broadcast is a client like any other from here. */
	expect("192.0.2.255", PERMITTED);
}

static void reserved_addresses_are_refused(void **state)
{
	(void)state;
	expect("240.0.0.0", CLOSE_SOURCE_RESERVED);
	expect("240.0.0.1", CLOSE_SOURCE_RESERVED);
	expect("255.255.255.254", CLOSE_SOURCE_RESERVED);
	expect("::2", CLOSE_SOURCE_RESERVED);
	expect("::c000:201", CLOSE_SOURCE_RESERVED); /* IPv4-compatible: ::192.0.2.1 */
	expect("::7f00:1", CLOSE_SOURCE_RESERVED);
	expect("ff:ffff::", CLOSE_SOURCE_RESERVED);
}

static void link_local_addresses_are_refused(void **state)
{
	(void)state;
	expect("169.254.0.0", CLOSE_SOURCE_LINK_LOCAL);
	expect("169.254.169.254", CLOSE_SOURCE_LINK_LOCAL);
	expect("169.254.255.255", CLOSE_SOURCE_LINK_LOCAL);
	expect("fe80::", CLOSE_SOURCE_LINK_LOCAL);
	expect("fe80::1", CLOSE_SOURCE_LINK_LOCAL);
	expect("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", CLOSE_SOURCE_LINK_LOCAL);
}

static void the_hosts_own_addresses_are_refused(void **state)
{
	(void)state;
	expect("198.51.100.7", CLOSE_SOURCE_OWN);
	expect("203.0.113.9", CLOSE_SOURCE_OWN);
	expect("2001:db8:7::7", CLOSE_SOURCE_OWN);
	expect("2001:db8:7::8", PERMITTED);
}

static void an_own_address_of_a_special_range_is_called_by_that_range(void **state)
{
	(void)state;
	expect("127.0.0.1", CLOSE_SOURCE_LOOPBACK);
	expect("::1", CLOSE_SOURCE_LOOPBACK);
	expect("fe80::7", CLOSE_SOURCE_LINK_LOCAL);
}

static void mapped_addresses_are_judged_as_ipv4(void **state)
{
	(void)state;
	expect("::ffff:127.0.0.1", CLOSE_SOURCE_LOOPBACK);
	expect("::ffff:7f00:1", CLOSE_SOURCE_LOOPBACK);
	expect("::ffff:0.0.0.0", CLOSE_SOURCE_UNSPECIFIED);
	expect("::ffff:224.0.0.1", CLOSE_SOURCE_MULTICAST);
	expect("::ffff:255.255.255.255", CLOSE_SOURCE_BROADCAST);
	expect("::ffff:198.51.100.255", CLOSE_SOURCE_BROADCAST);
	expect("::ffff:240.0.0.1", CLOSE_SOURCE_RESERVED);
	expect("::ffff:169.254.1.1", CLOSE_SOURCE_LINK_LOCAL);
	expect("::ffff:198.51.100.7", CLOSE_SOURCE_OWN);
	expect("::ffff:192.0.2.1", PERMITTED);
}

static void clients_behind_nat64_are_permitted(void **state)
{
	(void)state;
	expect("64:ff9b::c000:201", PERMITTED);
	expect("64:ff9b::ffff:ffff", PERMITTED);
	expect("64:ff9b:1:abcd::1", PERMITTED);
	expect("64:ff9a:ffff::1", CLOSE_SOURCE_RESERVED);
	expect("64:ff9c::1", CLOSE_SOURCE_RESERVED);
}

static void a_permit_opens_what_a_socket_can_send_from(void **state)
{
	(void)state;
	expect_when("127.0.0.0/8", "127.0.0.1", PERMITTED);
	expect_when("127.0.0.0/8", "127.1.2.3", PERMITTED);
	expect_when("::1", "::1", PERMITTED);
	expect_when("169.254.0.0/16", "169.254.1.1", PERMITTED);
	expect_when("fe80::/10", "fe80::7", PERMITTED);
	expect_when("240.0.0.0/4", "250.1.2.3", PERMITTED);
	expect_when("::/8", "::c000:201", PERMITTED);
	expect_when("198.51.100.7", "198.51.100.7", PERMITTED);
	expect_when("2001:db8:7::/48", "2001:db8:7::7", PERMITTED);
	expect_when("127.0.0.0/8", "::ffff:127.0.0.1", PERMITTED);
}

static void a_permit_opens_no_more_than_its_range(void **state)
{
	(void)state;
	expect_when("127.0.0.0/8", "::1", CLOSE_SOURCE_LOOPBACK);
	expect_when("127.0.0.1", "127.0.0.2", CLOSE_SOURCE_LOOPBACK);
	expect_when("127.0.0.0/8", "169.254.1.1", CLOSE_SOURCE_LINK_LOCAL);
	expect_when("198.51.100.7", "203.0.113.9", CLOSE_SOURCE_OWN);
	expect_when("127.0.0.0/8", "192.0.2.1", PERMITTED);
}

static void no_permit_opens_what_the_kernel_would_replace(void **state)
{
	(void)state;
	expect_when("0.0.0.0/0", "0.0.0.0", CLOSE_SOURCE_UNSPECIFIED);
	expect_when("0.0.0.0/0", "224.0.0.1", CLOSE_SOURCE_MULTICAST);
	expect_when("0.0.0.0/0", "239.1.2.3", CLOSE_SOURCE_MULTICAST);
	expect_when("0.0.0.0/0", "255.255.255.255", CLOSE_SOURCE_BROADCAST);
	expect_when("0.0.0.0/0", "198.51.100.255", CLOSE_SOURCE_BROADCAST);
	expect_when("203.0.113.11", "203.0.113.11", CLOSE_SOURCE_BROADCAST);
	expect_when("::/0", "::", CLOSE_SOURCE_UNSPECIFIED);
	expect_when("::/0", "ff02::1", CLOSE_SOURCE_MULTICAST);
}

static void the_port_plays_no_part(void **state)
{
	static const uint16_t ports[] = {0, 1, 53, 65535};

	(void)state;
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		struct address good, bad;
		enum close_reason reason;

		assert_int_equal(address_parse_ip("192.0.2.1", &good), 0);
		assert_int_equal(address_parse_ip("198.51.100.7", &bad), 0);
		good.port = bad.port = ports[i];
		assert_true(source_policy_permits(&good, NULL, &own, &reason));
		assert_false(source_policy_permits(&bad, NULL, &own, &reason));
	}
}

static void each_kind_of_refusal_has_a_reason_of_its_own(void **state)
{
	static const char *const texts[] = {"0.0.0.0",         "127.0.0.1", "224.0.0.1",
					    "255.255.255.255", "240.0.0.1", "169.254.1.1",
					    "198.51.100.7"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		enum close_reason reason = judge(texts[i], NULL);

		assert_int_equal(close_reason_kind(reason), CLOSE_KIND_REFUSE);
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(judge(texts[j], NULL), reason);
	}
}

/* The range that a refusal's reason covers, read off address by address along the first byte. */
static void each_first_byte_of_ipv4_is_judged_as_the_tables_say(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 256; first++) {
		const uint8_t ip[4] = {(uint8_t)first, 1, 2, 3};
		const struct address client = address_from_ipv4(ip, 1);
		enum close_reason reason = PERMITTED, due = PERMITTED;

		if (first == 0)
			due = CLOSE_SOURCE_UNSPECIFIED;
		else if (first == 127)
			due = CLOSE_SOURCE_LOOPBACK;
		else if (first >= 240)
			due = CLOSE_SOURCE_RESERVED;
		else if (first >= 224)
			due = CLOSE_SOURCE_MULTICAST;
		assert_int_equal(source_policy_permits(&client, NULL, &own, &reason),
				 due == PERMITTED);
		assert_int_equal(reason, due);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary_clients_are_permitted),
		cmocka_unit_test(unspecified_addresses_are_refused),
		cmocka_unit_test(no_address_at_all_is_refused),
		cmocka_unit_test(loopback_addresses_are_refused),
		cmocka_unit_test(multicast_addresses_are_refused),
		cmocka_unit_test(the_limited_broadcast_is_refused),
		cmocka_unit_test(directed_broadcasts_of_the_hosts_subnets_are_refused),
		cmocka_unit_test(reserved_addresses_are_refused),
		cmocka_unit_test(link_local_addresses_are_refused),
		cmocka_unit_test(the_hosts_own_addresses_are_refused),
		cmocka_unit_test(an_own_address_of_a_special_range_is_called_by_that_range),
		cmocka_unit_test(mapped_addresses_are_judged_as_ipv4),
		cmocka_unit_test(clients_behind_nat64_are_permitted),
		cmocka_unit_test(a_permit_opens_what_a_socket_can_send_from),
		cmocka_unit_test(a_permit_opens_no_more_than_its_range),
		cmocka_unit_test(no_permit_opens_what_the_kernel_would_replace),
		cmocka_unit_test(the_port_plays_no_part),
		cmocka_unit_test(each_kind_of_refusal_has_a_reason_of_its_own),
		cmocka_unit_test(each_first_byte_of_ipv4_is_judged_as_the_tables_say),
	};

	return cmocka_run_group_tests(tests, make_host, drop_host);
}
