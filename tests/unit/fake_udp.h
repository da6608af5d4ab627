/* SPDX-License-Identifier: MIT */
/*
 * A fake operating system behind struct sys for UDP: sockets with a queue of what has come, a log
 * of what was sent, and the events that level-triggered epoll would report. It does nothing by
 * itself: the test puts datagrams into the queues, reads the log, and makes any call fail.
 *
 * The behaviour is Linux's, as far as a relay can notice: a pending ICMP error is told once, in
 * place of a receive or a send; a call that fails after some messages returns how many those were.
 * A call that no sound program makes (on a closed descriptor, say) aborts.
 *
 * No test framework. One fake at a time, for one thread.
 */
#ifndef MMPROXY_TESTS_FAKE_UDP_H
#define MMPROXY_TESTS_FAKE_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/list.h"
#include "os/sys.h"

struct loop_source;

enum fake_udp_call {
	FAKE_UDP_SOCKET,
	FAKE_UDP_SET_OPTION,
	FAKE_UDP_BIND,
	FAKE_UDP_CONNECT,
	FAKE_UDP_LOCAL_ADDRESS,
	FAKE_UDP_RECVMMSG,
	FAKE_UDP_SENDMMSG,
	FAKE_UDP_WATCH,
	FAKE_UDP_CALL_COUNT,
};

#define FAKE_UDP_PLANS_MAX   16
#define FAKE_UDP_OPTIONS_MAX 16

/* linux/in.h: IP_RECVORIGDSTADDR. A socket with it tells what a datagram was sent to. */
#define FAKE_UDP_RECVORIGDSTADDR 20

/* One buffer, as recvmmsg() would fill it. */
struct fake_udp_arrival {
	struct list link;
	struct address from;
	struct address to; /* told where the socket has no address of its own; port ignored */
	size_t segment;    /* UDP_GRO; 0: one datagram */
	uint32_t overflow; /* SO_RXQ_OVFL; 0: nothing is said */
	size_t length;
	uint8_t bytes[];
};

struct fake_udp_socket {
	struct list link; /* fake->sockets */
	int fd;           /* -1 once it is closed */
	bool dialled;     /* by the program, for a flow */
	bool dual_stack;  /* IPv4 peers are ::ffff:a.b.c.d */
	bool wildcard;    /* says which address was asked */
	bool watched;
	bool notices; /* no socket: an eventfd, and not the program's to close */
	bool heard;   /* notices: what is posted there is reported, until it has been read */
	uint32_t events;
	struct loop_source *source;
	struct address bound;
	struct address peer;  /* ADDRESS_NONE: not connected */
	struct list arrivals; /* not received yet */
	int error;            /* pending, as -errno */
	uint32_t dropped;
	struct fake_udp_option {
		int level, name, value;
	} options[FAKE_UDP_OPTIONS_MAX]; /* in the order of the calls */
	size_t option_count;
};

/* A datagram that the program has sent. */
struct fake_udp_sent {
	struct fake_udp_socket *socket;
	struct address from; /* where the socket is bound, or what the message said */
	struct address to;
	unsigned call; /* the number of the sendmmsg() */
	unsigned of;   /* datagrams in its message */
	bool heard;    /* for the test to mark */
	size_t length;
	uint8_t *bytes;
};

struct fake_udp_event {
	struct loop_source *source;
	uint32_t events;
};

struct fake_udp {
	struct list sockets;
	int last_fd;        /* numbers are not used again, so that a stale one is noticed */
	unsigned open;      /* descriptors */
	unsigned interface; /* that datagrams come by, where a socket tells */
	struct fake_udp_sent *sent;
	size_t sent_count, sent_capacity;
	size_t unread; /* datagrams that were in the queue of a socket when it was closed */

	/* Ports of this host, for bind(). */
	uint16_t taken_port;       /* EADDRINUSE */
	uint16_t privileged_below; /* EACCES */

	size_t mtu;       /* a longer datagram is refused; 0: none is */
	int run_error;    /* any run is refused; 0: none is */
	unsigned at_most; /* messages sent or received in one call; 0: all */

	struct fake_udp_plan {
		enum fake_udp_call call;
		unsigned in; /* calls from now; 0: not in use */
		int error;
	} plans[FAKE_UDP_PLANS_MAX];
	/* Besides the plans: the error for this call, 0 for none. May be NULL. */
	int (*fault)(void *context, enum fake_udp_call call);
	void *context;
	unsigned calls[FAKE_UDP_CALL_COUNT];
};

extern const struct sys fake_udp_table;

/* The fake becomes the one that the table works on. */
void fake_udp_init(struct fake_udp *fake);
void fake_udp_finish(struct fake_udp *fake); /* whatever is left of sockets */

/* Makes a call fail: 1 is the next one of its kind. */
void fake_udp_fail(struct fake_udp *fake, enum fake_udp_call call, unsigned in, int error);

/*
 * Events as one epoll_wait() would report them, of sockets from the `start`th on, and then of those
 * before it. Returns how many.
 */
size_t fake_udp_poll(struct fake_udp *fake, struct fake_udp_event *events, size_t max,
		     unsigned start);

/* A listener's socket. The fake's until fake_udp_finish(), whatever the program does. */
struct fake_udp_socket *fake_udp_open(struct fake_udp *fake, const struct address *bound);
/* The test's own eventfd, for the program to watch. It says nothing until it is `heard`. */
struct fake_udp_socket *fake_udp_adopt(struct fake_udp *fake, int eventfd);
/* Is anything posted there? Leaves it there. */
bool fake_udp_posted(const struct fake_udp_socket *notices);

/* Something has arrived; the bytes are copied. The caller may still change what is beside them. */
struct fake_udp_arrival *fake_udp_arrive(struct fake_udp_socket *socket, const struct address *from,
					 const void *bytes, size_t length);

/* The newest open socket that the program has bound there, NULL when there is none. */
struct fake_udp_socket *fake_udp_bound_to(struct fake_udp *fake, const struct address *address);
/* Open ones that the program has made, but those at the loopback address: they are no flow's. */
unsigned fake_udp_dialled(const struct fake_udp *fake);

/* The last value set; -1 when none was. */
int fake_udp_option(const struct fake_udp_socket *socket, int level, int name);

#endif
