/* SPDX-License-Identifier: MIT */
/* The terminal of `top`: taken at the beginning, given back as it was. */
#ifndef MMPROXY_CTL_TOP_SCREEN_H
#define MMPROXY_CTL_TOP_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "ctl/lines.h"

enum screen_key { SCREEN_NO_KEY, SCREEN_RESIZED, SCREEN_QUIT };

/* Returns false where the terminal cannot be drawn on; then it is as it was. */
bool screen_begin(void);

/* Gives the terminal back; also called at exit(), and does nothing the second time. */
void screen_end(void);

size_t screen_height(void);

/* Shows the lines from the top, cut to the screen's size. */
void screen_draw(const struct lines *lines);

/* The next key that was pressed, without waiting; keys that mean nothing are skipped. */
enum screen_key screen_key(void);

#endif
