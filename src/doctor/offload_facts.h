/* SPDX-License-Identifier: MIT */
/* The kernel's programs on this host: read once, judged by check_offload.c. Reading changes
 * nothing. */
#ifndef MMPROXY_DOCTOR_OFFLOAD_FACTS_H
#define MMPROXY_DOCTOR_OFFLOAD_FACTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct config;

/* Bytes of a name of an interface or a setting. */
#define OFFLOAD_FACTS_NAME_SIZE 64

struct offload_facts {
	bool wanted;                           /* by a listener */
	bool built;                            /* this program can look */
	const char *directory;                 /* the configuration's */
	int programs;                          /* opening this version's: 0 or -errno */
	unsigned others;                       /* layouts of other versions */
	uint64_t live;                         /* sessions that the kernel carries */
	unsigned filters;                      /* interfaces that have the filter */
	char without[OFFLOAD_FACTS_NAME_SIZE]; /* one that should, and has not; "": none */
	char setting[OFFLOAD_FACTS_NAME_SIZE]; /* of lo, that is not as it has to be; "": none */
	int should_be;                         /* its value */
	bool refused; /* this kernel lets nobody but root call bpf(2), and may not be told otherwise
		       */
	int error;    /* 0, or -errno: interfaces or settings cannot be looked at */
};

void offload_facts_read(struct offload_facts *facts, const struct config *config);

#endif
