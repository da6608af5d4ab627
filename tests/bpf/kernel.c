/* SPDX-License-Identifier: MIT */
#include "kernel.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <tcp.skel.h>

#include <cmocka.h>

/* Newer than some hosts' headers. */
#define TEST_CHECKSUM_COMPLETE (1U << 2)

#define EXIT_SKIP 77

static struct tcp_programs *skeleton;
static struct ring_buffer *events;
static uint64_t last_event;
static unsigned outside;

static int fd_of(const struct bpf_map *map)
{
	return bpf_map__fd(map);
}

static void skip_all(const char *what, int error)
{
	fprintf(stderr, "skipped: %s: %s\n", what, strerror(error));
	exit(EXIT_SKIP);
}

static int event_read(void *context, void *bytes, size_t size)
{
	const struct offload_event *event = bytes;

	(void)context;
	assert_int_equal(size, sizeof(*event));
	last_event = event->session;
	return 1; /* one is enough */
}

__attribute__((format(printf, 2, 0))) static int say_nothing(enum libbpf_print_level level,
							     const char *format, va_list arguments)
{
	return level == LIBBPF_WARN && getenv("BPF_LOG") != NULL
		       ? vfprintf(stderr, format, arguments)
		       : 0;
}

static void make_interfaces(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		skip_all("no network namespace can be made", errno);
	assert_int_equal(
		system("ip link set lo up && ip link add outside type veth peer name cable"), 0);
	outside = if_nametoindex("outside");
	assert_int_not_equal(outside, 0);
}

int kernel_setup(void **state)
{
	(void)state;
	libbpf_set_print(say_nothing);
	skeleton = tcp_programs__open();
	assert_non_null(skeleton);
	skeleton->rodata->offload_coarse_clock =
		libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_ktime_get_coarse_ns,
					NULL) == 1;
	if (tcp_programs__load(skeleton) < 0) {
		/* Anything else than a host that forbids it is a program that the kernel refuses.
		 */
		if (errno == EPERM || errno == ENOSYS)
			skip_all("bpf(2) is not permitted here", errno);
		fprintf(stderr, "the kernel refuses the programs: %s (BPF_LOG=1 shows why)\n",
			strerror(errno));
		return -1;
	}
	make_interfaces();
	events = ring_buffer__new(fd_of(skeleton->maps.offload_events), event_read, NULL, NULL);
	return events == NULL ? -1 : 0;
}

int kernel_teardown(void **state)
{
	(void)state;
	ring_buffer__free(events);
	tcp_programs__destroy(skeleton);
	return 0;
}

struct tcp_programs *kernel_skeleton(void)
{
	return skeleton;
}

static void empty(int map, void *key)
{
	while (bpf_map_get_next_key(map, NULL, key) == 0)
		assert_int_equal(bpf_map_delete_elem(map, key), 0);
}

int kernel_clear(void **state)
{
	const __u32 live = OFFLOAD_ABOUT_LIVE;
	const __u64 none = 0;
	struct offload_tuple tuple;
	uint64_t number;

	(void)state;
	empty(fd_of(skeleton->maps.offload_places), &tuple);
	empty(fd_of(skeleton->maps.offload_sessions), &number);
	while (kernel_next_event(&number))
		;
	return bpf_map_update_elem(fd_of(skeleton->maps.offload_about), &live, &none, BPF_ANY);
}

unsigned kernel_outside(void)
{
	return outside;
}

void kernel_outside_address(uint8_t address[static 6])
{
	struct ifreq request = {.ifr_name = "outside"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, SIOCGIFHWADDR, &request), 0);
	memcpy(address, request.ifr_hwaddr.sa_data, 6);
	close(fd);
}

/* 0 or -errno. */
static int arrive(struct packet *packet, struct __sk_buff *context, uint32_t flags,
		  enum action *action)
{
	static struct packet out;
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet->bytes, .data_out = out.bytes,
		    .data_size_in = (__u32)packet->length, .data_size_out = sizeof(out.bytes),
		    .ctx_in = context, .ctx_size_in = sizeof(*context), .flags = flags);

	/* It is for this host. */
	if (context->ifindex == outside)
		kernel_outside_address(packet->bytes);
	if (bpf_prog_test_run_opts(bpf_program__fd(skeleton->progs.offload_tcp), &run) < 0)
		return -errno;
	memcpy(packet->bytes, out.bytes, run.data_size_out);
	packet->length = run.data_size_out;
	*action = (enum action)(int)run.retval;
	return 0;
}

enum action kernel_arrive(struct packet *packet, unsigned interface)
{
	struct __sk_buff context = {.ifindex = interface};
	enum action action = ACTION_PASS;

	assert_int_equal(arrive(packet, &context, 0, &action), 0);
	return action;
}

bool kernel_arrive_summed(struct packet *packet, unsigned interface)
{
	struct __sk_buff context = {.ifindex = interface};
	enum action action;
	int error = arrive(packet, &context, TEST_CHECKSUM_COMPLETE, &action);

	if (error == -EINVAL)
		return false;
	assert_int_equal(error, 0); /* EBADMSG: the sum is not the packet's */
	return true;
}

enum action kernel_arrive_segments(struct packet *packet, unsigned interface, uint32_t size)
{
	struct __sk_buff context = {.ifindex = interface, .gso_size = size, .gso_segs = 2};
	enum action action = ACTION_PASS;

	assert_int_equal(arrive(packet, &context, 0, &action), 0);
	return action;
}

void kernel_put_session(uint64_t number, const struct offload_session *session)
{
	assert_int_equal(bpf_map_update_elem(fd_of(skeleton->maps.offload_sessions), &number,
					     session, BPF_ANY),
			 0);
}

void kernel_put_place(const struct offload_tuple *tuple, uint64_t session, uint32_t leg)
{
	const struct offload_place place = {.session = session, .leg = leg};

	assert_int_equal(
		bpf_map_update_elem(fd_of(skeleton->maps.offload_places), tuple, &place, BPF_ANY),
		0);
}

bool kernel_has_place(const struct offload_tuple *tuple)
{
	struct offload_place place;

	return bpf_map_lookup_elem(fd_of(skeleton->maps.offload_places), tuple, &place) == 0;
}

void kernel_get_session(uint64_t number, struct offload_session *session)
{
	assert_int_equal(bpf_map_lookup_elem_flags(fd_of(skeleton->maps.offload_sessions), &number,
						   session, BPF_F_LOCK),
			 0);
}

enum offload_move_result kernel_move(const struct offload_move *move)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = move, .data_size_in = sizeof(*move));

	assert_int_equal(
		bpf_prog_test_run_opts(bpf_program__fd(skeleton->progs.offload_tcp_move), &run), 0);
	return (enum offload_move_result)run.retval;
}

enum offload_move_result kernel_end(uint64_t session)
{
	const struct offload_end end = {.session = session};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = &end, .data_size_in = sizeof(end));

	assert_int_equal(
		bpf_prog_test_run_opts(bpf_program__fd(skeleton->progs.offload_tcp_end), &run), 0);
	return (enum offload_move_result)run.retval;
}

int64_t kernel_live(void)
{
	const __u32 key = OFFLOAD_ABOUT_LIVE;
	int64_t live = 0;

	assert_int_equal(bpf_map_lookup_elem(fd_of(skeleton->maps.offload_about), &key, &live), 0);
	return live;
}

bool kernel_next_event(uint64_t *session)
{
	int count;

	last_event = 0;
	count = ring_buffer__consume(events);
	*session = last_event;
	return count != 0 && last_event != 0;
}

unsigned kernel_time(const struct packet *packet, unsigned repeat)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet->bytes,
		    .data_size_in = (__u32)packet->length, .repeat = (int)repeat);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(skeleton->progs.offload_tcp), &run),
			 0);
	return run.duration;
}
