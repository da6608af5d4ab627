/* SPDX-License-Identifier: MIT */
/* Which of the kernel's news concern us, said by a socket of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>

#include <cmocka.h>

#include "routing/route_notices.h"

#define OURS   100123
#define OTHERS 100124

union message {
	struct nlmsghdr header;
	char bytes[256];
};

static int ends[2];

static int open_ends(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_DGRAM, 0, ends);
}

static int close_ends(void **state)
{
	(void)state;
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static bool is_ours(uint32_t table, void *context)
{
	(void)context;
	return table == OURS;
}

static void say(const union message *message)
{
	assert_int_equal(send(ends[0], message, message->header.nlmsg_len, 0),
			 message->header.nlmsg_len);
}

/* A rule has the same header and the same attribute. */
static void say_route(uint16_t type, uint8_t family, uint8_t kind, uint32_t table)
{
	union message message;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&message);
	struct rtmsg *route = mnl_nlmsg_put_extra_header(header, sizeof(*route));

	header->nlmsg_type = type;
	route->rtm_family = family;
	route->rtm_type = kind;
	route->rtm_table = table < 256 ? (uint8_t)table : RT_TABLE_COMPAT;
	mnl_attr_put_u32(header, RTA_TABLE, table);
	say(&message);
}

static void say_table(uint8_t type, const char *name)
{
	union message message;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&message);

	mnl_nlmsg_put_extra_header(header, sizeof(struct nfgenmsg));
	header->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
	mnl_attr_put_strz(header, NFTA_TABLE_NAME, name);
	say(&message);
}

static bool routes_concern(void)
{
	return route_notices_read(ends[1], is_ours, NULL);
}

static bool tables_concern(void)
{
	return table_notices_read(ends[1]);
}

static void a_rule_that_led_to_our_table_and_has_gone_concerns_us(void **state)
{
	(void)state;
	say_route(RTM_DELRULE, AF_INET, 0, OURS);
	assert_true(routes_concern());
	say_route(RTM_DELRULE, AF_INET, 0, OTHERS);
	say_route(RTM_NEWRULE, AF_INET, 0, OURS);
	assert_false(routes_concern());
}

/* `ip route replace` deletes nothing. */
static void a_route_of_our_table_concerns_us_gone_or_new(void **state)
{
	(void)state;
	say_route(RTM_DELROUTE, AF_INET6, RTN_LOCAL, OURS);
	assert_true(routes_concern());
	say_route(RTM_NEWROUTE, AF_INET, RTN_UNICAST, OURS);
	assert_true(routes_concern());
	say_route(RTM_DELROUTE, AF_INET, RTN_UNICAST, OTHERS);
	say_route(RTM_NEWROUTE, AF_INET, RTN_UNICAST, RT_TABLE_MAIN);
	assert_false(routes_concern());
}

static void an_ipv6_address_may_be_the_first(void **state)
{
	(void)state;
	say_route(RTM_NEWROUTE, AF_INET6, RTN_LOCAL, RT_TABLE_LOCAL);
	assert_true(routes_concern());
	say_route(RTM_NEWROUTE, AF_INET, RTN_LOCAL, RT_TABLE_LOCAL);
	assert_false(routes_concern());
}

static void one_among_many_that_do_not_is_found(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++)
		say_route(RTM_NEWROUTE, AF_INET, RTN_UNICAST, RT_TABLE_MAIN);
	say_route(RTM_DELROUTE, AF_INET, RTN_LOCAL, OURS);
	say_route(RTM_NEWROUTE, AF_INET, RTN_UNICAST, RT_TABLE_MAIN);
	assert_true(routes_concern());
	assert_false(routes_concern());
}

static void what_nftables_loses_of_ours_concerns_us(void **state)
{
	static const uint8_t lost[] = {NFT_MSG_DELTABLE, NFT_MSG_DELCHAIN, NFT_MSG_DELRULE};

	(void)state;
	for (size_t i = 0; i < sizeof(lost); i++) {
		say_table(lost[i], "mmproxy_123");
		assert_true(tables_concern());
		say_table(lost[i], "filter");
		assert_false(tables_concern());
	}
	say_table(NFT_MSG_NEWTABLE, "mmproxy_123");
	assert_false(tables_concern());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_ends, close_ends)
	const struct CMUnitTest tests[] = {
		TEST(a_rule_that_led_to_our_table_and_has_gone_concerns_us),
		TEST(a_route_of_our_table_concerns_us_gone_or_new),
		TEST(an_ipv6_address_may_be_the_first),
		TEST(one_among_many_that_do_not_is_found),
		TEST(what_nftables_loses_of_ours_concerns_us),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
