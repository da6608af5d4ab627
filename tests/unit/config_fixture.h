/* SPDX-License-Identifier: MIT */
/*
 * The one configuration that a test reads, and what was said about it. Whatever was read before is
 * freed before each reading and behind each test, so a test may read as often as it likes.
 */
#ifndef MMPROXY_TESTS_UNIT_CONFIG_FIXTURE_H
#define MMPROXY_TESTS_UNIT_CONFIG_FIXTURE_H

#include <stdbool.h>

#include "base/address.h"
#include "base/prefix_set.h"
#include "base/report.h"
#include "config/config.h"

extern struct config config;
extern struct report report;

/* Teardown of a cmocka test whose setup is scratch_begin(). */
int end_config(void **state);

/* Frees both, and leaves them empty. */
void forget_config(void);

/* What config_load_file() returns for this path. */
int read_config(const char *path);

/* Reads this text as the file "F"; the test fails with its mistakes when it has any. */
void load_config(const char *text);

/* Expects the file to be refused, with this one line, and to leave nothing. */
void refuse_config(const char *path, const char *wanted);

/* Expects this one line; the scratch folder's name is left out. */
void expect_line(const struct report *lines, const char *wanted);

/* The line without the folder in front of the file's name. */
const char *without_folder(const char *line);

bool allows(const struct prefix_set *set, const char *ip);
void expect_address(const struct address *address, const char *wanted);

#endif
