/* SPDX-License-Identifier: MIT */
/* A fake TCP socket: its two queues, the network, the peer, and how it ends. */
#include "fake_socket.h"

#include <assert.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "fake_sys.h"

#define SEGMENT 1460

/* TCP_ESTABLISHED and others of <netinet/tcp.h>. */
#define STATE_ESTABLISHED 1
#define STATE_CLOSE       7
#define STATE_CLOSE_WAIT  8

/* Close to the end of the numbers, so that they wrap around in any test. */
#define FIRST_SENT     0xffffff00u
#define FIRST_RECEIVED 0x7fffff80u
#define PATH_MTU       1500

void fake_bytes_append(struct fake_bytes *to, const void *bytes, size_t length)
{
	if (length == 0)
		return;
	if (to->capacity - to->length < length) {
		to->capacity = 2 * to->capacity + length + 4096;
		to->bytes = realloc(to->bytes, to->capacity);
		assert(to->bytes != NULL);
	}
	memcpy(to->bytes + to->length, bytes, length);
	to->length += length;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

struct fake_socket *fake_socket_create(struct fake_sys *fake)
{
	struct fake_socket *socket = calloc(1, sizeof(*socket));

	assert(socket != NULL);
	socket->fake = fake;
	socket->fd = -1;
	socket->receive_limit = fake->receive_limit;
	socket->send_limit = fake->send_limit;
	socket->peer_window = fake->peer_window;
	socket->urgent_at = FAKE_NO_LIMIT;
	socket->last_ack = socket->last_advance = fake->now;
	/* No two sockets are alike. */
	socket->first_sent = FIRST_SENT - (uint32_t)fake->last_fd;
	socket->first_received = FIRST_RECEIVED - 3 * (uint32_t)fake->last_fd;
	socket->ticks = 1000 * (uint32_t)fake->last_fd;
	socket->tcp_options = TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE;
	socket->path_mtu = PATH_MTU;
	socket->segment = socket->own_segment = SEGMENT;
	list_init(&socket->queued);
	list_init(&socket->watch.ready);
	list_append(&fake->sockets, &socket->link);
	return socket;
}

void fake_socket_unwatch(struct fake_socket *socket)
{
	socket->watch.active = false;
	list_remove(&socket->watch.ready);
	list_init(&socket->watch.ready);
}

void fake_socket_wake(struct fake_socket *socket, uint32_t key)
{
	struct fake_watch *watch = &socket->watch;

	if (!watch->active || (key != 0 && (key & (watch->events | EPOLLERR | EPOLLHUP)) == 0))
		return;
	if (list_empty(&watch->ready))
		list_append(&socket->fake->ready, &watch->ready);
}

static bool writable(const struct fake_socket *socket)
{
	size_t used = socket->out.length - socket->out_acked;

	/* sk_stream_is_writeable(): a third of the buffer is free. */
	return used < socket->send_limit && socket->send_limit - used >= used / 2;
}

uint32_t fake_socket_poll(struct fake_socket *socket)
{
	uint32_t events = 0;

	if (socket->state == FAKE_LISTENING)
		return list_empty(&socket->queued) ? 0 : EPOLLIN;
	if (socket->state == FAKE_NEW || socket->state == FAKE_DEAD ||
	    (socket->shut_read && socket->shut_write))
		events |= EPOLLHUP;
	if (socket->shut_read)
		events |= EPOLLIN | EPOLLRDHUP;
	if (socket->state != FAKE_CONNECTING) {
		if (socket->in_arrived > socket->in_read)
			events |= EPOLLIN;
		if (socket->shut_write || writable(socket))
			events |= EPOLLOUT;
		else
			socket->no_space = true;
		if (socket->urgent_at < socket->in_arrived)
			events |= EPOLLPRI;
	}
	if (socket->error != 0)
		events |= EPOLLERR;
	return events;
}

/* The connection is gone; what has arrived can still be read. */
static void die(struct fake_socket *socket, int error)
{
	socket->state = FAKE_DEAD;
	socket->error = error;
	socket->shut_read = socket->shut_write = true;
	fake_socket_wake(socket, EPOLLERR);
	fake_socket_wake(socket, 0);
}

/* tcp_reset() */
static void reset_arrives(struct fake_socket *socket)
{
	bool over = socket->in_fin_arrived && socket->fin_acked;

	if (socket->carrier != NULL) {
		socket->carrier->reset(socket->carrier, socket);
		return;
	}
	if (over || (socket->state != FAKE_CONNECTED && socket->state != FAKE_CONNECTING))
		return;
	if (socket->state == FAKE_CONNECTING)
		die(socket, -ECONNREFUSED);
	else
		die(socket, socket->in_fin_arrived && !socket->out_fin ? -EPIPE : -ECONNRESET);
}

static void reset_leaves(struct fake_socket *socket)
{
	if (socket->state == FAKE_CONNECTED && !socket->peer_gone) {
		socket->saw_reset = true;
		socket->destroyed += socket->out.length - socket->out_delivered;
	}
	socket->state = FAKE_DEAD;
}

static void arrive(struct fake_socket *socket)
{
	size_t waiting = socket->in.length - socket->in_arrived;
	size_t room = socket->receive_limit - (socket->in_arrived - socket->in_read);

	if (socket->hold_arrival || socket->state != FAKE_CONNECTED)
		return;
	if (socket->closed != FAKE_OPEN) {
		if (waiting > 0)
			reset_leaves(socket);
		return;
	}
	if (waiting > 0 && room > 0) {
		socket->in_arrived += smaller(waiting, room);
		fake_socket_wake(socket, EPOLLIN | EPOLLPRI);
	}
	if (socket->in_fin && !socket->in_fin_arrived && socket->in_arrived == socket->in.length) {
		socket->in_fin_arrived = socket->shut_read = true;
		fake_socket_wake(socket, 0);
	}
}

static void deliver(struct fake_socket *socket)
{
	size_t waiting = socket->out.length - socket->out_delivered;
	size_t room = FAKE_NO_LIMIT;

	if (socket->hold_delivery || socket->peer_silent || socket->state != FAKE_CONNECTED)
		return;
	if (waiting > 0 && socket->peer_gone) {
		reset_arrives(socket);
		return;
	}
	if (socket->peer_stalls)
		room = socket->peer_window - (socket->out_delivered - socket->peer_read);
	socket->out_delivered += smaller(waiting, room);
	if (!socket->peer_stalls)
		socket->peer_read = socket->out_delivered;
	if (socket->out_fin && socket->out_delivered == socket->out.length)
		socket->fin_delivered = true;
}

static void acknowledge(struct fake_socket *socket)
{
	if (socket->hold_acks || socket->peer_silent || socket->state != FAKE_CONNECTED)
		return;
	if (socket->out_acked < socket->out_delivered)
		socket->last_advance = socket->fake->now;
	socket->out_acked = socket->out_delivered;
	socket->fin_acked = socket->fin_delivered;
	socket->last_ack = socket->fake->now;
	if (socket->no_space && writable(socket)) {
		socket->no_space = false;
		fake_socket_wake(socket, EPOLLOUT);
	}
}

void fake_socket_flush(struct fake_socket *socket)
{
	deliver(socket);
	acknowledge(socket);
}

void fake_network(struct fake_socket *socket)
{
	if (socket->carrier == NULL)
		arrive(socket);
	fake_socket_flush(socket);
	if (socket->carrier != NULL)
		socket->carrier->carry(socket->carrier, socket);
}

/* Returns 0 where reading is over, or -errno: what is left to say when there are no bytes. */
static int nothing_to_read(struct fake_socket *socket)
{
	int error = socket->error;

	if (socket->in_fin_arrived)
		return 0;
	socket->error = 0;
	if (error != 0 || socket->shut_read)
		return error;
	return socket->state == FAKE_NEW ? -ENOTCONN : -EAGAIN;
}

ssize_t fake_socket_read(struct fake_socket *socket, void *bytes, size_t size, bool splice)
{
	size_t length = smaller(size, socket->in_arrived - socket->in_read);
	bool at_mark = socket->urgent_at == socket->in_read;

	/* A read begins at the mark and never passes it; a splice doesn't even begin. */
	if (socket->urgent_at < socket->in_read + length && (splice || !at_mark))
		length = socket->urgent_at - socket->in_read;
	if (length == 0)
		return nothing_to_read(socket);
	memcpy(bytes, socket->in.bytes + socket->in_read, length);
	socket->in_read += length;
	if (socket->urgent_at < socket->in_read)
		socket->urgent_at = FAKE_NO_LIMIT;
	arrive(socket);
	return (ssize_t)length;
}

ssize_t fake_socket_write(struct fake_socket *socket, const void *bytes, size_t size)
{
	size_t room = socket->send_limit - (socket->out.length - socket->out_acked);
	int error = socket->error;

	if (socket->state == FAKE_CONNECTING)
		return -EAGAIN;
	socket->error = 0;
	if (error != 0)
		return error;
	if (socket->state != FAKE_CONNECTED || socket->shut_write)
		return -EPIPE;
	if (socket->out.length == socket->out_acked)
		socket->last_advance = socket->fake->now;
	if (room < size)
		socket->no_space = true;
	if (room == 0)
		return -EAGAIN;
	size = smaller(size, room);
	fake_bytes_append(&socket->out, bytes, size);
	fake_network(socket);
	return (ssize_t)size;
}

int fake_socket_unsent(const struct fake_socket *socket)
{
	if (socket->state == FAKE_CONNECTING)
		return 0;
	return (int)(socket->out.length - socket->out_acked) +
	       (socket->out_fin && !socket->fin_acked);
}

int fake_socket_not_sent(const struct fake_socket *socket)
{
	size_t window = socket->peer_read + socket->peer_window;

	if (socket->state == FAKE_CONNECTING)
		return (int)socket->out.length;
	if (!socket->peer_stalls || socket->out.length <= window)
		return 0;
	return (int)(socket->out.length - window);
}

ssize_t fake_socket_peek(const struct fake_socket *socket, void *bytes, size_t size)
{
	size_t length = smaller(size, socket->in_arrived - socket->in_read);

	/* As a read: up to the mark of urgent data. */
	if (socket->urgent_at > socket->in_read && socket->urgent_at < socket->in_read + length)
		length = socket->urgent_at - socket->in_read;
	if (length == 0)
		return socket->in_fin_arrived || socket->shut_read ? 0 : -EAGAIN;
	memcpy(bytes, socket->in.bytes + socket->in_read, length);
	return (ssize_t)length;
}

void fake_socket_skip(struct fake_socket *socket, size_t size)
{
	assert(size <= socket->in_arrived - socket->in_read);
	socket->in_read += size;
	if (socket->urgent_at < socket->in_read)
		socket->urgent_at = FAKE_NO_LIMIT;
	arrive(socket);
}

void fake_socket_position(const struct fake_socket *socket, struct tcp_position *position)
{
	*position = (struct tcp_position){
		.sent = socket->first_sent + (uint32_t)socket->out.length,
		.received = socket->first_received + (uint32_t)socket->in_arrived +
			    (socket->in_fin_arrived ? 1 : 0),
		.timestamp = socket->ticks + (uint32_t)socket->fake->now,
		.segment = socket->segment,
	};
}

/* What it has sent is on its way none the less. */
void fake_socket_abandon(struct fake_socket *socket)
{
	list_remove(&socket->watch.ready);
	socket->watch.active = false;
	socket->fd = -1;
	socket->closed = FAKE_ABANDONED;
}

int fake_socket_shutdown(struct fake_socket *socket)
{
	if (socket->state != FAKE_CONNECTED) {
		socket->shut_when_dead = true;
		return -ENOTCONN;
	}
	socket->shut_write = socket->out_fin = true;
	fake_socket_wake(socket, 0);
	fake_network(socket);
	return 0;
}

static uint8_t state_of(const struct fake_socket *socket)
{
	if (socket->state == FAKE_DEAD)
		return STATE_CLOSE;
	return socket->in_fin_arrived ? STATE_CLOSE_WAIT : STATE_ESTABLISHED;
}

void fake_socket_info(const struct fake_socket *socket, struct tcp_info *info)
{
	size_t unread = socket->out_delivered - socket->peer_read;
	size_t window = socket->peer_stalls ? socket->peer_window - unread : 65536;
	size_t unacked = (size_t)fake_socket_unsent(socket);
	uint64_t silence = socket->fake->now - socket->last_ack;
	uint8_t tries = silence / 1000 < 255 ? (uint8_t)(silence / 1000) : 255;

	/* What the window keeps back is not under way. */
	if (window == 0)
		unacked -= socket->out.length - socket->out_delivered;
	*info = (struct tcp_info){
		.tcpi_unacked = (uint32_t)((unacked + SEGMENT - 1) / SEGMENT),
		.tcpi_snd_wnd = (uint32_t)window,
		.tcpi_last_ack_recv = (uint32_t)silence,
		.tcpi_state = state_of(socket),
		.tcpi_options = socket->tcp_options,
		.tcpi_pmtu = socket->path_mtu,
		.tcpi_advmss = socket->own_segment,
		.tcpi_snd_mss = socket->segment,
		.tcpi_snd_wscale = 7,
		.tcpi_rcv_wscale = 9,
	};
	if (socket->peer_silent && fake_socket_unsent(socket) > 0) {
		if (window == 0)
			info->tcpi_probes = tries;
		else
			info->tcpi_retransmits = tries;
	}
}

void fake_socket_connect(struct fake_socket *socket, bool hold)
{
	socket->state = FAKE_CONNECTING;
	if (!hold)
		fake_connect_done(socket);
}

void fake_connect_done(struct fake_socket *socket)
{
	assert(socket->state == FAKE_CONNECTING);
	socket->state = FAKE_CONNECTED;
	socket->last_ack = socket->last_advance = socket->fake->now;
	fake_socket_wake(socket, 0);
	fake_socket_wake(socket, EPOLLOUT);
	fake_network(socket);
}

void fake_connect_failed(struct fake_socket *socket, int error)
{
	assert(socket->state == FAKE_CONNECTING);
	die(socket, error);
}

void fake_give_up(struct fake_socket *socket, int error)
{
	assert(socket->state == FAKE_CONNECTED);
	die(socket, error);
}

void fake_socket_close(struct fake_socket *socket)
{
	bool reset = socket->linger || socket->in_arrived > socket->in_read;

	list_remove(&socket->watch.ready);
	socket->watch.active = false;
	socket->fd = -1;
	socket->closed = reset ? FAKE_CLOSED_RESET : FAKE_CLOSED_ORDERLY;
	if (reset) {
		reset_leaves(socket);
	} else if (socket->state == FAKE_CONNECTED) {
		socket->shut_write = socket->out_fin = true;
		fake_network(socket);
	}
}

void fake_socket_pass(struct fake_socket *socket)
{
	int timeout = fake_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT);
	uint64_t now = socket->fake->now;

	if (!socket->peer_silent)
		socket->last_ack = now;
	if (socket->state != FAKE_CONNECTED || fake_socket_unsent(socket) == 0)
		socket->last_advance = now;
	else if (timeout > 0 && now - socket->last_advance >= (uint64_t)timeout)
		die(socket, -ETIMEDOUT);
}

void fake_peer_send(struct fake_socket *socket, const void *bytes, size_t length)
{
	assert(!socket->in_fin && !socket->peer_gone);
	if (socket->state != FAKE_CONNECTED)
		return;
	fake_bytes_append(&socket->in, bytes, length);
	fake_network(socket);
}

void fake_peer_send_urgent(struct fake_socket *socket, uint8_t byte)
{
	/* One mark at a time: the kernel forgets the older one. */
	socket->urgent_at = socket->in.length;
	fake_peer_send(socket, &byte, 1);
}

void fake_peer_finish(struct fake_socket *socket)
{
	if (socket->state != FAKE_CONNECTED)
		return;
	socket->in_fin = true;
	fake_network(socket);
}

void fake_peer_close(struct fake_socket *socket)
{
	socket->in_fin = socket->peer_gone = true;
	fake_network(socket);
}

void fake_peer_reset(struct fake_socket *socket)
{
	if (socket->peer_gone && !socket->in_fin)
		return;
	socket->peer_gone = true;
	socket->in.length = socket->in_arrived;
	if (socket->urgent_at >= socket->in.length)
		socket->urgent_at = FAKE_NO_LIMIT;
	reset_arrives(socket);
}

size_t fake_peer_read(struct fake_socket *socket, size_t length)
{
	size_t read = 0;

	/* Whatever the window kept back comes as soon as there is room. */
	while (read < length && socket->out_delivered > socket->peer_read) {
		size_t step = smaller(length - read, socket->out_delivered - socket->peer_read);

		socket->peer_read += step;
		read += step;
		fake_network(socket);
	}
	return read;
}
