/* SPDX-License-Identifier: MIT */
/* The command line: options may stand before the command or behind it. */
#include "ctl/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/control_path.h"
#include "base/prefix_set.h"
#include "base/report.h"
#include "base/suggest.h"
#include "ctl/format.h"

#define OPTIONS_LIMIT_MAX 10000

/* Seconds between two looks of `top`. */
#define OPTIONS_INTERVAL_MIN 0.1
#define OPTIONS_INTERVAL_MAX 3600

/* Bytes, as of the setting max_header. */
#define OPTIONS_MAX_HEADER_DEFAULT 4096
#define OPTIONS_MAX_HEADER_MIN     107
#define OPTIONS_MAX_HEADER_MAX     65551
/* configure's --sysconfdir. */
#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc"
#endif
#define OPTIONS_CONFIG_DEFAULT SYSCONFDIR "/mmproxy/mmproxy.conf"

#define OPTIONS_SOCKET_DEFAULT CONTROL_FOLDER "/" CONTROL_FILE

enum option_code {
	OPTION_SOCKET = 's',
	OPTION_JSON = 'j',
	OPTION_HELP = 'h',
	OPTION_CONFIG = 256, /* from here on without a letter */
	OPTION_CLIENT,
	OPTION_LISTENER,
	OPTION_OLDER,
	OPTION_LIMIT,
	OPTION_NO_WAIT,
	OPTION_INTERVAL,
	OPTION_ONCE,
	OPTION_FILE,
	OPTION_FORMAT,
	OPTION_UDP,
	OPTION_MAX_HEADER,
	OPTION_NFT,
	OPTION_VERSION,
};

static const struct option long_options[] = {
	{"socket", required_argument, NULL, OPTION_SOCKET},
	{"json", no_argument, NULL, OPTION_JSON},
	{"config", required_argument, NULL, OPTION_CONFIG},
	{"client", required_argument, NULL, OPTION_CLIENT},
	{"listener", required_argument, NULL, OPTION_LISTENER},
	{"older", required_argument, NULL, OPTION_OLDER},
	{"limit", required_argument, NULL, OPTION_LIMIT},
	{"no-wait", no_argument, NULL, OPTION_NO_WAIT},
	{"interval", required_argument, NULL, OPTION_INTERVAL},
	{"once", no_argument, NULL, OPTION_ONCE},
	{"file", required_argument, NULL, OPTION_FILE},
	{"format", required_argument, NULL, OPTION_FORMAT},
	{"udp", no_argument, NULL, OPTION_UDP},
	{"max-header", required_argument, NULL, OPTION_MAX_HEADER},
	{"nft", no_argument, NULL, OPTION_NFT},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

const char *options_help(void)
{
	return "Usage: mmproxyctl [-s PATH] [-j] COMMAND [ARGUMENT] [OPTION]...\n"
	       "Ask a running mmproxy:\n"
	       "  status                state, the last reload, workers, the return path\n"
	       "  listeners             where it listens, and how many sessions each has\n"
	       "  sessions [--client PREFIX] [--listener NAME] [--older 90s|5m] [--limit N]\n"
	       "  clients [--limit N]   clients of live sessions, the most bytes first\n"
	       "  counters [PATTERN]    what is not zero, or what has PATTERN in its name\n"
	       "  plugins               what judges new sessions, and what it counted\n"
	       "  metrics               what a Prometheus server would read\n"
	       "  top                   a live screen, q quits: [--interval SECONDS] [--once]\n"
	       "Tell it what to do, as root, as its user or as a member of control.group:\n"
	       "  kill ID               end a session; `sessions` has the ids\n"
	       "  reload                load the configuration again, or print its mistakes\n"
	       "  drain [--no-wait]     accept no more, end with the last session\n"
	       "  log-level [LEVEL]     show or set it: error, warning, info or debug\n"
	       "Look without it, at the configuration [--config FILE] or at a header:\n"
	       "  doctor                what is broken between here and the upstreams\n"
	       "  routing show [--nft]  rules and routes for their answers, and what is missing\n"
	       "  offload ACTION        load, clear or status of the kernel's programs\n"
	       "  decode [HEX]          read and judge a header: [--file FILE] [--udp]\n"
	       "                        [--format hex|raw|pcap] [--max-header N] [--limit N]\n"
	       "-s, --socket PATH [" OPTIONS_SOCKET_DEFAULT "]; -j, --json: one line of JSON\n"
	       "-h, --help, help: this; --version; examples and all the rest: mmproxyctl(8)\n";
}

int options_show_help(const struct options *options)
{
	(void)options;
	fputs(options_help(), stdout);
	return EXIT_SUCCESS;
}

static const char *default_socket(void)
{
	static char path[4096];
	int length;
	const char *folder = control_given_folder(getenv("RUNTIME_DIRECTORY"), &length);

	if (folder == NULL)
		return OPTIONS_SOCKET_DEFAULT;
	snprintf(path, sizeof(path), "%.*s/" CONTROL_FILE, length, folder);
	return path;
}

static const char *option_name(enum command_option option)
{
	switch (option) {
	case COMMAND_CLIENT:
		return "--client";
	case COMMAND_LISTENER:
		return "--listener";
	case COMMAND_OLDER:
		return "--older";
	case COMMAND_LIMIT:
		return "--limit";
	case COMMAND_NO_WAIT:
		return "--no-wait";
	case COMMAND_INTERVAL:
		return "--interval";
	case COMMAND_ONCE:
		return "--once";
	case COMMAND_CONFIG:
		return "--config";
	case COMMAND_NFT:
		return "--nft";
	case COMMAND_JSON:
		return "--json";
	case COMMAND_FILE:
		return "--file";
	case COMMAND_FORMAT:
		return "--format";
	case COMMAND_UDP:
		return "--udp";
	case COMMAND_MAX_HEADER:
		return "--max-header";
	}
	return "?";
}

/* A word of the request, which ends at a blank. */
static const char *take_word(const char *option, const char *text, struct report *report)
{
	const char *c = text;

	while (*c > ' ' && *c <= '~')
		c++;
	if (*c != '\0')
		report_add(report,
			   "mmproxyctl: %s: \"%.80s\" has a character that is not allowed here",
			   option, text);
	else if (c == text)
		report_add(report, "mmproxyctl: %s is empty", option);
	return text;
}

static const char *take_socket(const char *path, struct report *report)
{
	size_t length = strlen(path);

	if (length == 0 || length > CONTROL_PATH_MAX)
		report_add(report, "mmproxyctl: --socket: a path has 1 to %d characters, not %zu",
			   CONTROL_PATH_MAX, length);
	return path;
}

static const char *take_config(const char *path, struct report *report)
{
	if (path[0] == '\0')
		report_add(report, "mmproxyctl: --config is empty; it takes a path");
	return path;
}

static const char *take_client(const char *text, struct report *report)
{
	struct prefix prefix;

	if (prefix_parse(text, &prefix) < 0)
		report_add(
			report,
			"mmproxyctl: --client: \"%.80s\" is no address or prefix; write 192.0.2.1 "
			"or 2001:db8::/32",
			text);
	return text;
}

static unsigned take_number(const char *option, const char *text, unsigned least, unsigned most,
			    struct report *report)
{
	size_t length = strspn(text, "0123456789");
	unsigned long value = strtoul(text, NULL, 10);

	if (length > 0 && length < 10 && text[length] == '\0' && value >= least && value <= most)
		return (unsigned)value;
	report_add(report, "mmproxyctl: %s: \"%.80s\" is not a number from %u to %u", option, text,
		   least, most);
	return 0;
}

static enum options_format take_format(const char *text, struct report *report)
{
	if (strcmp(text, "hex") == 0)
		return OPTIONS_FORMAT_HEX;
	if (strcmp(text, "raw") == 0)
		return OPTIONS_FORMAT_RAW;
	if (strcmp(text, "pcap") == 0)
		return OPTIONS_FORMAT_PCAP;
	report_add(report, "mmproxyctl: --format: \"%.80s\" is none of hex, raw and pcap", text);
	return OPTIONS_FORMAT_AUTO;
}

static double take_older(const char *text, struct report *report)
{
	double seconds = format_parse_duration(text);

	if (seconds < 0)
		report_add(report,
			   "mmproxyctl: --older: \"%.80s\" is no duration; write 90s, 5m, 2h, 1d "
			   "or 1h30m",
			   text);
	return seconds;
}

static double take_interval(const char *text, struct report *report)
{
	double seconds = format_parse_duration(text);

	if (!(seconds >= OPTIONS_INTERVAL_MIN && seconds <= OPTIONS_INTERVAL_MAX))
		report_add(report,
			   "mmproxyctl: --interval: \"%.80s\" is not from 0.1 to 3600 "
			   "seconds",
			   text);
	return seconds;
}

/* Returns which of the commands' options it was; 0: one that all of them take. */
static unsigned take_option(int code, struct options *options, struct report *report)
{
	switch ((enum option_code)code) {
	case OPTION_SOCKET:
		options->socket = take_socket(optarg, report);
		return 0;
	case OPTION_JSON:
		options->json = true;
		return COMMAND_JSON;
	case OPTION_CONFIG:
		options->config = take_config(optarg, report);
		return COMMAND_CONFIG;
	case OPTION_CLIENT:
		options->client = take_client(optarg, report);
		return COMMAND_CLIENT;
	case OPTION_LISTENER:
		options->listener = take_word("--listener", optarg, report);
		return COMMAND_LISTENER;
	case OPTION_OLDER:
		options->older = take_older(optarg, report);
		return COMMAND_OLDER;
	case OPTION_LIMIT:
		options->limit = take_number("--limit", optarg, 1, OPTIONS_LIMIT_MAX, report);
		return COMMAND_LIMIT;
	case OPTION_NO_WAIT:
		options->no_wait = true;
		return COMMAND_NO_WAIT;
	case OPTION_INTERVAL:
		options->interval = take_interval(optarg, report);
		return COMMAND_INTERVAL;
	case OPTION_ONCE:
		options->once = true;
		return COMMAND_ONCE;
	case OPTION_FILE:
		options->file = optarg;
		return COMMAND_FILE;
	case OPTION_FORMAT:
		options->format = take_format(optarg, report);
		return COMMAND_FORMAT;
	case OPTION_UDP:
		options->udp = true;
		return COMMAND_UDP;
	case OPTION_MAX_HEADER:
		options->max_header = take_number("--max-header", optarg, OPTIONS_MAX_HEADER_MIN,
						  OPTIONS_MAX_HEADER_MAX, report);
		return COMMAND_MAX_HEADER;
	case OPTION_NFT:
		options->nft = true;
		return COMMAND_NFT;
	case OPTION_HELP:
		options->action = OPTIONS_HELP;
		return 0;
	case OPTION_VERSION:
		options->action = OPTIONS_VERSION;
		return 0;
	}
	return 0;
}

/* The option that somebody may have meant; NULL: none is near. */
static const char *nearest_option(const char *word)
{
	const char *names[sizeof(long_options) / sizeof(long_options[0])];
	char name[64];
	size_t count = 0;

	if (strncmp(word, "--", 2) != 0)
		return NULL;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
	for (; long_options[count].name != NULL; count++)
		names[count] = long_options[count].name;
	return suggest_nearest(name, names, count);
}

static void report_bad_option(int code, const char *word, struct report *report)
{
	const char *nearest = nearest_option(word);

	if (code == ':')
		report_add(report, "mmproxyctl: %.80s takes a value; see mmproxyctl --help", word);
	else if (optopt >= 256 || (optopt != 0 && strchr(word, '=') != NULL))
		report_add(report, "mmproxyctl: %.80s: this option takes no value", word);
	else if (optopt != 0)
		report_add(report, "mmproxyctl: unknown option -%c; see mmproxyctl --help", optopt);
	else if (nearest != NULL)
		report_add(report, "mmproxyctl: unknown option %.80s; did you mean --%s?", word,
			   nearest);
	else
		report_add(report,
			   "mmproxyctl: unknown or ambiguous option %.80s; see "
			   "mmproxyctl --help",
			   word);
}

static void report_unknown_command(const char *word, struct report *report)
{
	const char **names = calloc(command_count, sizeof(*names));
	const char *nearest = NULL;

	for (size_t i = 0; names != NULL && i < command_count; i++)
		names[i] = command_table[i].name;
	if (names != NULL)
		nearest = suggest_nearest(word, names, command_count);
	if (nearest != NULL)
		report_add(report, "mmproxyctl: unknown command \"%.80s\"; did you mean %s?", word,
			   nearest);
	else
		report_add(report, "mmproxyctl: unknown command \"%.80s\"; see mmproxyctl --help",
			   word);
	free(names);
}

static void check_argument(struct options *options, struct report *report)
{
	const struct command *command = options->command;

	if (options->argument == NULL && command->argument_needed)
		report_add(report, "mmproxyctl: %s: %s is missing; see mmproxyctl --help",
			   command->name, command->argument);
	if (options->argument != NULL && command->argument != NULL)
		take_word(command->argument, options->argument, report);
}

static void take_words(int argc, char **argv, struct options *options, struct report *report)
{
	int most;

	if (optind == argc) {
		report_add(report, "mmproxyctl: no command; mmproxyctl --help lists them");
		return;
	}
	options->command = command_find(argv[optind]);
	if (options->command == NULL) {
		report_unknown_command(argv[optind], report);
		return;
	}
	if ((options->command->options & COMMAND_TEXT) != 0) {
		options->words = argv + optind + 1;
		options->word_count = argc - optind - 1;
		return;
	}
	most = options->command->argument != NULL ? 1 : 0;
	if (argc - optind - 1 > most) {
		report_add(report,
			   "mmproxyctl: %s: \"%.80s\" is one argument too many; it takes %s",
			   options->command->name, argv[optind + 1 + most],
			   most == 1 ? options->command->argument : "none");
		return;
	}
	if (argc - optind - 1 == 1)
		options->argument = argv[optind + 1];
	check_argument(options, report);
}

static void check_given(const struct options *options, unsigned given, struct report *report)
{
	for (unsigned option = 1; option <= COMMAND_LAST; option <<= 1) {
		if ((given & option) != 0 && (options->command->options & option) == 0)
			report_add(report, "mmproxyctl: %s does not take %s; see mmproxyctl --help",
				   options->command->name,
				   option_name((enum command_option)option));
	}
}

int options_parse(int argc, char **argv, struct options *options, struct report *report)
{
	size_t before = report->count;
	bool unclear = false;
	unsigned given = 0;
	int code;

	memset(options, 0, sizeof(*options));
	options->socket = default_socket();
	options->config = OPTIONS_CONFIG_DEFAULT;
	options->interval = 1;
	options->max_header = OPTIONS_MAX_HEADER_DEFAULT;
	opterr = 0;
	optind = 0; /* glibc: begin anew */
	while ((code = getopt_long(argc, argv, ":s:jh", long_options, NULL)) != -1) {
		if (code == '?' || code == ':') {
			report_bad_option(code, argv[optind - 1], report);
			unclear = true;
			continue;
		}
		given |= take_option(code, options, report);
		/* Who asks is answered, whatever else is there. */
		if (options->action != OPTIONS_RUN) {
			report_cut(report, before);
			return 0;
		}
	}
	/* After such a mistake nobody knows which word is the command, and which a value. */
	if (!unclear)
		take_words(argc, argv, options, report);
	if (options->command != NULL)
		check_given(options, given, report);
	return report_grew(report, before) ? -EINVAL : 0;
}
