/* SPDX-License-Identifier: MIT */
/* A socket in repair mode takes its numbers from us, and is connected without a packet. */
#include "offload/revive.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "offload/tuple.h"

#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif

/* Enough for an end, or a reset; what the far end really takes, it says with its next packet. */
#define WINDOW 65535

/*
 * In ticks: the other far end may have said something since it was looked at, and what is older
 * than that is dropped without an answer. Of a probe nobody takes the time for granted.
 */
#define PROBE_AHEAD (1u << 24)

/* Of <netinet/tcp.h>, which <linux/tcp.h> stands in for. */
#define OPTION_MSS            2
#define OPTION_WINDOW         3
#define OPTION_SACK_PERMITTED 4
#define OPTION_TIMESTAMP      8

static socklen_t fill(struct sockaddr_storage *address, const __u32 ip[static 4], __u16 port,
		      bool ipv4)
{
	struct sockaddr_in *in = (struct sockaddr_in *)address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;

	memset(address, 0, sizeof(*address));
	if (ipv4) {
		in->sin_family = AF_INET;
		in->sin_port = port;
		in->sin_addr.s_addr = ip[3];
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = port;
	memcpy(&in6->sin6_addr, ip, sizeof(in6->sin6_addr));
	return sizeof(*in6);
}

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int set_queue(int fd, int queue, __u32 sequence)
{
	int error = set(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue);

	return error < 0 ? error : set(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, (int)sequence);
}

static int connect_leg(int fd, const struct offload_tuple *tuple)
{
	struct sockaddr_storage here, there;
	bool ipv4 = offload_tuple_is_ipv4(tuple);
	socklen_t length = fill(&here, tuple->destination, tuple->destination_port, ipv4);

	if (bind(fd, (struct sockaddr *)&here, length) < 0)
		return -errno;
	length = fill(&there, tuple->source, tuple->source_port, ipv4);
	return connect(fd, (struct sockaddr *)&there, length) < 0 ? -errno : 0;
}

static int set_options(int fd, const struct offload_record *record, enum offload_leg_name leg)
{
	const __u32 negotiated = record->legs[leg].options;
	struct tcp_repair_opt options[4];
	unsigned count = 0;

	options[count++] = (struct tcp_repair_opt){OPTION_MSS, record->legs[leg].segment};
	if (negotiated & TCPI_OPT_WSCALE)
		/* In the names of its sender: what is in the windows that come, and in ours. */
		options[count++] = (struct tcp_repair_opt){
			OPTION_WINDOW, record->legs[leg].window_received |
					       (__u32)record->legs[leg].window_sent << 16};
	if (negotiated & TCPI_OPT_SACK)
		options[count++] = (struct tcp_repair_opt){OPTION_SACK_PERMITTED, 0};
	if (negotiated & TCPI_OPT_TIMESTAMPS)
		options[count++] = (struct tcp_repair_opt){OPTION_TIMESTAMP, 0};
	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, options,
			  count * sizeof(options[0])) < 0
		       ? -errno
		       : 0;
}

static int set_windows(int fd, __u32 received)
{
	const struct tcp_repair_window window = {
		.snd_wl1 = received,
		.snd_wnd = WINDOW,
		.max_window = WINDOW,
		.rcv_wnd = WINDOW,
		.rcv_wup = received,
	};

	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, sizeof(window)) < 0 ? -errno
											   : 0;
}

/* It stays in repair mode, in which closing it says nothing. */
static int make(int fd, const struct offload_record *record, const struct offload_session *noted,
		enum offload_leg_name leg, __u32 sent, __u32 ahead)
{
	const struct offload_leg *other = &noted->legs[!leg];
	const struct offload_change *change = &noted->bases[!leg].change;
	const struct offload_tuple *tuple = &record->legs[leg].tuple;
	/* What the other far end has acknowledged is what was received; in this leg's numbers. */
	__u32 received = other->acked + change->acknowledgement;
	/* Later than whatever it has seen. */
	__u32 timestamp = other->timestamp + change->timestamp + ahead;
	int error = set(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);

	if (error == 0)
		error = offload_tuple_is_ipv4(tuple) ? set(fd, IPPROTO_IP, IP_TRANSPARENT, 1)
						     : set(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1);
	if (error == 0)
		error = set_queue(fd, TCP_SEND_QUEUE, sent);
	if (error == 0)
		error = set_queue(fd, TCP_RECV_QUEUE, received);
	if (error == 0)
		error = connect_leg(fd, tuple);
	if (error == 0)
		error = set_options(fd, record, leg);
	if (error == 0)
		error = set_windows(fd, received);
	if (error == 0 && (record->legs[leg].options & TCPI_OPT_TIMESTAMPS))
		error = set(fd, IPPROTO_TCP, TCP_TIMESTAMP, (int)timestamp);
	return error;
}

static int open_in_repair_mode(const struct offload_record *record,
			       const struct offload_session *noted, enum offload_leg_name leg,
			       __u32 sent, __u32 ahead)
{
	int domain = offload_tuple_is_ipv4(&record->legs[leg].tuple) ? AF_INET : AF_INET6;
	int fd = socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -errno;
	error = make(fd, record, noted, leg, sent, ahead);
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

int revive(const struct offload_record *record, const struct offload_session *noted,
	   enum offload_leg_name leg)
{
	/* Behind all that is on its way: an end that stands there is believed when that is there.
	 */
	__u32 sent = noted->legs[!leg].end + noted->bases[!leg].change.sequence;
	int fd = open_in_repair_mode(record, noted, leg, sent, 1), error;

	if (fd < 0)
		return fd;
	error = set(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
	/* An end in order may take its time, and nobody is to be kept from the port meanwhile. */
	if (error == 0)
		error = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

int revive_probe(const struct offload_record *record, const struct offload_session *noted,
		 enum offload_leg_name leg)
{
	/* What is older than that is answered. */
	const __u32 sent = noted->legs[leg].acked;
	int fd = open_in_repair_mode(record, noted, leg, sent, PROBE_AHEAD), error;

	if (fd < 0)
		return fd;
	/* Leaving repair mode like this is what sends the probe. */
	error = set(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF);
	if (error == 0)
		error = set(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);
	close(fd);
	return error;
}
