/* SPDX-License-Identifier: MIT */
/* mmproxyctl: tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/table.h"

static const struct table_column columns[] = {
	{"NAME", TABLE_LEFT},
	{"BYTES", TABLE_RIGHT},
	{"NOTE", TABLE_LEFT},
	{"N", TABLE_RIGHT},
};

static void add_row(struct table *table, const char *name, const char *bytes, const char *note,
		    const char *number)
{
	table_begin_row(table, LINE_PLAIN);
	table_add(table, "%s", name);
	table_add(table, "%s", bytes);
	table_add(table, "%s", note);
	table_add(table, "%s", number);
}

/* Each line of what the table renders as; NULL at the end. */
static void expect(const struct table *table, size_t most, const char *const *due)
{
	struct lines lines = {0};
	size_t i;

	table_render(table, most, &lines);
	for (i = 0; i < lines.count && due[i] != NULL; i++)
		assert_string_equal(lines.items[i].text, due[i]);
	assert_int_equal(i, lines.count);
	assert_null(due[i]);
	lines_finish(&lines);
}

static void columns_are_as_wide_as_what_they_hold(void **state)
{
	static const char *const due[] = {
		"NAME         BYTES  NOTE   N",
		"a            1 KiB  short  5",
		"longer name    9 B",
		NULL,
	};
	struct table table;

	(void)state;
	table_init(&table, columns, 4);
	add_row(&table, "a", "1 KiB", "short", "5");
	add_row(&table, "longer name", "9 B", "", "");
	expect(&table, 0, due);
	table_finish(&table);
}

static void a_column_without_contents_is_left_out(void **state)
{
	static const char *const due[] = {"NAME  N", "a     1", "b     2", NULL};
	struct table table;

	(void)state;
	table_init(&table, columns, 4);
	add_row(&table, "a", "", "", "1");
	add_row(&table, "b", "", "", "2");
	expect(&table, 0, due);
	table_finish(&table);
}

static void a_row_may_end_early_and_has_no_cell_too_many(void **state)
{
	static const char *const due[] = {"NAME  BYTES  NOTE  N", "a", "b         1  2     3",
					  NULL};
	struct table table;

	(void)state;
	table_init(&table, columns, 4);
	table_begin_row(&table, LINE_PLAIN);
	table_add(&table, "%s", "a");
	add_row(&table, "b", "1", "2", "3");
	table_add(&table, "%s", "dropped");
	expect(&table, 0, due);
	table_finish(&table);
}

static void only_so_many_rows_are_rendered(void **state)
{
	static const char *const due[] = {"NAME", "1", "2", NULL};
	struct table table;

	(void)state;
	table_init(&table, columns, 4);
	for (int i = 1; i <= 50; i++) {
		table_begin_row(&table, LINE_PLAIN);
		table_add(&table, "%d", i);
	}
	expect(&table, 2, due);
	table_finish(&table);
}

static void a_cell_is_printable_and_as_wide_as_it_looks(void **state)
{
	static const char *const due[] = {"NAME         BYTES", "\\x1b[2Jevil      1", NULL};
	struct table table;

	(void)state;
	table_init(&table, columns, 4);
	add_row(&table, "\x1b[2Jevil", "1", "", "");
	expect(&table, 0, due);
	table_finish(&table);
}

static void a_cell_too_long_is_cut(void **state)
{
	struct lines lines = {0};
	char text[1000];
	struct table table;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	table_init(&table, columns, 4);
	add_row(&table, text, "1", "", "");
	table_render(&table, 0, &lines);
	assert_int_equal(strspn(lines.items[1].text, "x"), 255);
	lines_finish(&lines);
	table_finish(&table);
}

static void lines_are_cut_to_the_width(void **state)
{
	struct lines lines = {0};
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	(void)state;
	assert_non_null(file);
	lines_add(&lines, LINE_PLAIN, "%s", "0123456789");
	lines_add(&lines, LINE_PLAIN, "%s", "012");
	lines_add(&lines, LINE_PLAIN, "%s", "blanks   ");
	lines_print(&lines, 5, file);
	lines_print(&lines, 0, file);
	fclose(file);
	assert_string_equal(text, "01234\n012\nblank\n0123456789\n012\nblanks\n");
	free(text);
	lines_finish(&lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_as_wide_as_what_they_hold),
		cmocka_unit_test(a_column_without_contents_is_left_out),
		cmocka_unit_test(a_row_may_end_early_and_has_no_cell_too_many),
		cmocka_unit_test(only_so_many_rows_are_rendered),
		cmocka_unit_test(a_cell_is_printable_and_as_wide_as_it_looks),
		cmocka_unit_test(a_cell_too_long_is_cut),
		cmocka_unit_test(lines_are_cut_to_the_width),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
