/* SPDX-License-Identifier: MIT */
/* A folder of its own for a test that needs files, gone again behind it. */
#ifndef MMPROXY_TESTS_UNIT_SCRATCH_H
#define MMPROXY_TESTS_UNIT_SCRATCH_H

#include <stddef.h>

/* Setup and teardown of a cmocka test or group. */
int scratch_begin(void **state);
int scratch_end(void **state);

/* The path of a name in the folder; good until eight more are asked for. */
const char *scratch_path(const char *name);

/* Both return the path. A folder in the name must be there already. */
const char *scratch_write(const char *name, const char *text);
const char *scratch_write_bytes(const char *name, const void *bytes, size_t length);

void scratch_make_folder(const char *name);

#endif
