/* SPDX-License-Identifier: MIT */
/*
 * tcp_churn: TCP connections through mmproxy with all that can happen to them, and the upstream
 * that takes them.
 *
 * What happens to a connection is a function of the seed and its number (churn_plan.c): sizes, who
 * ends first, who resets or leaves where, where its header is cut, or what is wrong with it. The
 * upstream knows a connection by its client's address, which no other one has. Both ends are in
 * this process, so each knows what the other one has sent: every byte is compared, and every end
 * judged (churn_judge.c).
 *
 * A line on standard input asks for the counts so far; without --count, its end is the end: what is
 * open is waited for. The exit status says whether there was a fault.
 */
#include "tcp_churn.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "arguments.h"
#include "os/descriptors.h"

/* Connections that the upstream can still tell apart; a power of two. */
#define KNOWN         (1u << 20)
#define BACKLOG       4096
#define EVENTS        256
#define OPENS_A_ROUND 64
#define SMALL_BUFFER  4096 /* bytes */
#define SECOND        UINT64_C(1000000000)
#define STUCK         (30 * SECOND)
/* For the upstream to see, or not, a connection whose client has gone at once. */
#define UNSEEN (5 * SECOND)

struct listener {
	int fd;
	struct address address;
};

static struct {
	struct address to, dead_end;
	struct listener listeners[2]; /* IPv4, and IPv6 if it is given */
	uint64_t count, seed;         /* count 0: until the input ends */
	unsigned at_a_time, rate;
	bool ending;
	int epoll;
	unsigned open;    /* connections with an open end */
	unsigned waiting; /* connections whose upstream's end is not there yet, or never will be */
	uint64_t began, scanned;
	struct churn_connection *known[KNOWN];
	struct churn_end *first_queued, **last_queued;
	struct churn_connection *dead;
	struct churn_counts counts;
} churn;

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

static void print_counts(void)
{
	churn_print(&churn.counts, (double)(now() - churn.began) / (double)SECOND, churn.open);
}

static void watch(int fd, uint32_t events, void *owner)
{
	struct epoll_event event = {.events = events, .data.ptr = owner};

	if (epoll_ctl(churn.epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		err(EXIT_FAILURE, "epoll_ctl");
}

static void queue(struct churn_end *end)
{
	if (end->queued)
		return;
	end->queued = true;
	end->next_queued = NULL;
	*churn.last_queued = end;
	churn.last_queued = &end->next_queued;
}

/* The end of a connection. */

static bool is_open(const struct churn_connection *connection)
{
	return connection->ends[CHURN_CLIENT].fd >= 0 || connection->ends[CHURN_UPSTREAM].fd >= 0;
}

static bool may_still_come(const struct churn_connection *connection)
{
	return churn_reaches_upstream(connection->plan.kind) && !connection->accepted;
}

/* Judged, forgotten, and freed when no event and no turn can name it any more. */
static void bury(struct churn_connection *connection)
{
	churn_judge(&churn.counts, connection);
	churn.known[connection->number % KNOWN] = NULL;
	connection->next_dead = churn.dead;
	churn.dead = connection;
}

static void free_dead(void)
{
	struct churn_connection **next = &churn.dead;

	while (*next != NULL) {
		struct churn_connection *connection = *next;

		if (connection->ends[CHURN_CLIENT].queued ||
		    connection->ends[CHURN_UPSTREAM].queued) {
			next = &connection->next_dead;
			continue;
		}
		*next = connection->next_dead;
		free(connection);
	}
}

static void take_turn(struct churn_end *end)
{
	struct churn_connection *connection = end->connection;

	if (end->fd < 0)
		return;
	connection->progress = now();
	if (churn_end_turn(end)) {
		queue(end);
		return;
	}
	if (is_open(connection))
		return;
	churn.open--;
	if (may_still_come(connection))
		churn.waiting++;
	else
		bury(connection);
}

/* Once a second: who is stuck, and who will not come any more. */
static void scan(uint64_t time)
{
	for (size_t i = 0; i < KNOWN; i++) {
		struct churn_connection *connection = churn.known[i];

		if (connection == NULL)
			continue;
		if (!is_open(connection) && time - connection->progress > UNSEEN) {
			churn.waiting--;
			bury(connection);
		} else if (is_open(connection) && time - connection->progress > STUCK) {
			churn_fault(&churn.counts, CHURN_STUCK, connection);
			for (size_t side = 0; side < CHURN_SIDES; side++) {
				if (connection->ends[side].fd >= 0)
					churn_end_close(&connection->ends[side], true);
			}
			churn.open--;
			churn.known[i] = NULL;
			connection->next_dead = churn.dead;
			churn.dead = connection;
		}
	}
}

/* The client's end: what a balancer opens. */

static void prepare(int fd, bool small_buffers)
{
	const int on = 1, small = SMALL_BUFFER;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (small_buffers) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	}
}

/* One of 65,536 addresses of loopback's, or the only one of IPv6's. */
static void bind_balancer(int fd, uint64_t number)
{
	const int on = 1;
	struct sockaddr_in name = {.sin_family = AF_INET};

	if (churn.to.family != ADDRESS_IPV4)
		return;
	name.sin_addr.s_addr = htonl(0x7f010000 | (number & 0xffff));
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		err(EXIT_FAILURE, "bind");
}

static struct churn_connection *connection_create(uint64_t number)
{
	struct churn_connection *connection = calloc(1, sizeof(*connection));

	if (connection == NULL)
		err(EXIT_FAILURE, "no memory");
	connection->number = number;
	connection->random = churn.seed ^ number;
	connection->progress = now();
	churn_plan_make(&connection->plan, churn.seed, number, churn.listeners[1].fd >= 0);
	for (size_t i = 0; i < CHURN_SIDES; i++) {
		connection->ends[i].connection = connection;
		connection->ends[i].side = (enum churn_side)i;
		connection->ends[i].fd = -1;
	}
	return connection;
}

static void open_connection(void)
{
	uint64_t number = churn.counts.opened++;
	struct churn_connection *connection = connection_create(number);
	struct churn_end *end = &connection->ends[CHURN_CLIENT];
	const struct address *to =
		connection->plan.kind == CHURN_DEAD_END ? &churn.dead_end : &churn.to;
	struct sockaddr_storage name;
	socklen_t length = address_to_sockaddr(to, &name);

	end->fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (end->fd < 0)
		err(EXIT_FAILURE, "socket");
	prepare(end->fd, connection->plan.small_buffers);
	bind_balancer(end->fd, number);
	churn.known[number % KNOWN] = connection;
	churn.open++;
	if (connect(end->fd, (struct sockaddr *)&name, length) < 0 && errno != EINPROGRESS)
		err(EXIT_FAILURE, "connect");
	watch(end->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, end);
}

static bool may_open(void)
{
	uint64_t number = churn.counts.opened;

	if (churn.ending || (churn.count > 0 && number >= churn.count) ||
	    churn.open >= churn.at_a_time || churn.known[number % KNOWN] != NULL)
		return false;
	return churn.rate == 0 || number < (now() - churn.began) / 1000 * churn.rate / 1000000;
}

/* The upstream's end. */

static struct churn_connection *expected(const struct address *peer)
{
	uint64_t number = churn_number_of(peer);
	struct churn_connection *connection;

	/* The address tells the number modulo what fits it: the latest one with that address. */
	if (number == UINT64_MAX)
		return NULL;
	connection = churn.known[number % KNOWN];
	if (connection == NULL || !address_equal(&connection->plan.client, peer))
		return NULL;
	return connection;
}

static void accept_connections(const struct listener *listener)
{
	struct sockaddr_storage name;
	socklen_t length = sizeof(name);
	int fd;

	while ((fd = accept4(listener->fd, (struct sockaddr *)&name, &length,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct address peer = address_from_sockaddr(&name);
		struct churn_connection *connection = expected(&peer);

		length = sizeof(name);
		if (connection == NULL || connection->accepted) {
			churn_fault(&churn.counts, CHURN_STRANGER, connection);
			close(fd);
			continue;
		}
		if (!churn_reaches_upstream(connection->plan.kind)) {
			churn_fault(&churn.counts, CHURN_LEAKED, connection);
			close(fd);
			continue;
		}
		if (!is_open(connection)) {
			churn.open++;
			churn.waiting--;
		}
		connection->accepted = true;
		connection->ends[CHURN_UPSTREAM].fd = fd;
		prepare(fd, connection->plan.small_buffers);
		watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		      &connection->ends[CHURN_UPSTREAM]);
	}
}

/* The loop. */

static void input_ready(void)
{
	char bytes[64];

	if (read(STDIN_FILENO, bytes, sizeof(bytes)) > 0) {
		print_counts();
		return;
	}
	epoll_ctl(churn.epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
	churn.ending = churn.count == 0;
}

static void dispatch(const struct epoll_event *event)
{
	if (event->data.ptr == &churn)
		input_ready();
	else if (event->data.ptr == &churn.listeners[0] || event->data.ptr == &churn.listeners[1])
		accept_connections(event->data.ptr);
	else
		take_turn(event->data.ptr);
}

/* Each gets one turn; who has more to do comes again in the next round. */
static void run_queue(void)
{
	struct churn_end *end = churn.first_queued;

	churn.first_queued = NULL;
	churn.last_queued = &churn.first_queued;
	while (end != NULL) {
		struct churn_end *next = end->next_queued;

		end->queued = false;
		take_turn(end);
		end = next;
	}
}

static bool is_over(void)
{
	bool all = churn.ending || (churn.count > 0 && churn.counts.opened >= churn.count);

	return all && churn.open == 0 && churn.waiting == 0;
}

static void run(void)
{
	struct epoll_event events[EVENTS];

	while (!is_over()) {
		bool busy = churn.first_queued != NULL || may_open();
		int count = epoll_wait(churn.epoll, events, EVENTS,
				       busy             ? 0
				       : churn.rate > 0 ? 1
							: 50);
		uint64_t time;

		for (int i = 0; i < count; i++)
			dispatch(&events[i]);
		run_queue();
		for (int i = 0; i < OPENS_A_ROUND && may_open(); i++)
			open_connection();
		time = now();
		if (time - churn.scanned > SECOND) {
			scan(time);
			churn.scanned = time;
		}
		free_dead();
	}
}

/* The start. */

static void start_listener(struct listener *listener)
{
	struct sockaddr_storage name;
	socklen_t length = address_to_sockaddr(&listener->address, &name);
	const int on = 1;

	listener->fd = -1;
	if (length == 0)
		return;
	listener->fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener->fd, (struct sockaddr *)&name, length) < 0 ||
	    listen(listener->fd, BACKLOG) < 0)
		err(EXIT_FAILURE, "the upstream's socket");
	watch(listener->fd, EPOLLIN, listener);
}

static void usage(FILE *to)
{
	fputs("Usage: tcp_churn --to ADDRESS:PORT --dead-end ADDRESS:PORT --upstream ADDRESS:PORT\n"
	      "           [--upstream6 ADDRESS:PORT] [--count N] [--at-a-time N] [--rate N] "
	      "[--seed N]\n"
	      "Opens N connections through a mmproxy at --to, whose upstreams it is: some of them\n"
	      "are served, others reset or refused, all of them judged. At --dead-end is a "
	      "listener\n"
	      "of mmproxy's whose upstream does not listen. Without --count it goes on until its\n"
	      "standard input ends; a line there asks for the counts.\n",
	      to);
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{"to", required_argument, NULL, 't'},
		{"dead-end", required_argument, NULL, 'd'},
		{"upstream", required_argument, NULL, '4'},
		{"upstream6", required_argument, NULL, '6'},
		{"count", required_argument, NULL, 'c'},
		{"at-a-time", required_argument, NULL, 'a'},
		{"rate", required_argument, NULL, 'r'},
		{"seed", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option;

	churn.at_a_time = 500;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 't':
			churn.to = endpoint_argument("to", optarg);
			break;
		case 'd':
			churn.dead_end = endpoint_argument("dead-end", optarg);
			break;
		case '4':
			churn.listeners[0].address = endpoint_argument("upstream", optarg);
			break;
		case '6':
			churn.listeners[1].address = endpoint_argument("upstream6", optarg);
			break;
		case 'c':
			churn.count = number_argument("count", optarg, 1, 1000000000);
			break;
		case 'a':
			churn.at_a_time = number_argument("at-a-time", optarg, 1, 9000);
			break;
		case 'r':
			churn.rate = number_argument("rate", optarg, 1, 1000000);
			break;
		case 's':
			churn.seed = number_argument("seed", optarg, 0, UINT32_MAX);
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			usage(stderr);
			exit(EXIT_FAILURE);
		}
	}
	if (optind != argc || churn.to.family == ADDRESS_NONE ||
	    churn.dead_end.family != churn.to.family ||
	    churn.listeners[0].address.family != ADDRESS_IPV4) {
		usage(stderr);
		exit(EXIT_FAILURE);
	}
}

int main(int argc, char **argv)
{
	read_options(argc, argv);
	descriptors_raise_limit(); /* two for each connection */
	churn.last_queued = &churn.first_queued;
	churn.epoll = epoll_create1(EPOLL_CLOEXEC);
	start_listener(&churn.listeners[0]);
	start_listener(&churn.listeners[1]);
	watch(STDIN_FILENO, EPOLLIN, &churn);
	churn.began = churn.scanned = now();
	run();
	print_counts();
	return churn_faults(&churn.counts) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
