/* SPDX-License-Identifier: MIT */
/*
 * Dropping privileges. The bounding set and the securebits need CAP_SETPCAP, which a start as root
 * has and one with file or ambient capabilities has not; no_new_privs makes up for them there,
 * since nothing can be gained by an exec any more.
 */
#include "os/privileges.h"

#include <errno.h>
#include <grp.h> /* setgroups */
#include <inttypes.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "os/group.h"
#include "os/log.h"

#define NET_ADMIN_BIT (UINT64_C(1) << CAP_NET_ADMIN)

/* All that a root without rights needs, and none of it to be taken back. */
#define LOCKED_SECUREBITS                                                                          \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |                           \
	 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |   \
	 SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

/* Set by privileges_drop() where it could, and demanded by privileges_verify() then. */
static bool bounding_set_dropped;

static int fail(const char *step)
{
	log_error("privileges", "cannot drop privileges", LOG_TEXT("step", step),
		  LOG_ERRNO("error", -errno));
	return -1;
}

/* 1, 0, or -1 with errno: not to know is not the same as not to hold. */
static int holds(cap_value_t capability)
{
	cap_t capabilities = cap_get_proc();
	cap_flag_value_t value = CAP_CLEAR;

	if (capabilities == NULL)
		return -1;
	cap_get_flag(capabilities, capability, CAP_PERMITTED, &value);
	cap_free(capabilities);
	return value == CAP_SET;
}

int privileges_hold_net_admin(void)
{
	int held = holds(CAP_NET_ADMIN);

	return held < 0 ? -errno : held;
}

static int drop_bounding_set(void)
{
	for (cap_value_t capability = 0; CAP_IS_SUPPORTED(capability); capability++) {
		if (capability != CAP_NET_ADMIN && cap_drop_bound(capability) < 0)
			return fail("bounding set");
	}
	if (cap_set_secbits(LOCKED_SECUREBITS) < 0)
		return fail("securebits");
	bounding_set_dropped = true;
	return 0;
}

static int find_identity(const char *user, const char *group, struct privileges_identity *identity)
{
	const struct passwd *password_entry;
	int error;

	errno = 0;
	password_entry = getpwnam(user);
	if (password_entry == NULL && errno != 0 && errno != ENOENT && errno != ESRCH)
		return fail("looking up the setting user");
	if (password_entry == NULL) {
		log_error("privileges", "no such user", LOG_TEXT("user", user),
			  LOG_TEXT("hint", "create it, or name another in the setting user"));
		return -EINVAL;
	}
	*identity = (struct privileges_identity){password_entry->pw_uid, password_entry->pw_gid};
	if (identity->uid == 0) {
		log_error("privileges", "refusing to run as root", LOG_TEXT("user", user),
			  LOG_TEXT("hint", "name another in the setting user"));
		return -EINVAL;
	}
	if (group == NULL)
		return 0;
	error = group_find(group, &identity->gid);
	if (error == -ENOENT) {
		log_error("privileges", "no such group", LOG_TEXT("group", group),
			  LOG_TEXT("hint", "create it, or name another in the setting group"));
		return -EINVAL;
	}
	errno = -error;
	return error < 0 ? fail("looking up the setting group") : 0;
}

int privileges_find_identity(const char *user, const char *group,
			     struct privileges_identity *identity)
{
	*identity = (struct privileges_identity){geteuid(), getegid()};
	return geteuid() == 0 ? find_identity(user, group, identity) : 0;
}

/* Capabilities survive this: SECBIT_NO_SETUID_FIXUP, or PR_SET_KEEPCAPS where that was refused. */
static int change_identity(const struct privileges_identity *identity)
{
	if (!bounding_set_dropped && prctl(PR_SET_KEEPCAPS, 1) < 0)
		return fail("keepcaps");
	if (setgroups(0, NULL) < 0)
		return fail("setgroups");
	if (setresgid(identity->gid, identity->gid, identity->gid) < 0)
		return fail("setgid");
	if (setresuid(identity->uid, identity->uid, identity->uid) < 0)
		return fail("setuid");
	return 0;
}

/* CAP_NET_ADMIN is what this process can use now, whatever a program that it runs might inherit. */
static bool holds_no_more_than(cap_t wanted)
{
	cap_t held = cap_get_proc();
	int difference = held != NULL ? cap_compare(held, wanted) : -1;

	cap_free(held);
	return difference >= 0 && !CAP_DIFFERS(difference, CAP_PERMITTED) &&
	       !CAP_DIFFERS(difference, CAP_EFFECTIVE);
}

/* Where there is nothing to drop, nothing is asked: a unit's filter need not allow capset(). */
static int keep_net_admin_alone(void)
{
	static const cap_value_t kept[] = {CAP_NET_ADMIN};
	cap_t capabilities = cap_init();
	int status = -1;

	if (capabilities != NULL &&
	    cap_set_flag(capabilities, CAP_PERMITTED, 1, kept, CAP_SET) == 0 &&
	    cap_set_flag(capabilities, CAP_EFFECTIVE, 1, kept, CAP_SET) == 0)
		status = holds_no_more_than(capabilities) ? 0 : cap_set_proc(capabilities);
	cap_free(capabilities);
	return status < 0 ? fail("capabilities") : 0;
}

int privileges_drop(const char *user, const char *group)
{
	struct privileges_identity identity;
	int error = privileges_find_identity(user, group, &identity);
	int may_drop_bounding_set = holds(CAP_SETPCAP);

	if (error < 0)
		return error;
	if (may_drop_bounding_set < 0)
		return fail("capabilities");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return fail("ambient set");
	if (!may_drop_bounding_set)
		log_info("privileges",
			 "bounding set left as it is: CAP_SETPCAP was not held at start");
	else if (drop_bounding_set() < 0)
		return -1;
	if (geteuid() == 0 && change_identity(&identity) < 0)
		return -1;
	if (keep_net_admin_alone() < 0)
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail("no_new_privs");
#ifdef __SANITIZE_ADDRESS__
	/* The leak check at exit inspects this process from a thread of its own. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
#endif
	return 0;
}

/* `due` is what it may be at most, or has to be. */
static int mismatch(const char *what, uint64_t seen, uint64_t due)
{
	char seen_text[24], due_text[24];

	snprintf(seen_text, sizeof(seen_text), "%016" PRIx64, seen);
	snprintf(due_text, sizeof(due_text), "%016" PRIx64, due);
	log_error("privileges",
		  "refusing to run: /proc/self/status does not show CAP_NET_ADMIN alone",
		  LOG_TEXT("field", what), LOG_TEXT("value", seen_text),
		  LOG_TEXT("expected", due_text));
	return -1;
}

static int judge_status_line(const char *line, unsigned *judged)
{
	static const struct {
		const char *name;
		enum { EXACTLY, WITHIN, ONE } rule;
		bool only_if_dropped;
	} fields[] = {
		{"CapPrm", EXACTLY, false}, {"CapEff", EXACTLY, false}, {"CapInh", WITHIN, false},
		{"CapAmb", WITHIN, false},  {"NoNewPrivs", ONE, false}, {"CapBnd", WITHIN, true},
	};

	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		size_t length = strlen(fields[i].name);
		uint64_t value;

		if (strncmp(line, fields[i].name, length) != 0 || line[length] != ':')
			continue;
		*judged |= 1U << i;
		value = strtoull(line + length + 1, NULL, 16);
		if (fields[i].only_if_dropped && !bounding_set_dropped)
			return 0;
		if ((fields[i].rule == EXACTLY && value != NET_ADMIN_BIT) ||
		    (fields[i].rule == WITHIN && (value & ~NET_ADMIN_BIT) != 0) ||
		    (fields[i].rule == ONE && value != 1))
			return mismatch(fields[i].name, value,
					fields[i].rule == ONE ? 1 : NET_ADMIN_BIT);
	}
	return 0;
}

#define ALL_FIELDS_JUDGED 0x3fU

int privileges_verify(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	unsigned judged = 0;
	char line[256];
	int result = 0;

	if (status == NULL)
		return fail("/proc/self/status");
	while (result == 0 && fgets(line, sizeof(line), status) != NULL)
		result = judge_status_line(line, &judged);
	fclose(status);
	if (result < 0)
		return -1;
	if (judged != ALL_FIELDS_JUDGED)
		return mismatch("those that are there, a bit each", judged, ALL_FIELDS_JUDGED);
	if (bounding_set_dropped && cap_get_secbits() != LOCKED_SECUREBITS)
		return mismatch("securebits", cap_get_secbits(), LOCKED_SECUREBITS);
	if (geteuid() == 0) {
		log_error("privileges", "refusing to run as root");
		return -1;
	}
	return 0;
}
