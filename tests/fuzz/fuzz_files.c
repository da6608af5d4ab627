/* SPDX-License-Identifier: MIT */
/* An input's files, and the function that reads them. */
#include "fuzz_files.h"

#include <errno.h>

#include "config/file_text.h"
#include "fuzz.h"

#define FILES_MAX 8
#define SEPARATOR "\n%%\n"

static struct {
	const uint8_t *bytes;
	size_t length;
} files[FILES_MAX];
static unsigned file_count, main_read;

int __wrap_file_text_read(const char *path, size_t limit, struct file_text *text, const char **why);

void fuzz_files_set(const uint8_t *bytes, size_t size)
{
	static const uint8_t nothing[1];

	main_read = 0;
	file_count = 0;
	if (size == 0)
		bytes = nothing;
	while (file_count < FILES_MAX) {
		const uint8_t *end = memmem(bytes, size, SEPARATOR, sizeof(SEPARATOR) - 1);

		files[file_count].bytes = bytes;
		files[file_count++].length = end != NULL ? (size_t)(end - bytes) : size;
		if (end == NULL)
			break;
		end += sizeof(SEPARATOR) - 1;
		size -= (size_t)(end - bytes);
		bytes = end;
	}
}

unsigned fuzz_files_main_read(void)
{
	return main_read;
}

const char *fuzz_files_main(size_t *length)
{
	*length = files[0].length;
	return (const char *)files[0].bytes;
}

static unsigned find(const char *path)
{
	if (strcmp(path, "main") == 0)
		return 0;
	if (path[0] > '0' && path[0] < '0' + FILES_MAX && path[1] == '\0')
		return (unsigned)(path[0] - '0');
	return FILES_MAX;
}

int __wrap_file_text_read(const char *path, size_t limit, struct file_text *text, const char **why)
{
	unsigned number = find(path);

	memset(text, 0, sizeof(*text));
	if (number >= file_count) {
		*why = "No such file or directory";
		return -ENOENT;
	}
	main_read += number == 0;
	text->length = files[number].length;
	text->device = 1;
	text->inode = number + 1;
	if (text->length > limit) {
		*why = "it is far too large for such a file";
		return -EFBIG;
	}
	/* With its NUL and nothing behind it. */
	text->bytes = malloc(text->length + 1);
	DEMAND(text->bytes != NULL);
	memcpy(text->bytes, files[number].bytes, text->length);
	text->bytes[text->length] = '\0';
	return 0;
}
