/* SPDX-License-Identifier: MIT */
/* Figures as people read them, and texts that a terminal may be given. Pure. */
#ifndef MMPROXY_CTL_FORMAT_H
#define MMPROXY_CTL_FORMAT_H

#include <stddef.h>
#include <stdint.h>

/* Room for any figure with its unit. */
#define FORMAT_SIZE 32

/* "999 B", "1.5 KiB", "234 MiB": at most three digits and a unit; below 10, one decimal. */
const char *format_bytes(uint64_t bytes, char text[static FORMAT_SIZE]);

/* "0.4s", "42s", "13m05s", "2h13m", "3d04h", "412d". Less than 0 and what is no number: "-". */
const char *format_duration(double seconds, char text[static FORMAT_SIZE]);

/* A number a second: "0", "0.5", "7.3", "123", "12.3k", "1.2M". Less than 0, unknown: "-". */
const char *format_rate(double rate, char text[static FORMAT_SIZE]);

/* Bytes a second: "1.5 KiB/s". Less than 0, unknown: "-". */
const char *format_byte_rate(double rate, char text[static FORMAT_SIZE]);

/* Local time, "2026-11-23 21:45:07", of seconds since 1970; "-" where they are none. */
const char *format_time(double seconds, char text[static FORMAT_SIZE]);

/*
 * Reads "90", "90s", "1.5h", "2d" or "1h30m": numbers with the units s, m, h and d, added up; one
 * without a unit is seconds, and stands alone. Returns the seconds, or -1 for anything else.
 */
double format_parse_duration(const char *text);

/*
 * Copies text, each byte that is not printable ASCII as \xNN: nothing that a peer, or whoever sits
 * at the socket, has written can steer the terminal. Cuts what does not fit in `size` bytes with
 * the NUL. Returns the length written.
 */
size_t format_printable(char *to, size_t size, const char *text);

#endif
