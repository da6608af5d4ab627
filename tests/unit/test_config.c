/* SPDX-License-Identifier: MIT */
/*
 * What a good configuration file becomes: the defaults, each setting, many listeners. What a bad
 * one is told is in test_config_mistakes.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/setting.h"
#include "config_fixture.h"
#include "scratch.h"
#include "wire/proxy_header.h"

#define FORWARD "forward = { ipv4 = \"127.0.0.1:443\"; };"
#define MINIMAL "name = \"web\"; listen = \"*:80\"; " FORWARD " subnets = \"any\";"

/* Loads a file of one listener that has these settings beside the least it needs. */
static const struct config_listener *load_listener(const char *settings)
{
	char text[1024];

	snprintf(text, sizeof(text), "listeners = ( { " MINIMAL " %s } );", settings);
	load_config(text);
	return &config.listeners[0];
}

static void settings_that_are_left_out_have_the_defaults_of_the_table(void **state)
{
	const struct relay_settings *relay = &load_listener("")->relay;
	const struct {
		enum setting_id id;
		double value;
	} numbers[] = {
		{SETTING_top_drain_timeout, config.drain_timeout / 1000.0},
		{SETTING_routing_table, config.routing.table},
		{SETTING_listener_mark, relay->mark},
		{SETTING_listener_header_timeout, relay->header_timeout / 1000.0},
		{SETTING_listener_connect_timeout, relay->connect_timeout / 1000.0},
		{SETTING_listener_idle_timeout, relay->idle_timeout / 1000.0},
		{SETTING_listener_user_timeout, relay->user_timeout / 1000.0},
		{SETTING_listener_keepalive, relay->keepalive / 1000.0},
		{SETTING_listener_max_header, relay->max_header},
		{SETTING_listener_max_sessions, relay->max_sessions},
		{SETTING_listener_max_sessions_per_client, relay->max_sessions_per_client},
		{SETTING_listener_max_waiting_headers, relay->max_waiting_headers},
		{SETTING_listener_backlog, config.listeners[0].socket.backlog},
		{SETTING_udp_idle_timeout, relay->udp.idle_timeout / 1000.0},
		{SETTING_udp_max_flows, relay->udp.max_flows},
	};
	const struct {
		enum setting_id id;
		int value;
	} choices[] = {
		{SETTING_log_level, (int)config.log.level},
		{SETTING_log_format, (int)config.log.format},
		{SETTING_top_seccomp, (int)config.seccomp},
		{SETTING_landlock_mode, config.landlock.off},
		{SETTING_routing_mode, (int)config.routing.mode},
		{SETTING_routing_method, (int)config.routing.method},
		{SETTING_listener_protocol, (int)relay->protocol},
		{SETTING_listener_port_conflict, (int)relay->port_conflict},
		{SETTING_udp_framing, (int)relay->udp.framing},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		const struct setting *setting = &setting_table[numbers[i].id];

		if (strtod(setting->default_text, NULL) != numbers[i].value)
			fail_msg("%s is %g, not %s", setting->name, numbers[i].value,
				 setting->default_text);
	}
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
		const struct setting *setting = &setting_table[choices[i].id];

		if (setting_choice(setting, setting->default_text) != choices[i].value)
			fail_msg("%s is not %s", setting->name, setting->default_text);
	}
	assert_string_equal(config.user, setting_table[SETTING_top_user].default_text);
	assert_null(config.group);
	assert_int_equal(config.log.target, LOG_TARGET_DEFAULT);
	assert_null(config.control.where);
	assert_null(config.control.socket);
	assert_int_equal(config.control.mode,
			 strtoul(setting_table[SETTING_control_mode].default_text, NULL, 8));
	assert_null(config.control.group);
	assert_int_equal(config.metrics_listen.family, ADDRESS_NONE);
	assert_null(config.metrics_where);
	assert_null(config.routing_where);
	assert_int_equal(config.workers, config_count_cpus());
	assert_false(config.listeners[0].socket.freebind);
	assert_null(config.listeners[0].device);
	assert_null(relay->permit_sources);
	assert_false(config.listeners[0].any_by_default);
}

static void the_positions_of_choices_are_their_enums(void **state)
{
	const struct setting *level = &setting_table[SETTING_log_level];
	const struct setting *format = &setting_table[SETTING_log_format];
	const struct setting *conflict = &setting_table[SETTING_listener_port_conflict];
	const struct setting *protocol = &setting_table[SETTING_listener_protocol];
	const struct setting *framing = &setting_table[SETTING_udp_framing];

	(void)state;
	assert_int_equal(setting_choice(level, "error"), LOG_LEVEL_ERROR);
	assert_int_equal(setting_choice(level, "warning"), LOG_LEVEL_WARNING);
	assert_int_equal(setting_choice(level, "info"), LOG_LEVEL_INFO);
	assert_int_equal(setting_choice(level, "debug"), LOG_LEVEL_DEBUG);
	assert_int_equal(setting_choice(format, "text"), LOG_FORMAT_TEXT);
	assert_int_equal(setting_choice(format, "json"), LOG_FORMAT_JSON);
	assert_int_equal(setting_choice(conflict, "any-port"), RELAY_PORT_CONFLICT_ANY_PORT);
	assert_int_equal(setting_choice(conflict, "refuse"), RELAY_PORT_CONFLICT_REFUSE);
	assert_int_equal(setting_choice(conflict, "any"), -1);
	assert_int_equal(setting_choice(conflict, ""), -1);
	assert_int_equal(setting_choice(conflict, "any-port|refuse"), -1);
	assert_int_equal(setting_choice(protocol, "tcp"), RELAY_PROTOCOL_TCP);
	assert_int_equal(setting_choice(protocol, "udp"), RELAY_PROTOCOL_UDP);
	assert_int_equal(setting_choice(framing, "every"), UDP_FRAMING_EVERY);
	assert_int_equal(setting_choice(framing, "first"), UDP_FRAMING_FIRST);
	assert_int_equal(setting_choice(framing, "spp"), UDP_FRAMING_SPP);
}

static void the_range_of_max_header_is_that_of_the_protocol(void **state)
{
	const struct setting *setting = &setting_table[SETTING_listener_max_header];

	(void)state;
	assert_true(setting_in_range(setting, PROXY_V1_MAX_LENGTH));
	assert_false(setting_in_range(setting, PROXY_V1_MAX_LENGTH - 1));
	assert_true(setting_in_range(setting, PROXY_V2_MAX_LENGTH));
	assert_false(setting_in_range(setting, PROXY_V2_MAX_LENGTH + 1));
}

static void every_setting_is_read(void **state)
{
	const struct config_listener *listener;

	(void)state;
	load_config("workers = 3; user = \"u\"; group = \"g\"; drain_timeout = 1.5;\n"
		    "log = { level = \"error\"; format = \"text\"; target = \"stderr\"; };\n"
		    "listeners = ( {\n"
		    "name = \"a-1.B_2\"; protocol = \"tcp\"; listen = [ \"192.0.2.1:1\", "
		    "\"[::]:65535\" "
		    "];\n"
		    "forward = { ipv4 = \"127.0.0.1:2\"; ipv6 = \"[::1]:3\"; };\n"
		    "subnets = ( \"192.0.2.0/24\", \"2001:db8::1\" ); permit_sources = [ "
		    "\"127.0.0.0/8\" "
		    "];\n"
		    "mark = 0xFFFFFFFFL; port_conflict = \"refuse\"; header_timeout = 0.25;\n"
		    "connect_timeout = 604800; idle_timeout = 7L; user_timeout = 0; keepalive = "
		    "0.0e0;\n"
		    "max_header = 107; max_sessions = 2147483647; backlog = 1; freebind = true;\n"
		    "max_sessions_per_client = 50; max_waiting_headers = 0;\n"
		    "device = \"eth0\"; } );");
	assert_int_equal(config.workers, 3);
	assert_string_equal(config.user, "u");
	assert_string_equal(config.group, "g");
	assert_int_equal(config.drain_timeout, 1500);
	assert_int_equal(config.log.level, LOG_LEVEL_ERROR);

	assert_int_equal(config.listener_count, 1);
	listener = &config.listeners[0];
	assert_string_equal(listener->name, "a-1.B_2");
	assert_string_equal(without_folder(listener->where), "F:3");
	assert_int_equal(listener->listen_count, 2);
	expect_address(&listener->listen[0].address, "192.0.2.1:1");
	expect_address(&listener->listen[1].address, "[::]:65535");
	assert_false(listener->listen[1].both_families);
	assert_int_equal(listener->socket.backlog, 1);
	assert_true(listener->socket.freebind);
	assert_string_equal(listener->socket.device, "eth0");

	expect_address(&listener->relay.forward_ipv4, "127.0.0.1:2");
	expect_address(&listener->relay.forward_ipv6, "[::1]:3");
	assert_ptr_equal(listener->relay.listener_name, listener->name);
	assert_true(allows(listener->relay.subnets, "192.0.2.7"));
	assert_true(allows(listener->relay.subnets, "2001:db8::1"));
	assert_false(allows(listener->relay.subnets, "2001:db8::2"));
	assert_true(allows(listener->relay.permit_sources, "127.9.9.9"));
	assert_int_equal(listener->relay.mark, 0xffffffff);
	assert_int_equal(listener->relay.port_conflict, RELAY_PORT_CONFLICT_REFUSE);
	assert_int_equal(listener->relay.header_timeout, 250);
	assert_int_equal(listener->relay.connect_timeout, 604800000);
	assert_int_equal(listener->relay.idle_timeout, 7000);
	assert_int_equal(listener->relay.user_timeout, 0);
	assert_int_equal(listener->relay.keepalive, 0);
	assert_int_equal(listener->relay.max_header, 107);
	assert_int_equal(listener->relay.max_sessions, 2147483647);
	assert_int_equal(listener->relay.max_sessions_per_client, 50);
	assert_int_equal(listener->relay.max_waiting_headers, 0);
}

static void every_setting_of_udp_is_read(void **state)
{
	const struct relay_settings *relay;

	(void)state;
	relay = &load_listener("udp = { framing = \"spp\"; idle_timeout = 0.5; max_flows = 1; };"
			       " protocol = \"udp\";")
			 ->relay;
	assert_int_equal(relay->protocol, RELAY_PROTOCOL_UDP);
	assert_int_equal(relay->udp.framing, UDP_FRAMING_SPP);
	assert_int_equal(relay->udp.idle_timeout, 500);
	assert_int_equal(relay->udp.max_flows, 1);
	/* The TCP setting of the same name is another one. */
	assert_int_equal(relay->idle_timeout, 0);

	relay = &load_listener("protocol = \"udp\"; udp = { framing = \"first\"; "
			       "idle_timeout = 0; max_flows = 1048576; };")
			 ->relay;
	assert_int_equal(relay->udp.framing, UDP_FRAMING_FIRST);
	assert_int_equal(relay->udp.idle_timeout, 0);
	assert_int_equal(relay->udp.max_flows, 1048576);

	relay = &load_listener("protocol = \"udp\"; udp = { idle_timeout = 604800; };")->relay;
	assert_int_equal(relay->udp.framing, UDP_FRAMING_EVERY);
	assert_int_equal(relay->udp.idle_timeout, 604800000);
	assert_int_equal(relay->udp.max_flows, 65536);
}

static void each_of_many_listeners_keeps_its_own_settings(void **state)
{
	char text[8192] = "listeners = (";

	(void)state;
	for (int i = 0; i < 40; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 "%s{ name = \"l%d\"; listen = \"*:%d\"; " FORWARD
			 " subnets = [ \"10.0.%d.0/24\" ]; device = \"eth%d\"; }",
			 i > 0 ? "," : "", i, 1000 + i, i, i);
	strcat(text, ");");
	load_config(text);
	assert_int_equal(config.listener_count, 40);
	for (int i = 0; i < 40; i++) {
		const struct config_listener *listener = &config.listeners[i];
		char wanted[32];

		snprintf(wanted, sizeof(wanted), "l%d", i);
		assert_string_equal(listener->relay.listener_name, wanted);
		snprintf(wanted, sizeof(wanted), "eth%d", i);
		assert_string_equal(listener->socket.device, wanted);
		snprintf(wanted, sizeof(wanted), "10.0.%d.1", i);
		assert_true(allows(listener->relay.subnets, wanted));
		assert_int_equal(prefix_set_count(listener->relay.subnets), 1);
	}
}

static void a_star_listens_on_both_families(void **state)
{
	const struct config_listener *listener = load_listener("");

	(void)state;
	assert_int_equal(listener->listen_count, 1);
	assert_true(listener->listen[0].both_families);
	expect_address(&listener->listen[0].address, "[::]:80");
}

static void subnets_any_is_no_set_at_all(void **state)
{
	(void)state;
	assert_null(load_listener("")->relay.subnets);
}

static void subnets_come_from_lists_and_files_together(void **state)
{
	const struct prefix_set *subnets;

	(void)state;
	scratch_make_folder("lists");
	scratch_write("lists/one", "# ours\n\n 10.0.0.0/8 # all of it\r\n\t2001:db8::/32\n::1");
	load_config("listeners = ( { name = \"a\"; listen = \"*:1\"; " FORWARD
		    " subnets_files = ( \"lists/one\" ); subnets = [ \"192.0.2.1\" ]; } );");
	subnets = config.listeners[0].relay.subnets;
	assert_int_equal(prefix_set_count(subnets), 4);
	assert_true(allows(subnets, "10.1.2.3"));
	assert_true(allows(subnets, "2001:db8:1::"));
	assert_true(allows(subnets, "::1"));
	assert_true(allows(subnets, "192.0.2.1"));
	assert_false(allows(subnets, "192.0.2.2"));
	load_config("listeners = ( { name = \"a\"; listen = \"*:1\"; " FORWARD
		    " subnets_files = ( \"lists/one\" ); subnets = [ ]; } );");
}

static void the_same_port_on_other_addresses_or_devices_is_no_clash(void **state)
{
	(void)state;
	load_config("listeners = (\n"
		    "{ name = \"a\"; listen = [ \"*:80\", \"127.0.0.1:80\", \"[::1]:80\", \"*:81\" "
		    "]; " FORWARD " subnets = \"any\"; },\n"
		    "{ name = \"b\"; listen = [ \"0.0.0.0:82\", \"[::]:82\" ]; " FORWARD
		    " subnets = \"any\"; },\n"
		    "{ name = \"c\"; listen = [ \"*:80\" ]; " FORWARD
		    " subnets = \"any\"; device = \"eth0\"; },\n"
		    "{ name = \"d\"; listen = [ \"*:80\" ]; " FORWARD
		    " subnets = \"any\"; device = \"eth1\"; } );");
	assert_int_equal(config.listener_count, 4);
}

static void the_same_port_serves_tcp_and_udp(void **state)
{
	(void)state;
	load_config("listeners = (\n"
		    "{ name = \"a\"; listen = [ \"*:53\", \"192.0.2.1:54\" ]; " FORWARD
		    " subnets = \"any\"; },\n"
		    "{ protocol = \"udp\"; name = \"b\"; listen = [ \"*:53\", \"192.0.2.1:54\" "
		    "]; " FORWARD " subnets = \"any\"; } );");
	assert_int_equal(config.listener_count, 2);
	assert_int_equal(config.listeners[0].relay.protocol, RELAY_PROTOCOL_TCP);
	assert_int_equal(config.listeners[1].relay.protocol, RELAY_PROTOCOL_UDP);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, scratch_begin, end_config)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(settings_that_are_left_out_have_the_defaults_of_the_table),
		TEST(the_positions_of_choices_are_their_enums),
		TEST(the_range_of_max_header_is_that_of_the_protocol),
		TEST(every_setting_is_read),
		TEST(every_setting_of_udp_is_read),
		TEST(each_of_many_listeners_keeps_its_own_settings),
		TEST(a_star_listens_on_both_families),
		TEST(subnets_any_is_no_set_at_all),
		TEST(subnets_come_from_lists_and_files_together),
		TEST(the_same_port_on_other_addresses_or_devices_is_no_clash),
		TEST(the_same_port_serves_tcp_and_udp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
