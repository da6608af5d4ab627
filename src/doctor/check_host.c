/* SPDX-License-Identifier: MIT */
/* The host's checks. */
#include "doctor/check_host.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/address.h"
#include "doctor/diagnosis.h"
#include "doctor/host_facts.h"

/* The oldest kernel that mmproxy is tested with. */
#define KERNEL_MAJOR 5
#define KERNEL_MINOR 10

/* Percent of the connection tracking's table. New connections are dropped when it is full; the
 * kernel throws out what is unanswered somewhat earlier. */
#define CONNTRACK_FULL 95
#define CONNTRACK_HIGH 80

static bool kernel_is_old(const char *release)
{
	unsigned major = 0, minor = 0;

	if (sscanf(release, "%u.%u", &major, &minor) != 2)
		return false;
	return major < KERNEL_MAJOR || (major == KERNEL_MAJOR && minor < KERNEL_MINOR);
}

/* Without the privilege the kernel says EPERM of an option that it knows. */
static bool is_missing(int error)
{
	return error < 0 && error != -EPERM && error != -EACCES && error != -EAFNOSUPPORT;
}

static void judge_kernel(const struct host_facts *facts, struct diagnosis *diagnosis)
{
	if (kernel_is_old(facts->release))
		diagnosis_add(diagnosis, DOCTOR_CHECK_KERNEL, DOCTOR_FAILED,
			      "Linux %s is older than %d.%d", facts->release, KERNEL_MAJOR,
			      KERNEL_MINOR);
	else if (facts->policy_rules == -EOPNOTSUPP || facts->policy_rules == -EAFNOSUPPORT)
		diagnosis_add(diagnosis, DOCTOR_CHECK_KERNEL, DOCTOR_FAILED,
			      "Linux %s was built without policy routing "
			      "(CONFIG_IP_MULTIPLE_TABLES)",
			      facts->release);
	else if (is_missing(facts->transparent_ipv4))
		diagnosis_add(diagnosis, DOCTOR_CHECK_KERNEL, DOCTOR_FAILED,
			      "IP_TRANSPARENT cannot be set: %s",
			      strerror(-facts->transparent_ipv4));
	else if (is_missing(facts->transparent_ipv6))
		diagnosis_add(diagnosis, DOCTOR_CHECK_KERNEL, DOCTOR_FAILED,
			      "IPV6_TRANSPARENT cannot be set: %s",
			      strerror(-facts->transparent_ipv6));
	else
		diagnosis_add(diagnosis, DOCTOR_CHECK_KERNEL, DOCTOR_OK, "Linux %s has %s",
			      facts->release,
			      facts->transparent_ipv6 == -EAFNOSUPPORT
				      ? "IP_TRANSPARENT, and no IPv6"
				      : "IP_TRANSPARENT and IPV6_TRANSPARENT");
}

static void judge_capability(const struct host_facts *facts, struct diagnosis *diagnosis)
{
	if (facts->net_admin) {
		diagnosis_add(diagnosis, DOCTOR_CHECK_CAPABILITY, DOCTOR_OK,
			      "this process holds CAP_NET_ADMIN");
		return;
	}
	diagnosis_add(
		diagnosis, DOCTOR_CHECK_CAPABILITY, DOCTOR_FAILED,
		"this process does not hold CAP_NET_ADMIN: nothing can be sent from a client's "
		"address");
	diagnosis_mend(diagnosis, "sudo mmproxyctl doctor");
}

static void judge_conntrack(const struct host_facts *facts, struct diagnosis *diagnosis)
{
	uint64_t percent;

	if (!facts->conntrack || facts->tracked_most == 0) {
		diagnosis_add(diagnosis, DOCTOR_CHECK_CONNTRACK, DOCTOR_SKIPPED,
			      "connections are not tracked here");
		return;
	}
	percent = facts->tracked * 100 / facts->tracked_most;
	if (percent < CONNTRACK_HIGH) {
		diagnosis_add(diagnosis, DOCTOR_CHECK_CONNTRACK, DOCTOR_OK,
			      "%" PRIu64 " of %" PRIu64 " connections tracked", facts->tracked,
			      facts->tracked_most);
		return;
	}
	diagnosis_add(diagnosis, DOCTOR_CHECK_CONNTRACK,
		      percent >= CONNTRACK_FULL ? DOCTOR_FAILED : DOCTOR_WARNING,
		      "%" PRIu64 " of %" PRIu64 " connections tracked (%" PRIu64
		      " %%): once the table is full, new ones are dropped",
		      facts->tracked, facts->tracked_most, percent);
	diagnosis_mend(diagnosis, "sysctl -w net.netfilter.nf_conntrack_max=%" PRIu64,
		       facts->tracked_most * 4);
}

/* A choice that the site makes, not a fault. */
static void judge_client_ports(const struct host_facts *facts, struct diagnosis *diagnosis)
{
	int first = facts->unprivileged_port;

	if (first < 0)
		diagnosis_add(diagnosis, DOCTOR_CHECK_CLIENT_PORTS, DOCTOR_SKIPPED,
			      "net.ipv4.ip_unprivileged_port_start cannot be read");
	else if (first <= 1)
		diagnosis_add(diagnosis, DOCTOR_CHECK_CLIENT_PORTS, DOCTOR_OK,
			      "clients keep their ports, also below 1024 "
			      "(net.ipv4.ip_unprivileged_port_start=%d)",
			      first);
	else
		diagnosis_add(diagnosis, DOCTOR_CHECK_CLIENT_PORTS, DOCTOR_OK,
			      "a client's port below %d becomes another; to keep them: "
			      "sysctl -w net.ipv4.ip_unprivileged_port_start=0",
			      first);
}

static void judge_port_blocks(const struct host_facts *facts, struct diagnosis *diagnosis)
{
	char ports[HOST_FACTS_PORTS * 16] = "";
	size_t used = 0, named;

	if (facts->blocked_error < 0) {
		diagnosis_add(diagnosis, DOCTOR_CHECK_PORT_BLOCKS, DOCTOR_SKIPPED,
			      "the sockets of this host cannot be listed: %s",
			      strerror(-facts->blocked_error));
		return;
	}
	if (facts->blocked_count == 0) {
		diagnosis_add(diagnosis, DOCTOR_CHECK_PORT_BLOCKS, DOCTOR_OK,
			      "no client's port keeps a service from its own");
		return;
	}
	named = facts->blocked_count < HOST_FACTS_PORTS ? facts->blocked_count : HOST_FACTS_PORTS;
	for (size_t i = 0; i < named && used < sizeof(ports); i++)
		used += (size_t)snprintf(ports + used, sizeof(ports) - used, "%s%s %u",
					 i > 0 ? ", " : "", facts->blocked[i].udp ? "udp" : "tcp",
					 (unsigned)facts->blocked[i].port);
	diagnosis_add(diagnosis, DOCTOR_CHECK_PORT_BLOCKS, DOCTOR_WARNING,
		      "a live session holds its client's port, so a service of this host that "
		      "starts now cannot bind it: %s%s",
		      ports, named < facts->blocked_count ? " ..." : "");
}

static void judge_lsm(const struct host_facts *facts, struct diagnosis *diagnosis)
{
	switch (facts->apparmor) {
	case HOST_FACTS_ENFORCED:
		diagnosis_add(diagnosis, DOCTOR_CHECK_LSM, DOCTOR_WARNING,
			      "AppArmor enforces a profile on mmproxy; what it denies is in the "
			      "kernel's log (apparmor=\"DENIED\")");
		diagnosis_mend(diagnosis, "aa-complain mmproxy");
		return;
	case HOST_FACTS_COMPLAINING:
		diagnosis_add(diagnosis, DOCTOR_CHECK_LSM, DOCTOR_OK,
			      "AppArmor has a profile for mmproxy that only complains");
		return;
	case HOST_FACTS_UNCONFINED:
		break;
	}
	if (facts->selinux)
		diagnosis_add(diagnosis, DOCTOR_CHECK_LSM, DOCTOR_OK,
			      "SELinux is enforcing; what it denies: ausearch -m avc -c mmproxy");
	else
		diagnosis_add(diagnosis, DOCTOR_CHECK_LSM, DOCTOR_SKIPPED,
			      "neither SELinux nor AppArmor confines mmproxy");
}

void check_host_judge(const struct host_facts *facts, struct diagnosis *diagnosis)
{
	diagnosis_set_subject(diagnosis, NULL, NULL);
	judge_kernel(facts, diagnosis);
	judge_capability(facts, diagnosis);
	judge_conntrack(facts, diagnosis);
	judge_client_ports(facts, diagnosis);
	judge_port_blocks(facts, diagnosis);
	judge_lsm(facts, diagnosis);
}
