/* SPDX-License-Identifier: MIT */
/*
 * One direction of a TCP session: bytes from one end to the other, by copy or by splice, with
 * back-pressure. Knows nothing of headers, timeouts or closing.
 */
#ifndef MMPROXY_RELAY_STREAM_H
#define MMPROXY_RELAY_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/loop.h"

struct chunk;
struct pipe;
struct relay;

/*
 * One of a session's two sockets. Watched edge-triggered: `readable` and `writable` remember what
 * the last call said until the kernel reports a change.
 */
struct tcp_end {
	struct loop_source source;
	int fd;             /* -1 once closed */
	int error;          /* the -errno that ended it; 0 while it works */
	bool readable : 1;  /* a read may find something */
	bool writable : 1;  /* a write may be taken */
	bool probe : 1;     /* a short read proves nothing: end, error or urgent data are about */
	bool broken : 1;    /* an error was reported */
	bool no_splice : 1; /* urgent data was seen: splice() would stop before it for good */
	bool watched : 1;   /* by epoll */
	bool watches_out : 1;
	bool patient : 1; /* TCP_USER_TIMEOUT is off while the peer's window is closed */
};

struct stream {
	struct chunk *held; /* read and not yet written */
	struct pipe *pipe;  /* borrowed while splicing; may hold bytes */
	uint64_t bytes;     /* delivered to the sink */
	uint8_t full_reads; /* in a row: a reason to splice */
	uint8_t small_moves;
	bool to_client : 1; /* down, not up: which counter its bytes are for */
	bool splicing : 1;
	bool eof : 1;      /* the source has ended */
	bool broken : 1;   /* reading the source has failed, after its last byte */
	bool finished : 1; /* and the sink has been told */
};

enum stream_state {
	STREAM_IDLE,        /* nothing to read, nothing held */
	STREAM_BLOCKED,     /* bytes wait for the sink */
	STREAM_AGAIN,       /* there is more, but others had their turn to wait for */
	STREAM_END,         /* the source has ended and the sink has every byte */
	STREAM_SOURCE_DEAD, /* reading failed (source->error); the sink has every byte read */
	STREAM_SINK_DEAD,   /* writing failed (sink->error) */
};

/* Moves what can be moved now. */
enum stream_state stream_pump(struct relay *relay, struct stream *stream, struct tcp_end *source,
			      struct tcp_end *sink);

/*
 * Sends bytes that the caller has at hand, and keeps what the sink does not take.
 * Returns 0, -ENOMEM, or -EPIPE with sink->error set.
 */
int stream_send(struct relay *relay, struct stream *stream, struct tcp_end *sink,
		const uint8_t *bytes, size_t length);

/* So many bytes have been delivered, one way or the other. */
void stream_count(struct relay *relay, struct stream *stream, size_t bytes);

/* Drops what is held. */
void stream_discard(struct relay *relay, struct stream *stream);

/* Takes note of what epoll reported. */
void tcp_end_note_events(struct tcp_end *end, uint32_t events);

#endif
