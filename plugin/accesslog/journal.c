/* SPDX-License-Identifier: MIT */
/*
 * Entries for the journal, in its native protocol: a datagram of "KEY=value" lines. Not by
 * libsystemd, which a log that counts its lines cannot have: where there is no journal it reports
 * success, and where the journal has stopped reading it waits for ever.
 *
 * A record is such a datagram behind its length (uint32_t). No value has a line end in it, which
 * would take another form: field_text() escapes them.
 */
#include "journal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "buffer.h"
#include "clock.h"

/* A journal that does not read for so long has stopped; closing the plugin waits for this twice. */
#define JOURNAL_PATIENCE_MS 3000

int journal_check(void)
{
	struct stat status;

	if (stat(JOURNAL_SOCKET, &status) < 0)
		return -errno;
	return S_ISSOCK(status.st_mode) ? 0 : -ENOTSOCK;
}

/* The entry has a time of its own, so that its message goes without. */
static void put_message(struct buffer *entry, const struct field *fields, size_t count)
{
	size_t length;

	buffer_put_text(entry, "MESSAGE=");
	if (entry->full)
		return;
	length = line_logfmt(entry->bytes + entry->length, entry->size - entry->length, fields + 1,
			     count - 1);
	entry->full = length == 0;
	entry->length += length;
}

static void put_field(struct buffer *entry, const struct field *field)
{
	char text[FIELD_TEXT_SIZE];

	buffer_put_text(entry, "MMPROXY_");
	for (const char *key = field->key; *key != '\0'; key++) {
		char letter = *key >= 'a' && *key <= 'z' ? (char)(*key - 'a' + 'A') : *key;

		buffer_put(entry, &letter, 1);
	}
	buffer_put_text(entry, "=");
	buffer_put(entry, text, field_text(field, FIELD_UTF8, text));
	buffer_put_text(entry, "\n");
}

size_t journal_entry(char *line, size_t size, const struct field *fields, size_t count)
{
	struct buffer entry = {.bytes = line, .size = size};
	uint32_t length = 0; /* only known at the end */

	buffer_put(&entry, &length, sizeof(length));
	put_message(&entry, fields, count);
	buffer_put_text(&entry, "PRIORITY=6\nSYSLOG_IDENTIFIER=mmproxy-accesslog\n");
	for (size_t i = 0; i < count; i++)
		put_field(&entry, &fields[i]);
	if (entry.full)
		return 0;
	length = (uint32_t)(entry.length - sizeof(length));
	memcpy(line, &length, sizeof(length));
	return entry.length;
}

static int connect_to_journal(int fd)
{
	const struct sockaddr_un journal = {AF_UNIX, JOURNAL_SOCKET};

	return connect(fd, (const struct sockaddr *)&journal, sizeof(journal)) < 0 ? -errno : 0;
}

/* 0: there may be room now. Somebody else may take it first. */
static int wait_for_room(int fd, uint64_t most)
{
	struct pollfd room = {.fd = fd, .events = POLLOUT};
	int count = poll(&room, 1, (int)most);

	if (count < 0 && errno != EINTR)
		return -errno;
	return count == 0 ? -ETIMEDOUT : 0;
}

/* What kept an entry from being sent: returns 0 when it is worth another try, or -errno. */
static int overcome(int fd, int error, uint64_t until)
{
	uint64_t now = milliseconds_now();

	if (error != -EAGAIN && error != -ECONNREFUSED)
		return error;
	if (now >= until)
		return -ETIMEDOUT;
	if (error == -EAGAIN)
		return wait_for_room(fd, until - now);
	/* The journal's socket is another one now, and ours connected to nobody. */
	return connect_to_journal(fd);
}

static int send_entry(int fd, const char *entry, size_t length)
{
	uint64_t until = milliseconds_now() + JOURNAL_PATIENCE_MS;
	int error = 0;

	/* send() itself must not wait: it would do so for as long as the journal does not read. */
	while (error == 0 && send(fd, entry, length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		error = overcome(fd, -errno, until);
	return error;
}

/* A socket connected to the journal, or -errno. */
static int open_socket(void)
{
	/*
	 * Room for a batch, so that nothing but the journal's own queue makes it wait. Without the
	 * right to so much, a socket as the system makes it does, too.
	 */
	const int room = 4 << 20;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	error = connect_to_journal(fd);
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

int journal_send(const char *entries, size_t length, uint64_t *sent)
{
	const char *end = entries + length;
	int fd = open_socket();
	int error = 0;
	uint32_t size;

	*sent = 0;
	if (fd < 0)
		return fd;
	while (entries < end && error == 0) {
		memcpy(&size, entries, sizeof(size));
		entries += sizeof(size);
		error = send_entry(fd, entries, size);
		entries += size;
		*sent += error == 0;
	}
	close(fd);
	return error;
}
