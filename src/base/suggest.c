/* SPDX-License-Identifier: MIT */
/* "Did you mean". */
#include "base/suggest.h"

#include <string.h>

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Optimal string alignment: three rows of the table of distances between beginnings are enough. */
unsigned suggest_distance(const char *a, const char *b)
{
	unsigned rows[3][SUGGEST_WORD_MAX + 1];
	size_t a_length = strnlen(a, SUGGEST_WORD_MAX), b_length = strnlen(b, SUGGEST_WORD_MAX);

	for (size_t j = 0; j <= b_length; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_length; i++) {
		unsigned *row = rows[i % 3];
		const unsigned *above = rows[(i + 2) % 3], *twice = rows[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_length; j++) {
			unsigned change = a[i - 1] == b[j - 1] ? 0 : 1;

			row[j] = least(least(above[j] + 1, row[j - 1] + 1), above[j - 1] + change);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], twice[j - 2] + 1);
		}
	}
	return rows[a_length % 3][b_length];
}

static const char *only_beginning(const char *word, const char *const *names, size_t count)
{
	const char *found = NULL;

	for (size_t i = 0; i < count; i++) {
		if (strncmp(names[i], word, strlen(word)) != 0)
			continue;
		if (found != NULL)
			return NULL;
		found = names[i];
	}
	return found;
}

const char *suggest_nearest(const char *word, const char *const *names, size_t count)
{
	const char *nearest = NULL;
	unsigned least_distance = 0;

	if (word[0] == '\0' || strlen(word) > SUGGEST_WORD_MAX)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		unsigned distance = suggest_distance(word, names[i]);
		size_t length = strlen(names[i]);

		/* A third of the letters at most, and always one: else any short word is near. */
		if (distance > (length < 6 ? 1 : length / 3))
			continue;
		if (nearest == NULL || distance < least_distance) {
			nearest = names[i];
			least_distance = distance;
		}
	}
	return nearest != NULL ? nearest : only_beginning(word, names, count);
}
