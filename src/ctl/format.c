/* SPDX-License-Identifier: MIT */
/* Figures for people. */
#include "ctl/format.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MINUTE 60
#define HOUR   3600
#define DAY    86400

/* Days alone from here on: who asks for more wants --json. */
#define DAYS_ALONE 100

/* The longest duration that is read: ten thousand days, beyond any session. */
#define DURATION_MAX (10000.0 * DAY)

const char *format_bytes(uint64_t bytes, char text[static FORMAT_SIZE])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t unit = 0;

	if (bytes < 1000) {
		snprintf(text, FORMAT_SIZE, "%u B", (unsigned)bytes);
		return text;
	}
	/* 1000 and not 1024: 1010 B are "1.0 KiB", so that there are never four digits. */
	for (value /= 1024; value >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		value /= 1024;
	snprintf(text, FORMAT_SIZE, value < 9.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return text;
}

const char *format_duration(double seconds, char text[static FORMAT_SIZE])
{
	unsigned long long whole;

	if (!(seconds >= 0) || seconds > 1e15) {
		snprintf(text, FORMAT_SIZE, "-");
		return text;
	}
	whole = (unsigned long long)seconds;
	if (seconds < 9.95)
		snprintf(text, FORMAT_SIZE, "%.1fs", seconds);
	else if (whole < MINUTE)
		snprintf(text, FORMAT_SIZE, "%llus", whole);
	else if (whole < HOUR)
		snprintf(text, FORMAT_SIZE, "%llum%02llus", whole / MINUTE, whole % MINUTE);
	else if (whole < DAY)
		snprintf(text, FORMAT_SIZE, "%lluh%02llum", whole / HOUR, whole % HOUR / MINUTE);
	else if (whole < DAYS_ALONE * DAY)
		snprintf(text, FORMAT_SIZE, "%llud%02lluh", whole / DAY, whole % DAY / HOUR);
	else
		snprintf(text, FORMAT_SIZE, "%llud", whole / DAY);
	return text;
}

const char *format_rate(double rate, char text[static FORMAT_SIZE])
{
	static const char units[] = "kMGT";
	size_t unit = 0;

	if (!(rate >= 0) || rate > 1e15) {
		snprintf(text, FORMAT_SIZE, "-");
	} else if (rate == 0) {
		snprintf(text, FORMAT_SIZE, "0");
	} else if (rate < 999.5) {
		snprintf(text, FORMAT_SIZE, rate < 9.95 ? "%.1f" : "%.0f", rate);
	} else {
		for (rate /= 1000; rate >= 999.5 && unit + 2 < sizeof(units); unit++)
			rate /= 1000;
		snprintf(text, FORMAT_SIZE, rate < 99.95 ? "%.1f%c" : "%.0f%c", rate, units[unit]);
	}
	return text;
}

const char *format_byte_rate(double rate, char text[static FORMAT_SIZE])
{
	char bytes[FORMAT_SIZE];

	if (!(rate >= 0) || rate > 1e18)
		snprintf(text, FORMAT_SIZE, "-");
	else
		snprintf(text, FORMAT_SIZE, "%.20s/s", format_bytes((uint64_t)(rate + 0.5), bytes));
	return text;
}

const char *format_time(double seconds, char text[static FORMAT_SIZE])
{
	struct tm parts;
	time_t whole;

	if (!(seconds > 0) || seconds > 1e11) {
		snprintf(text, FORMAT_SIZE, "-");
		return text;
	}
	whole = (time_t)seconds;
	if (localtime_r(&whole, &parts) == NULL ||
	    strftime(text, FORMAT_SIZE, "%Y-%m-%d %H:%M:%S", &parts) == 0)
		snprintf(text, FORMAT_SIZE, "-");
	return text;
}

/* The seconds of a unit; 0: there is no such unit. */
static double unit_seconds(char unit)
{
	switch (unit) {
	case 's':
		return 1;
	case 'm':
		return MINUTE;
	case 'h':
		return HOUR;
	case 'd':
		return DAY;
	default:
		return 0;
	}
}

double format_parse_duration(const char *text)
{
	const char *position = text;
	double total = 0;

	do {
		size_t length = strspn(position, "0123456789.");
		char digits[FORMAT_SIZE], *end;
		double value, unit;

		/* Not all that strtod() takes, such as "inf" and "1e9", is a duration. */
		if (length == 0 || length >= sizeof(digits))
			return -1;
		memcpy(digits, position, length);
		digits[length] = '\0';
		value = strtod(digits, &end);
		if (*end != '\0' || end == digits)
			return -1;
		position += length;
		unit = unit_seconds(*position);
		if (*position == '\0' && position - length == text)
			return value <= DURATION_MAX ? value : -1;
		if (unit == 0)
			return -1;
		total += value * unit;
		position++;
	} while (*position != '\0');
	return total <= DURATION_MAX ? total : -1;
}

size_t format_printable(char *to, size_t size, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t written = 0;

	for (; *text != '\0'; text++) {
		unsigned char byte = (unsigned char)*text;
		size_t room = size - written;

		if (byte >= ' ' && byte <= '~') {
			if (room <= 1)
				break;
			to[written++] = (char)byte;
			continue;
		}
		if (room <= 4)
			break;
		to[written++] = '\\';
		to[written++] = 'x';
		to[written++] = hex[byte >> 4];
		to[written++] = hex[byte & 0xf];
	}
	to[written] = '\0';
	return written;
}
