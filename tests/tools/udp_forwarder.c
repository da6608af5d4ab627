/* SPDX-License-Identifier: MIT */
/*
 * udp_forwarder: a balancer for UDP. Takes datagrams from plain clients, sends each on to a target
 * with a PROXY v2 or SPP header in front, and hands the replies back.
 *
 * One thread. All is done in batches, and replies of one size leave in one segmented send, so that
 * in a measurement it is not this program that is measured. Clients are never forgotten: it runs
 * for the length of a test.
 */
#include "udp_forwarder.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/sock_diag.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>

#include "arguments.h"
#include "os/descriptors.h"

static volatile sig_atomic_t ending;

static void end(int signal)
{
	(void)signal;
	ending = 1;
}

static void run(struct forwarder *forwarder)
{
	sigset_t unblocked;
	struct epoll_event events[BATCH_MAX];

	sigemptyset(&unblocked);
	while (!ending) {
		int count = epoll_pwait(forwarder->epoll, events, BATCH_MAX, -1, &unblocked);

		if (count < 0 && errno != EINTR)
			err(EXIT_FAILURE, "epoll_pwait");
		for (int i = 0; i < count; i++) {
			void *owner = events[i].data.ptr;

			if (owner == &forwarder->listen_fd)
				requests_forward(forwarder);
			else if (owner == &forwarder->shared_fd)
				replies_collect(forwarder, forwarder->shared_fd, NULL);
			else
				replies_collect(forwarder, ((struct client *)owner)->fd, owner);
		}
		replies_return(forwarder);
	}
}

/* The start and the end. */

static void listen_for_clients(struct forwarder *forwarder)
{
	static const uint8_t anywhere[16];
	struct timeval patience = {.tv_sec = SEND_SECONDS};
	bool ipv6 = forwarder->listen.family == ADDRESS_IPV6;
	int on = 1, off = 0, fd = udp_open(&forwarder->listen);

	if (fd < 0)
		err(EXIT_FAILURE, "socket");
	forwarder->listen_fd = fd;
	forwarder->wildcard = memcmp(forwarder->listen.ip, anywhere, sizeof(anywhere)) == 0;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (forwarder->wildcard && ipv6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	} else if (forwarder->wildcard) {
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	}
	udp_bind(fd, &forwarder->listen);
	forwarder_watch(forwarder, fd, &forwarder->listen_fd);
}

static void start(struct forwarder *forwarder)
{
	descriptors_raise_limit(); /* one for each client */
	forwarder->clients = calloc(CLIENTS_MAX, sizeof(*forwarder->clients));
	if (forwarder->clients == NULL)
		err(EXIT_FAILURE, "no memory");
	batch_init(&forwarder->from_clients, DATAGRAM_MAX);
	batch_init(&forwarder->from_target, DATAGRAM_MAX);
	forwarder->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (forwarder->epoll < 0)
		err(EXIT_FAILURE, "epoll_create1");
	forwarder->shared_fd = -1;
	if (forwarder->shared) {
		forwarder->shared_fd = forwarder_open_toward_target(forwarder);
		if (forwarder->shared_fd < 0)
			err(EXIT_FAILURE, "a socket toward the target");
		forwarder_watch(forwarder, forwarder->shared_fd, &forwarder->shared_fd);
	}
	listen_for_clients(forwarder);
}

/* What the kernel dropped because this program came too late. */
static uint32_t overflowed(int fd)
{
	uint32_t values[SK_MEMINFO_VARS] = {0};
	socklen_t length = sizeof(values);

	getsockopt(fd, SOL_SOCKET, SO_MEMINFO, values, &length);
	return values[SK_MEMINFO_DROPS];
}

static void report(const struct forwarder *forwarder)
{
	uint64_t lost = overflowed(forwarder->listen_fd);

	if (forwarder->shared)
		lost += overflowed(forwarder->shared_fd);
	for (unsigned i = 0; i < forwarder->clients_count && !forwarder->shared; i++)
		lost += overflowed(forwarder->clients[i].fd);
	printf("udp_forwarder: received=%" PRIu64 " forwarded=%" PRIu64 " replies=%" PRIu64
	       " dropped=%" PRIu64 " overflowed=%" PRIu64 "\n",
	       forwarder->received, forwarder->forwarded, forwarder->replied, forwarder->dropped,
	       lost);
}

static void usage(FILE *to)
{
	fputs("Usage: udp_forwarder --listen ADDRESS:PORT --to ADDRESS:PORT "
	      "--framing every|first|spp\n"
	      "                     [--bind ADDRESS[:PORT]] [--shared]\n"
	      "A balancer: sends what plain clients send on to a target, a header in front.\n"
	      "  --listen   where clients send to; 0.0.0.0 and [::] stand for every address\n"
	      "  --to       the target\n"
	      "  --framing  PROXY v2 in front of every datagram or of a client's first one, or "
	      "SPP\n"
	      "  --bind     the source toward the target; with a port and without --shared, one\n"
	      "             client alone is served\n"
	      "  --shared   one socket toward the target for all clients; SPP only\n"
	      "SIGTERM ends it and has it print what it counted.\n",
	      to);
}

static void read_options(struct forwarder *forwarder, int argc, char **argv)
{
	static const struct option options[] = {
		{"listen", required_argument, NULL, 'l'},
		{"to", required_argument, NULL, 't'},
		{"framing", required_argument, NULL, 'f'},
		{"bind", required_argument, NULL, 'b'},
		{"shared", no_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			forwarder->listen = endpoint_argument("listen", optarg);
			break;
		case 't':
			forwarder->target = endpoint_argument("to", optarg);
			break;
		case 'f':
			if (!framing_parse(optarg, &forwarder->framing) ||
			    forwarder->framing == FRAMING_NONE)
				errx(EXIT_FAILURE, "--framing: not every, first or spp: %s",
				     optarg);
			break;
		case 'b':
			if (address_parse_ip(optarg, &forwarder->source) != 0)
				forwarder->source = endpoint_argument("bind", optarg);
			break;
		case 's':
			forwarder->shared = true;
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			usage(stderr);
			exit(EXIT_FAILURE);
		}
	}
	if (optind != argc || forwarder->listen.family == ADDRESS_NONE ||
	    forwarder->target.family == ADDRESS_NONE || forwarder->framing == FRAMING_NONE) {
		usage(stderr);
		exit(EXIT_FAILURE);
	}
}

/* Refuses what cannot work, with the reason. */
static void judge_options(struct forwarder *forwarder)
{
	if (forwarder->shared && forwarder->framing != FRAMING_SPP)
		errx(EXIT_FAILURE, "--shared needs --framing spp: other replies do not say whose "
				   "they are");
	if (forwarder->source.family != ADDRESS_NONE &&
	    forwarder->source.family != forwarder->target.family)
		errx(EXIT_FAILURE, "--bind and --to are of different families");
	forwarder->clients_max =
		forwarder->source.port != 0 && !forwarder->shared ? 1 : CLIENTS_MAX;
}

int main(int argc, char **argv)
{
	static struct forwarder forwarder;
	struct sigaction action = {.sa_handler = end};
	sigset_t ends;

	read_options(&forwarder, argc, argv);
	judge_options(&forwarder);

	/* Taken only while waiting, so that none comes between looking and waiting. */
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);

	start(&forwarder);
	puts("udp_forwarder: ready");
	fflush(stdout);
	run(&forwarder);
	report(&forwarder);
	return EXIT_SUCCESS;
}
