/* SPDX-License-Identifier: MIT */
/*
 * udp_bench: the two ends of the UDP bench.
 *
 *   udp_bench echo   sends back what it gets, as an upstream
 *   udp_bench load   is a balancer and its clients, and measures
 *
 * Neither is run by `make check`: how fast they are depends on the machine and on who else uses it.
 * What they count is tested with the integration tests.
 */
#include <err.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "udp_echo.h"
#include "udp_load.h"

#define CLIENTS_MAX 1000
#define WINDOW_MAX  1000

static void usage(FILE *to)
{
	fputs("Usage: udp_bench echo --listen ADDRESS:PORT [--drop-every N] [--swap-every N]\n"
	      "       udp_bench load --to ADDRESS:PORT --framing none|every|first|spp\n"
	      "                 --clients N --size BYTES [--window W | --rate N] [--seconds S]\n"
	      "                 [--warm-up S] [--one-socket] [--client-net ADDRESS/BITS]\n"
	      "                 [--client-port PORT] [--destination ADDRESS:PORT] [--wait]\n"
	      "Echo:\n"
	      "  --drop-every   leaves the Nth, 2Nth, ... datagram without an answer\n"
	      "  --swap-every   answers the Nth, 2Nth, ... datagram after the one behind it\n"
	      "Load: each client keeps W datagrams on their way to an echo server and back, or N\n"
	      "leave a second, whatever comes back; one line tells what came back and how soon.\n"
	      "  --window       32 for one client, else 16\n"
	      "  --rate         datagrams a second, of all clients in turn; 0: a window instead\n"
	      "  --seconds      2, after a warm-up of 0.5\n"
	      "  --wait         when the warm-up is over, says \"warm\" and goes on with it until "
	      "a line\n"
	      "                 comes on standard input\n"
	      "  --one-socket   all clients behind one socket, instead of one each\n"
	      "  --client-net, --client-port\n"
	      "                 clients in the headers: 203.0.113.0/24 and 20000, counted up\n"
	      "  --destination  what the clients asked for, in the headers: as --to\n"
	      "The line has, of the seconds after the warm-up:\n"
	      "  echoed_per_second  replies that came meanwhile\n"
	      "  sent               datagrams\n"
	      "  lost               those that were not back after 0.2 s; with a rate, or at the\n"
	      "                     end, 1 s\n"
	      "  late               replies to those that are lost, or second ones\n"
	      "  wrong, total       replies that are not what was sent, and those that are, from\n"
	      "                     the start of the run to its end\n"
	      "  reordered          replies that came after one to a later datagram of a client\n"
	      "  behind             datagrams that left more than 1 ms after they were due\n"
	      "  p50_us, ...        time until the reply, from when the datagram was due; with a\n"
	      "                     window, from when it left\n",
	      to);
}

static void refuse_usage(void)
{
	usage(stderr);
	exit(EXIT_FAILURE);
}

/* Echo. */

static void run_echo(int argc, char **argv)
{
	static const struct option options[] = {
		{"listen", required_argument, NULL, 'l'},
		{"drop-every", required_argument, NULL, 'd'},
		{"swap-every", required_argument, NULL, 's'},
		{0},
	};
	struct echo_options echo = {.listen = {.family = ADDRESS_NONE}};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			echo.listen = endpoint_argument("listen", optarg);
			break;
		case 'd':
			echo.drop_every = number_argument("drop-every", optarg, 0, UINT_MAX);
			break;
		case 's':
			echo.swap_every = number_argument("swap-every", optarg, 0, UINT_MAX);
			break;
		default:
			refuse_usage();
		}
	}
	if (optind != argc || echo.listen.family == ADDRESS_NONE)
		refuse_usage();
	echo_run(&echo);
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
		{"rate", required_argument, NULL, 'r'},
		{"seconds", required_argument, NULL, 'S'},
		{"warm-up", required_argument, NULL, 'W'},
		{"wait", no_argument, NULL, 'g'},
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
		case 'r':
			load->rate = number_argument("rate", optarg, 0, LOAD_RATE_MAX);
			break;
		case 'S':
			load->seconds = seconds_argument("seconds", optarg);
			break;
		case 'W':
			load->warm_up = seconds_argument("warm-up", optarg);
			break;
		case 'g':
			load->wait = true;
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
	if (load->window > 0 && load->rate > 0)
		errx(EXIT_FAILURE, "--window and --rate: it is one or the other");
	if (load->window == 0 && load->rate == 0)
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
