/* SPDX-License-Identifier: MIT */
/*
 * A fake operating system behind struct sys: TCP sockets with a peer and a network in between,
 * pipes, and the events that edge-triggered epoll would report. It does nothing by itself: the
 * test plays the peers, holds back the network, lets time pass, and makes any call fail.
 *
 * The behaviour is Linux's, as far as a relay can notice: a reset leaves what has arrived in place
 * and is reported once; unread bytes turn a close into a reset; a reset destroys what is on its
 * way; urgent data cuts a read short and stops a splice. A call that no sound program makes (on a
 * closed descriptor, say) aborts.
 *
 * No test framework, so that fuzz targets can use it too. One fake at a time, for one thread.
 */
#ifndef MMPROXY_TESTS_FAKE_SYS_H
#define MMPROXY_TESTS_FAKE_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/list.h"
#include "os/sys.h"

struct fake_socket;
struct loop_source;

enum fake_call {
	FAKE_SOCKET,
	FAKE_ACCEPT,
	FAKE_BIND,
	FAKE_CONNECT,
	FAKE_SET_OPTION,
	FAKE_TCP_INFO,
	FAKE_RECV,
	FAKE_SEND,
	FAKE_SPLICE_IN,  /* socket to pipe */
	FAKE_SPLICE_OUT, /* pipe to socket */
	FAKE_PIPE,
	FAKE_UNSENT,
	FAKE_SHUTDOWN,
	FAKE_LINGER,
	FAKE_WATCH,
	/* Only for sessions that may go over to the kernel. */
	FAKE_UNREAD,
	FAKE_NOT_SENT,
	FAKE_PEEK,
	FAKE_POSITION,
	FAKE_CALL_COUNT,
};

#define FAKE_PLANS_MAX   64
#define FAKE_OPTIONS_MAX 32
#define FAKE_NO_LIMIT    SIZE_MAX

struct fake_bytes {
	uint8_t *bytes;
	size_t length;
	size_t capacity;
};

enum fake_state {
	FAKE_NEW,
	FAKE_LISTENING,
	FAKE_CONNECTING,
	FAKE_CONNECTED,
	FAKE_DEAD, /* reset, refused or timed out */
};

enum fake_closed {
	FAKE_OPEN,
	FAKE_CLOSED_ORDERLY,
	FAKE_CLOSED_RESET,
	FAKE_ABANDONED, /* its peer has not heard of it */
};

/* Whoever has a socket's packets in place of the program: tests/unit/fake_datapath.c. */
struct fake_carrier {
	/* The peer has sent something, or acknowledged something. */
	void (*carry)(struct fake_carrier *carrier, struct fake_socket *socket);
	void (*reset)(struct fake_carrier *carrier, struct fake_socket *socket);
};

/* What epoll knows of a descriptor. */
struct fake_watch {
	struct list ready; /* fake->ready; points to itself while there is nothing to look at */
	struct loop_source *source;
	uint32_t events;
	bool active;
};

/* A TCP socket of the program, with its peer and the network between them. */
struct fake_socket {
	struct list link;   /* fake->sockets */
	struct list queued; /* a listener's connections, not accepted yet */
	struct fake_sys *fake;
	int fd; /* -1 before it is accepted and once it is closed */
	enum fake_state state;
	enum fake_closed closed;
	int error; /* pending, as -errno */
	struct fake_watch watch;
	struct address peer;  /* its address */
	struct address bound; /* ours */

	/* From the peer to the program. */
	struct fake_bytes in; /* what the peer has sent */
	size_t in_arrived;
	size_t in_read;
	size_t receive_limit; /* arrived and not read, at most */
	size_t urgent_at;     /* FAKE_NO_LIMIT: no urgent data */
	bool in_fin;          /* the peer has finished sending */
	bool in_fin_arrived;
	bool hold_arrival; /* the network stands still */

	/* From the program to the peer. */
	struct fake_bytes out; /* what the program has sent */
	size_t out_delivered;  /* the peer has these: out.bytes, from the start */
	size_t out_acked;
	size_t peer_read;
	size_t send_limit;  /* sent and not acknowledged, at most */
	size_t peer_window; /* delivered and not read by the peer, at most */
	bool peer_stalls;   /* reads only with fake_peer_read() */
	bool out_fin;
	bool fin_delivered; /* what the peer saw: the orderly end */
	bool fin_acked;
	bool hold_delivery;
	bool hold_acks;
	bool no_space; /* a write found no room: tell when there is some */

	bool peer_gone;        /* has reset, or closed: answers by RST */
	bool peer_silent;      /* answers nothing */
	bool saw_reset;        /* the peer did */
	size_t destroyed;      /* sent by the program, and lost to the program's own reset */
	bool shut_when_dead;   /* the program's FIN came too late: it was told of the end then */
	uint64_t last_ack;     /* when the peer was last heard */
	uint64_t last_advance; /* when out_acked last moved, or had nothing left to */

	/* What only a kernel datapath cares for. */
	struct fake_carrier *carrier; /* NULL: packets are the program's */
	uint32_t first_sent;          /* sequence number of the first byte; it may wrap around */
	uint32_t first_received;
	uint32_t ticks;       /* what its timestamps are ahead of the clock */
	uint8_t tcp_options;  /* TCPI_OPT_ of <linux/tcp.h> */
	uint16_t path_mtu;    /* of the way to the peer */
	uint16_t segment;     /* what the peer takes at once */
	uint16_t own_segment; /* what the peer was told */

	bool dialled; /* by the program */
	bool shut_write;
	bool shut_read;
	bool linger;
	bool repair;
	struct fake_option {
		int level, name, value;
	} options[FAKE_OPTIONS_MAX]; /* in the order of the calls */
	size_t option_count;
};

struct fake_pipe {
	struct list link;
	int read_fd, write_fd; /* -1 once closed */
	struct fake_bytes bytes;
	size_t start;
	size_t size;
};

struct fake_event {
	struct loop_source *source;
	uint32_t events;
};

struct fake_sys {
	struct list sockets;
	struct list pipes;
	struct list ready; /* watches to look at, in the order they became ready */
	uint64_t now;      /* milliseconds */
	int last_fd;       /* numbers are not used again, so that a stale one is noticed */
	unsigned open;     /* descriptors */
	unsigned descriptor_limit;

	/* How new sockets start. */
	size_t receive_limit, send_limit, peer_window;
	bool dual_stack;    /* IPv4 peers are accepted as ::ffff:a.b.c.d */
	bool hold_connects; /* a dial stays under way until fake_connect_*() */

	/* Ports of this host, for bind() and connect(). */
	uint16_t taken_port;       /* EADDRINUSE, unless in repair mode */
	uint16_t repair_port;      /* EADDRINUSE in repair mode too */
	uint16_t twin_port;        /* EADDRNOTAVAIL from connect() */
	uint16_t privileged_below; /* EACCES */

	size_t pipe_size;    /* what a new pipe has; 0: what was asked for */
	size_t splice_limit; /* bytes into a pipe at once: pages run out before bytes do */

	struct fake_plan {
		enum fake_call call;
		unsigned in; /* calls from now; 0: not in use */
		int error;
	} plans[FAKE_PLANS_MAX];
	/* Besides the plans: the error for this call, 0 for none. May be NULL. */
	int (*fault)(void *context, enum fake_call call);
	void *context;
	unsigned calls[FAKE_CALL_COUNT];
};

extern const struct sys fake_table;

/* The fake becomes the one that the table works on. */
void fake_init(struct fake_sys *fake);
void fake_finish(struct fake_sys *fake); /* whatever is left of sockets and pipes */

/* Makes a call fail: 1 is the next one of its kind. An EAGAIN is followed by an edge. */
void fake_fail(struct fake_sys *fake, enum fake_call call, unsigned in, int error);

/* Events as one epoll_wait() would report them. Returns how many. */
size_t fake_poll(struct fake_sys *fake, struct fake_event *events, size_t max);

/* Lets time pass for the kernel's own timeouts. */
void fake_pass(struct fake_sys *fake, uint64_t milliseconds);

/* Sockets are the fake's until fake_finish(), whatever the program does. */
struct fake_socket *fake_listen(struct fake_sys *fake);
/* A peer connects. `from`: "192.0.2.1:40000". */
struct fake_socket *fake_incoming(struct fake_socket *listener, const char *from);
/* The newest socket that the program made, NULL when there is none. */
struct fake_socket *fake_dialled(struct fake_sys *fake);
size_t fake_dial_count(const struct fake_sys *fake);

/* The last value set; -1 when none was. */
int fake_option(const struct fake_socket *socket, int level, int name);

/* With hold_connects: what the dial comes to. */
void fake_connect_done(struct fake_socket *socket);
void fake_connect_failed(struct fake_socket *socket, int error);
/* The kernel gives the connection up, as keepalive does after its last probe. */
void fake_give_up(struct fake_socket *socket, int error);

/* What the peer does. */
void fake_peer_send(struct fake_socket *socket, const void *bytes, size_t length);
void fake_peer_send_urgent(struct fake_socket *socket, uint8_t byte);
void fake_peer_finish(struct fake_socket *socket); /* FIN; it still reads */
void fake_peer_close(struct fake_socket *socket);  /* FIN; what comes now is answered by RST */
void fake_peer_reset(struct fake_socket *socket);  /* what has not arrived is lost */
size_t fake_peer_read(struct fake_socket *socket, size_t length); /* after peer_stalls */

/* Moves what the network may move: after a hold or a limit was changed. */
void fake_network(struct fake_socket *socket);

#endif
