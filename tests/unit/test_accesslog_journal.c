/* SPDX-License-Identifier: MIT */
/*
 * Sending entries to a journal that has no room, that others fill, or that has gone. It is made up
 * of what its calls return, and time passes only where the access log waits.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "clock.h"
#include "journal.h"

#define CALLS_MOST 16

/* What poll() returns for a signal. */
#define INTERRUPTED (-1)

struct journald {
	/* Of each call, in order: an errno, or 0. Behind them all works. */
	int send_errors[CALLS_MOST], connect_errors[CALLS_MOST];
	/* Of poll(), and for how long each call stands there. */
	int poll_results[CALLS_MOST];
	unsigned poll_time;

	int patience[CALLS_MOST]; /* that poll() was asked for */
	unsigned sends, connects, polls;
	char received[4096];
	uint64_t now;
};

static struct journald journald;

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
ssize_t __wrap_send(int fd, const void *bytes, size_t length, int flags);

uint64_t milliseconds_now(void)
{
	return journald.now;
}

static int fail_with(int error)
{
	errno = error;
	return error == 0 ? 0 : -1;
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	(void)fd;
	(void)length;
	assert_string_equal(address->sa_data, JOURNAL_SOCKET);
	assert_in_range(journald.connects, 0, CALLS_MOST - 1);
	return fail_with(journald.connect_errors[journald.connects++]);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	int result;

	assert_int_equal(count, 1);
	assert_int_equal(fds->events, POLLOUT);
	assert_in_range(journald.polls, 0, CALLS_MOST - 1);
	journald.patience[journald.polls] = timeout;
	result = journald.poll_results[journald.polls++];
	journald.now += result == 0 ? (unsigned)timeout : journald.poll_time;
	errno = EINTR;
	return result;
}

ssize_t __wrap_send(int fd, const void *bytes, size_t length, int flags)
{
	size_t end = strlen(journald.received);

	(void)fd;
	assert_true(flags & MSG_DONTWAIT);
	assert_true(flags & MSG_NOSIGNAL);
	assert_in_range(journald.sends, 0, CALLS_MOST - 1);
	if (fail_with(journald.send_errors[journald.sends++]) < 0)
		return -1;
	snprintf(journald.received + end, sizeof(journald.received) - end, "%.*s--\n", (int)length,
		 (const char *)bytes);
	return (ssize_t)length;
}

/* Sends entries with the numbers 1 and 2, and expects that so many of them arrive. */
static void expect(int due_error, unsigned due_sent)
{
	char due[4096] = "", entries[2 * LINE_SIZE];
	size_t length = 0;
	uint64_t sent;

	for (unsigned i = 1; i <= 2; i++) {
		const struct field fields[] = {
			{.key = "time", .type = FIELD_TIME},
			{.key = "tlv_0xea",
			 .type = FIELD_BYTES,
			 .bytes = (const uint8_t *)"\n\xc3\xbc",
			 .length = 3},
			{.key = "id", .type = FIELD_NUMBER, .number = i},
		};
		size_t end = strlen(due);

		length += journal_entry(entries + length, sizeof(entries) - length, fields, 3);
		if (i <= due_sent)
			snprintf(due + end, sizeof(due) - end,
				 "MESSAGE=tlv_0xea=\"\\x0a\\xc3\\xbc\" id=%u\nPRIORITY=6\n"
				 "SYSLOG_IDENTIFIER=mmproxy-accesslog\n"
				 "MMPROXY_TIME=1970-01-01T00:00:00.000Z\n"
				 "MMPROXY_TLV_0XEA=\\x0a\xc3\xbc\nMMPROXY_ID=%u\n--\n",
				 i, i);
	}
	assert_int_equal(journal_send(entries, length, &sent), due_error);
	assert_int_equal(sent, due_sent);
	assert_string_equal(journald.received, due);
}

static void an_entry_is_a_datagram_of_lines(void **state)
{
	(void)state;
	journald = (struct journald){0};
	expect(0, 2);
	assert_int_equal(journald.polls, 0);
	assert_int_equal(journald.connects, 1);
}

static void room_is_waited_for(void **state)
{
	(void)state;
	journald = (struct journald){
		.send_errors = {EAGAIN, 0, EAGAIN, 0},
		.poll_results = {1, 1},
		.poll_time = 2900,
	};
	expect(0, 2);
	/* For each entry anew: a journal that takes one reads. */
	assert_int_equal(journald.patience[0], 3000);
	assert_int_equal(journald.patience[1], 3000);
}

static void room_that_others_take_first_is_not_waited_for_without_end(void **state)
{
	(void)state;
	journald = (struct journald){
		.send_errors = {0, EAGAIN, EAGAIN, EAGAIN, EAGAIN},
		.poll_results = {1, 1, 1, 1},
		.poll_time = 1000,
	};
	expect(-ETIMEDOUT, 1);
	assert_int_equal(journald.polls, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(journald.patience[i], 3000 - 1000 * i);
	assert_int_equal(journald.now, 3000);
}

static void a_journal_without_room_is_given_up(void **state)
{
	(void)state;
	journald = (struct journald){.send_errors = {EAGAIN}, .poll_results = {0}};
	expect(-ETIMEDOUT, 0);
	assert_int_equal(journald.sends, 1);
	assert_int_equal(journald.now, 3000);
}

static void a_signal_adds_nothing_to_the_patience(void **state)
{
	(void)state;
	journald = (struct journald){
		.send_errors = {EAGAIN, EAGAIN},
		.poll_results = {INTERRUPTED, 1},
		.poll_time = 100,
	};
	expect(0, 2);
	assert_int_equal(journald.patience[0], 3000);
	assert_int_equal(journald.patience[1], 2900);
}

static void a_journal_that_has_another_socket_now_is_found(void **state)
{
	(void)state;
	journald = (struct journald){.send_errors = {0, ECONNREFUSED}};
	expect(0, 2);
	assert_int_equal(journald.connects, 2);
}

static void a_journal_that_has_gone_is_an_error(void **state)
{
	(void)state;
	journald = (struct journald){.connect_errors = {ENOENT}};
	expect(-ENOENT, 0);
	journald = (struct journald){.send_errors = {0, ECONNREFUSED},
				     .connect_errors = {0, ECONNREFUSED}};
	expect(-ECONNREFUSED, 1);
}

static void what_waiting_does_not_mend_is_an_error_at_once(void **state)
{
	(void)state;
	journald = (struct journald){.send_errors = {0, ENOBUFS}};
	expect(-ENOBUFS, 1);
	assert_int_equal(journald.polls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_entry_is_a_datagram_of_lines),
		cmocka_unit_test(room_is_waited_for),
		cmocka_unit_test(room_that_others_take_first_is_not_waited_for_without_end),
		cmocka_unit_test(a_journal_without_room_is_given_up),
		cmocka_unit_test(a_signal_adds_nothing_to_the_patience),
		cmocka_unit_test(a_journal_that_has_another_socket_now_is_found),
		cmocka_unit_test(a_journal_that_has_gone_is_an_error),
		cmocka_unit_test(what_waiting_does_not_mend_is_an_error_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
