/* SPDX-License-Identifier: MIT */
/* What the kernel tells of a traced packet, as it was once recorded; and rules as nft lists them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#include "doctor/trace_event.h"

/* The bytes of a netlink message, read from hex. */
union recorded {
	struct nlmsghdr header;
	uint8_t bytes[512];
};

static unsigned digit(char c)
{
	return c >= 'a' ? (unsigned)(c - 'a') + 10 : (unsigned)(c - '0');
}

static void record(union recorded *recorded, const char *hex)
{
	memset(recorded, 0, sizeof(*recorded));
	for (size_t i = 0; hex[2 * i] != '\0'; i++)
		recorded->bytes[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
}

/* `tcp dport 4000 ip saddr 127.0.0.1 counter drop` in `ip f o`, of a SYN from 127.0.0.1:50000. */
static const char dropped[] =
	"94000000110a000000000000000000000200000008000f00000000020800040000000003080006009986d41c06"
	"0002006f00000006000100660000000c00030000000000000000030c000500080001000000000008000c000000"
	"000106000d0003040000180008004500003cadcd400040068eec7f0000017f00000118000900c3500fa0af98ea"
	"7d00000000a002ffd7fe300000";

/* The policy of `inet t o`, which accepts the same packet. */
static const char accepted[] =
	"44000000110a000000000000000000000100000008000f00000000020800040000000001080006009986d41c06"
	"0002006f00000006000100740000000800100000000001";

static void a_rule_that_drops_is_told_with_its_packet(void **state)
{
	union recorded recorded;
	struct trace_event event;
	struct address from, to;

	(void)state;
	record(&recorded, dropped);
	assert_int_equal(trace_event_read(&recorded.header, &event), 0);
	assert_string_equal(trace_family_name(event.family), "ip");
	assert_string_equal(event.table, "f");
	assert_string_equal(event.chain, "o");
	assert_int_equal(event.type, NFT_TRACETYPE_RULE);
	assert_int_equal(event.verdict, NF_DROP);
	assert_int_equal(event.handle, 3);
	assert_int_equal(event.packet, 0x9986d41c);
	assert_int_equal(event.oif, 1);
	assert_int_equal(event.iif, 0);
	address_parse_endpoint("127.0.0.1:50000", &from);
	address_parse_endpoint("127.0.0.1:4000", &to);
	assert_true(address_equal(&event.from, &from));
	assert_true(address_equal(&event.to, &to));
}

static void a_policy_has_no_packet_and_no_handle(void **state)
{
	union recorded recorded;
	struct trace_event event;

	(void)state;
	record(&recorded, accepted);
	assert_int_equal(trace_event_read(&recorded.header, &event), 0);
	assert_string_equal(trace_family_name(event.family), "inet");
	assert_int_equal(event.type, NFT_TRACETYPE_POLICY);
	assert_int_equal(event.verdict, NF_ACCEPT);
	assert_int_equal(event.handle, 0);
	assert_int_equal(event.packet, 0x9986d41c);
	assert_int_equal(event.from.family, ADDRESS_NONE);
}

static void a_message_that_is_cut_says_no_more_than_it_holds(void **state)
{
	union recorded recorded;
	struct trace_event event;

	(void)state;
	record(&recorded, dropped);
	for (uint32_t length = recorded.header.nlmsg_len; length-- > sizeof(struct nlmsghdr);) {
		recorded.header.nlmsg_len = length;
		if (trace_event_read(&recorded.header, &event) < 0)
			continue;
		assert_true(strlen(event.table) < TRACE_NAME_SIZE);
		assert_true(event.to.port == 4000 || event.to.port == 0);
	}
	recorded.header.nlmsg_len = sizeof(struct nlmsghdr) + 1;
	assert_true(trace_event_read(&recorded.header, &event) < 0);
}

static void other_messages_are_no_trace(void **state)
{
	union recorded recorded;
	struct trace_event event;

	(void)state;
	record(&recorded, dropped);
	recorded.header.nlmsg_type = NLMSG_DONE;
	assert_true(trace_event_read(&recorded.header, &event) < 0);
}

static const char listing[] = "table inet filter { # handle 2\n"
			      "\tchain output { # handle 3\n"
			      "\t\ttype filter hook output priority filter; policy accept;\n"
			      "\t\ttcp dport 22 counter drop comment \"no ssh\" # handle 4\n"
			      "\t\tip saddr { 192.0.2.1, 192.0.2.2,\n"
			      "\t\t\t     192.0.2.3 } drop # handle 42\n"
			      "\t\toifname \"lo\" masquerade # handle 44\n"
			      "\t}\n"
			      "}\n";

static void a_rule_is_found_by_its_handle(void **state)
{
	char rule[TRACE_RULE_SIZE];

	(void)state;
	trace_rule_find(listing, 4, rule);
	assert_string_equal(rule, "tcp dport 22 counter drop comment \"no ssh\"");
	trace_rule_find(listing, 44, rule);
	assert_string_equal(rule, "oifname \"lo\" masquerade");
}

static void a_rule_of_several_lines_becomes_one(void **state)
{
	char rule[TRACE_RULE_SIZE];

	(void)state;
	trace_rule_find(listing, 42, rule);
	assert_string_equal(rule, "ip saddr { 192.0.2.1, 192.0.2.2, 192.0.2.3 } drop");
}

static void tables_and_chains_are_no_rules(void **state)
{
	char rule[TRACE_RULE_SIZE];

	(void)state;
	trace_rule_find(listing, 2, rule);
	assert_string_equal(rule, "");
	trace_rule_find(listing, 3, rule);
	assert_string_equal(rule, "");
	trace_rule_find(listing, 5, rule);
	assert_string_equal(rule, "");
	trace_rule_find("", 5, rule);
	assert_string_equal(rule, "");
}

static void a_long_rule_is_cut(void **state)
{
	char text[2 * TRACE_RULE_SIZE] = "", rule[TRACE_RULE_SIZE];

	(void)state;
	memset(text, 'a', sizeof(text) - 20);
	strcat(text, " # handle 7\n");
	trace_rule_find(text, 7, rule);
	assert_int_equal(strlen(rule), TRACE_RULE_SIZE - 1);
}

static void what_translates_the_source_is_known_by_its_words(void **state)
{
	(void)state;
	assert_true(trace_rule_is_nat("oif \"lo\" masquerade"));
	assert_true(trace_rule_is_nat("counter packets 0 bytes 0 xt target \"MASQUERADE\""));
	assert_true(trace_rule_is_nat("ip saddr 10.0.0.0/8 snat to 192.0.2.1"));
	assert_true(trace_rule_is_nat("xt target \"SNAT\""));
	assert_false(trace_rule_is_nat("dnat to 192.0.2.1"));
	assert_false(trace_rule_is_nat("jump SNAT_RULES"));
	assert_false(trace_rule_is_nat("tcp dport 22 drop"));
	assert_false(trace_rule_is_nat(""));
	assert_true(trace_rule_redirects(
		"tcp dport 8080 counter packets 0 bytes 0 dnat to 10.0.0.2:80"));
	assert_true(trace_rule_redirects("tcp dport 80 redirect to :8080"));
	assert_true(trace_rule_redirects("xt target \"DNAT\""));
	assert_false(trace_rule_redirects("ct status dnat accept"));
	assert_false(trace_rule_redirects("snat to 192.0.2.1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_that_drops_is_told_with_its_packet),
		cmocka_unit_test(a_policy_has_no_packet_and_no_handle),
		cmocka_unit_test(a_message_that_is_cut_says_no_more_than_it_holds),
		cmocka_unit_test(other_messages_are_no_trace),
		cmocka_unit_test(a_rule_is_found_by_its_handle),
		cmocka_unit_test(a_rule_of_several_lines_becomes_one),
		cmocka_unit_test(tables_and_chains_are_no_rules),
		cmocka_unit_test(a_long_rule_is_cut),
		cmocka_unit_test(what_translates_the_source_is_known_by_its_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
