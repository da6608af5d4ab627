/* SPDX-License-Identifier: MIT */
/* What a fuzz target looks like: libFuzzer calls it, and so does replay.c in `make check`. */
#ifndef MMPROXY_TESTS_FUZZ_H
#define MMPROXY_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Aborts when the input shows a fault. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#endif
