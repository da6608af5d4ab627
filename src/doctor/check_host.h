/* SPDX-License-Identifier: MIT */
/* Judges the host: kernel, capability, connection tracking, clients' ports, security modules. */
#ifndef MMPROXY_DOCTOR_CHECK_HOST_H
#define MMPROXY_DOCTOR_CHECK_HOST_H

struct diagnosis;
struct host_facts;

/* Adds a result for each check of the host but `config`. Pure. */
void check_host_judge(const struct host_facts *facts, struct diagnosis *diagnosis);

#endif
