/* SPDX-License-Identifier: MIT */
/*
 * Inside the checks of a path: what they share while one path is judged, in the order of the
 * checks. Each function adds exactly one result.
 */
#ifndef MMPROXY_DOCTOR_PATH_JUDGING_H
#define MMPROXY_DOCTOR_PATH_JUDGING_H

#include <stdbool.h>

#include "doctor/diagnosis.h"
#include "doctor/path_facts.h"

/* A set of checks has a bit for each. */
#define PATH_CAUSE(check) (1U << (check))

struct path_judging {
	const struct path_facts *facts;
	const struct path_findings *findings;
	struct diagnosis *diagnosis;
	unsigned causes; /* checks that failed, or that warned of what was met */
	bool to_come;    /* mmproxy will add what is missing of the return path */
	char upstream[ADDRESS_TEXT_SIZE];
};

/* Adds a check that has failed; the remedy is the caller's to add. printf-like. */
void path_fail(struct path_judging *judging, enum doctor_check check, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Adds one that is so because of others, which are named. */
void path_follow(struct path_judging *judging, enum doctor_check check, const char *what,
		 unsigned causes);

/*
 * Adds why a check that takes probes in a client's name has nothing to say. False: it has, and
 * nothing was added.
 */
bool path_skip_unprivileged(struct path_judging *judging, enum doctor_check check);

/* Room for a process with its number. */
#define PATH_PROCESS_SIZE (PROCESS_NAME_SIZE + 32)

/* "nginx (process 7)", or "somebody" */
const char *path_name_process(const struct process *process, char text[static PATH_PROCESS_SIZE]);

void path_judge_upstream(struct path_judging *judging);
void path_judge_rp_filter(struct path_judging *judging);
void path_judge_nat(struct path_judging *judging);
void path_judge_firewall(struct path_judging *judging);
void path_judge_forwarder(struct path_judging *judging);
void path_judge_spoofed(struct path_judging *judging);
void path_judge_seen(struct path_judging *judging);

#endif
