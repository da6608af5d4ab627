/* SPDX-License-Identifier: MIT */
/*
 * The filter of system calls: from some moment on the kernel lets this process make only those that
 * a running mmproxy makes, or plausibly a plugin. It cannot be taken back.
 */
#ifndef MMPROXY_OS_SECCOMP_H
#define MMPROXY_OS_SECCOMP_H

#include <stdbool.h>

/* `seccomp` in the configuration. */
enum seccomp_use {
	SECCOMP_USE_ON,  /* another call ends the process, with SIGSYS */
	SECCOMP_USE_LOG, /* another call is made, and the kernel logs it */
	SECCOMP_USE_OFF,
};

/* Whether this program was built with libseccomp. */
bool seccomp_supported(void);

/*
 * For all threads, and those to come. `bpf`: also bpf(2), as far as it takes to work with maps and
 * programs that are open already. Returns 0; -ENOTSUP when built without libseccomp, -ENOSYS
 * when the kernel has no such filters or does not let this process have one; or another -errno,
 * which should not happen. No_new_privs has to be set.
 */
int seccomp_enforce(enum seccomp_use use, bool bpf);

/* Does the kernel say that each thread has a filter? Returns 0 or -errno, -EPERM for "no". */
int seccomp_verify(void);

#endif
