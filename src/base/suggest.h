/* SPDX-License-Identifier: MIT */
/* What somebody who mistyped a word may have meant. Pure. */
#ifndef MMPROXY_BASE_SUGGEST_H
#define MMPROXY_BASE_SUGGEST_H

#include <stddef.h>

/*
 * The name that is nearest to the word: by letters missing, added, changed or two swapped, or the
 * only one that begins with the word. NULL: none is near enough to be meant.
 */
const char *suggest_nearest(const char *word, const char *const *names, size_t count);

/* How many such letters make one of the other, words of at most SUGGEST_WORD_MAX characters. */
#define SUGGEST_WORD_MAX 32
unsigned suggest_distance(const char *a, const char *b);

#endif
