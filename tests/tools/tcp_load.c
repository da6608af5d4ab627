/* SPDX-License-Identifier: MIT */
/*
 * tcp_load: many short TCP sessions through mmproxy, and the upstream that answers them.
 *
 * So many times a second it connects as a balancer, sends a PROXY v1 header that names a client no
 * other session has, and a line. The upstream, which is here as well, answers with the address that
 * it sees and the line, and closes. What came back to the balancer's end is compared with what must
 * come: each session ends in exactly one of the counts below.
 *
 * A line on standard input asks for the counts so far, its end for the last sessions to finish, the
 * last counts, and the end. It judges nothing by time: when the machine is too slow for the rate,
 * it is the rate that suffers.
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "arguments.h"
#include "base/address.h"
#include "os/descriptors.h"

#define TEXT_MAX     160 /* bytes of what either side sends; it fits one segment */
#define OPEN_MAX     1000
#define RATE_MAX     1000000 /* sessions a second */
#define TICK         1000000 /* nanoseconds between looks at what is due */
#define EVENTS       256
#define LAST_SECONDS 20 /* for the last sessions to finish */
#define BACKLOG      4096

/* One end of a session: the balancer's, or the upstream's. */
struct end {
	int fd;
	bool balancer, sent;
	size_t received;
	char text[TEXT_MAX];     /* what was received */
	char expected[TEXT_MAX]; /* what the balancer's end must receive */
	char request[TEXT_MAX];
};

struct load {
	struct address to, upstream;
	unsigned rate;
	int epoll, timer, listener;
	bool ending;
	struct timespec began;
	uint64_t opened;
	/* Of sessions that are over. */
	uint64_t right;   /* the whole answer, with the client's own address */
	uint64_t wrong;   /* another answer */
	uint64_t cut;     /* closed in order, with less than the answer */
	uint64_t refused; /* connections */
	uint64_t reset;
	uint64_t failed; /* in another way */
};

static uint64_t over(const struct load *load)
{
	return load->right + load->wrong + load->cut + load->refused + load->reset + load->failed;
}

static void print_counts(const struct load *load)
{
	printf("opened=%" PRIu64 " right=%" PRIu64 " wrong=%" PRIu64 " cut=%" PRIu64
	       " refused=%" PRIu64 " reset=%" PRIu64 " failed=%" PRIu64 " open=%" PRIu64 "\n",
	       load->opened, load->right, load->wrong, load->cut, load->refused, load->reset,
	       load->failed, load->opened - over(load));
	fflush(stdout);
}

static void watch(struct load *load, int fd, uint32_t events, void *owner)
{
	struct epoll_event event = {.events = events, .data = {.ptr = owner}};

	if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		err(EXIT_FAILURE, "epoll_ctl");
}

static struct end *end_create(struct load *load, int fd, bool balancer)
{
	struct end *end = calloc(1, sizeof(*end));

	if (end == NULL)
		err(EXIT_FAILURE, "no memory");
	end->fd = fd;
	end->balancer = balancer;
	watch(load, fd, balancer ? EPOLLIN | EPOLLOUT | EPOLLET : EPOLLIN, end);
	return end;
}

static void end_free(struct end *end)
{
	close(end->fd);
	free(end);
}

/* The balancer's end. */

/* The address of each session's client, and of the balancer: one of a /16 of loopback's. */
static void name_session(struct end *end, uint64_t number, struct sockaddr_in *source)
{
	uint8_t client[4] = {198, 18, (uint8_t)(number >> 8), (uint8_t)number};
	unsigned port = 20000 + (unsigned)(number >> 16) % 40000;
	struct address address = address_from_ipv4(client, (uint16_t)port);
	char text[ADDRESS_TEXT_SIZE], ip[ADDRESS_TEXT_SIZE];

	address_format(&address, text);
	address_format_ip(&address, ip);
	snprintf(end->request, sizeof(end->request),
		 "PROXY TCP4 %s 192.0.2.80 %u 443\r\nsession %" PRIu64 "\n", ip, port, number);
	snprintf(end->expected, sizeof(end->expected), "%s session %" PRIu64 "\n", text, number);
	*source = (struct sockaddr_in){.sin_family = AF_INET};
	source->sin_addr.s_addr = htonl(0x7f010000 | (number & 0xffff));
}

static void count_error(struct load *load, int error)
{
	switch (error) {
	case ECONNREFUSED:
		load->refused++;
		break;
	case ECONNRESET:
	case EPIPE:
		load->reset++;
		break;
	default:
		if (load->failed++ == 0)
			warnx("a session: %s", strerror(error));
	}
}

static void open_session(struct load *load)
{
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_storage to;
	socklen_t length = address_to_sockaddr(&load->to, &to);
	struct sockaddr_in source;
	struct end *end;

	if (fd < 0)
		err(EXIT_FAILURE, "socket");
	end = end_create(load, fd, true);
	name_session(end, load->opened++, &source);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&source, sizeof(source)) < 0)
		err(EXIT_FAILURE, "bind");
	if (connect(fd, (struct sockaddr *)&to, length) < 0 && errno != EINPROGRESS) {
		count_error(load, errno);
		end_free(end);
	}
}

static void judge(struct load *load, const struct end *end)
{
	size_t whole = strlen(end->expected);

	if (end->received == whole && memcmp(end->text, end->expected, whole) == 0)
		load->right++;
	else if (end->received < whole && memcmp(end->text, end->expected, end->received) == 0)
		load->cut++;
	else
		load->wrong++;
}

/* Whether more may come. Otherwise `error` is 0 after an orderly end. */
static bool receive(struct end *end, int *error)
{
	for (;;) {
		/* A byte too much is one too much: it is not what was expected. */
		ssize_t length =
			recv(end->fd, end->text + end->received, TEXT_MAX - end->received, 0);

		*error = length < 0 ? errno : 0;
		if (length < 0 && errno == EAGAIN)
			return true;
		if (length <= 0)
			return false;
		end->received += (size_t)length;
	}
}

static void balancer_ready(struct load *load, struct end *end, uint32_t events)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (!end->sent && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
		size_t length = strlen(end->request);

		getsockopt(end->fd, SOL_SOCKET, SO_ERROR, &error, &size);
		if (error == 0 &&
		    send(end->fd, end->request, length, MSG_NOSIGNAL) != (ssize_t)length)
			error = errno;
		end->sent = true;
	}
	if (error == 0 && receive(end, &error))
		return;
	if (error != 0)
		count_error(load, error);
	else
		judge(load, end);
	end_free(end);
}

/* The upstream's end. */

static void accept_sessions(struct load *load)
{
	for (;;) {
		struct sockaddr_storage name;
		socklen_t length = sizeof(name);
		int fd = accept4(load->listener, (struct sockaddr *)&name, &length,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct address peer;
		struct end *end;

		if (fd < 0)
			return;
		peer = address_from_sockaddr(&name);
		end = end_create(load, fd, false);
		address_format(&peer, end->expected);
	}
}

/* The request is one line; what is wrong with it the balancer's end will see. */
static void upstream_ready(struct end *end)
{
	char answer[2 * TEXT_MAX];
	int error = 0, length;

	if (receive(end, &error) && memchr(end->text, '\n', end->received) == NULL)
		return;
	if (error == 0 || error == EAGAIN) {
		length = snprintf(answer, sizeof(answer), "%s %.*s", end->expected,
				  (int)end->received, end->text);
		send(end->fd, answer, (size_t)length, MSG_NOSIGNAL);
	}
	end_free(end);
}

/* The loop. */

static void open_what_is_due(struct load *load)
{
	struct timespec now;
	uint64_t ticks, due;

	if (read(load->timer, &ticks, sizeof(ticks)) < 0 || load->ending)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	due = (uint64_t)((double)load->rate * ((double)(now.tv_sec - load->began.tv_sec) +
					       (double)(now.tv_nsec - load->began.tv_nsec) / 1e9));
	while (load->opened < due && load->opened - over(load) < OPEN_MAX)
		open_session(load);
}

static void input_ready(struct load *load)
{
	char bytes[64];

	if (read(STDIN_FILENO, bytes, sizeof(bytes)) > 0) {
		print_counts(load);
		return;
	}
	load->ending = true;
	epoll_ctl(load->epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
}

static void dispatch(struct load *load, const struct epoll_event *event)
{
	struct end *end = event->data.ptr;

	if (event->data.ptr == &load->timer)
		open_what_is_due(load);
	else if (event->data.ptr == &load->listener)
		accept_sessions(load);
	else if (event->data.ptr == load)
		input_ready(load);
	else if (end->balancer)
		balancer_ready(load, end, event->events);
	else
		upstream_ready(end);
}

static void run(struct load *load)
{
	struct epoll_event events[EVENTS];
	time_t last = 0;

	while (!load->ending || load->opened > over(load)) {
		int count = epoll_wait(load->epoll, events, EVENTS, 100);

		for (int i = 0; i < count; i++)
			dispatch(load, &events[i]);
		if (load->ending && last == 0)
			last = time(NULL) + LAST_SECONDS;
		if (load->ending && time(NULL) > last)
			break;
	}
}

/* The start. */

static void start(struct load *load)
{
	struct itimerspec tick = {.it_interval.tv_nsec = TICK, .it_value.tv_nsec = TICK};
	struct sockaddr_storage name;
	socklen_t length = address_to_sockaddr(&load->upstream, &name);
	int on = 1;

	descriptors_raise_limit(); /* two for each session that is open */
	load->epoll = epoll_create1(EPOLL_CLOEXEC);
	load->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	load->listener = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(load->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(load->listener, (struct sockaddr *)&name, length) < 0 ||
	    listen(load->listener, BACKLOG) < 0)
		err(EXIT_FAILURE, "the upstream's socket");
	if (timerfd_settime(load->timer, 0, &tick, NULL) < 0)
		err(EXIT_FAILURE, "a timer");
	watch(load, load->timer, EPOLLIN, &load->timer);
	watch(load, load->listener, EPOLLIN, &load->listener);
	watch(load, STDIN_FILENO, EPOLLIN, load);
	clock_gettime(CLOCK_MONOTONIC, &load->began);
}

static void usage(FILE *to)
{
	fputs("Usage: tcp_load --to ADDRESS:PORT --upstream ADDRESS:PORT --rate N\n"
	      "Opens N sessions a second through a mmproxy at --to, whose upstream it is, and\n"
	      "counts those that were not answered as they should. A line on standard input asks\n"
	      "for the counts, its end for the end.\n",
	      to);
}

static void read_options(struct load *load, int argc, char **argv)
{
	static const struct option options[] = {
		{"to", required_argument, NULL, 't'},
		{"upstream", required_argument, NULL, 'u'},
		{"rate", required_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 't':
			load->to = endpoint_argument("to", optarg);
			break;
		case 'u':
			load->upstream = endpoint_argument("upstream", optarg);
			break;
		case 'r':
			load->rate = number_argument("rate", optarg, 1, RATE_MAX);
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			usage(stderr);
			exit(EXIT_FAILURE);
		}
	}
	if (optind != argc || load->to.family != ADDRESS_IPV4 ||
	    load->upstream.family == ADDRESS_NONE || load->rate == 0) {
		usage(stderr);
		exit(EXIT_FAILURE);
	}
}

int main(int argc, char **argv)
{
	static struct load load;

	read_options(&load, argc, argv);
	start(&load);
	run(&load);
	print_counts(&load);
	return EXIT_SUCCESS;
}
