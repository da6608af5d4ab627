/* SPDX-License-Identifier: MIT */
/*
 * Reads the configuration file and everything it includes, ahead of libconfig, and makes of it one
 * text that libconfig reads from memory.
 *
 * Why not let libconfig 1.5 open the files: it ends the process when an include is a directory,
 * looks for includes in the working directory (or, once told a folder, no longer finds absolute
 * ones), cuts integers to 32 bits without a word, names no line when the main file cannot be read,
 * and takes a comment without an end for the rest of the file. Also, nothing can change between
 * this look and libconfig's.
 */
#ifndef MMPROXY_CONFIG_CONFIG_SCAN_H
#define MMPROXY_CONFIG_CONFIG_SCAN_H

#include <stddef.h>

#include "config/config_grammar.h"

struct report;

/* Files inside files: libconfig's own limit, so that a file good here is good elsewhere. */
#define CONFIG_SCAN_DEPTH 10

struct config_scan_line {
	struct config_place place;         /* where this line of the text came from */
	size_t offset;                     /* where it begins in the text */
	enum config_integer_width integer; /* the worst of the setting whose name begins it */
};

struct config_scan {
	char *text; /* for libconfig; NUL-terminated, without comments and includes */
	size_t length;
	size_t capacity;
	struct config_scan_line *lines;
	size_t line_count;
	size_t line_capacity;
	char *folder; /* of the main file, with its slash; "" for the working directory */
	char **files; /* every name that a place points to */
	size_t file_count;
};

/*
 * Returns 0 when the text is fit for libconfig, or -EINVAL with lines in the report.
 * config_scan_finish() is due in either case.
 */
int config_scan_file(const char *path, struct config_scan *scan, struct report *report);
void config_scan_finish(struct config_scan *scan);

/* The place of a line of the text, as libconfig counts (from 1). Past either end: the nearest. */
struct config_place config_scan_place(const struct config_scan *scan, unsigned line);

/*
 * How the number was written that belongs to the setting whose name stands on this line. Where its
 * L was missing the text has one, so that the loader can go on to the next mistake.
 */
enum config_integer_width config_scan_integer(const struct config_scan *scan, unsigned line);

/*
 * The name of the setting that a line of the text belongs to: the last one that begins at or above
 * it. Returns its length, and 0 when there is none.
 */
size_t config_scan_name(const struct config_scan *scan, unsigned line, const char **name);

/* A path written in the configuration, as the process can open it. NULL when out of memory. */
char *config_scan_resolve(const struct config_scan *scan, const char *path);

#endif
