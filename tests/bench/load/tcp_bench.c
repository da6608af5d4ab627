/* SPDX-License-Identifier: MIT */
/*
 * tcp_bench: the two ends of the TCP bench.
 *
 *   tcp_bench serve    is the upstream
 *   tcp_bench stream, ping, connect, idle
 *                      is a balancer and its clients, and measures
 *
 * None is run by `make check`: what they say depends on the machine and on who else uses it.
 */
#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "arguments.h"
#include "tcp_load.h"
#include "tcp_server.h"

#define CONNECTIONS_MAX 18000

static void usage(FILE *to)
{
	fputs("Usage: tcp_bench serve [--echo ADDRESS:PORT] [--sink ADDRESS:PORT]\n"
	      "                       [--source ADDRESS:PORT] [--text TEXT]\n"
	      "       tcp_bench stream|ping|connect|idle --to ADDRESS:PORT [OPTION]...\n"
	      "Loads:\n"
	      "  stream         each connection sends and receives as much as it can\n"
	      "  ping           each has one message on its way to the echo port and back\n"
	      "  connect        each sends a message to the echo port, gets it back, closes, and "
	      "is\n"
	      "                 followed by another\n"
	      "  idle           all exchange a message, and stay until standard input ends\n"
	      "Options:\n"
	      "  --connections  at a time: 50\n"
	      "  --size         bytes of a write or message: 6\n"
	      "  --header       none, v1 or v2: none\n"
	      "  --client       the number of the first client in the headers; no two connections\n"
	      "                 of a run have one in common, and no two runs should: 0\n"
	      "  --direction    of stream: echo, up (to the sink port) or down (from source): "
	      "echo\n"
	      "  --rate         of ping: messages a second; latencies then count from when a "
	      "message\n"
	      "                 was due. 0: as fast as it goes\n"
	      "  --text         what is sent, repeated; no byte of it twice. Both ends must agree\n"
	      "  --warm-up      seconds before counting begins: 0.5\n"
	      "  --seconds      for which is counted: 2\n"
	      "  --wait         when the warm-up is over, says \"warm\" and goes on with it until "
	      "a line\n"
	      "                 comes on standard input (not of idle)\n",
	      to);
}

static void refuse_usage(void)
{
	usage(stderr);
	exit(EXIT_FAILURE);
}

int64_t tcp_load_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void use_text(struct payload *payload, const char *text)
{
	if (!payload_init_text(payload, text))
		errx(EXIT_FAILURE, "--text: not 1 to 255 bytes, all different: %s", text);
}

static void run_server(int argc, char **argv)
{
	static const struct option options[] = {{"echo", required_argument, NULL, 'e'},
						{"sink", required_argument, NULL, 'd'},
						{"source", required_argument, NULL, 's'},
						{"text", required_argument, NULL, 't'},
						{0}};
	static struct tcp_server_options server;
	int option;

	payload_init(&server.payload);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'e':
			server.echo = endpoint_argument("echo", optarg);
			break;
		case 'd':
			server.sink = endpoint_argument("sink", optarg);
			break;
		case 's':
			server.source = endpoint_argument("source", optarg);
			break;
		case 't':
			use_text(&server.payload, optarg);
			break;
		default:
			refuse_usage();
		}
	}
	if (optind != argc)
		refuse_usage();
	tcp_server_run(&server);
}

static double decimal_argument(const char *option, const char *text, double most)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= 0 && value <= most))
		errx(EXIT_FAILURE, "--%s: not a number from 0 to %g: %s", option, most, text);
	return value;
}

static enum stream_direction direction_argument(const char *text)
{
	static const char *const names[] = {"echo", "up", "down"};

	for (size_t i = 0; i < 3; i++) {
		if (strcmp(text, names[i]) == 0)
			return (enum stream_direction)i;
	}
	errx(EXIT_FAILURE, "--direction: not echo, up or down: %s", text);
}

static void read_load_options(struct tcp_load_options *load, int argc, char **argv)
{
	static const struct option options[] = {
		{"to", required_argument, NULL, 't'},
		{"connections", required_argument, NULL, 'c'},
		{"size", required_argument, NULL, 's'},
		{"header", required_argument, NULL, 'h'},
		{"client", required_argument, NULL, 'n'},
		{"direction", required_argument, NULL, 'd'},
		{"rate", required_argument, NULL, 'r'},
		{"text", required_argument, NULL, 'x'},
		{"warm-up", required_argument, NULL, 'W'},
		{"seconds", required_argument, NULL, 'S'},
		{"wait", no_argument, NULL, 'w'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 't':
			load->target.to = endpoint_argument("to", optarg);
			break;
		case 'c':
			load->connections =
				number_argument("connections", optarg, 1, CONNECTIONS_MAX);
			break;
		case 's':
			load->size = number_argument("size", optarg, 1, PAYLOAD_PIECE_MAX);
			break;
		case 'h':
			if (!tcp_header_kind_parse(optarg, &load->target.header))
				errx(EXIT_FAILURE, "--header: not none, v1 or v2: %s", optarg);
			break;
		case 'n':
			load->target.next_client = number_argument("client", optarg, 0, UINT32_MAX);
			break;
		case 'd':
			load->direction = direction_argument(optarg);
			break;
		case 'r':
			load->rate = decimal_argument("rate", optarg, 1e7);
			break;
		case 'x':
			use_text(&load->payload, optarg);
			break;
		case 'W':
			load->warm_up = decimal_argument("warm-up", optarg, 3600);
			break;
		case 'S':
			load->seconds = decimal_argument("seconds", optarg, 3600);
			break;
		case 'w':
			load->wait = true;
			break;
		default:
			refuse_usage();
		}
	}
	if (optind != argc)
		refuse_usage();
	if (load->target.to.family != ADDRESS_IPV4)
		errx(EXIT_FAILURE, "--to: an IPv4 address is needed");
}

/* Each connection is a descriptor. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		err(EXIT_FAILURE, "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static bool run_load(bool (*run)(const struct tcp_load_options *options), int argc, char **argv)
{
	static struct tcp_load_options load = {
		.connections = 50,
		.size = 6,
		.warm_up = 0.5,
		.seconds = 2,
	};

	payload_init(&load.payload);
	read_load_options(&load, argc, argv);
	raise_descriptor_limit();
	return run(&load);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		bool (*run)(const struct tcp_load_options *options);
	} loads[] = {
		{"stream", tcp_load_stream},
		{"ping", tcp_load_ping},
		{"connect", tcp_load_connect},
		{"idle", tcp_load_idle},
	};

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		usage(stdout);
		return EXIT_SUCCESS;
	}
	if (argc > 1 && strcmp(argv[1], "serve") == 0) {
		raise_descriptor_limit();
		run_server(argc - 1, argv + 1);
	}
	for (size_t i = 0; argc > 1 && i < sizeof(loads) / sizeof(loads[0]); i++) {
		if (strcmp(argv[1], loads[i].name) == 0)
			return run_load(loads[i].run, argc - 1, argv + 1) ? EXIT_SUCCESS
									  : EXIT_FAILURE;
	}
	refuse_usage();
}
