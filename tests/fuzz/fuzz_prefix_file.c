/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: an allow-list file. It is taken as a whole or refused with a line for each mistake;
 * one that is taken admits whom its lines name, one by one, and nobody else.
 */
#include "base/prefix_set.h"
#include "config/config.h"
#include "fuzz.h"
#include "fuzz_files.h"

#define BLANKS " \t\r\f\v"

/* Prefixes that are compared with each other; the rest of a long file is only read. */
#define PREFIXES_MAX 64

static struct prefix prefixes[PREFIXES_MAX];
static size_t prefix_count, line_count;

/* A line of a file that was taken: a prefix, or nothing but a comment. */
static void read_line(const char *line, size_t length)
{
	char *text;
	const char *comment = memchr(line, '#', length);
	struct prefix prefix;

	if (comment != NULL)
		length = (size_t)(comment - line);
	while (length > 0 && strchr(BLANKS, *line) != NULL) {
		line++;
		length--;
	}
	while (length > 0 && strchr(BLANKS, line[length - 1]) != NULL)
		length--;
	if (length == 0)
		return;
	text = strndup(line, length);
	DEMAND(text != NULL && prefix_parse(text, &prefix) == 0);
	free(text);
	line_count++;
	if (prefix_count < PREFIXES_MAX)
		prefixes[prefix_count++] = prefix;
}

static void read_lines(void)
{
	size_t length;
	const char *at = fuzz_files_main(&length), *end = at + length;

	prefix_count = line_count = 0;
	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));

		stop = stop != NULL ? stop : end;
		read_line(at, (size_t)(stop - at));
		at = stop + 1;
	}
}

/* Too simple to be wrong. */
static bool is_listed(const struct address *address)
{
	for (size_t i = 0; i < prefix_count; i++) {
		if (prefix_contains(&prefixes[i], address))
			return true;
	}
	return false;
}

static size_t bits_of(const struct address *address)
{
	return address->family == ADDRESS_IPV4 ? 32 : 128;
}

/* Its neighbour above or below; the last one's is the first. */
static struct address neighbour(struct address address, bool above)
{
	for (size_t i = bits_of(&address) / 8; i-- > 0;) {
		address.ip[i] = (uint8_t)(address.ip[i] + (above ? 1 : -1));
		if (address.ip[i] != (above ? 0 : 0xff))
			break;
	}
	return address;
}

static struct address last_of(const struct prefix *prefix)
{
	struct address last = prefix->address;

	for (size_t bit = prefix->length; bit < bits_of(&last); bit++)
		last.ip[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
	return last;
}

static void check_one(const struct prefix_set *set, const struct address *address)
{
	bool is_in = prefix_set_contains(set, address);

	DEMAND(is_in == is_listed(address));
	DEMAND(is_in || !prefix_set_is_everybody(set, address->family));
}

static void check_set(const struct prefix_set *set)
{
	DEMAND(prefix_set_count(set) == line_count);
	if (line_count > PREFIXES_MAX)
		return;
	for (size_t i = 0; i < prefix_count; i++) {
		struct address first = prefixes[i].address, last = last_of(&prefixes[i]);
		struct address below = neighbour(first, false), above = neighbour(last, true);

		DEMAND(prefix_set_contains(set, &first) && prefix_set_contains(set, &last));
		check_one(set, &below);
		check_one(set, &above);
	}
}

static void check_lines(const struct report *lines)
{
	for (size_t i = 0; i < lines->count; i++)
		DEMAND(strchr(lines->lines[i], '\n') == NULL && strlen(lines->lines[i]) > 10);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct prefix_set *set = prefix_set_create();
	struct report mistakes = {0}, remarks = {0};
	int error;

	DEMAND(set != NULL);
	fuzz_files_set(bytes, size);
	error = config_read_prefix_file("main", "fuzz", set, &mistakes, &remarks);
	DEMAND(fuzz_files_main_read() == 1);
	DEMAND((error == 0) == (mistakes.count == 0));
	check_lines(&mistakes);
	check_lines(&remarks);
	prefix_set_seal(set);
	if (error == 0) {
		read_lines();
		DEMAND(line_count > 0);
		check_set(set);
	}
	prefix_set_destroy(set);
	report_finish(&mistakes);
	report_finish(&remarks);
	return 0;
}
