/* SPDX-License-Identifier: MIT */
/*
 * The real table of calls, where a test over the fake one cannot look: what the kernel's answers
 * become on their way to the relay. Needs no network, and no more than the loopback interface.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/sys.h"

#define NOT_FILLED 0xa5

/* linux/tcp.h has a struct tcp_info of its own, twice as long as libc's: both sides must mean it.
 */
static void tcp_info_is_filled_as_far_as_the_relay_reads_it(void **state)
{
	int fd = sys_linux.socket(AF_INET, SOCK_STREAM);
	struct tcp_info info;
	uint32_t not_filled;

	(void)state;
	assert_true(fd >= 0);
	memset(&info, NOT_FILLED, sizeof(info));
	memset(&not_filled, NOT_FILLED, sizeof(not_filled));
	assert_int_equal(sys_linux.tcp_info(fd, &info), 0);
	assert_int_not_equal(info.tcpi_unacked, not_filled);
	assert_int_not_equal(info.tcpi_last_ack_recv, not_filled);
	assert_int_not_equal(info.tcpi_snd_wnd, not_filled);
	sys_linux.close(fd);
}

static void a_failed_call_returns_the_negative_error(void **state)
{
	struct tcp_info info;
	uint8_t byte = 0;

	(void)state;
	assert_int_equal(sys_linux.recv(-1, &byte, 1), -EBADF);
	assert_int_equal(sys_linux.send(-1, &byte, 1), -EBADF);
	assert_int_equal(sys_linux.unsent(-1), -EBADF);
	assert_int_equal(sys_linux.socket_error(-1), -EBADF);
	assert_int_equal(sys_linux.shutdown_write(-1), -EBADF);
	assert_int_equal(sys_linux.set_option(-1, SOL_SOCKET, SO_REUSEADDR, 1), -EBADF);
	assert_int_equal(sys_linux.tcp_info(-1, &info), -EBADF);
	assert_int_equal(sys_linux.socket(-1, SOCK_STREAM), -EAFNOSUPPORT);
}

static void a_pipe_says_how_much_it_holds(void **state)
{
	static uint8_t bytes[1 << 16];
	int fds[2], size = sys_linux.pipe(fds, sizeof(bytes));

	(void)state;
	assert_true(size > 0);
	/* Not blocking: whatever it takes at once, it never takes more than it says. */
	for (ssize_t all = 0, written; (written = write(fds[1], bytes, sizeof(bytes))) > 0;) {
		all += written;
		assert_true(all <= size);
	}
	assert_int_equal(errno, EAGAIN);
	sys_linux.close(fds[0]);
	sys_linux.close(fds[1]);
}

/* Both ends of a connection over loopback. */
static void connect_pair(int *near, int *far)
{
	struct sockaddr_storage address = {.ss_family = AF_INET}, peer;
	struct sockaddr_in *in = (struct sockaddr_in *)&address;
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(sys_linux.bind(listener, &address, sizeof(*in)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(sys_linux.local_address(listener, &address), 0);
	*near = sys_linux.socket(AF_INET, SOCK_STREAM);
	assert_int_equal(sys_linux.connect(*near, &address, sizeof(*in)), -EINPROGRESS);
	*far = sys_linux.accept(listener, &peer);
	assert_true(*far >= 0);
	assert_int_equal(peer.ss_family, AF_INET);
	sys_linux.close(listener);
}

static void a_close_after_reset_on_close_is_seen_as_a_reset(void **state)
{
	uint8_t byte = 'x';
	int near, far;

	(void)state;
	connect_pair(&near, &far);
	assert_int_equal(sys_linux.recv(far, &byte, 1), -EAGAIN);
	assert_int_equal(sys_linux.reset_on_close(near), 0);
	sys_linux.close(near);
	assert_int_equal(sys_linux.recv(far, &byte, 1), -ECONNRESET);
	/* Told once; a write after it raises no signal. */
	assert_int_equal(sys_linux.socket_error(far), 0);
	assert_int_equal(sys_linux.send(far, &byte, 1), -EPIPE);
	assert_int_equal(sys_linux.shutdown_write(far), -ENOTCONN);
	sys_linux.close(far);
}

static void what_arrived_before_a_reset_can_still_be_read(void **state)
{
	uint8_t bytes[3] = "abc";
	int near, far;

	(void)state;
	connect_pair(&near, &far);
	assert_int_equal(sys_linux.send(near, bytes, 3), 3);
	assert_int_equal(sys_linux.reset_on_close(near), 0);
	sys_linux.close(near);
	/* The write is told of the reset, and leaves the read with the bytes and a plain end. */
	assert_int_equal(sys_linux.send(far, bytes, 1), -ECONNRESET);
	assert_int_equal(sys_linux.recv(far, bytes, 3), 3);
	assert_int_equal(sys_linux.recv(far, bytes, 3), 0);
	sys_linux.close(far);
}

static void a_splice_stops_before_urgent_data_as_if_at_the_end(void **state)
{
	uint8_t bytes[16];
	int near, far, fds[2];

	(void)state;
	connect_pair(&near, &far);
	assert_int_equal(sys_linux.set_option(far, SOL_SOCKET, SO_OOBINLINE, 1), 0);
	assert_true(sys_linux.pipe(fds, 65536) > 0);
	assert_int_equal(sys_linux.send(near, "abc", 3), 3);
	assert_int_equal(send(near, "!", 1, MSG_OOB), 1);
	assert_int_equal(sys_linux.shutdown_write(near), 0);
	assert_int_equal(sys_linux.splice(far, fds[1], 65536), 3);
	assert_int_equal(sys_linux.splice(far, fds[1], 65536), 0);
	assert_int_equal(sys_linux.recv(far, bytes, sizeof(bytes)), 1);
	assert_int_equal(sys_linux.recv(far, bytes, sizeof(bytes)), 0);
	sys_linux.close(fds[0]);
	sys_linux.close(fds[1]);
	sys_linux.close(near);
	sys_linux.close(far);
}

static void the_clock_has_microseconds_and_never_goes_back(void **state)
{
	uint64_t began = sys_linux.clock(), last = began;
	unsigned steps = 0;

	(void)state;
	/*
	 * A coarse clock goes on once in a millisecond or later, and not in small steps however
	 * long one looks. Others may have the CPU for some milliseconds, so one alone says little.
	 */
	while (last - began < 1000 || (steps < 10 && last - began < 1000000)) {
		uint64_t now = sys_linux.clock();

		assert_true(now >= last);
		steps += now > last && now - last < 500;
		last = now;
	}
	assert_true(steps >= 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_info_is_filled_as_far_as_the_relay_reads_it),
		cmocka_unit_test(a_failed_call_returns_the_negative_error),
		cmocka_unit_test(a_pipe_says_how_much_it_holds),
		cmocka_unit_test(a_close_after_reset_on_close_is_seen_as_a_reset),
		cmocka_unit_test(what_arrived_before_a_reset_can_still_be_read),
		cmocka_unit_test(a_splice_stops_before_urgent_data_as_if_at_the_end),
		cmocka_unit_test(the_clock_has_microseconds_and_never_goes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
