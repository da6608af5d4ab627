/* SPDX-License-Identifier: MIT */
/*
 * What the tests' plugins write down: one line a call, in the file that the setting `file` names,
 *so that a test reads what mmproxy did, in which order, and on which thread.
 *
 *	filter label=first instance=81234 thread=4711 session=7 client=203.0.113.9:41000 ...
 *
 * Texts stand in double quotes, bytes as hexadecimal digits. Only <mmproxy/plugin.h> is needed, so
 * that this compiles with any version of it.
 */
#ifndef TESTS_PLUGINS_RECORD_H
#define TESTS_PLUGINS_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include <mmproxy/plugin.h>

struct record {
	int fd;            /* -1: nothing is written */
	uint64_t instance; /* tells the instances of one entry apart */
	char label[64];    /* the setting `label`: an instance is not told its entry's name */
};

/* One line until it is written: whole, or cut at the end. */
struct record_line {
	int fd;
	size_t length;
	char text[8192];
};

/*
 * Reads the settings `file` and `label`, and opens the file for appending; `file` may be missing.
 * Returns 0, or a negative errno: what is wrong has been reported.
 */
int record_open(struct record *record, const struct mmproxy_host *host,
		const struct mmproxy_config *config);
void record_close(struct record *record);

/* A line begins with the hook's name, and is written by record_finish(). */
void record_begin(struct record_line *line, const struct record *record, const char *hook);
void record_add(struct record_line *line, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void record_add_text(struct record_line *line, const char *key, const char *text);
void record_add_address(struct record_line *line, const char *key,
			const struct mmproxy_address *address);
/* All of a session but its TLVs. */
void record_add_conn(struct record_line *line, const struct mmproxy_conn *conn);
/* The TLVs as walked, those inside the SSL TLV, and whether both ways of asking agree. */
void record_add_tlvs(struct record_line *line, const struct mmproxy_host *host,
		     const struct mmproxy_conn *conn);
void record_add_end(struct record_line *line, const struct mmproxy_end *end);
void record_finish(struct record_line *line);

#endif
