/* SPDX-License-Identifier: MIT */
/* The datagram that journald gets for a log line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "os/log_journal.h"

static const struct log_line_head head = {
	.level = LOG_LEVEL_WARNING,
	.subsystem = "session",
	.event = "refused",
};

#define START                                                                                      \
	"PRIORITY=4\nSYSLOG_IDENTIFIER=mmproxy\nMMPROXY_SUBSYSTEM=session\n"                       \
	"MMPROXY_EVENT=refused\n"

static char entry[LOG_ENTRY_SIZE];

static void expect_entry(const struct log_field *fields, size_t count, const char *wanted,
			 size_t length)
{
	size_t written = log_journal_entry(entry, &head, fields, count);

	assert_int_equal(written, length);
	assert_memory_equal(entry, wanted, length);
}

static void every_type_of_field_becomes_a_line(void **state)
{
	struct address address;
	const struct log_field fields[] = {
		LOG_TEXT("reason", "header missing"),
		LOG_NOTHING,
		LOG_NUMBER("plugin_a-b_count", UINT64_MAX),
		LOG_SECONDS("duration", 1500),
		LOG_ADDRESS("client", &address),
		LOG_BYTES("first_bytes", (const uint8_t *)"a\n\xff", 3),
	};
	static const char wanted[] =
		"MESSAGE=session: refused reason=\"header missing\" "
		"plugin_a-b_count=18446744073709551615 duration=1.500 client=192.0.2.1:80 "
		"first_bytes=\"a\\x0a\\xff\"\n" START "MMPROXY_REASON=header missing\n"
		"MMPROXY_PLUGIN_A_B_COUNT=18446744073709551615\nMMPROXY_DURATION=1.500\n"
		"MMPROXY_CLIENT=192.0.2.1:80\nMMPROXY_FIRST_BYTES=a\\x0a\\xff\n";

	(void)state;
	assert_int_equal(address_parse_endpoint("192.0.2.1:80", &address), 0);
	expect_entry(fields, sizeof(fields) / sizeof(fields[0]), wanted, sizeof(wanted) - 1);
}

static void a_text_of_several_lines_cannot_forge_a_field(void **state)
{
	const struct log_field field = LOG_TEXT("line", "a\nPRIORITY=0\nb");
	static const char wanted[] =
		"MESSAGE=session: refused line=\"a\\x0aPRIORITY=0\\x0ab\"\n" START
		"MMPROXY_LINE\n\x0e\0\0\0\0\0\0\0a\nPRIORITY=0\nb\n";

	(void)state;
	expect_entry(&field, 1, wanted, sizeof(wanted) - 1);
}

static void a_field_without_room_is_left_out_whole(void **state)
{
	static char long_text[LOG_ENTRY_SIZE];
	const struct log_field fields[] = {
		LOG_TEXT("before", "1"),
		LOG_TEXT("long", long_text),
		LOG_TEXT("behind", "2"),
	};
	static const char end[] = START "MMPROXY_BEFORE=1\nMMPROXY_BEHIND=2\n";
	size_t length;

	(void)state;
	memset(long_text, 'x', sizeof(long_text) - 1);
	length = log_journal_entry(entry, &head, fields, 3);
	assert_true(length < LOG_LINE_SIZE + 200);
	assert_memory_equal(entry + length - (sizeof(end) - 1), end, sizeof(end) - 1);
	assert_memory_equal(entry, "MESSAGE=session: refused before=1 long=xxx", 42);
}

static void an_entry_may_be_full_to_the_last_byte(void **state)
{
	static char text[LOG_ENTRY_SIZE];
	const struct log_field field = LOG_TEXT("t", text);
	size_t least;

	(void)state;
	/* The line in MESSAGE has come to its own end long before. */
	memset(text, 'x', LOG_LINE_SIZE);
	least = log_journal_entry(entry, &head, &field, 1) - LOG_LINE_SIZE;
	memset(text, 'x', LOG_ENTRY_SIZE - least);
	assert_int_equal(log_journal_entry(entry, &head, &field, 1), LOG_ENTRY_SIZE);
	assert_memory_equal(entry + LOG_ENTRY_SIZE - 3, "xx\n", 3);
	text[LOG_ENTRY_SIZE - least] = 'x';
	assert_int_equal(log_journal_entry(entry, &head, &field, 1),
			 least - strlen("MMPROXY_T=\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_of_field_becomes_a_line),
		cmocka_unit_test(a_text_of_several_lines_cannot_forge_a_field),
		cmocka_unit_test(a_field_without_room_is_left_out_whole),
		cmocka_unit_test(an_entry_may_be_full_to_the_last_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
