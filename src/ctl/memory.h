/* SPDX-License-Identifier: MIT */
/* Memory of a program that prints one answer and ends: without it, there is nothing to go on with.
 */
#ifndef MMPROXY_CTL_MEMORY_H
#define MMPROXY_CTL_MEMORY_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * Like reallocarray(), but ends the program, with a line, where there is no memory. Neither count
 * nor size may be 0.
 */
__attribute__((returns_nonnull)) static inline void *memory_resize(void *block, size_t count,
								   size_t size)
{
	void *resized = reallocarray(block, count, size);

	if (resized == NULL) {
		fprintf(stderr, "mmproxyctl: out of memory\n");
		exit(EXIT_FAILURE);
	}
	return resized;
}

#endif
