/* SPDX-License-Identifier: MIT */
/* A path whose every hop is sound, until a test breaks some. */
#ifndef MMPROXY_TESTS_DOCTOR_PATH_FIXTURE_H
#define MMPROXY_TESTS_DOCTOR_PATH_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doctor/check_path.h"
#include "doctor/diagnosis.h"
#include "doctor/path_facts.h"

#define BIT(check) (1U << (check))

/* A path and what is known of it. */
struct made_up {
	struct return_plan plan;
	struct path_facts facts;
	struct diagnosis diagnosis;
};

struct address address_of(const char *text);
/* A sound one; `upstream` with its port. To be ended. */
void made_up_begin(struct made_up *made, const char *upstream, uint32_t mark, bool udp);
/* The checks that have failed, a BIT each. Every check has one result, in order. */
unsigned made_up_judge(struct made_up *made);
void made_up_end(struct made_up *made);

const struct diagnosis_result *made_up_result(const struct made_up *made, enum doctor_check check);
void expect_status(const struct made_up *made, enum doctor_check check, enum doctor_status status);
void expect_mend(const struct made_up *made, enum doctor_check check, size_t place,
		 const char *due);
/* Hops, each with what it does to probes. */
void silence(struct path_facts *facts);
void break_rule(struct path_facts *facts);
void break_table(struct path_facts *facts);
void break_order(struct path_facts *facts);
void break_route(struct path_facts *facts);
void break_rp_filter(struct path_facts *facts);
void break_nat(struct path_facts *facts);
void break_firewall(struct path_facts *facts);
void break_upstream(struct path_facts *facts);
void break_forwarder(struct path_facts *facts);
void break_family(struct path_facts *facts);

#endif
