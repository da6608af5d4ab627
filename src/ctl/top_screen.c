/* SPDX-License-Identifier: MIT */
/* The terminal of `top`, by ncurses. */
#include <curses.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <unistd.h>

/* term.h has short names for all that a terminal can do. */
#undef lines
#undef columns

#include "ctl/top_screen.h"

enum pair { PAIR_HEADING = 1, PAIR_ALERT };

static SCREEN *screen;

bool screen_begin(void)
{
	static bool registered;
	char *move;

	screen = newterm(NULL, stdout, stdin);
	if (screen == NULL)
		return false;
	move = tigetstr("cup");
	if (move == NULL || move == (char *)-1) {
		screen_end();
		return false;
	}
	if (!registered)
		atexit(screen_end);
	registered = true;
	cbreak();
	noecho();
	nonl();
	curs_set(0);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	/* An Escape alone means nothing here and need not be waited for. */
	set_escdelay(25);
	if (has_colors()) {
		start_color();
		use_default_colors();
		init_pair(PAIR_HEADING, COLOR_CYAN, -1);
		init_pair(PAIR_ALERT, COLOR_YELLOW, -1);
	}
	return true;
}

void screen_end(void)
{
	if (screen == NULL)
		return;
	endwin();
	delscreen(screen);
	screen = NULL;
}

size_t screen_height(void)
{
	return LINES > 0 ? (size_t)LINES : 1;
}

static attr_t role_attributes(enum line_role role)
{
	switch (role) {
	case LINE_TITLE:
		return A_REVERSE | A_BOLD;
	case LINE_HEADING:
		return A_BOLD | (attr_t)COLOR_PAIR(PAIR_HEADING);
	case LINE_ALERT:
		return A_BOLD | (attr_t)COLOR_PAIR(PAIR_ALERT);
	case LINE_QUIET:
		return A_DIM;
	case LINE_PLAIN:
		return A_NORMAL;
	}
	return A_NORMAL;
}

static void draw_line(int row, const struct line *line)
{
	int length = (int)strlen(line->text);

	attrset((int)role_attributes(line->role));
	mvaddnstr(row, 0, line->text, length < COLS ? length : COLS);
	/* A bar from edge to edge, with the one key that there is. */
	if (line->role == LINE_TITLE) {
		for (int column = length; column < COLS; column++)
			mvaddch(row, column, ' ');
		if (length + 9 < COLS)
			mvaddstr(row, COLS - 8, "q: quit ");
	}
	attrset((int)A_NORMAL);
}

void screen_draw(const struct lines *lines)
{
	erase();
	for (size_t i = 0; i < lines->count && i < screen_height(); i++)
		draw_line((int)i, &lines->items[i]);
	refresh();
}

enum screen_key screen_key(void)
{
	int key;

	while ((key = getch()) != ERR) {
		if (key == KEY_RESIZE)
			return SCREEN_RESIZED;
		if (key == 'q' || key == 'Q')
			return SCREEN_QUIT;
	}
	return SCREEN_NO_KEY;
}
