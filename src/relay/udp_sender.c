/* SPDX-License-Identifier: MIT */
/* Runs of datagrams, and what to do when the kernel does not take one. */
#include "relay/udp_sender.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "os/sys.h"
#include "relay/relay.h"
#include "relay/udp_receiver.h"

/* Runs sent in one call. */
#define RUNS_MAX 64

/* Pieces of all runs. A datagram takes one, or two with a header. */
#define PARTS_MAX 512

/* Datagrams in a run: UDP_MAX_SEGMENTS of older kernels. */
#define SEGMENTS_MAX 64

/* Pieces of a datagram: header and payload. */
#define PIECES_MAX 2

/* Bytes in a run: what fits one IP packet with the largest headers that come in front. */
#define RUN_BYTES_MAX 65000

union control {
	/* IP_PKTINFO or IPV6_PKTINFO, UDP_SEGMENT. */
	uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t))];
	struct cmsghdr aligned;
};

struct udp_sender {
	bool connected;
	udp_sender_report *report;
	unsigned run_count;
	unsigned part_count;
	struct udp_run runs[RUNS_MAX];
	const struct udp_route *routes[RUNS_MAX];
	struct iovec parts[PARTS_MAX];
	struct mmsghdr messages[RUNS_MAX];
	union control controls[RUNS_MAX];
};

struct udp_sender *udp_sender_create(bool connected, udp_sender_report *report)
{
	struct udp_sender *sender = calloc(1, sizeof(*sender));

	if (sender != NULL) {
		sender->connected = connected;
		sender->report = report;
	}
	return sender;
}

void udp_sender_destroy(struct udp_sender *sender)
{
	free(sender);
}

bool udp_sender_empty(const struct udp_sender *sender)
{
	return sender->run_count == 0;
}

/* May this datagram become the next one of the last run? */
static bool continues(const struct udp_sender *sender, const struct udp_outgoing *outgoing,
		      size_t length)
{
	const struct udp_run *run = &sender->runs[sender->run_count - 1];

	return run->flow == outgoing->flow && !run->closed && !outgoing->alone && length > 0 &&
	       length <= run->segment && run->datagrams < SEGMENTS_MAX &&
	       run->bytes + length <= RUN_BYTES_MAX;
}

static void begin_run(struct udp_sender *sender, const struct udp_outgoing *outgoing, size_t length)
{
	sender->routes[sender->run_count] = outgoing->route;
	sender->runs[sender->run_count++] = (struct udp_run){
		.flow = outgoing->flow,
		.segment = length,
		.first_part = sender->part_count,
		.closed = outgoing->alone || length == 0,
	};
}

/* Neighbours in memory, as the kernel hands out joined datagrams, become one piece again. */
static void add_part(struct udp_sender *sender, const uint8_t *bytes, size_t length, bool first)
{
	struct iovec *next = &sender->parts[sender->part_count];

	if (!first && (const uint8_t *)next[-1].iov_base + next[-1].iov_len == bytes) {
		next[-1].iov_len += length;
		return;
	}
	next->iov_base = (void *)(uintptr_t)bytes; /* sendmmsg() only reads */
	next->iov_len = length;
	sender->part_count++;
}

bool udp_sender_add(struct udp_sender *sender, const struct udp_outgoing *outgoing)
{
	size_t length = outgoing->header_length + outgoing->length;
	bool first = sender->run_count == 0 || !continues(sender, outgoing, length);
	struct udp_run *run;

	if (sender->part_count + 2 > PARTS_MAX || (first && sender->run_count == RUNS_MAX))
		return false;
	if (first)
		begin_run(sender, outgoing, length);
	run = &sender->runs[sender->run_count - 1];
	if (outgoing->header_length > 0)
		add_part(sender, outgoing->header, outgoing->header_length, first);
	if (outgoing->length > 0 || outgoing->header_length == 0)
		add_part(sender, outgoing->bytes, outgoing->length,
			 first && outgoing->header_length == 0);
	run->bytes += length;
	run->headers += outgoing->header_length;
	run->datagrams++;
	/* Only the last one of a run may be shorter. */
	run->closed = run->closed || length < run->segment;
	return true;
}

static struct cmsghdr *put_control(struct msghdr *header, struct cmsghdr *at, int level, int type,
				   const void *data, size_t size)
{
	at->cmsg_level = level;
	at->cmsg_type = type;
	at->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(at), data, size);
	header->msg_controllen += CMSG_SPACE(size);
	return (struct cmsghdr *)(void *)((uint8_t *)at + CMSG_SPACE(size));
}

static struct cmsghdr *put_local(struct msghdr *header, struct cmsghdr *at,
				 const struct udp_route *route)
{
	if (route->local_family == AF_INET) {
		const struct in_pktinfo info = {.ipi_spec_dst = route->local.in};

		return put_control(header, at, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	}
	if (route->local_family == AF_INET6) {
		const struct in6_pktinfo info = {.ipi6_addr = route->local.in6};

		return put_control(header, at, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
	return at;
}

/* Fills a message's head; its parts are the caller's business. */
static void address_message(struct msghdr *header, union control *control,
			    const struct udp_route *route, size_t segment)
{
	struct cmsghdr *at = &control->aligned;

	*header = (struct msghdr){.msg_control = control};
	if (route != NULL) {
		header->msg_name = (void *)(uintptr_t)&route->peer;
		header->msg_namelen = route->peer_length;
		at = put_local(header, at, route);
	}
	if (segment > 0) {
		uint16_t size = (uint16_t)segment;

		put_control(header, at, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size));
	}
	if (header->msg_controllen == 0)
		header->msg_control = NULL;
}

static unsigned end_of_parts(const struct udp_sender *sender, unsigned index)
{
	return index + 1 < sender->run_count ? sender->runs[index + 1].first_part
					     : sender->part_count;
}

static void prepare_messages(struct udp_sender *sender)
{
	for (unsigned i = 0; i < sender->run_count; i++) {
		const struct udp_run *run = &sender->runs[i];
		struct msghdr *header = &sender->messages[i].msg_hdr;

		address_message(header, &sender->controls[i], sender->routes[i],
				run->datagrams > 1 ? run->segment : 0);
		header->msg_iov = &sender->parts[run->first_part];
		header->msg_iovlen = end_of_parts(sender, i) - run->first_part;
	}
}

bool udp_is_path_error(int error)
{
	switch (error) {
	case -ECONNREFUSED:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
	case -EHOSTDOWN:
	case -ENONET:
	case -ENOPROTOOPT:
	case -EOPNOTSUPP:
	case -EPROTO:
	case -EACCES:
		return true;
	default:
		return false;
	}
}

/* The path has a small MTU, or a device without checksums of its own. */
static bool refuses_runs(int error)
{
	return error == -EINVAL || error == -EIO || error == -EMSGSIZE;
}

/*
 * A message was not taken. An error of the path is heard, counted, and does not cost the datagram,
 * which gets another try. That a datagram is too large may be a router's word about an earlier one,
 * or the truth about this one: the truth is told again. Returns 0 or what is final.
 */
static int settle(const struct udp_sender *sender, struct relay *relay, int fd,
		  struct mmsghdr *message, int error)
{
	bool of_the_path = sender->connected && (udp_is_path_error(error) || error == -EMSGSIZE);
	int again;

	if (!of_the_path && error != -EINTR)
		return error;
	again = relay->sys->sendmmsg(fd, message, 1);
	if (of_the_path && (error != -EMSGSIZE || again != error))
		counter_add(&relay->counters, COUNTER_UPSTREAM_ICMP_ERRORS, 1);
	return again < 0 ? again : 0;
}

/* Cuts the next `length` bytes out of a run's parts. Returns how many pieces they are in. */
static size_t cut(struct iovec **part, size_t length, struct iovec pieces[static PIECES_MAX])
{
	size_t count = 0;

	while (length > 0) {
		size_t take = (*part)->iov_len < length ? (*part)->iov_len : length;

		pieces[count++] = (struct iovec){(*part)->iov_base, take};
		(*part)->iov_base = (uint8_t *)(*part)->iov_base + take;
		(*part)->iov_len -= take;
		length -= take;
		if ((*part)->iov_len == 0)
			(*part)++;
	}
	return count;
}

/* A run that the kernel would not cut up, one datagram at a time. */
static void send_one_by_one(struct udp_sender *sender, struct relay *relay, int fd, unsigned index)
{
	const struct udp_run *run = &sender->runs[index];
	struct iovec *part = &sender->parts[run->first_part];
	size_t left = run->bytes;

	while (left > 0) {
		size_t length = left < run->segment ? left : run->segment;
		struct udp_run single = {
			.flow = run->flow,
			.bytes = length,
			.headers = run->headers / run->datagrams,
			.segment = length,
			.datagrams = 1,
			.refused = true,
		};
		struct iovec pieces[PIECES_MAX];
		struct mmsghdr message = {0};
		union control control;
		int error;

		address_message(&message.msg_hdr, &control, sender->routes[index], 0);
		message.msg_hdr.msg_iov = pieces;
		message.msg_hdr.msg_iovlen = cut(&part, length, pieces);
		error = relay->sys->sendmmsg(fd, &message, 1);
		if (error < 0)
			error = settle(sender, relay, fd, &message, error);
		sender->report(relay, &single, error < 0 ? error : 0);
		left -= length;
	}
}

/* The run at `index` was not taken with the others. */
static void send_again(struct udp_sender *sender, struct relay *relay, int fd, unsigned index,
		       int error)
{
	const struct udp_run *run = &sender->runs[index];

	error = settle(sender, relay, fd, &sender->messages[index], error);
	if (run->datagrams > 1 && refuses_runs(error))
		send_one_by_one(sender, relay, fd, index);
	else
		sender->report(relay, run, error);
}

void udp_sender_flush(struct udp_sender *sender, struct relay *relay, int fd)
{
	unsigned next = 0;

	prepare_messages(sender);
	while (next < sender->run_count) {
		int sent =
			relay->sys->sendmmsg(fd, &sender->messages[next], sender->run_count - next);

		for (int i = 0; i < sent; i++)
			sender->report(relay, &sender->runs[next++], 0);
		if (sent < 0)
			send_again(sender, relay, fd, next++, sent);
	}
	sender->run_count = sender->part_count = 0;
}
