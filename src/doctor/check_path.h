/* SPDX-License-Identifier: MIT */
/* Judges the way to one upstream and back. */
#ifndef MMPROXY_DOCTOR_CHECK_PATH_H
#define MMPROXY_DOCTOR_CHECK_PATH_H

struct diagnosis;
struct path_facts;

/*
 * Adds one result for each check from `family` to `seen`. A broken hop makes its own check fail and
 * no other: what is so because of it is a consequence, or skipped. Pure.
 */
void check_path_judge(const struct path_facts *facts, struct diagnosis *diagnosis);

#endif
