/* SPDX-License-Identifier: MIT */
/*
 * Log lines as entries of the journal, in its native protocol: a datagram of `KEY=value` lines.
 *
 * Not by sd_journal_send(): that waits for a journald that has stopped reading, and a log must
 * never hold up a worker. Here such an entry is lost and counted, as a line is when stderr is full.
 */
#include "os/log_journal.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/escape.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* Bytes of a peer that an entry shows, escaped, with their NUL: as many as a line of JSON does. */
#define BYTES_TEXT_SIZE 1024

static int journal = -1;
static pthread_mutex_t delivery = PTHREAD_MUTEX_INITIALIZER;

static int connect_to_journal(void)
{
	static const struct sockaddr_un address = {
		.sun_family = AF_UNIX,
		.sun_path = JOURNAL_SOCKET,
	};

	return connect(journal, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno
											: 0;
}

int log_journal_open(void)
{
	if (journal < 0)
		journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return journal < 0 ? -errno : connect_to_journal();
}

/* Appends to an entry; once it is `full`, everything is left out up to the next field. */
struct writer {
	char *bytes;
	size_t length;
	bool full;
};

static void put(struct writer *writer, const void *bytes, size_t length)
{
	writer->full = writer->full || length > LOG_ENTRY_SIZE - writer->length;
	if (writer->full)
		return;
	memcpy(writer->bytes + writer->length, bytes, length);
	writer->length += length;
}

/* A value with a newline has its length in front, in 64 bits, little-endian. */
static void put_value(struct writer *writer, const char *value, size_t length)
{
	uint8_t size[8];

	if (memchr(value, '\n', length) == NULL) {
		put(writer, "=", 1);
	} else {
		for (size_t i = 0; i < sizeof(size); i++)
			size[i] = (uint8_t)((uint64_t)length >> (8 * i));
		put(writer, "\n", 1);
		put(writer, size, sizeof(size));
	}
	put(writer, value, length);
	put(writer, "\n", 1);
}

static void put_field(struct writer *writer, const char *prefix, const char *key, const char *value,
		      size_t length)
{
	size_t start = writer->length;

	put(writer, prefix, strlen(prefix));
	for (; *key != '\0'; key++) {
		bool lower = *key >= 'a' && *key <= 'z';
		bool other = (*key >= 'A' && *key <= 'Z') || (*key >= '0' && *key <= '9');
		char letter = '_';

		if (lower)
			letter = (char)(*key - 'a' + 'A');
		else if (other)
			letter = *key;
		put(writer, &letter, 1);
	}
	put_value(writer, value, length);
	if (writer->full)
		writer->length = start;
	writer->full = false;
}

/* Text is ours, if of several lines perhaps; a peer's bytes are escaped as in the other formats. */
static void put_log_field(struct writer *writer, const struct log_field *field)
{
	char text[BYTES_TEXT_SIZE];
	size_t length;

	if (field->type == LOG_FIELD_NONE)
		return;
	if (field->type == LOG_FIELD_TEXT) {
		put_field(writer, "MMPROXY_", field->key, field->text, strlen(field->text));
		return;
	}
	if (field->type == LOG_FIELD_BYTES)
		length = escape_bytes(text, sizeof(text), field->bytes, field->length);
	else
		length = strlen(log_line_number(field, text));
	put_field(writer, "MMPROXY_", field->key, text, length);
}

size_t log_journal_entry(char entry[static LOG_ENTRY_SIZE], const struct log_line_head *head,
			 const struct log_field *fields, size_t count)
{
	struct log_line_head bare = *head;
	struct writer writer = {.bytes = entry};
	char line[LOG_LINE_SIZE];
	const char priority = (char)('0' + log_line_priority(head->level));

	bare.start = LOG_LINE_BARE;
	put_field(&writer, "", "MESSAGE", line, log_line_text(line, &bare, fields, count) - 1);
	put_field(&writer, "", "PRIORITY", &priority, 1);
	put_field(&writer, "", "SYSLOG_IDENTIFIER", "mmproxy", strlen("mmproxy"));
	put_field(&writer, "MMPROXY_", "SUBSYSTEM", head->subsystem, strlen(head->subsystem));
	put_field(&writer, "MMPROXY_", "EVENT", head->event, strlen(head->event));
	for (size_t i = 0; i < count; i++)
		put_log_field(&writer, &fields[i]);
	return writer.length;
}

static int send_entry(const char *entry, size_t length)
{
	if (send(journal, entry, length, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	return errno == ENOBUFS || errno == ENOMEM ? -EAGAIN : -errno;
}

/* A journald whose socket is another one now has left ours connected to nobody. */
static int deliver_entry(const char *entry, size_t length)
{
	int error = send_entry(entry, length);

	if (error != -ECONNREFUSED && error != -ENOTCONN)
		return error;
	error = connect_to_journal();
	return error < 0 ? error : send_entry(entry, length);
}

int log_journal_send(const struct log_line_head *head, const struct log_field *fields, size_t count)
{
	char entry[LOG_ENTRY_SIZE];
	size_t length;
	int error;

	if (journal < 0)
		return -ENOTCONN;
	length = log_journal_entry(entry, head, fields, count);
	/* Neither call waits, so nobody is held up for long: only a second connect() is kept out.
	 */
	pthread_mutex_lock(&delivery);
	error = deliver_entry(entry, length);
	pthread_mutex_unlock(&delivery);
	return error;
}
