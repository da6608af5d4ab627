/* SPDX-License-Identifier: MIT */
/*
 * udp_bench: the two ends of the UDP bench.
 *
 *   udp_bench echo   sends back what it gets, as an upstream
 *   udp_bench load   is a balancer and its clients, and measures
 *
 * Neither is run by `make check`: what they say depends on the machine and on who else uses it.
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "udp_batch.h"
#include "udp_load.h"

#define CLIENTS_MAX 1000
#define WINDOW_MAX  1000

static void usage(FILE *to)
{
	fputs("Usage: udp_bench echo --listen ADDRESS:PORT\n"
	      "       udp_bench load --to ADDRESS:PORT --framing none|every|first|spp\n"
	      "                 --clients N --size BYTES [--window W] [--seconds S] "
	      "[--warm-up S]\n"
	      "                 [--one-socket] [--client-net ADDRESS/BITS] [--client-port PORT]\n"
	      "                 [--destination ADDRESS:PORT]\n"
	      "Load: each client keeps W datagrams on their way to an echo server and back, and\n"
	      "one line tells how many came back a second.\n"
	      "  --window       32 for one client, else 16\n"
	      "  --seconds      2, after a warm-up of 0.5\n"
	      "  --one-socket   all clients behind one socket, instead of one each\n"
	      "  --client-net, --client-port\n"
	      "                 clients in the headers: 203.0.113.0/24 and 20000, counted up\n"
	      "  --destination  what the clients asked for, in the headers: as --to\n",
	      to);
}

static void refuse_usage(void)
{
	usage(stderr);
	exit(EXIT_FAILURE);
}

/* Echo. */

static void end(int signal)
{
	(void)signal;
	_exit(EXIT_SUCCESS);
}

/* Sends a batch back; what the network refuses is lost, as datagrams are. */
static void send_back(struct batch *batch, int fd, unsigned count)
{
	unsigned done = 0;

	for (unsigned i = 0; i < count; i++) {
		batch->pieces[i].iov_len = batch->messages[i].msg_len;
		batch->messages[i].msg_hdr.msg_controllen = 0;
	}
	while (done < count) {
		int sent = sendmmsg(fd, batch->messages + done, count - done, 0);

		done += sent > 0 ? (unsigned)sent : 1;
	}
}

static void echo(const struct address *address)
{
	static struct batch batch;
	struct sigaction action = {.sa_handler = end};
	int fd = udp_open(address);

	if (fd < 0)
		err(EXIT_FAILURE, "socket");
	udp_bind(fd, address);
	batch_init(&batch, DATAGRAM_MAX);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	/* Sleeps until there is one, and takes with it what else is there. */
	for (;;)
		send_back(&batch, fd, batch_receive(&batch, fd, 0, MSG_WAITFORONE));
}

static void run_echo(int argc, char **argv)
{
	static const struct option options[] = {{"listen", required_argument, NULL, 'l'}, {0}};
	struct address address = {.family = ADDRESS_NONE};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'l')
			refuse_usage();
		address = endpoint_argument("listen", optarg);
	}
	if (optind != argc || address.family == ADDRESS_NONE)
		refuse_usage();
	echo(&address);
}

/* Load. */

static double seconds_argument(const char *option, const char *text)
{
	char *end_of_number;
	double value = strtod(text, &end_of_number);

	if (end_of_number == text || *end_of_number != '\0' || !(value >= 0 && value <= 3600))
		errx(EXIT_FAILURE, "--%s: not a number of seconds: %s", option, text);
	return value;
}

/* "203.0.113.0/24"; the port stays as it is. */
static void read_network(const char *text, struct load_options *load)
{
	const char *slash = strchr(text, '/');
	uint16_t port = load->client_net.port;
	char ip[ADDRESS_TEXT_SIZE];

	if (slash == NULL || (size_t)(slash - text) >= sizeof(ip))
		errx(EXIT_FAILURE, "--client-net: not ADDRESS/BITS: %s", text);
	memcpy(ip, text, (size_t)(slash - text));
	ip[slash - text] = '\0';
	if (address_parse_ip(ip, &load->client_net) != 0)
		errx(EXIT_FAILURE, "--client-net: not an address: %s", ip);
	load->client_net.port = port;
	load->client_bits = number_argument("client-net", slash + 1, 0,
					    load->client_net.family == ADDRESS_IPV4 ? 30 : 126);
}

static void read_load_options(struct load_options *load, int argc, char **argv)
{
	static const struct option options[] = {
		{"to", required_argument, NULL, 't'},
		{"framing", required_argument, NULL, 'f'},
		{"clients", required_argument, NULL, 'c'},
		{"size", required_argument, NULL, 's'},
		{"window", required_argument, NULL, 'w'},
		{"seconds", required_argument, NULL, 'S'},
		{"warm-up", required_argument, NULL, 'W'},
		{"one-socket", no_argument, NULL, 'o'},
		{"client-net", required_argument, NULL, 'n'},
		{"client-port", required_argument, NULL, 'p'},
		{"destination", required_argument, NULL, 'd'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 't':
			load->target = endpoint_argument("to", optarg);
			break;
		case 'f':
			if (!framing_parse(optarg, &load->framing))
				errx(EXIT_FAILURE, "--framing: not none, every, first or spp: %s",
				     optarg);
			break;
		case 'c':
			load->clients = number_argument("clients", optarg, 1, CLIENTS_MAX);
			break;
		case 's':
			load->size = number_argument("size", optarg, LOAD_SIZE_MIN, LOAD_SIZE_MAX);
			break;
		case 'w':
			load->window = number_argument("window", optarg, 1, WINDOW_MAX);
			break;
		case 'S':
			load->seconds = seconds_argument("seconds", optarg);
			break;
		case 'W':
			load->warm_up = seconds_argument("warm-up", optarg);
			break;
		case 'o':
			load->one_socket = true;
			break;
		case 'n':
			read_network(optarg, load);
			break;
		case 'p':
			load->client_net.port =
				(uint16_t)number_argument("client-port", optarg, 1, UINT16_MAX);
			break;
		case 'd':
			load->destination = endpoint_argument("destination", optarg);
			break;
		default:
			refuse_usage();
		}
	}
	if (optind != argc || load->target.family == ADDRESS_NONE || load->clients == 0 ||
	    load->size == 0)
		refuse_usage();
}

/* Fills in what was not given, and refuses what cannot work. */
static void judge_load_options(struct load_options *load)
{
	if (load->window == 0)
		load->window = load->clients == 1 ? 32 : 16;
	if (load->destination.family == ADDRESS_NONE)
		load->destination = load->target;
	if (load->framing != FRAMING_NONE && load->destination.family != load->client_net.family)
		errx(EXIT_FAILURE, "--destination and --client-net are of different families");
	if (load->framing == FRAMING_FIRST && load->one_socket && load->clients > 1)
		errx(EXIT_FAILURE, "--framing first: a bare datagram says nothing but its socket, "
				   "so clients cannot share one");
	if (load->client_net.port + load->clients - 1 > UINT16_MAX)
		errx(EXIT_FAILURE, "--client-port: not enough ports from there on");
}

static bool run_load(int argc, char **argv)
{
	static const uint8_t network[4] = {203, 0, 113, 0};
	struct load_options load = {
		.client_net = address_from_ipv4(network, 20000),
		.client_bits = 24,
		.warm_up = 0.5,
		.seconds = 2,
	};

	read_load_options(&load, argc, argv);
	judge_load_options(&load);
	return load_run(&load);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "echo") == 0)
		run_echo(argc - 1, argv + 1);
	else if (argc > 1 && strcmp(argv[1], "load") == 0)
		return run_load(argc - 1, argv + 1) ? EXIT_SUCCESS : EXIT_FAILURE;
	else if (argc == 2 && strcmp(argv[1], "--help") == 0)
		usage(stdout);
	else
		refuse_usage();
	return EXIT_SUCCESS;
}
