/* SPDX-License-Identifier: MIT */
/*
 * Allow-list files: one prefix a line. The format is that of mmproxy-rs and go-mmproxy, with
 * comments allowed behind a prefix as well.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/report.h"
#include "config/config.h"
#include "config/config_address.h"
#include "config/file_text.h"

/* Bytes. The whole IPv4 and IPv6 routing table of the Internet is about 20 MiB of such lines. */
#define PREFIX_FILE_BYTES_MAX (64U << 20)

/* Characters of a bad line in its message. */
#define PREFIX_FILE_QUOTE_MAX 60

struct prefix_file {
	const char *path;
	struct prefix_set *set;
	struct report *report;
	struct report *remarks;
	size_t prefixes;
	size_t mistakes;
};

/* Cuts the comment and the white space around what is left. */
static char *trim(char *line)
{
	size_t length;

	line[strcspn(line, "#")] = '\0';
	line += strspn(line, " \t\r\f\v");
	length = strlen(line);
	while (length > 0 && strchr(" \t\r\f\v", line[length - 1]) != NULL)
		length--;
	line[length] = '\0';
	return line;
}

static void read_line(struct prefix_file *file, char *line, unsigned number)
{
	char room[CONFIG_PREFIX_REMARK_SIZE];
	struct prefix prefix;
	const char *wrong, *remark;
	char *text = trim(line);

	if (*text == '\0')
		return;
	wrong = config_parse_prefix(text, &prefix);
	if (wrong == NULL && prefix_set_add(file->set, &prefix) < 0) {
		file->mistakes++;
		report_add_failure(file->report, "%s:%u: out of memory", file->path, number);
		return;
	}
	if (wrong != NULL) {
		file->mistakes++;
		report_add(file->report, "%s:%u: \"%.*s\": %s", file->path, number,
			   PREFIX_FILE_QUOTE_MAX, text, wrong);
		return;
	}
	file->prefixes++;
	remark = config_prefix_remark(text, &prefix, room);
	if (remark != NULL)
		report_add(file->remarks, "%s:%u: \"%.*s\": %s", file->path, number,
			   PREFIX_FILE_QUOTE_MAX, text, remark);
}

static void read_lines(struct prefix_file *file, char *text)
{
	unsigned number = 1;

	for (char *line = text, *next; line != NULL; line = next, number++) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		read_line(file, line, number);
	}
	if (file->prefixes > 0 || file->mistakes > 0)
		return;
	file->mistakes++;
	report_add(file->report,
		   "%s:1: the file holds no prefix; write one a line, such as "
		   "192.0.2.0/24",
		   file->path);
}

int config_read_prefix_file(const char *path, const char *named_by, struct prefix_set *set,
			    struct report *report, struct report *remarks)
{
	struct prefix_file file = {.path = path, .set = set, .report = report, .remarks = remarks};
	struct file_text text;
	const char *why;
	unsigned line;
	int error = file_text_read(path, PREFIX_FILE_BYTES_MAX, &text, &why);

	if (error < 0) {
		report_add_error(report, error, "%s: cannot read \"%.200s\": %s", named_by, path,
				 why);
		return -EINVAL;
	}
	line = file_text_fault(&text, &why);
	if (line > 0) {
		report_add(report, "%s:%u: %s", path, line, why);
		file.mistakes++;
	} else {
		read_lines(&file, text.bytes);
	}
	free(text.bytes);
	return file.mistakes > 0 ? -EINVAL : 0;
}
