/* SPDX-License-Identifier: MIT */
/*
 * impair: a bad link between two network namespaces.
 *
 * It makes a TUN device in each of them and carries IP packets from one to the other, some of them
 * late, out of order, twice, damaged, or not at all. Addresses, routes and the devices' MTU are the
 * caller's business (ip(8)). What becomes of the n-th packet of a direction depends on the seed
 * alone, so that a run can be repeated as far as both ends send the same.
 *
 * A packet is damaged by one bit, which checksums always notice; with two they may not. What a
 * device sends is complete: without IFF_VNET_HDR the kernel has put in the checksums and cut large
 * packets up.
 *
 * A line on standard input changes settings, of one direction or both; each line, also an empty
 * one, is answered with what has been done so far. The end of the input, SIGTERM and SIGINT end it,
 * after the same line.
 */
#include "impair.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "arguments.h"

#define PACKET_MAX 65536 /* bytes */
#define LINE_MAX   1024  /* of standard input */
/* Packets read from one device before the other one gets its turn. */
#define READS_PER_TURN 64

enum count {
	COUNT_RECEIVED, /* from the device, without those that are ignored */
	COUNT_FORWARDED,
	COUNT_LOST,
	COUNT_DUPLICATED,
	COUNT_CORRUPTED,
	COUNT_HELD,
	COUNT_REORDERED, /* left after one that had come later */
	COUNT_OVERFLOWED,
	COUNT_REFUSED, /* by the other device, for what damage made of them */
	COUNTS,
};

static const char *const count_names[COUNTS] = {
	[COUNT_RECEIVED] = "received",   [COUNT_FORWARDED] = "forwarded",
	[COUNT_LOST] = "lost",           [COUNT_DUPLICATED] = "duplicated",
	[COUNT_CORRUPTED] = "corrupted", [COUNT_HELD] = "held",
	[COUNT_REORDERED] = "reordered", [COUNT_OVERFLOWED] = "overflowed",
	[COUNT_REFUSED] = "refused",
};

enum { RIGHT, LEFT, DIRECTIONS }; /* where to */
static const char *const direction_names[DIRECTIONS] = {"right", "left"};

struct direction {
	int from, to;
	struct impair_settings settings;
	struct impair_queue queue;
	uint64_t counts[COUNTS];
	uint64_t free_at;  /* when the last packet has been clocked out, with a rate */
	uint64_t last_due; /* of those that keep their order */
	uint64_t highest;  /* number of those that have left */
};

static struct direction directions[DIRECTIONS];
static uint64_t seed;

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void print_counts(void)
{
	for (size_t i = 0; i < DIRECTIONS; i++) {
		for (size_t j = 0; j < COUNTS; j++)
			printf("%s_%s=%" PRIu64 " ", direction_names[i], count_names[j],
			       directions[i].counts[j]);
	}
	printf("waiting=%zu\n", directions[RIGHT].queue.count + directions[LEFT].queue.count);
	fflush(stdout);
}

/* Packets. */

/* What a kernel tells its neighbours about itself, unasked: that would shift the numbers. */
static bool is_chatter(const uint8_t *packet, size_t length)
{
	return length < 20 || (packet[0] >> 4 == 6 && (length < 40 || packet[24] == 0xff));
}

static void send_later(struct direction *direction, const uint8_t *bytes, size_t length,
		       uint64_t number, uint64_t due)
{
	struct impair_packet *packet = malloc(sizeof(*packet) + length);

	if (packet == NULL)
		err(EXIT_FAILURE, "no memory");
	packet->due = due;
	packet->number = number;
	packet->length = length;
	memcpy(packet->bytes, bytes, length);
	impair_queue_add(&direction->queue, packet);
}

/* When the packet leaves that has come now. */
static uint64_t due_of(struct direction *direction, size_t length, const struct impair_fate *fate)
{
	const uint64_t *values = direction->settings.values;
	uint64_t due = now();

	if (values[IMPAIR_RATE] > 0) {
		if (direction->free_at > due)
			due = direction->free_at;
		due += length * 8 * 1000000 / values[IMPAIR_RATE];
		direction->free_at = due;
	}
	due += fate->delay * 1000;
	if (fate->held)
		return due + values[IMPAIR_HOLD] * 1000;
	if (due < direction->last_due)
		due = direction->last_due;
	direction->last_due = due;
	return due;
}

static void judge(struct direction *direction, uint8_t *bytes, size_t length)
{
	unsigned which = (unsigned)(direction - directions);
	uint64_t number = direction->counts[COUNT_RECEIVED]++, *counts = direction->counts, due;
	struct impair_fate fate = impair_fate(&direction->settings, seed, which, number);

	if (fate.lost) {
		counts[COUNT_LOST]++;
		return;
	}
	if (direction->queue.count >= direction->settings.values[IMPAIR_QUEUE]) {
		counts[COUNT_OVERFLOWED]++;
		return;
	}
	due = due_of(direction, length, &fate);
	counts[COUNT_HELD] += fate.held;
	counts[COUNT_DUPLICATED] += fate.twice;
	counts[COUNT_CORRUPTED] += fate.corrupt;
	if (fate.twice)
		send_later(direction, bytes, length, number, due);
	if (fate.corrupt)
		bytes[fate.bit / 8 % length] ^= (uint8_t)(1 << fate.bit % 8);
	send_later(direction, bytes, length, number, due);
}

static void receive(struct direction *direction)
{
	static uint8_t bytes[PACKET_MAX];

	for (int i = 0; i < READS_PER_TURN; i++) {
		ssize_t length = read(direction->from, bytes, sizeof(bytes));

		if (length < 0 && errno == EIO)
			return; /* the device is down */
		if (length < 0 && errno != EAGAIN)
			err(EXIT_FAILURE, "reading from a device");
		if (length <= 0)
			return;
		if (!is_chatter(bytes, (size_t)length))
			judge(direction, bytes, (size_t)length);
	}
}

static void send_due(struct direction *direction)
{
	const struct impair_packet *first;

	while ((first = impair_queue_first(&direction->queue)) != NULL && first->due <= now()) {
		struct impair_packet *packet = impair_queue_take(&direction->queue);

		if (write(direction->to, packet->bytes, packet->length) < 0)
			direction->counts[COUNT_REFUSED]++;
		else
			direction->counts[COUNT_FORWARDED]++;
		if (packet->number < direction->highest)
			direction->counts[COUNT_REORDERED]++;
		else
			direction->highest = packet->number;
		free(packet);
	}
}

/* Settings. */

/* Words of one line. Both directions, unless the first word names one. */
static void apply(char *line)
{
	bool named[DIRECTIONS] = {false};
	char *rest, *word = strtok_r(line, " \t\n", &rest);

	for (size_t i = 0; word != NULL && i < DIRECTIONS; i++) {
		named[i] = strcmp(word, direction_names[i]) == 0;
		if (named[i])
			word = strtok_r(NULL, " \t\n", &rest);
	}
	for (; word != NULL; word = strtok_r(NULL, " \t\n", &rest)) {
		for (size_t i = 0; i < DIRECTIONS; i++) {
			if (!named[i] && (named[RIGHT] || named[LEFT]))
				continue;
			if (!impair_settings_parse(&directions[i].settings, word))
				errx(EXIT_FAILURE, "not a setting: %s (--help names them)", word);
		}
	}
}

/* False at the end of the input. */
static bool read_settings(void)
{
	static char line[LINE_MAX];
	static size_t have;
	ssize_t length = read(STDIN_FILENO, line + have, sizeof(line) - 1 - have);
	char *end;

	if (length <= 0)
		return false;
	have += (size_t)length;
	line[have] = '\0';
	while ((end = strchr(line, '\n')) != NULL) {
		*end++ = '\0';
		apply(line);
		print_counts();
		have -= (size_t)(end - line);
		memmove(line, end, have + 1);
	}
	if (have == sizeof(line) - 1)
		errx(EXIT_FAILURE, "a line of more than %d bytes", LINE_MAX);
	return true;
}

/* The loop. */

static int timeout(struct timespec *time)
{
	uint64_t due = UINT64_MAX, time_now = now();

	for (size_t i = 0; i < DIRECTIONS; i++) {
		const struct impair_packet *first = impair_queue_first(&directions[i].queue);

		if (first != NULL && first->due < due)
			due = first->due;
	}
	if (due == UINT64_MAX)
		return -1;
	due = due > time_now ? due - time_now : 0;
	*time = (struct timespec){(time_t)(due / 1000000000), (long)(due % 1000000000)};
	return 0;
}

static void run(int signals)
{
	struct pollfd polled[] = {
		{.fd = directions[RIGHT].from, .events = POLLIN},
		{.fd = directions[LEFT].from, .events = POLLIN},
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = signals, .events = POLLIN},
	};

	for (;;) {
		struct timespec time;
		bool forever = timeout(&time) < 0;

		if (ppoll(polled, 4, forever ? NULL : &time, NULL) < 0 && errno != EINTR)
			err(EXIT_FAILURE, "ppoll");
		/* Of whatever was sent before a line came, the answer to the line tells. */
		for (size_t i = 0; i < DIRECTIONS; i++) {
			receive(&directions[i]);
			send_due(&directions[i]);
		}
		if (polled[3].revents != 0 || (polled[2].revents != 0 && !read_settings()))
			return;
	}
}

/* The start. */

/* NAMESPACE:DEVICE. The device goes with the program. */
static int open_device(const char *option, const char *place)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	const char *colon = strrchr(place, ':');
	char path[256];
	int namespace, device;

	if (colon == NULL || strlen(colon + 1) == 0 || strlen(colon + 1) >= IFNAMSIZ)
		errx(EXIT_FAILURE, "--%s: not NAMESPACE:DEVICE: %s", option, place);
	snprintf(path, sizeof(path), "/run/netns/%.*s", (int)(colon - place), place);
	namespace = open(path, O_RDONLY | O_CLOEXEC);
	if (namespace < 0 || setns(namespace, CLONE_NEWNET) < 0)
		err(EXIT_FAILURE, "--%s: the network namespace %s", option, path);
	close(namespace);
	device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (device < 0)
		err(EXIT_FAILURE, "/dev/net/tun");
	strcpy(request.ifr_name, colon + 1);
	if (ioctl(device, TUNSETIFF, &request) < 0)
		err(EXIT_FAILURE, "a TUN device %s", colon + 1);
	return device;
}

static void usage(FILE *to)
{
	fputs("Usage: impair --left NAMESPACE:DEVICE --right NAMESPACE:DEVICE --seed N "
	      "[SETTING]...\n"
	      "Joins two network namespaces of ip-netns(8) by a link with faults. Settings are "
	      "words\n"
	      "name=value: loss, duplicate, corrupt, reorder in percent of the packets; delay,\n"
	      "jitter, and hold (of those that are reordered) in milliseconds; rate in kbit/s; "
	      "queue\n"
	      "in packets. A line on standard input changes settings, of one direction when it "
	      "begins\n"
	      "with `right' or `left', and is answered with counts, as is the end.\n",
	      to);
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{"left", required_argument, NULL, 'l'},
		{"right", required_argument, NULL, 'r'},
		{"seed", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *left = NULL, *right = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			left = optarg;
			break;
		case 'r':
			right = optarg;
			break;
		case 's':
			seed = number_argument("seed", optarg, 0, UINT32_MAX);
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			usage(stderr);
			exit(EXIT_FAILURE);
		}
	}
	if (left == NULL || right == NULL) {
		usage(stderr);
		exit(EXIT_FAILURE);
	}
	for (size_t i = 0; i < DIRECTIONS; i++)
		impair_settings_init(&directions[i].settings);
	for (; optind < argc; optind++)
		apply(argv[optind]);
	directions[RIGHT].from = directions[LEFT].to = open_device("left", left);
	directions[LEFT].from = directions[RIGHT].to = open_device("right", right);
}

int main(int argc, char **argv)
{
	sigset_t ends;

	read_options(argc, argv);
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	puts("ready");
	fflush(stdout);
	run(signalfd(-1, &ends, SFD_CLOEXEC));
	print_counts();
	return EXIT_SUCCESS;
}
