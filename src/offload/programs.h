/* SPDX-License-Identifier: MIT */
/*
 * The kernel's programs and maps. Root loads them once and pins them into the BPF file system,
 * where they stay, and at the interfaces' ingress, until they are cleared: sessions that were moved
 * need no process. A daemon without privileges opens what was pinned for its user.
 */
#ifndef MMPROXY_OFFLOAD_PROGRAMS_H
#define MMPROXY_OFFLOAD_PROGRAMS_H

#include <sys/types.h>

struct report;

#define PROGRAMS_DIRECTORY "/sys/fs/bpf/mmproxy"

/* What is pinned. */
enum program {
	PROGRAM_ABOUT,    /* a map: enum offload_about to a number of 64 bits */
	PROGRAM_PLACES,   /* a map: struct offload_tuple to struct offload_place */
	PROGRAM_SESSIONS, /* a map: their numbers to struct offload_session */
	PROGRAM_RECORDS,  /* a map: their numbers to struct offload_record */
	PROGRAM_EVENTS,   /* a ring of struct offload_event */
	PROGRAM_TCP,      /* the one for ingress */
	PROGRAM_MOVE,     /* to be run, with struct offload_move */
	PROGRAM_END,      /* the same, with struct offload_end */
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
 * Loads them, and pins them into `directory`, which is made, for this owner. Takes root, or at
 * least CAP_BPF, CAP_NET_ADMIN and CAP_CHOWN. 0; or -errno with a line in the report, and nothing
 * is pinned.
 */
int programs_load(const char *directory, const struct owner *owner, struct report *report);

/*
 * Opens what is pinned. 0; or -errno, with nothing open: -ENOENT where there is nothing, -EPROTO
 * where it has another layout.
 */
int programs_open(const char *directory, struct programs *programs);
void programs_close(struct programs *programs);

/*
 * Puts the program at the ingress of lo and of each Ethernet interface that is no port of another.
 * Those that have it keep it. 0, or -errno of the first that failed with a line in the report each.
 */
int programs_attach(const struct programs *programs, struct report *report);

/* Takes the program from every interface, and the pins and their directory away. As above. */
int programs_clear(const char *directory, struct report *report);

#endif
