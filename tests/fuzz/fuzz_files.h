/* SPDX-License-Identifier: MIT */
/*
 * Files that are read from an input and from nowhere else: no name that a fuzzer makes up is ever
 * opened. The linker puts file_text_read() of fuzz_files.c in the place of the program's own
 * (--wrap), which unit tests try with real files.
 */
#ifndef MMPROXY_TESTS_FUZZ_FILES_H
#define MMPROXY_TESTS_FUZZ_FILES_H

#include <stddef.h>
#include <stdint.h>

/*
 * The bytes become files: up to a line that is "%%" alone the first, which is named "main", behind
 * it "1", and so on up to "7". They are to live until the next call.
 */
void fuzz_files_set(const uint8_t *bytes, size_t size);

/* How many readings of "main" there have been since then. */
unsigned fuzz_files_main_read(void);

/* The first file's bytes. */
const char *fuzz_files_main(size_t *length);

#endif
