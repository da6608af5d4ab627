/* SPDX-License-Identifier: MIT */
/*
 * The command line. The short form keeps the names, meanings and defaults of mmproxy-rs and
 * go-mmproxy; go-mmproxy writes its long options with one dash, so that is taken too.
 */
#include "daemon/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/report.h"
#include "config/config_address.h"

/* Seconds, as in the older programs and in the range of udp.idle_timeout. */
#define OPTIONS_CLOSE_AFTER_MAX 604800

enum option_code {
	OPTION_LISTEN = 'l',
	OPTION_IPV4 = '4',
	OPTION_IPV6 = '6',
	OPTION_SUBNETS = 'a',
	OPTION_PROTOCOL = 'p',
	OPTION_MARK = 'm',
	OPTION_CLOSE_AFTER = 'c',
	OPTION_HELP = 'h',
	OPTION_VERBOSE = 'v',
	OPTION_LISTENERS = 256, /* from here on without a letter */
	OPTION_PERMIT_SOURCE,
	OPTION_VERSION,
	OPTION_CONFIG,
	OPTION_CHECK,
};

/* ':' first: a missing argument is told apart from an unknown option. */
static const char short_options[] = ":l:4:6:a:p:m:c:hv";

static const struct option long_options[] = {
	{"listen-addr", required_argument, NULL, OPTION_LISTEN},
	{"ipv4", required_argument, NULL, OPTION_IPV4},
	{"ipv6", required_argument, NULL, OPTION_IPV6},
	{"allowed-subnets", required_argument, NULL, OPTION_SUBNETS},
	{"protocol", required_argument, NULL, OPTION_PROTOCOL},
	{"mark", required_argument, NULL, OPTION_MARK},
	{"listeners", required_argument, NULL, OPTION_LISTENERS},
	{"close-after", required_argument, NULL, OPTION_CLOSE_AFTER},
	{"permit-source", required_argument, NULL, OPTION_PERMIT_SOURCE},
	{"config", required_argument, NULL, OPTION_CONFIG},
	{"check", no_argument, NULL, OPTION_CHECK},
	{"verbose", no_argument, NULL, OPTION_VERBOSE},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

/* What the command line said. NULL: nothing. */
struct given {
	const char *listen;
	const char *ipv4;
	const char *ipv6;
	const char *subnets_file;
	const char *protocol;
	const char *mark;
	const char *listeners;
	const char *close_after;
	const char **permit_sources; /* room for argc of them */
	size_t permit_source_count;
	const char *config_file;
	const char *short_form; /* the first option that describes the short form's listener */
};

const char *options_help(void)
{
	return "Usage: mmproxy --config FILE [--check] [-v]\n"
	       "       mmproxy -l ADDR:PORT -4 ADDR:PORT -6 [ADDR]:PORT -a FILE [OPTION]...\n"
	       "Takes the PROXY protocol header off connections or datagrams, and speaks to the\n"
	       "upstream from the client's own address.\n"
	       "      --config FILE            read the settings of mmproxy.conf(5) from FILE\n"
	       "      --check                  say what is wrong with the settings, and stop\n"
	       "  -v, --verbose                log at level debug\n"
	       "  -h, --help, --version        print this, or the version and what is built in\n"
	       "Or, without a file, one listener [defaults]:\n"
	       "  -l, --listen-addr ADDR:PORT  where to listen [0.0.0.0:8443]; [::]:PORT takes\n"
	       "                               IPv4 and IPv6\n"
	       "  -4, --ipv4 ADDR:PORT         upstream of IPv4 clients [127.0.0.1:443]\n"
	       "  -6, --ipv6 [ADDR]:PORT       upstream of IPv6 clients [[::1]:443]\n"
	       "  -a, --allowed-subnets FILE   balancers that may connect, a prefix a line [any]\n"
	       "  -p, --protocol tcp|udp       what to take, connections or datagrams [tcp]\n"
	       "  -m, --mark N                 firewall mark of dialled sockets [0]\n"
	       "      --listeners N            listening sockets, and workers [one a CPU]\n"
	       "  -c, --close-after SECONDS    end of an idle UDP flow [60]; 0: never\n"
	       "      --permit-source PREFIX   let pass what the source policy refuses, such as\n"
	       "                               127.0.0.0/8; may be repeated\n"
	       "For sshd: mmproxy -l '[::]:2222' -4 127.0.0.1:22 -6 '[::1]:22' -a balancers\n"
	       "The upstream's answers take rules and routes: the log says which are missing,\n"
	       "mmproxyctl doctor what else is in the way. All the rest: mmproxy(8)\n";
}

static void keep_once(const char **kept, const char *option, struct report *report)
{
	if (*kept != NULL)
		report_add(report,
			   "mmproxy: %s is given twice; the short form describes one "
			   "listener, --config any number",
			   option);
	*kept = optarg;
}

static void report_bad_option(int code, char **argv, int index, struct report *report)
{
	const char *word = argv[index];

	if (code == ':')
		report_add(report, "mmproxy: %.80s takes a value; see mmproxy --help", word);
	else if (optopt == 0)
		report_add(report, "mmproxy: unknown or ambiguous option %.80s; see mmproxy --help",
			   word);
	else if (optopt >= 256 || strchr(word, '=') != NULL)
		report_add(report, "mmproxy: %.80s: this option takes no value", word);
	else
		report_add(report, "mmproxy: unknown option -%c; see mmproxy --help", optopt);
}

static void take_option(int code, struct given *given, struct options *options,
			struct report *report)
{
	switch ((enum option_code)code) {
	case OPTION_LISTEN:
		keep_once(&given->listen, "--listen-addr", report);
		break;
	case OPTION_IPV4:
		keep_once(&given->ipv4, "--ipv4", report);
		break;
	case OPTION_IPV6:
		keep_once(&given->ipv6, "--ipv6", report);
		break;
	case OPTION_SUBNETS:
		keep_once(&given->subnets_file, "--allowed-subnets", report);
		break;
	case OPTION_PROTOCOL:
		keep_once(&given->protocol, "--protocol", report);
		break;
	case OPTION_MARK:
		keep_once(&given->mark, "--mark", report);
		break;
	case OPTION_LISTENERS:
		keep_once(&given->listeners, "--listeners", report);
		break;
	case OPTION_CLOSE_AFTER:
		keep_once(&given->close_after, "--close-after", report);
		break;
	case OPTION_PERMIT_SOURCE:
		given->permit_sources[given->permit_source_count++] = optarg;
		break;
	case OPTION_CONFIG:
		if (given->config_file != NULL)
			report_add(report, "mmproxy: --config is given twice; a file can @include "
					   "others");
		given->config_file = optarg;
		break;
	case OPTION_CHECK:
		options->action = OPTIONS_CHECK;
		break;
	case OPTION_VERBOSE:
		options->verbose = true;
		break;
	case OPTION_HELP:
		options->action = OPTIONS_HELP;
		break;
	case OPTION_VERSION:
		options->action = OPTIONS_VERSION;
		break;
	}
}

static bool describes_listener(int code)
{
	return code != OPTION_CONFIG && code != OPTION_CHECK && code != OPTION_VERBOSE;
}

/* Stops at --help and --version, whatever else is there: who asks is answered. */
static void read_arguments(int argc, char **argv, struct given *given, struct options *options,
			   struct report *report)
{
	int code;

	opterr = 0;
	optind = 0; /* glibc: begin anew, also when the last command line was left in the middle */
	while ((code = getopt_long_only(argc, argv, short_options, long_options, NULL)) != -1) {
		if (code == '?' || code == ':') {
			report_bad_option(code, argv, optind - 1, report);
			continue;
		}
		take_option(code, given, options, report);
		if (options->action == OPTIONS_HELP || options->action == OPTIONS_VERSION)
			return;
		if (describes_listener(code) && given->short_form == NULL)
			given->short_form =
				argv[optind - 1] == optarg ? argv[optind - 2] : argv[optind - 1];
	}
	for (int i = optind; i < argc; i++)
		report_add(report,
			   "mmproxy: \"%.80s\" is no option, and there are no other "
			   "arguments; see mmproxy --help",
			   argv[i]);
}

/* Decimal, or hexadecimal behind 0x. Reports anything else. */
static uint32_t parse_number(const char *option, const char *text, uint32_t least, uint32_t most,
			     struct report *report)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *digits = hex ? text + 2 : text;
	size_t length = strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789");
	unsigned long long value;

	if (length > 0 && digits[length] == '\0') {
		errno = 0;
		value = strtoull(digits, NULL, hex ? 16 : 10);
		if (errno == 0 && value >= least && value <= most)
			return (uint32_t)value;
	}
	report_add(report, "mmproxy: %s: \"%.80s\" is not a number from %u to %u", option, text,
		   (unsigned)least, (unsigned)most);
	return least;
}

static void fill_addresses(const struct given *given, struct config_listener *listener,
			   struct report *report)
{
	const char *listen = given->listen != NULL ? given->listen : "0.0.0.0:8443";
	const char *ipv4 = given->ipv4 != NULL ? given->ipv4 : "127.0.0.1:443";
	const char *ipv6 = given->ipv6 != NULL ? given->ipv6 : "[::1]:443";
	struct listen_endpoint endpoint;
	const char *wrong = config_parse_listen(listen, &endpoint);

	if (wrong != NULL) {
		report_add(report, "mmproxy: --listen-addr: \"%.80s\": %s", listen, wrong);
	} else {
		static const uint8_t any[16];

		/* The older programs leave IPV6_V6ONLY off, so their [::]:PORT takes IPv4 too. */
		if (endpoint.address.family == ADDRESS_IPV6 &&
		    memcmp(endpoint.address.ip, any, sizeof(any)) == 0)
			endpoint.both_families = true;
		if (config_add_endpoint(listener, &endpoint) < 0)
			report_add_failure(report, "mmproxy: out of memory");
	}
	wrong = config_parse_forward(ipv4, ADDRESS_IPV4, &listener->relay.forward_ipv4);
	if (wrong != NULL)
		report_add(report, "mmproxy: --ipv4: \"%.80s\": %s", ipv4, wrong);
	wrong = config_parse_forward(ipv6, ADDRESS_IPV6, &listener->relay.forward_ipv6);
	if (wrong != NULL)
		report_add(report, "mmproxy: --ipv6: \"%.80s\": %s", ipv6, wrong);
}

static void fill_permits(const struct given *given, struct config_listener *listener,
			 struct report *report, struct report *remarks)
{
	for (size_t i = 0; i < given->permit_source_count; i++) {
		const char *text = given->permit_sources[i], *wrong, *remark;
		char room[CONFIG_PREFIX_REMARK_SIZE];
		struct prefix prefix;

		wrong = config_parse_prefix(text, &prefix);
		if (wrong != NULL) {
			report_add(report, "mmproxy: --permit-source: \"%.80s\": %s", text, wrong);
			continue;
		}
		remark = config_permit_remark(text, &prefix, room);
		if (remark != NULL)
			report_add(remarks, "mmproxy: --permit-source: \"%.80s\": %s", text,
				   remark);
		if (listener->permit_sources != NULL &&
		    prefix_set_add(listener->permit_sources, &prefix) < 0)
			report_add_failure(report, "mmproxy: out of memory");
	}
}

static void fill_prefixes(const struct given *given, struct config_listener *listener,
			  struct config *config, struct report *report)
{
	if (given->subnets_file != NULL) {
		listener->subnets = prefix_set_create();
		if (listener->subnets == NULL ||
		    text_list_add(&config->files, given->subnets_file) < 0)
			report_add_failure(report, "mmproxy: out of memory");
		else
			config_read_prefix_file(given->subnets_file, "mmproxy: --allowed-subnets",
						listener->subnets, report, &config->remarks);
	}
	listener->any_by_default = given->subnets_file == NULL;
	if (given->permit_source_count > 0) {
		listener->permit_sources = prefix_set_create();
		if (listener->permit_sources == NULL)
			report_add_failure(report, "mmproxy: out of memory");
	}
	fill_permits(given, listener, report, &config->remarks);
}

static void fill_protocol(const struct given *given, struct config_listener *listener,
			  struct report *report)
{
	if (given->protocol != NULL && strcmp(given->protocol, "udp") == 0)
		listener->relay.protocol = RELAY_PROTOCOL_UDP;
	else if (given->protocol != NULL && strcmp(given->protocol, "tcp") != 0)
		report_add(report, "mmproxy: --protocol: \"%.80s\" is not known; write tcp or udp",
			   given->protocol);
	if (given->close_after != NULL)
		listener->relay.udp.idle_timeout =
			parse_number("--close-after", given->close_after, 0,
				     OPTIONS_CLOSE_AFTER_MAX, report) *
			1000;
}

static void fill_short_form(const struct given *given, struct config *config, struct report *report)
{
	struct config_listener *listener = config_add_listener(config);

	if (listener == NULL) {
		report_add_failure(report, "mmproxy: out of memory");
		return;
	}
	listener->name = strdup("default");
	listener->where = strdup("command line");
	if (listener->name == NULL || listener->where == NULL)
		report_add_failure(report, "mmproxy: out of memory");
	fill_addresses(given, listener, report);
	fill_prefixes(given, listener, config, report);
	fill_protocol(given, listener, report);
	if (given->mark != NULL)
		listener->relay.mark = parse_number("--mark", given->mark, 0, UINT32_MAX, report);
	if (given->listeners != NULL) {
		config->workers = parse_number("--listeners", given->listeners, 1,
					       CONFIG_WORKERS_MAX, report);
		config->workers_given = true;
	}
	config_seal_listener(listener);
}

static void fill_config(int argc, const struct given *given, struct config *config,
			struct report *report)
{
	if (given->config_file != NULL && given->short_form != NULL) {
		report_add(report,
			   "mmproxy: %.80s cannot stand beside --config; write its setting "
			   "into the file",
			   given->short_form);
	} else if (given->config_file != NULL) {
		config_load_file(given->config_file, config, report);
	} else if (argc <= 1) {
		report_add(report, "mmproxy: nothing says what to do; give --config FILE, or for "
				   "example -l 0.0.0.0:8443 -4 127.0.0.1:443; see mmproxy --help");
	} else if (config_begin(config) < 0) {
		report_add_failure(report, "mmproxy: out of memory");
	} else {
		fill_short_form(given, config, report);
	}
}

int options_parse(int argc, char **argv, struct options *options, struct config *config,
		  struct report *report)
{
	size_t lines_before = report->count;
	struct given given = {0};

	memset(options, 0, sizeof(*options));
	memset(config, 0, sizeof(*config));
	given.permit_sources = calloc((size_t)argc + 1, sizeof(*given.permit_sources));
	if (given.permit_sources == NULL) {
		report_add_failure(report, "mmproxy: out of memory");
		return -EINVAL;
	}
	read_arguments(argc, argv, &given, options, report);
	options->config_file = given.config_file;
	if (options->action == OPTIONS_HELP || options->action == OPTIONS_VERSION) {
		/* The answer is not spoilt by what stood before the question. */
		report_cut(report, lines_before);
	} else if (!report_grew(report, lines_before)) {
		fill_config(argc, &given, config, report);
	}
	free(given.permit_sources);
	if (!report_grew(report, lines_before))
		return 0;
	config_finish(config);
	return -EINVAL;
}
