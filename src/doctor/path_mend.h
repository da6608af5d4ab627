/* SPDX-License-Identifier: MIT */
/*
 * What mends a broken hop: the exact command where there is one, else the setting, else what is to
 * be done. Each adds to the result that was added last. Pure.
 */
#ifndef MMPROXY_DOCTOR_PATH_MEND_H
#define MMPROXY_DOCTOR_PATH_MEND_H

struct diagnosis;
struct path_facts;

void path_mend_family(const struct path_facts *facts, struct diagnosis *diagnosis);
void path_mend_forward(struct diagnosis *diagnosis);
void path_mend_upstream(const struct path_facts *facts, struct diagnosis *diagnosis);
void path_mend_wildcard(const struct path_facts *facts, struct diagnosis *diagnosis);
void path_mend_rule(const struct path_facts *facts, struct diagnosis *diagnosis);
void path_mend_unrouted(const struct path_facts *facts, struct diagnosis *diagnosis);
void path_mend_mark(const struct path_facts *facts, struct diagnosis *diagnosis);
void path_mend_route(const struct path_facts *facts, struct diagnosis *diagnosis);
void path_mend_by_managing(struct diagnosis *diagnosis);
void path_mend_rp_filter(const struct path_facts *facts, struct diagnosis *diagnosis);
void path_mend_nat(const struct path_facts *facts, struct diagnosis *diagnosis);
void path_mend_firewall(const struct path_facts *facts, struct diagnosis *diagnosis);
void path_mend_forwarder(const struct path_facts *facts, struct diagnosis *diagnosis);

#endif
