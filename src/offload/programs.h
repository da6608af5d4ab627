/* SPDX-License-Identifier: MIT */
/*
 * The kernel's programs and maps. Root loads them once and pins them into a folder of the BPF file
 * system, one a layout, where they stay until they are cleared: sessions that were moved need no
 * process. A daemon without privileges opens what was pinned for its user.
 */
#ifndef MMPROXY_OFFLOAD_PROGRAMS_H
#define MMPROXY_OFFLOAD_PROGRAMS_H

#include <stdint.h>
#include <sys/types.h>

struct report;

/* What is pinned. */
enum program {
	PROGRAM_ABOUT,    /* a map: enum offload_about to a number of 64 bits */
	PROGRAM_PLACES,   /* a map: struct offload_tuple to struct offload_place */
	PROGRAM_SESSIONS, /* a map: their numbers to struct offload_session */
	PROGRAM_RECORDS,  /* a map: their numbers to struct offload_record */
	PROGRAM_EVENTS,   /* a ring of struct offload_event */
	PROGRAM_TCP,      /* what comes by, of TCP, */
	PROGRAM_UDP,      /* and of UDP */
	PROGRAM_MOVE,     /* to be run, with struct offload_move */
	PROGRAM_END,      /* the same, with struct offload_end */
	PROGRAM_INGRESS,  /* the one for ingress, which goes on to either */
	PROGRAM_NEXT,     /* a map: enum offload_next to PROGRAM_TCP and PROGRAM_UDP */
	/* Of UDP; see udp_layout.h. */
	PROGRAM_UDP_PLACES,  /* a map: struct offload_udp_key to a flow's number */
	PROGRAM_UDP_REPLIES, /* a map: struct offload_tuple to a flow's number */
	PROGRAM_UDP_FLOWS,   /* a map: their numbers to struct offload_udp_flow */
	PROGRAM_UDP_RECORDS, /* a map: their numbers to struct offload_udp_record */
	PROGRAM_COUNT
};

struct programs {
	int fd[PROGRAM_COUNT]; /* -1: not open */
};

struct owner {
	uid_t user;
	gid_t group;
};

/*
 * Loads them, and pins them into `layout_directory`, which is made and must not be there. The
 * folder is root's, and the group may read it; the pins are the owner's. Takes root. 0; or -errno
 * with a line in the report, and nothing is pinned.
 */
int programs_load(const char *layout_directory, const struct owner *owner, struct report *report);

/*
 * Opens what is pinned. 0; or -errno, with nothing open: -ENOENT where there is nothing, -EPROTO
 * where it has another layout.
 */
int programs_open(const char *layout_directory, struct programs *programs);
void programs_close(struct programs *programs);

/*
 * Can this process work with them? Older kernels refuse bpf(2) to whoever is not root whatever it
 * has open. 0 or -errno, -EPROTO when what comes back is not what these programs say.
 */
int programs_try(const struct programs *programs);

/* How many sessions and flows the kernel carries for this layout. 0 or -errno. */
int programs_count_live(const struct programs *programs, uint64_t *live);

/* The same of any layout, by its folder; -EPROTO where it is not understood. */
int programs_count_live_in(const char *layout_directory, uint64_t *live);

/* Removes whatever is pinned there, and the folder; not behind a link. 0 or -errno. */
int programs_remove(const char *layout_directory);

/* The library writes to standard error by itself; what is to be said, we say. */
void programs_keep_library_silent(void);

#endif
