/* SPDX-License-Identifier: MIT */
/* The prefixes of the plugin acl: the forms that are taken, and what is said about the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "prefix.h"

static void expect(const char *text, const char *expected)
{
	char formatted[ACL_PREFIX_TEXT_SIZE];
	struct acl_prefix prefix;
	const char *wrong;

	/* What is not filled in is to show. */
	memset(&prefix, 0xa5, sizeof(prefix));
	wrong = acl_prefix_parse(text, &prefix);
	if (wrong != NULL)
		fail_msg("%s: %s", text, wrong);
	assert_string_equal(acl_prefix_format(&prefix, formatted), expected);
	if (!prefix.ipv6)
		for (size_t i = 4; i < sizeof(prefix.ip); i++)
			assert_int_equal(prefix.ip[i], 0);
}

static void expect_wrong(const char *text, const char *phrase)
{
	struct acl_prefix prefix;
	const char *wrong = acl_prefix_parse(text, &prefix);

	if (wrong == NULL)
		fail_msg("\"%s\" is taken", text);
	else if (strstr(wrong, phrase) == NULL)
		fail_msg("\"%s\": %s", text, wrong);
}

static void a_prefix_is_parsed_with_its_length(void **state)
{
	(void)state;
	expect("192.0.2.0/24", "192.0.2.0/24");
	expect("0.0.0.0/0", "0.0.0.0/0");
	expect("192.0.2.1/32", "192.0.2.1/32");
	expect("2001:db8::/32", "2001:db8::/32");
	expect("2001:DB8:0::/32", "2001:db8::/32");
	expect("::/0", "::/0");
	expect("2001:db8::1/128", "2001:db8::1/128");
}

static void an_address_alone_is_a_prefix_of_its_full_length(void **state)
{
	(void)state;
	expect("192.0.2.1", "192.0.2.1/32");
	expect("2001:db8::1", "2001:db8::1/128");
	expect("0.0.0.0", "0.0.0.0/32");
	expect("::", "::/128");
}

static void host_bits_are_cleared(void **state)
{
	(void)state;
	expect("192.0.2.77/24", "192.0.2.0/24");
	expect("192.0.2.255/25", "192.0.2.128/25");
	expect("192.0.2.255/31", "192.0.2.254/31");
	expect("255.255.255.255/1", "128.0.0.0/1");
	expect("255.255.255.255/0", "0.0.0.0/0");
	expect("2001:db8:ffff::/33", "2001:db8:8000::/33");
	expect("2001:db8::ffff/127", "2001:db8::fffe/127");
	expect("ffff::ffff/0", "::/0");
}

static void a_prefix_of_mapped_addresses_becomes_ipv4(void **state)
{
	(void)state;
	expect("::ffff:0:0/96", "0.0.0.0/0");
	expect("::ffff:192.0.2.77/120", "192.0.2.0/24");
	expect("::ffff:c000:200/120", "192.0.2.0/24");
	expect("::ffff:192.0.2.1", "192.0.2.1/32");
	expect("::ffff:192.0.2.1/97", "128.0.0.0/1");
}

static void a_prefix_wider_than_the_mapped_addresses_is_refused(void **state)
{
	(void)state;
	expect_wrong("::ffff:0:0/95", "IPv4-mapped");
	expect_wrong("::ffff:192.0.2.0/24", "write it as IPv4");
}

static void what_is_no_prefix_says_what_one_looks_like(void **state)
{
	static const char *const texts[] = {
		"",
		"/",
		"/24",
		"192.0.2.0/",
		"192.0.2.0/x",
		"192.0.2.0/24x",
		"192.0.2.0/-1",
		"192.0.2.0/ 24",
		" 192.0.2.0/24",
		"192.0.2.0/24 ",
		"192.0.2.0/24/24",
		"192.0.2.0/255.255.255.0",
		"192.0.2/24",
		"192.0.2.256/24",
		"192.0.2.01/24",
		"192.0.2.0-192.0.2.9",
		"example.com",
		"*",
		"2001:db8/32",
		"[2001:db8::]/32",
		"fe80::1%eth0/64",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/64",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		expect_wrong(texts[i], "not a prefix; write one such as 192.0.2.0/24");
}

static void a_length_beyond_the_address_is_out_of_range(void **state)
{
	(void)state;
	expect_wrong("192.0.2.0/33", "out of range; write /0 to /32");
	expect_wrong("192.0.2.0/4294967320", "out of range");
	expect_wrong("192.0.2.0/18446744073709551640", "out of range");
	expect_wrong("2001:db8::/129", "/0 to /128 for IPv6");
	expect_wrong("::ffff:0:0/129", "out of range");
}

static void host_bits_are_remarked_on(void **state)
{
	char room[ACL_PREFIX_REMARK_SIZE];
	struct acl_prefix prefix;

	(void)state;
	assert_null(acl_prefix_parse("192.0.2.77/24", &prefix));
	assert_string_equal(acl_prefix_remark("192.0.2.77/24", &prefix, room),
			    "it is taken as 192.0.2.0/24; write that, or 192.0.2.77 for the one "
			    "address");
	assert_null(acl_prefix_parse("::ffff:192.0.2.77/120", &prefix));
	assert_non_null(acl_prefix_remark("::ffff:192.0.2.77/120", &prefix, room));
	assert_null(acl_prefix_parse("2001:db8::1/32", &prefix));
	assert_non_null(strstr(acl_prefix_remark("2001:db8::1/32", &prefix, room), "2001:db8::1 "));
}

static void the_longest_prefix_and_remark_fit(void **state)
{
	static const char longest[] = "1111:2222:3333:4444:5555:6666:7777:8888/127";
	char text[ACL_PREFIX_TEXT_SIZE], room[ACL_PREFIX_REMARK_SIZE];
	struct acl_prefix prefix;
	const char *remark;

	(void)state;
	assert_null(acl_prefix_parse(longest, &prefix));
	assert_string_equal(acl_prefix_format(&prefix, text), longest);
	assert_null(acl_prefix_parse("1111:2222:3333:4444:5555:6666:7777:8889/127", &prefix));
	remark = acl_prefix_remark("1111:2222:3333:4444:5555:6666:7777:8889/127", &prefix, room);
	assert_non_null(remark);
	assert_non_null(strstr(remark, "for the one address"));
}

static void a_prefix_without_host_bits_is_not_remarked_on(void **state)
{
	static const char *const texts[] = {"192.0.2.0/24",  "192.0.2.77",
					    "0.0.0.0/0",     "::/0",
					    "2001:db8::/32", "::ffff:192.0.2.0/120"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char room[ACL_PREFIX_REMARK_SIZE];
		struct acl_prefix prefix;

		assert_null(acl_prefix_parse(texts[i], &prefix));
		if (acl_prefix_remark(texts[i], &prefix, room) != NULL)
			fail_msg("%s: %s", texts[i], room);
	}
}

static void shortening_takes_exactly_the_bits_behind(void **state)
{
	(void)state;
	for (unsigned length = 0; length <= 128; length++) {
		struct acl_prefix prefix = {.ipv6 = true, .length = 128};

		memset(prefix.ip, 0xff, sizeof(prefix.ip));
		acl_prefix_shorten(&prefix, length);
		assert_int_equal(prefix.length, length);
		for (unsigned bit = 0; bit < 128; bit++)
			assert_int_equal(prefix.ip[bit / 8] >> (7 - bit % 8) & 1, bit < length);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_prefix_is_parsed_with_its_length),
		cmocka_unit_test(an_address_alone_is_a_prefix_of_its_full_length),
		cmocka_unit_test(host_bits_are_cleared),
		cmocka_unit_test(a_prefix_of_mapped_addresses_becomes_ipv4),
		cmocka_unit_test(a_prefix_wider_than_the_mapped_addresses_is_refused),
		cmocka_unit_test(what_is_no_prefix_says_what_one_looks_like),
		cmocka_unit_test(a_length_beyond_the_address_is_out_of_range),
		cmocka_unit_test(host_bits_are_remarked_on),
		cmocka_unit_test(the_longest_prefix_and_remark_fit),
		cmocka_unit_test(a_prefix_without_host_bits_is_not_remarked_on),
		cmocka_unit_test(shortening_takes_exactly_the_bits_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
