/* SPDX-License-Identifier: MIT */
/*
 * Tables for people: columns as wide as what they hold, numbers to the right. A column of which
 * every cell is empty is left out with its heading.
 */
#ifndef MMPROXY_CTL_TABLE_H
#define MMPROXY_CTL_TABLE_H

#include <stddef.h>

#include "ctl/lines.h"

enum table_align { TABLE_LEFT, TABLE_RIGHT };

struct table_column {
	const char *heading;
	enum table_align align;
};

struct table_row {
	char **cells; /* one a column; NULL: empty */
	size_t filled;
	enum line_role role;
};

struct table {
	const struct table_column *columns; /* the caller's */
	size_t column_count;
	struct table_row *rows;
	size_t row_count;
	size_t room;
};

/* `columns` must live as long as the table. */
void table_init(struct table *table, const struct table_column *columns, size_t count);
void table_finish(struct table *table);

/* Begins a row; what follows goes there. */
void table_begin_row(struct table *table, enum line_role role);

/* The row's next cell, printf-like; one too many is dropped. */
void table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends the heading and at most `most` rows; 0: all. */
void table_render(const struct table *table, size_t most, struct lines *lines);

/* Renders the table to standard output, cut to the terminal's width where it is a terminal. */
void table_print(const struct table *table);

#endif
