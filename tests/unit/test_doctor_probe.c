/* SPDX-License-Identifier: MIT */
/* How long the doctor waits for what comes of a probe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "doctor/probe.h"

/* A UDP server that never answers. */
static int bind_silent_server(struct address *address)
{
	struct sockaddr_storage storage = {0};
	struct sockaddr_in *at = (struct sockaddr_in *)&storage;
	socklen_t length = sizeof(*at);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	at->sin_family = AF_INET;
	at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof(*at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &length), 0);
	*address = address_from_sockaddr(&storage);
	return fd;
}

static bool tells_nothing(void *context)
{
	++*(unsigned *)context;
	return false;
}

/* As the kernel's traces are on a host where somebody else traces, too. */
static void what_is_always_readable_does_not_make_it_wait_for_ever(void **state)
{
	struct probe_request request = {.udp = true};
	unsigned asked = 0;
	struct probe probe;
	int server = bind_silent_server(&request.upstream), readable = eventfd(1, EFD_CLOEXEC);

	(void)state;
	assert_int_equal(probe_open(&probe, &request), 0);
	probe_send(&probe);
	probe_await(&probe, 20, readable, tells_nothing, &asked);
	assert_int_equal(probe.outcome, PROBE_SILENT);
	assert_true(asked > 0);
	probe_close(&probe);
	close(readable);
	close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_always_readable_does_not_make_it_wait_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
