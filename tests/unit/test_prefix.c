/* SPDX-License-Identifier: MIT */
/* Prefixes as text: what they mean, and what is none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "prefix_texts.h"

static void expect_prefix(const char *text, const char *address, unsigned int length)
{
	const struct prefix prefix = prefix_of(text);
	const struct address expected = address_of(address);

	if (!address_equal(&prefix.address, &expected) || prefix.length != length)
		fail_msg("%s is not %s/%u", text, address, length);
}

static void a_prefix_is_parsed_with_its_length(void **state)
{
	(void)state;
	expect_prefix("192.0.2.0/24", "192.0.2.0", 24);
	expect_prefix("10.0.0.0/8", "10.0.0.0", 8);
	expect_prefix("0.0.0.0/0", "0.0.0.0", 0);
	expect_prefix("192.0.2.1/32", "192.0.2.1", 32);
	expect_prefix("2001:db8::/32", "2001:db8::", 32);
	expect_prefix("::/0", "::", 0);
	expect_prefix("2001:db8::1/128", "2001:db8::1", 128);
}

static void an_address_alone_is_a_prefix_of_its_full_length(void **state)
{
	(void)state;
	expect_prefix("192.0.2.1", "192.0.2.1", 32);
	expect_prefix("2001:db8::1", "2001:db8::1", 128);
	expect_prefix("0.0.0.0", "0.0.0.0", 32);
	expect_prefix("::", "::", 128);
}

static void host_bits_are_cleared(void **state)
{
	(void)state;
	expect_prefix("192.0.2.77/24", "192.0.2.0", 24);
	expect_prefix("192.0.2.255/25", "192.0.2.128", 25);
	expect_prefix("192.0.2.255/31", "192.0.2.254", 31);
	expect_prefix("255.255.255.255/1", "128.0.0.0", 1);
	expect_prefix("255.255.255.255/0", "0.0.0.0", 0);
	expect_prefix("2001:db8::1/64", "2001:db8::", 64);
	expect_prefix("2001:db8:ffff::/33", "2001:db8:8000::", 33);
	expect_prefix("2001:db8::ffff/127", "2001:db8::fffe", 127);
	expect_prefix("ffff::ffff/0", "::", 0);
}

static void a_prefix_of_mapped_addresses_becomes_ipv4(void **state)
{
	(void)state;
	expect_prefix("::ffff:0:0/96", "0.0.0.0", 0);
	expect_prefix("::ffff:192.0.2.0/120", "192.0.2.0", 24);
	expect_prefix("::ffff:192.0.2.77/120", "192.0.2.0", 24);
	expect_prefix("::ffff:c000:200/120", "192.0.2.0", 24);
	expect_prefix("::ffff:192.0.2.1/128", "192.0.2.1", 32);
	expect_prefix("::ffff:192.0.2.1", "192.0.2.1", 32);
	expect_prefix("::ffff:192.0.2.1/97", "128.0.0.0", 1);
}

static void a_prefix_wider_than_the_mapped_addresses_never_becomes_ipv4(void **state)
{
	static const char *const texts[] = {"::ffff:0:0/95", "::ffff:192.0.2.1/64",
					    "::ffff:192.0.2.1/32", "::ffff:192.0.2.1/24",
					    "::ffff:192.0.2.1/0"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct prefix prefix;

		if (prefix_parse(texts[i], &prefix) == 0 && prefix.address.family != ADDRESS_IPV6)
			fail_msg("%s", texts[i]);
	}
}

static void what_is_no_prefix_is_invalid(void **state)
{
	static const char *const texts[] = {
		"",
		"/",
		"/24",
		"192.0.2.0/",
		"192.0.2.0/x",
		"192.0.2.0/24x",
		"192.0.2.0/+24",
		"192.0.2.0/ 24",
		"192.0.2.0/24 ",
		"192.0.2.0 /24",
		" 192.0.2.0/24",
		"192.0.2.0/24\n",
		"192.0.2.0/0x18",
		"192.0.2.0/24/24",
		"192.0.2.0/255.255.255.0",
		"192.0.2/24",
		"192.0.2.256/24",
		"192.0.2.01/24",
		"192.0.2.0:80/24",
		"example.com",
		"example.com/24",
		"any",
		"*",
		"2001:db8::/",
		"2001:db8/32",
		"[2001:db8::]/32",
		"fe80::1%eth0/64",
		"fe80::%1/10",
		"::ffff:192.0.2.256/120",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct prefix prefix;

		if (prefix_parse(texts[i], &prefix) != -EINVAL)
			fail_msg("\"%s\" is taken, or refused for another reason", texts[i]);
	}
}

static void a_length_beyond_the_address_is_out_of_range(void **state)
{
	static const char *const texts[] = {
		"192.0.2.0/33",   "192.0.2.0/128",         "192.0.2.0/256",
		"192.0.2.0/280",  "192.0.2.0/4294967320",  "192.0.2.0/18446744073709551640",
		"2001:db8::/129", "2001:db8::/256",        "2001:db8::/288",
		"::ffff:0:0/129", "2001:db8::/4294967328",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct prefix prefix;

		if (prefix_parse(texts[i], &prefix) != -ERANGE)
			fail_msg("\"%s\" is taken, or refused for another reason", texts[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_prefix_is_parsed_with_its_length),
		cmocka_unit_test(an_address_alone_is_a_prefix_of_its_full_length),
		cmocka_unit_test(host_bits_are_cleared),
		cmocka_unit_test(a_prefix_of_mapped_addresses_becomes_ipv4),
		cmocka_unit_test(a_prefix_wider_than_the_mapped_addresses_never_becomes_ipv4),
		cmocka_unit_test(what_is_no_prefix_is_invalid),
		cmocka_unit_test(a_length_beyond_the_address_is_out_of_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
