/* SPDX-License-Identifier: MIT */
/*
 * Entries for the journal, through libsystemd. That has two habits which a log that counts its
 * lines must know of: where there is no journal it reports success, and where the journal has
 * stopped reading it waits for ever. So the socket is looked at first.
 *
 * A record is a sequence of "KEY=value", each behind its length (uint32_t), and a length of 0.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "journal.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "buffer.h"

int journal_check(void)
{
	struct stat status;

	if (stat(JOURNAL_SOCKET, &status) < 0)
		return -errno;
	return S_ISSOCK(status.st_mode) ? 0 : -ENOTSOCK;
}

#ifdef HAVE_LIBSYSTEMD

/* Where in this program the call stands is of no interest to anybody. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

/* A journal that does not read for so long has stopped; closing the plugin waits for this twice. */
#define JOURNAL_PATIENCE_MS 3000

#define ENTRY_FIELDS_MOST (RECORD_FIELDS_MOST + RECORD_TLVS_MOST + 3)

/* A field of an entry, whose length is only known behind it. */
static size_t begin_field(struct buffer *entry, const char *start)
{
	size_t place = entry->length;
	uint32_t unknown = 0;

	buffer_put(entry, &unknown, sizeof(unknown));
	buffer_put_text(entry, start);
	return place;
}

static void end_field(struct buffer *entry, size_t place)
{
	uint32_t length;

	if (entry->full)
		return;
	length = (uint32_t)(entry->length - place - sizeof(length));
	memcpy(entry->bytes + place, &length, sizeof(length));
}

static void put_constant(struct buffer *entry, const char *text)
{
	end_field(entry, begin_field(entry, text));
}

/* The entry has a time of its own, so that its message goes without. */
static void put_message(struct buffer *entry, const struct field *fields, size_t count)
{
	size_t place = begin_field(entry, "MESSAGE=");
	size_t length;

	if (entry->full)
		return;
	length = line_logfmt(entry->bytes + entry->length, entry->size - entry->length, fields + 1,
			     count - 1);
	entry->full = length == 0;
	if (length > 0)
		entry->length += length - 1; /* without the line end */
	end_field(entry, place);
}

static void put_field(struct buffer *entry, const struct field *field)
{
	char text[FIELD_TEXT_SIZE];
	size_t place = begin_field(entry, "MMPROXY_");

	for (const char *key = field->key; *key != '\0'; key++) {
		char letter = *key >= 'a' && *key <= 'z' ? (char)(*key - 'a' + 'A') : *key;

		buffer_put(entry, &letter, 1);
	}
	buffer_put_text(entry, "=");
	buffer_put(entry, text, field_text(field, FIELD_UTF8, text));
	end_field(entry, place);
}

static size_t print(char *line, size_t size, const struct field *fields, size_t count)
{
	struct buffer entry = {.bytes = line, .size = size};

	put_message(&entry, fields, count);
	put_constant(&entry, "PRIORITY=6");
	put_constant(&entry, "SYSLOG_IDENTIFIER=mmproxy-accesslog");
	for (size_t i = 0; i < count; i++)
		put_field(&entry, &fields[i]);
	put_constant(&entry, ""); /* the end of the record */
	return entry.full ? 0 : entry.length;
}

/* The fields of the record that begins here, and where the next one does. */
static const char *split_record(const char *record, struct iovec *fields, int *count)
{
	uint32_t length;

	*count = 0;
	for (;;) {
		memcpy(&length, record, sizeof(length));
		record += sizeof(length);
		if (length == 0)
			return record;
		fields[(*count)++] = (struct iovec){(void *)record, length};
		record += length;
	}
}

/* A socket that polls writable when the journal has room. Or -errno. */
static int connect_probe(void)
{
	const struct sockaddr_un journal = {AF_UNIX, JOURNAL_SOCKET};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&journal, sizeof(journal)) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

static int wait_for_room(int probe)
{
	struct pollfd room = {.fd = probe, .events = POLLOUT};
	int count;

	do {
		count = poll(&room, 1, JOURNAL_PATIENCE_MS);
	} while (count < 0 && errno == EINTR);
	if (count < 0)
		return -errno;
	return count > 0 ? 0 : -ETIMEDOUT;
}

static int send_entries(const char *records, size_t length, uint64_t *sent)
{
	struct iovec fields[ENTRY_FIELDS_MOST];
	const char *end = records + length;
	int probe = connect_probe();
	int error = 0, count;

	*sent = 0;
	if (probe < 0)
		return probe;
	while (records < end && error == 0) {
		records = split_record(records, fields, &count);
		error = wait_for_room(probe);
		if (error == 0)
			error = sd_journal_sendv(fields, count);
		*sent += error == 0;
	}
	close(probe);
	return error;
}

const struct journal *journal_find(void)
{
	static const struct journal journal = {.format = print, .send = send_entries};

	return &journal;
}

#else

const struct journal *journal_find(void)
{
	return NULL;
}

#endif
