/* SPDX-License-Identifier: MIT */
/*
 * Receiving by the batch from real sockets, opened as the daemon opens them: what the kernel says
 * beside the bytes, and that the answers take the way back. The loopback interface is all it needs.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/listen.h"
#include "os/sys.h"
#include "relay/relay.h"
#include "relay/udp.h"
#include "relay/udp_receiver.h"
#include "relay/udp_sender.h"

#define LARGEST 65507
#define FLOOD   300

static struct udp_receiver receiver;
static uint8_t pattern[LARGEST + 1];
static int listening, sending;

static int start(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * UINT64_C(0x9e3779b97f4a7c15) >> 56);
	listening = sending = -1;
	return udp_receiver_init(&receiver, true);
}

static int stop(void **state)
{
	(void)state;
	if (listening >= 0)
		close(listening);
	if (sending >= 0)
		close(sending);
	udp_receiver_finish(&receiver);
	udp_receiver_finish(&receiver);
	return 0;
}

static struct address endpoint(const char *text)
{
	struct address address;

	assert_int_equal(address_parse_endpoint(text, &address), 0);
	return address;
}

static struct address bound_to(int fd)
{
	struct sockaddr_storage address;

	assert_int_equal(sys_linux.local_address(fd, &address), 0);
	return address_from_sockaddr(&address);
}

/* As the daemon does; "*:0" is for IPv4 and IPv6. */
static void listen_on(const char *text)
{
	bool both = text[0] == '*';
	const struct listen_endpoint at = {endpoint(both ? "[::]:0" : text), both};
	const struct listen_options options = {.backlog = 1};
	const char *step;

	listening = listen_open_udp(&at, &options, LISTEN_ALONE, &step);
	if (listening == -EAFNOSUPPORT || listening == -EADDRNOTAVAIL ||
	    (both && bound_to(listening).family != ADDRESS_IPV6))
		skip(); /* no IPv6 here */
	assert_true(listening >= 0);
}

/* A sender on `from` that is connected to the listener, as seen at `to` (an address without port).
 */
static void send_from(const char *from, const char *to)
{
	const struct address source = endpoint(from);
	struct address target;
	struct sockaddr_storage address;
	socklen_t length = address_to_sockaddr(&source, &address);

	assert_int_equal(address_parse_ip(to, &target), 0);
	target.port = bound_to(listening).port;
	sending = sys_linux.socket(source.family == ADDRESS_IPV4 ? AF_INET : AF_INET6, SOCK_DGRAM);
	assert_true(sending >= 0);
	assert_int_equal(sys_linux.bind(sending, &address, length), 0);
	length = address_to_sockaddr(&target, &address);
	assert_int_equal(sys_linux.connect(sending, &address, length), 0);
}

static void listen_and_send(void)
{
	listen_on("127.0.0.1:0");
	send_from("127.0.0.1:0", "127.0.0.1");
}

/* From a place of the pattern of its own, so that no two are alike. */
static void say(size_t place, size_t length)
{
	assert_int_equal(send(sending, pattern + place, length, 0), length);
}

/* A burst that the kernel is to cut up. */
static void say_run(size_t length, unsigned segment)
{
	assert_int_equal(sys_linux.set_option(sending, IPPROTO_UDP, UDP_SEGMENT, (int)segment), 0);
	say(0, length);
	assert_int_equal(sys_linux.set_option(sending, IPPROTO_UDP, UDP_SEGMENT, 0), 0);
}

static int fill(unsigned first, unsigned count)
{
	struct pollfd poll_for = {.fd = listening, .events = POLLIN};

	poll(&poll_for, 1, 1000);
	return udp_receiver_fill(&receiver, &sys_linux, listening, first, count);
}

static struct udp_received read_slot(unsigned slot)
{
	struct udp_received received;

	memset(&received, 0xa5, sizeof(received));
	udp_receiver_read(&receiver, slot, &received);
	return received;
}

static void expect_slot(unsigned slot, size_t place, size_t length)
{
	const struct udp_received received = read_slot(slot);

	assert_int_equal(received.length, length);
	assert_int_equal(received.segment, length);
	assert_memory_equal(received.bytes, pattern + place, length);
}

static void each_datagram_comes_in_a_slot_with_who_sent_it(void **state)
{
	(void)state;
	listen_and_send();
	for (unsigned i = 0; i < 3; i++)
		say(i, 100 * i + 1);
	assert_int_equal(fill(0, UDP_RECEIVER_SLOTS), 3);
	for (unsigned i = 0; i < 3; i++) {
		const struct udp_received received = read_slot(i);
		const struct address peer = udp_route_peer(&received.route),
				     due = bound_to(sending);

		expect_slot(i, i, 100 * i + 1);
		assert_true(address_equal(&peer, &due));
		assert_int_equal(received.overflow, 0);
	}
}

static void with_nothing_to_receive_the_error_is_returned(void **state)
{
	(void)state;
	listen_and_send();
	assert_int_equal(udp_receiver_fill(&receiver, &sys_linux, listening, 0, UDP_RECEIVER_SLOTS),
			 -EAGAIN);
	assert_int_equal(udp_receiver_fill(&receiver, &sys_linux, -1, 0, 1), -EBADF);
}

static void slots_are_filled_from_the_first_that_is_asked_for(void **state)
{
	(void)state;
	listen_and_send();
	for (unsigned i = 0; i < 5; i++)
		say(i, 10 + i);
	assert_int_equal(fill(3, 2), 2);
	assert_int_equal(fill(UDP_RECEIVER_SLOTS - 1, 1), 1);
	assert_int_equal(fill(0, 3), 2);
	expect_slot(3, 0, 10);
	expect_slot(4, 1, 11);
	expect_slot(UDP_RECEIVER_SLOTS - 1, 2, 12);
	expect_slot(0, 3, 13);
	expect_slot(1, 4, 14);
}

static void all_slots_can_be_filled_at_once(void **state)
{
	(void)state;
	listen_and_send();
	for (unsigned i = 0; i < UDP_RECEIVER_SLOTS + 1; i++)
		say(i, 50);
	assert_int_equal(fill(0, UDP_RECEIVER_SLOTS), UDP_RECEIVER_SLOTS);
	for (unsigned i = 0; i < UDP_RECEIVER_SLOTS; i++)
		expect_slot(i, i, 50);
	assert_int_equal(fill(0, UDP_RECEIVER_SLOTS), 1);
	expect_slot(0, UDP_RECEIVER_SLOTS, 50);
}

static void an_empty_datagram_is_one(void **state)
{
	(void)state;
	listen_and_send();
	say(0, 0);
	say(0, 5);
	say(0, 0);
	assert_int_equal(fill(0, UDP_RECEIVER_SLOTS), 3);
	expect_slot(0, 0, 0);
	expect_slot(1, 0, 5);
	expect_slot(2, 0, 0);
}

static void the_largest_datagram_has_room(void **state)
{
	(void)state;
	listen_and_send();
	say(0, LARGEST);
	say(1, LARGEST);
	assert_int_equal(fill(0, UDP_RECEIVER_SLOTS), 2);
	expect_slot(0, 0, LARGEST);
	expect_slot(1, 1, LARGEST);
}

static void on_one_address_nobody_says_which_was_asked(void **state)
{
	(void)state;
	listen_and_send();
	say(0, 10);
	assert_int_equal(fill(0, 1), 1);
	assert_int_equal(read_slot(0).route.local_family, 0);
}

static void on_every_address_the_one_that_was_asked_is_known(void **state)
{
	struct udp_received received;

	(void)state;
	listen_on("0.0.0.0:0");
	send_from("127.0.0.1:0", "127.0.0.77");
	say(0, 10);
	assert_int_equal(fill(0, 1), 1);
	received = read_slot(0);
	assert_int_equal(received.route.local_family, AF_INET);
	assert_int_equal(received.route.local.in.s_addr, inet_addr("127.0.0.77"));
}

static void on_every_ipv6_address_the_one_that_was_asked_is_known(void **state)
{
	struct udp_received received;

	(void)state;
	listen_on("[::]:0");
	send_from("[::1]:0", "::1");
	say(0, 10);
	assert_int_equal(fill(0, 1), 1);
	received = read_slot(0);
	assert_int_equal(received.route.local_family, AF_INET6);
	assert_memory_equal(&received.route.local.in6, &in6addr_loopback, 16);
	assert_int_equal(udp_route_peer(&received.route).family, ADDRESS_IPV6);
	assert_int_equal(udp_route_peer(&received.route).port, bound_to(sending).port);
}

static void ignore_report(struct relay *relay, const struct udp_run *run, int error)
{
	(void)relay;
	(void)run;
	assert_int_equal(error, 0);
}

/* The connected sender takes an answer only from the address and port that it asked. */
static void expect_answer_gets_back(void)
{
	static struct relay relay = {.sys = &sys_linux};
	struct udp_sender *sender = udp_sender_create(false, ignore_report);
	struct pollfd poll_for = {.fd = sending, .events = POLLIN};
	struct udp_received received;
	struct udp_flow flow;
	uint8_t answer[64];

	assert_non_null(sender);
	say(0, 10);
	assert_int_equal(fill(0, 1), 1);
	received = read_slot(0);
	for (unsigned i = 0; i < 3; i++) {
		const struct udp_outgoing outgoing = {
			.flow = &flow,
			.route = &received.route,
			.bytes = pattern + 20 * i,
			.length = 20,
		};

		assert_true(udp_sender_add(sender, &outgoing));
	}
	udp_sender_flush(sender, &relay, listening);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(poll(&poll_for, 1, 1000), 1);
		assert_int_equal(recv(sending, answer, sizeof(answer), 0), 20);
		assert_memory_equal(answer, pattern + 20 * i, 20);
	}
	udp_sender_destroy(sender);
}

static void answers_come_from_the_ipv4_address_that_was_asked(void **state)
{
	(void)state;
	listen_on("0.0.0.0:0");
	send_from("127.0.0.1:0", "127.0.0.77");
	expect_answer_gets_back();
}

static void answers_come_from_the_ipv6_address_that_was_asked(void **state)
{
	(void)state;
	listen_on("[::]:0");
	send_from("[::1]:0", "::1");
	expect_answer_gets_back();
}

static void a_socket_for_both_families_answers_ipv4_from_the_address_that_was_asked(void **state)
{
	const struct address due = endpoint("127.0.0.3:0");
	struct udp_received received;
	struct address peer;

	(void)state;
	listen_on("*:0");
	send_from("127.0.0.3:0", "127.0.0.77");
	expect_answer_gets_back();
	/* And the balancer is the same one, however the kernel writes its address. */
	say(0, 10);
	assert_int_equal(fill(0, 1), 1);
	received = read_slot(0);
	peer = udp_route_peer(&received.route);
	assert_true(address_equal_ip(&peer, &due));
	assert_int_equal(peer.port, bound_to(sending).port);
}

static void answers_from_one_address_need_no_more(void **state)
{
	(void)state;
	listen_and_send();
	expect_answer_gets_back();
}

static void routes_are_equal_when_all_of_them_is(void **state)
{
	struct udp_route first, other;

	(void)state;
	listen_on("0.0.0.0:0");
	send_from("127.0.0.1:0", "127.0.0.1");
	say(0, 10);
	say(5, 900);
	close(sending);
	send_from("127.0.0.1:0", "127.0.0.1");
	say(0, 10);
	close(sending);
	send_from("127.0.0.1:0", "127.0.0.2");
	say(0, 10);
	assert_int_equal(fill(0, UDP_RECEIVER_SLOTS), 4);
	first = read_slot(0).route;
	other = read_slot(1).route;
	assert_true(udp_route_equal(&first, &other));
	other = read_slot(2).route;
	assert_false(udp_route_equal(&first, &other));
	other.peer.in.sin_port = first.peer.in.sin_port;
	assert_true(udp_route_equal(&first, &other));
	other = read_slot(3).route;
	other.peer.in.sin_port = first.peer.in.sin_port;
	assert_false(udp_route_equal(&first, &other));
}

static void what_the_kernel_joined_is_known_by_its_segments(void **state)
{
	struct udp_received received;

	(void)state;
	listen_and_send();
	say_run(950, 100);
	say_run(300, 100);
	assert_int_equal(fill(0, UDP_RECEIVER_SLOTS), 2);
	received = read_slot(0);
	assert_int_equal(received.length, 950);
	assert_int_equal(received.segment, 100);
	assert_memory_equal(received.bytes, pattern, 950);
	assert_int_equal(udp_route_peer(&received.route).port, bound_to(sending).port);
	received = read_slot(1);
	assert_int_equal(received.length, 300);
	assert_int_equal(received.segment, 100);
}

static void a_slot_forgets_what_was_in_it(void **state)
{
	(void)state;
	listen_on("0.0.0.0:0");
	send_from("127.0.0.1:0", "127.0.0.1");
	say_run(950, 100);
	assert_int_equal(fill(0, 1), 1);
	say(7, 300);
	assert_int_equal(fill(0, 1), 1);
	expect_slot(0, 7, 300);
	/* Nor does it remember how long a name may be. */
	assert_int_equal(read_slot(0).route.peer_length, sizeof(struct sockaddr_in));
}

/* Nothing is left in a slot of how little the datagram before needed. */
static void slots_are_filled_anew_in_any_order(void **state)
{
	static const unsigned order[] = {3, 0, 3, 5, 0, 4, 3, 5};

	(void)state;
	listen_and_send();
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		const struct address due = bound_to(sending);
		struct udp_received received;
		struct address peer;

		say_run(950, 100);
		assert_int_equal(fill(order[i], 2), 1);
		received = read_slot(order[i]);
		assert_int_equal(received.segment, 100);
		peer = udp_route_peer(&received.route);
		assert_true(address_equal(&peer, &due));
		/* It takes less of both name and control message than a slot has. */
		receiver.messages[order[i]].msg_hdr.msg_controllen = 0;
		receiver.messages[order[i]].msg_hdr.msg_namelen = 0;
	}
}

static void what_found_no_room_is_counted_with_the_next_that_does(void **state)
{
	unsigned received = 0, all = 0;
	int count;

	(void)state;
	listen_and_send();
	assert_int_equal(sys_linux.set_option(listening, SOL_SOCKET, SO_RCVBUF, 4096), 0);
	for (unsigned i = 0; i < FLOOD; i++)
		say(0, 500);
	while ((count = udp_receiver_fill(&receiver, &sys_linux, listening, 0,
					  UDP_RECEIVER_SLOTS)) > 0)
		received += (unsigned)count;
	assert_in_range(received, 1, FLOOD - 1);
	say(0, 500);
	assert_int_equal(fill(0, UDP_RECEIVER_SLOTS), 1);
	all = read_slot(0).overflow;
	assert_int_equal(all, FLOOD - received);
	assert_int_equal(sys_linux.dropped(listening), all);
}

/* A flow's own socket: who speaks is known. */
static void without_routes_nobody_asks_who_sent_it(void **state)
{
	struct udp_received received;

	(void)state;
	udp_receiver_finish(&receiver);
	assert_int_equal(udp_receiver_init(&receiver, false), 0);
	listen_on("0.0.0.0:0");
	send_from("127.0.0.1:0", "127.0.0.1");
	assert_int_equal(sys_linux.set_option(listening, IPPROTO_IP, IP_PKTINFO, 0), 0);
	say_run(950, 100);
	assert_int_equal(fill(1, 1), 1);
	received = read_slot(1);
	assert_int_equal(received.length, 950);
	assert_int_equal(received.segment, 100);
	/* What it held before has not been touched. */
	assert_int_equal(received.route.peer_length, UINT32_C(0xa5a5a5a5));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(each_datagram_comes_in_a_slot_with_who_sent_it),
		TEST(with_nothing_to_receive_the_error_is_returned),
		TEST(slots_are_filled_from_the_first_that_is_asked_for),
		TEST(slots_are_filled_anew_in_any_order),
		TEST(all_slots_can_be_filled_at_once),
		TEST(an_empty_datagram_is_one),
		TEST(the_largest_datagram_has_room),
		TEST(on_one_address_nobody_says_which_was_asked),
		TEST(on_every_address_the_one_that_was_asked_is_known),
		TEST(on_every_ipv6_address_the_one_that_was_asked_is_known),
		TEST(answers_come_from_the_ipv4_address_that_was_asked),
		TEST(answers_come_from_the_ipv6_address_that_was_asked),
		TEST(a_socket_for_both_families_answers_ipv4_from_the_address_that_was_asked),
		TEST(answers_from_one_address_need_no_more),
		TEST(routes_are_equal_when_all_of_them_is),
		TEST(what_the_kernel_joined_is_known_by_its_segments),
		TEST(a_slot_forgets_what_was_in_it),
		TEST(what_found_no_room_is_counted_with_the_next_that_does),
		TEST(without_routes_nobody_asks_who_sent_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
