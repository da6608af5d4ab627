/* SPDX-License-Identifier: MIT */
/* Tables for people. */
#include "ctl/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/format.h"
#include "ctl/memory.h"

/* Blanks between two columns. */
#define TABLE_GAP 2

/* Characters: what is longer is cut. An address with its port has 55 at most. */
#define TABLE_CELL_MAX 256

void table_init(struct table *table, const struct table_column *columns, size_t count)
{
	memset(table, 0, sizeof(*table));
	table->columns = columns;
	table->column_count = count;
}

void table_finish(struct table *table)
{
	for (size_t i = 0; i < table->row_count; i++) {
		for (size_t column = 0; column < table->column_count; column++)
			free(table->rows[i].cells[column]);
		free(table->rows[i].cells);
	}
	free(table->rows);
	memset(table, 0, sizeof(*table));
}

void table_begin_row(struct table *table, enum line_role role)
{
	struct table_row *row;

	if (table->row_count == table->room) {
		table->room = table->room == 0 ? 32 : table->room * 2;
		table->rows = memory_resize(table->rows, table->room, sizeof(*table->rows));
	}
	row = &table->rows[table->row_count++];
	row->cells = memory_resize(NULL, table->column_count, sizeof(*row->cells));
	memset(row->cells, 0, table->column_count * sizeof(*row->cells));
	row->filled = 0;
	row->role = role;
}

void table_add(struct table *table, const char *format, ...)
{
	struct table_row *row = &table->rows[table->row_count - 1];
	char raw[TABLE_CELL_MAX], text[TABLE_CELL_MAX];
	va_list arguments;
	size_t length;

	if (row->filled == table->column_count)
		return;
	va_start(arguments, format);
	vsnprintf(raw, sizeof(raw), format, arguments);
	va_end(arguments);
	/* Here and not only as a line, so that the width is what will be seen. */
	length = format_printable(text, sizeof(text), raw);
	if (length > 0) {
		row->cells[row->filled] = memory_resize(NULL, length + 1, 1);
		memcpy(row->cells[row->filled], text, length + 1);
	}
	row->filled++;
}

/* 0: no cell holds anything. */
static size_t column_width(const struct table *table, size_t column)
{
	size_t heading = strlen(table->columns[column].heading), width = 0;

	for (size_t i = 0; i < table->row_count; i++) {
		const char *cell = table->rows[i].cells[column];
		size_t length = cell != NULL ? strlen(cell) : 0;

		if (length > width)
			width = length;
	}
	return width > 0 && width < heading ? heading : width;
}

static void append_cell(char *line, size_t *end, const char *cell, size_t width,
			enum table_align align)
{
	size_t length = strlen(cell);

	if (*end > 0)
		*end += TABLE_GAP; /* the line was filled with blanks */
	memcpy(line + *end + (align == TABLE_RIGHT ? width - length : 0), cell, length);
	*end += width;
}

/* `row` NULL: the heading. */
static void render_row(const struct table *table, const size_t *widths, const struct table_row *row,
		       struct lines *lines)
{
	size_t end = 0, room = 1;
	char *line;

	for (size_t i = 0; i < table->column_count; i++)
		room += widths[i] + TABLE_GAP;
	line = memory_resize(NULL, room, 1);
	memset(line, ' ', room);
	for (size_t i = 0; i < table->column_count; i++) {
		const char *cell = row != NULL ? row->cells[i] : table->columns[i].heading;

		if (widths[i] > 0)
			append_cell(line, &end, cell != NULL ? cell : "", widths[i],
				    table->columns[i].align);
	}
	line[end] = '\0';
	lines_add(lines, row != NULL ? row->role : LINE_HEADING, "%s", line);
	free(line);
}

void table_render(const struct table *table, size_t most, struct lines *lines)
{
	size_t *widths = memory_resize(NULL, table->column_count, sizeof(*widths));
	size_t rows = most > 0 && most < table->row_count ? most : table->row_count;

	for (size_t i = 0; i < table->column_count; i++)
		widths[i] = column_width(table, i);
	render_row(table, widths, NULL, lines);
	for (size_t i = 0; i < rows; i++)
		render_row(table, widths, &table->rows[i], lines);
	free(widths);
}

void table_print(const struct table *table)
{
	struct lines lines = {0};

	table_render(table, 0, &lines);
	lines_print(&lines, lines_terminal_width(), stdout);
	lines_finish(&lines);
}
