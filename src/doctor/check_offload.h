/* SPDX-License-Identifier: MIT */
/* Judges whether sessions can be handed to the kernel here. */
#ifndef MMPROXY_DOCTOR_CHECK_OFFLOAD_H
#define MMPROXY_DOCTOR_CHECK_OFFLOAD_H

struct diagnosis;
struct offload_facts;

/* Adds one result; `facts` is NULL where there is no configuration. Pure. */
void check_offload_judge(const struct offload_facts *facts, struct diagnosis *diagnosis);

#endif
