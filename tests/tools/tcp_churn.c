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
#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "arguments.h"
#include "churn_run.h"
#include "os/descriptors.h"

#define BACKLOG       4096
#define EVENTS        256
#define OPENS_A_ROUND 64
#define SECOND        UINT64_C(1000000000)

static void print_counts(void)
{
	churn_print(&churn.counts, (double)(churn_now() - churn.began) / (double)SECOND,
		    churn.open);
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
		churn_accept(event->data.ptr);
	else
		churn_take_turn(event->data.ptr);
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
		bool busy = churn.first_queued != NULL || churn_may_open();
		int count = epoll_wait(churn.epoll, events, EVENTS,
				       busy                                     ? 0
				       : churn.rate > 0 || churn.paused != NULL ? 1
										: 50);
		uint64_t time;

		for (int i = 0; i < count; i++)
			dispatch(&events[i]);
		churn_run_queue();
		if (churn.paused != NULL)
			churn_wake_paused(churn_now());
		for (int i = 0; i < OPENS_A_ROUND && churn_may_open(); i++)
			churn_open();
		time = churn_now();
		if (time - churn.scanned > SECOND) {
			churn_scan(time);
			churn.scanned = time;
		}
		churn_free_dead();
	}
}

/* The start. */

static void start_listener(struct churn_listener *listener)
{
	struct sockaddr_storage name;
	socklen_t length = address_to_sockaddr(&listener->address, &name);
	const int on = 1;

	listener->fd = -1;
	if (length == 0)
		return;
	listener->fd = churn_socket(CHURN_UPSTREAM, name.ss_family);
	setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener->fd, (struct sockaddr *)&name, length) < 0 ||
	    listen(listener->fd, BACKLOG) < 0)
		err(EXIT_FAILURE, "the upstream's socket");
	churn_watch(listener->fd, EPOLLIN, listener);
}

static void usage(FILE *to)
{
	fputs("Usage: tcp_churn --to ADDRESS:PORT --dead-end ADDRESS:PORT --upstream ADDRESS:PORT\n"
	      "           [--upstream6 ADDRESS:PORT] [--count N] [--at-a-time N] [--rate N] "
	      "[--seed N]\n"
	      "           [--mix any|lasting|sound] [--balancer ADDRESS:0]\n"
	      "           [--balancer-namespace NAME] [--upstream-namespace NAME]\n"
	      "Opens N connections through a mmproxy at --to, whose upstreams it is: some of them\n"
	      "are served, others reset or refused, all of them judged. At --dead-end is a "
	      "listener\n"
	      "of mmproxy's whose upstream does not listen. Without --count it goes on until its\n"
	      "standard input ends; a line there asks for the counts. Of the mix `lasting' none "
	      "is\n"
	      "refused, and each lasts a while, with messages in turns, streams and pauses; of\n"
	      "`sound', all are served as well. These need no --dead-end. The balancer's address\n"
	      "is one of the 65,536 from --balancer on.\n",
	      to);
}

static enum churn_mix mix_argument(const char *text)
{
	if (strcmp(text, "any") == 0)
		return CHURN_ANY;
	if (strcmp(text, "lasting") == 0)
		return CHURN_LASTING;
	if (strcmp(text, "sound") != 0)
		errx(EXIT_FAILURE, "--mix: not any, lasting or sound: %s", text);
	return CHURN_SOUND;
}

static int namespace_argument(const char *option, const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		err(EXIT_FAILURE, "--%s: %s", option, path);
	return fd;
}

static bool are_complete(void)
{
	if (churn.to.family == ADDRESS_NONE)
		return false;
	if (churn.mix == CHURN_ANY)
		return churn.dead_end.family == churn.to.family &&
		       churn.listeners[0].address.family == ADDRESS_IPV4;
	return churn.listeners[churn.to.family == ADDRESS_IPV6].address.family == churn.to.family;
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
		{"mix", required_argument, NULL, 'm'},
		{"balancer", required_argument, NULL, 'b'},
		{"balancer-namespace", required_argument, NULL, 'B'},
		{"upstream-namespace", required_argument, NULL, 'U'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option;

	churn.at_a_time = 500;
	churn.namespaces[CHURN_CLIENT] = churn.namespaces[CHURN_UPSTREAM] = -1;
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
		case 'm':
			churn.mix = mix_argument(optarg);
			break;
		case 'b':
			churn.balancer = endpoint_argument("balancer", optarg);
			break;
		case 'B':
			churn.namespaces[CHURN_CLIENT] =
				namespace_argument("balancer-namespace", optarg);
			break;
		case 'U':
			churn.namespaces[CHURN_UPSTREAM] =
				namespace_argument("upstream-namespace", optarg);
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			usage(stderr);
			exit(EXIT_FAILURE);
		}
	}
	if (optind != argc || !are_complete() ||
	    (churn.namespaces[CHURN_CLIENT] < 0) != (churn.namespaces[CHURN_UPSTREAM] < 0)) {
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
	churn_watch(STDIN_FILENO, EPOLLIN, &churn);
	churn.began = churn.scanned = churn_now();
	run();
	print_counts();
	return churn_faults(&churn.counts) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
