/* SPDX-License-Identifier: MIT */
/* Never more than a warning: what cannot be handed over stays a relay. */
#include "doctor/check_offload.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "doctor/diagnosis.h"
#include "doctor/offload_facts.h"

static void judge_programs(const struct offload_facts *facts, struct diagnosis *diagnosis)
{
	if (facts->programs == -EACCES || facts->programs == -EPERM) {
		diagnosis_add(diagnosis, DOCTOR_CHECK_OFFLOAD, DOCTOR_SKIPPED,
			      "the programs in %s are not open to this user", facts->directory);
		return;
	}
	if (facts->programs == -ENOENT && facts->others > 0)
		diagnosis_add(diagnosis, DOCTOR_CHECK_OFFLOAD, DOCTOR_WARNING,
			      "sessions stay relays: the programs in %s are another version's",
			      facts->directory);
	else if (facts->programs == -ENOENT)
		diagnosis_add(diagnosis, DOCTOR_CHECK_OFFLOAD, DOCTOR_WARNING,
			      "sessions stay relays: no programs are loaded in %s",
			      facts->directory);
	else
		diagnosis_add(diagnosis, DOCTOR_CHECK_OFFLOAD, DOCTOR_WARNING,
			      "sessions stay relays: the programs in %s cannot be used: %s",
			      facts->directory, strerror(-facts->programs));
	if (facts->programs != -ENOENT)
		diagnosis_mend(diagnosis, "mmproxyctl offload clear");
	diagnosis_mend(diagnosis, "mmproxyctl offload load");
	diagnosis_mend(diagnosis, "systemctl restart mmproxy.service");
}

static void judge_host(const struct offload_facts *facts, struct diagnosis *diagnosis)
{
	if (facts->refused) {
		diagnosis_add(
			diagnosis, DOCTOR_CHECK_OFFLOAD, DOCTOR_WARNING,
			"sessions stay relays: before Linux 5.19 bpf(2) is root's alone while "
			"kernel.unprivileged_bpf_disabled is not 0; once it is 1, only a "
			"restart of the host makes it 0 again");
		diagnosis_mend(diagnosis, "sysctl -w kernel.unprivileged_bpf_disabled=0");
	} else if (facts->setting[0] != '\0') {
		diagnosis_add(diagnosis, DOCTOR_CHECK_OFFLOAD, DOCTOR_WARNING,
			      "sessions of balancers behind an interface stay relays: %s is not %d",
			      facts->setting, facts->should_be);
		diagnosis_mend(diagnosis, "mmproxyctl offload load");
	} else if (facts->without[0] != '\0') {
		diagnosis_add(diagnosis, DOCTOR_CHECK_OFFLOAD, DOCTOR_WARNING,
			      "sessions by the interface %s stay relays: it has not the filter",
			      facts->without);
		diagnosis_mend(diagnosis, "mmproxyctl offload load");
	} else {
		diagnosis_add(diagnosis, DOCTOR_CHECK_OFFLOAD, DOCTOR_OK,
			      "the kernel carries %" PRIu64 " session%s; %u interface%s the filter",
			      facts->live, facts->live == 1 ? "" : "s", facts->filters,
			      facts->filters == 1 ? " has" : "s have");
	}
}

void check_offload_judge(const struct offload_facts *facts, struct diagnosis *diagnosis)
{
	diagnosis_set_subject(diagnosis, NULL, NULL);
	if (facts == NULL)
		diagnosis_add(diagnosis, DOCTOR_CHECK_OFFLOAD, DOCTOR_SKIPPED,
			      "it takes a configuration");
	else if (!facts->wanted)
		diagnosis_add(diagnosis, DOCTOR_CHECK_OFFLOAD, DOCTOR_SKIPPED,
			      "no listener has offload = \"auto\"");
	else if (!facts->built)
		diagnosis_add(diagnosis, DOCTOR_CHECK_OFFLOAD, DOCTOR_WARNING,
			      "sessions stay relays: this program was built without libbpf");
	else if (facts->error < 0)
		diagnosis_add(diagnosis, DOCTOR_CHECK_OFFLOAD, DOCTOR_SKIPPED,
			      "the interfaces cannot be looked at: %s", strerror(-facts->error));
	else if (facts->programs < 0)
		judge_programs(facts, diagnosis);
	else
		judge_host(facts, diagnosis);
}
