/* SPDX-License-Identifier: MIT */
/* The load's connections. */
#include "tcp_connection.h"

#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Clients are 10.0.0.0/8, with so many ports each, from the first on. */
#define CLIENT_NET        UINT32_C(0x0a000001)
#define CLIENT_ADDRESSES  UINT64_C(16777000)
#define CLIENT_PORTS      40000
#define CLIENT_PORT_FIRST 20000

/* Balancers: 127.1.0.1 and so many after it. */
#define BALANCER_NET   UINT32_C(0x7f010001)
#define BALANCER_COUNT 200

/* A connection that takes longer has failed; milliseconds. */
#define PATIENCE 5000

static const uint8_t v2_start[14] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a,
				     0x51, 0x55, 0x49, 0x54, 0x0a, 0x21, 0x11};

bool tcp_header_kind_parse(const char *text, enum tcp_header_kind *kind)
{
	static const char *const names[] = {"none", "v1", "v2"};

	for (size_t i = 0; i < 3; i++) {
		if (strcmp(text, names[i]) == 0) {
			*kind = (enum tcp_header_kind)i;
			return true;
		}
	}
	return false;
}

static void write_u16(uint8_t *to, unsigned value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static size_t write_v2(uint8_t *header, uint32_t client, uint16_t port, const struct address *to)
{
	memcpy(header, v2_start, sizeof(v2_start));
	write_u16(header + 14, 12);
	write_u16(header + 16, client >> 16);
	write_u16(header + 18, client);
	memcpy(header + 20, to->ip, 4);
	write_u16(header + 24, port);
	write_u16(header + 26, to->port);
	return 28;
}

static size_t write_v1(uint8_t *header, uint32_t client, uint16_t port, const struct address *to)
{
	int length = snprintf((char *)header, TCP_HEADER_MAX,
			      "PROXY TCP4 %u.%u.%u.%u %u.%u.%u.%u %u %u\r\n", client >> 24,
			      client >> 16 & 0xff, client >> 8 & 0xff, client & 0xff, to->ip[0],
			      to->ip[1], to->ip[2], to->ip[3], port, to->port);

	return (size_t)length;
}

static size_t write_header(uint8_t *header, const struct tcp_target *target)
{
	uint64_t number = target->next_client;
	uint32_t client = CLIENT_NET + (uint32_t)(number / CLIENT_PORTS % CLIENT_ADDRESSES);
	uint16_t port = (uint16_t)(CLIENT_PORT_FIRST + number % CLIENT_PORTS);

	switch (target->header) {
	case TCP_HEADER_NONE:
		break;
	case TCP_HEADER_V1:
		return write_v1(header, client, port, &target->to);
	case TCP_HEADER_V2:
		return write_v2(header, client, port, &target->to);
	}
	return 0;
}

static void bind_balancer(int fd, uint64_t number)
{
	const int on = 1;
	struct sockaddr_in name = {.sin_family = AF_INET};

	name.sin_addr.s_addr = htonl(BALANCER_NET + (uint32_t)(number % BALANCER_COUNT));
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		err(EXIT_FAILURE, "bind");
}

void tcp_connection_open(struct tcp_connection *connection, struct tcp_target *target)
{
	const int on = 1;
	struct sockaddr_storage name;
	socklen_t length = address_to_sockaddr(&target->to, &name);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(EXIT_FAILURE, "socket");
	bind_balancer(fd, target->next_client);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&name, length) < 0 && errno != EINPROGRESS)
		err(EXIT_FAILURE, "connect");
	*connection = (struct tcp_connection){.fd = fd};
	connection->header_length = write_header(connection->header, target);
	target->next_client++;
}

static ssize_t send_with_header(struct tcp_connection *connection, const uint8_t *bytes,
				size_t length)
{
	struct iovec pieces[2] = {{connection->header, connection->header_length},
				  {(void *)(uintptr_t)bytes, length}};
	const struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
	ssize_t sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL);

	if (sent < 0)
		return -1;
	/* It goes into an empty socket: whole, or there is something wrong with this host. */
	if ((size_t)sent < connection->header_length)
		errx(EXIT_FAILURE, "a header was sent in part");
	sent -= (ssize_t)connection->header_length;
	connection->header_length = 0;
	return sent;
}

ssize_t tcp_connection_send(struct tcp_connection *connection, const struct payload *payload,
			    size_t length)
{
	const uint8_t *bytes = payload_next(payload, &connection->sent_place);
	ssize_t sent = connection->header_length > 0
			       ? send_with_header(connection, bytes, length)
			       : send(connection->fd, bytes, length, MSG_NOSIGNAL);

	if (sent < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	payload_advance(payload, &connection->sent_place, (size_t)sent);
	connection->sent += (uint64_t)sent;
	return sent;
}

ssize_t tcp_connection_receive(struct tcp_connection *connection, const struct payload *payload,
			       size_t length)
{
	static uint8_t buffer[PAYLOAD_PIECE_MAX];
	ssize_t got = recv(connection->fd, buffer, length, 0);

	if (got < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (!payload_check(payload, &connection->received_place, buffer, (size_t)got))
		return -EBADMSG;
	connection->received += (uint64_t)got;
	return got;
}

static void wait_for(const struct tcp_connection *connection, short events)
{
	struct pollfd waiting = {.fd = connection->fd, .events = events};

	if (poll(&waiting, 1, PATIENCE) != 1)
		errx(EXIT_FAILURE, "a connection hangs");
}

void tcp_connection_exchange(struct tcp_connection *connection, const struct payload *payload,
			     size_t length)
{
	uint64_t sent_end = connection->sent + length, received_end = connection->received + length;

	while (connection->sent < sent_end || connection->header_length > 0) {
		ssize_t sent = tcp_connection_send(connection, payload,
						   (size_t)(sent_end - connection->sent));

		if (sent < 0)
			errx(EXIT_FAILURE, "connect or send: %s", strerror((int)-sent));
		if (sent == 0)
			wait_for(connection, POLLOUT);
	}
	while (connection->received < received_end) {
		ssize_t got = tcp_connection_receive(connection, payload,
						     (size_t)(received_end - connection->received));

		if (got == 0)
			errx(EXIT_FAILURE, "a connection was closed");
		if (got < 0 && got != -EAGAIN)
			errx(EXIT_FAILURE, "receive: %s", strerror((int)-got));
		if (got == -EAGAIN)
			wait_for(connection, POLLIN);
	}
}
