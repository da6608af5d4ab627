/* SPDX-License-Identifier: MIT */
/*
 * The program where it belongs, at an interface's ingress, with packets as network cards and
 * kernels hand them over: headers that are not where a program can see them, sums that are left for
 * later, several segments in one. They go to lo, where they are caught.
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <tcp.skel.h>

#include <cmocka.h>

#include "sessions.h"

#define PATIENCE 5000 /* milliseconds */

static int sender, catcher;

/* Our own packets, with what the kernel needs to know of them in front. */
static int open_packets(const char *device, uint16_t protocol)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(protocol)), on = 1;
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
				      .sll_protocol = htons(protocol),
				      .sll_ifindex = (int)if_nametoindex(device)};

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static int attach(void **state)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter);

	if (kernel_setup(state) < 0)
		return -1;
	/* Large enough for a packet whose bytes the kernel does not put all into one piece. */
	if (system("ip link set outside mtu 9000 up && ip link set cable mtu 9000 up") != 0)
		return -1;
	hook.ifindex = (int)kernel_outside();
	filter.prog_fd = bpf_program__fd(kernel_skeleton()->progs.offload_tcp);
	if (bpf_tc_hook_create(&hook) < 0 || bpf_tc_attach(&hook, &filter) < 0)
		return -1;
	sender = open_packets("cable", 0);
	catcher = open_packets("lo", ETH_P_ALL);
	return 0;
}

static int detach(void **state)
{
	close(sender);
	close(catcher);
	return kernel_teardown(state);
}

static struct session_spec outside_session(bool ipv6)
{
	struct session_spec spec = ipv6 ? session_ipv6 : session_ipv4;

	spec.way[OFFLOAD_BALANCER] = OFFLOAD_TO_LOOPBACK;
	return spec;
}

/* The balancer is outside. */
static void begin(const struct session_spec *spec)
{
	struct offload_session session;

	kernel_clear(NULL);
	session_begin(spec);
	kernel_get_session(SESSION, &session);
	session.bases[OFFLOAD_BALANCER].interface = kernel_outside();
	kernel_put_session(SESSION, &session);
}

static void send_packet(struct packet *packet, struct virtio_net_hdr *header)
{
	struct iovec parts[] = {{header, sizeof(*header)}, {packet->bytes, packet->length}};

	kernel_outside_address(packet->bytes);
	assert_int_equal(writev(sender, parts, 2), sizeof(*header) + packet->length);
}

/* What comes by lo next. */
static void catch_packet(struct packet *packet, struct virtio_net_hdr *header)
{
	struct iovec parts[] = {{header, sizeof(*header)}, {packet->bytes, sizeof(packet->bytes)}};
	struct pollfd ready = {.fd = catcher, .events = POLLIN};
	ssize_t length;

	memset(packet, 0, sizeof(*packet));
	assert_int_equal(poll(&ready, 1, PATIENCE), 1);
	length = readv(catcher, parts, 2);
	assert_true(length > (ssize_t)sizeof(*header));
	packet->length = (size_t)length - sizeof(*header);
}

static struct segment_spec long_segment(const struct session_spec *spec)
{
	struct segment_spec segment = session_segment(spec, OFFLOAD_BALANCER);

	options_add_timestamps(&segment.options, 1, 2);
	segment.payload = 5000;
	return segment;
}

static void build_expected(struct packet *expected, const struct session_spec *spec,
			   const struct segment_spec *segment)
{
	struct segment_spec changed = session_changed(spec, OFFLOAD_BALANCER, segment);

	changed.options.length = 0;
	options_add_timestamps(&changed.options, 1 + spec->timestamp[0],
			       2 + spec->timestamp_echo[0]);
	packet_build(expected, &changed);
}

/* All but the first 14 bytes are in pages, which a program cannot see into. */
static void headers_that_are_not_in_sight_are_read(void **state)
{
	static struct packet packet, expected;

	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct session_spec spec = outside_session(ipv6);
		struct segment_spec segment = long_segment(&spec);
		struct virtio_net_hdr header = {.hdr_len = 14};

		begin(&spec);
		packet_build(&packet, &segment);
		build_expected(&expected, &spec, &segment);
		send_packet(&packet, &header);
		catch_packet(&packet, &header);
		packet_assert_equal(&packet, &expected);
		assert_int_equal(session_leg(OFFLOAD_BALANCER).end, spec.received[0] + 5000);
	}
}

/* The checksum has the addresses' part alone; who sends the packet out is to add the rest. */
static void sums_that_are_left_for_later_can_still_be_made(void **state)
{
	static struct packet packet, expected;

	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct session_spec spec = outside_session(ipv6);
		struct segment_spec segment = long_segment(&spec);
		struct virtio_net_hdr header = {0};
		size_t start, length;

		begin(&spec);
		packet_build(&packet, &segment);
		build_expected(&expected, &spec, &segment);
		start = packet_transport(&packet);
		length = packet.length - start;
		packet_set16(&packet, start + 16, packet_pseudo_sum(&packet, 6, length));
		header = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
						 .csum_start = (uint16_t)start,
						 .csum_offset = 16};
		send_packet(&packet, &header);
		catch_packet(&packet, &header);
		assert_int_equal(header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM,
				 VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(header.csum_start, start);
		assert_int_equal(packet_get16(&packet, start + 16),
				 packet_pseudo_sum(&expected, 6, length));
		packet_set16(&packet, start + 16, 0);
		packet_set16(&packet, start + 16,
			     (uint16_t)~packet_sum(&packet, start, length,
						   packet_pseudo_sum(&packet, 6, length)));
		packet_assert_equal(&packet, &expected);
	}
}

static void segments_in_one_packet_stay_together(void **state)
{
	static struct packet packet, expected;

	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct session_spec spec = outside_session(ipv6);
		struct segment_spec segment = long_segment(&spec);
		struct virtio_net_hdr header = {0};
		size_t start;

		begin(&spec);
		packet_build(&packet, &segment);
		build_expected(&expected, &spec, &segment);
		start = packet_transport(&packet);
		packet_set16(&packet, start + 16,
			     packet_pseudo_sum(&packet, 6, packet.length - start));
		header = (struct virtio_net_hdr){
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.gso_type = ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
			.gso_size = 1200,
			.hdr_len = (uint16_t)(start + 32),
			.csum_start = (uint16_t)start,
			.csum_offset = 16,
		};
		send_packet(&packet, &header);
		catch_packet(&packet, &header);
		assert_int_equal(header.gso_size, 1200);
		assert_int_equal(packet.length, expected.length);
		assert_int_equal(packet_get16(&packet, start + 16),
				 packet_pseudo_sum(&expected, 6, packet.length - start));
		assert_int_equal(session_leg(OFFLOAD_BALANCER).end, spec.received[0] + 5000);
	}
}

static void put_tag(struct packet *packet, uint16_t tag)
{
	memmove(packet->bytes + 16, packet->bytes + 12, packet->length - 12);
	packet_set16(packet, 12, 0x8100);
	packet_set16(packet, 14, tag);
	packet->length += 4;
}

/* A tag without a number says how urgent a packet is; one with a number leads to another interface.
 */
static void only_packets_of_no_vlan_are_the_interfaces_own(void **state)
{
	struct session_spec spec = outside_session(false);
	struct segment_spec segment = session_segment(&spec, OFFLOAD_BALANCER), changed;
	struct virtio_net_hdr header = {0};
	static struct packet packet, expected;

	(void)state;
	begin(&spec);
	segment.payload = 100;
	packet_build(&packet, &segment);
	put_tag(&packet, 0xa005);
	send_packet(&packet, &header);
	/* It is gone by the time that the next one comes. */
	segment.payload = 50;
	packet_build(&packet, &segment);
	put_tag(&packet, 0xa000);
	send_packet(&packet, &header);
	catch_packet(&packet, &header);
	changed = session_changed(&spec, OFFLOAD_BALANCER, &segment);
	packet_build(&expected, &changed);
	packet_assert_equal(&packet, &expected);
	assert_int_equal(session_leg(OFFLOAD_BALANCER).end, spec.received[0] + 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_that_are_not_in_sight_are_read),
		cmocka_unit_test(sums_that_are_left_for_later_can_still_be_made),
		cmocka_unit_test(segments_in_one_packet_stay_together),
		cmocka_unit_test(only_packets_of_no_vlan_are_the_interfaces_own),
	};

	return cmocka_run_group_tests(tests, attach, detach);
}
