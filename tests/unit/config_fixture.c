/* SPDX-License-Identifier: MIT */
/* See config_fixture.h. */
#include "config_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "scratch.h"

struct config config;
struct report report;

int end_config(void **state)
{
	forget_config();
	return scratch_end(state);
}

void forget_config(void)
{
	config_finish(&config);
	report_finish(&report);
}

int read_config(const char *path)
{
	forget_config();
	return config_load_file(path, &config, &report);
}

static void print_lines(const struct report *lines)
{
	for (size_t i = 0; i < lines->count; i++)
		print_error("%s\n", lines->lines[i]);
}

void load_config(const char *text)
{
	if (read_config(scratch_write("F", text)) == 0)
		return;
	print_lines(&report);
	fail_msg("refused: %s", text);
}

void refuse_config(const char *path, const char *wanted)
{
	assert_int_equal(read_config(path), -EINVAL);
	assert_null(config.listeners);
	assert_null(config.user);
	expect_line(&report, wanted);
}

void expect_line(const struct report *lines, const char *wanted)
{
	if (lines->count != 1) {
		print_lines(lines);
		fail_msg("%zu lines, not just: %s", lines->count, wanted);
	}
	assert_string_equal(without_folder(lines->lines[0]), wanted);
}

const char *without_folder(const char *line)
{
	return strncmp(line, "/tmp/mmproxy-unit-", 18) == 0 ? strchr(line + 5, '/') + 1 : line;
}

bool allows(const struct prefix_set *set, const char *ip)
{
	struct address address;

	assert_int_equal(address_parse_ip(ip, &address), 0);
	return prefix_set_contains(set, &address);
}

void expect_address(const struct address *address, const char *wanted)
{
	char text[ADDRESS_TEXT_SIZE];

	assert_string_equal(address_format(address, text), wanted);
}
