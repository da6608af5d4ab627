/* SPDX-License-Identifier: MIT */
/* A build without libseccomp. */
#include <errno.h>

#include "os/seccomp.h"

bool seccomp_supported(void)
{
	return false;
}

int seccomp_enforce(enum seccomp_use use, bool bpf)
{
	(void)bpf;
	(void)use;
	return -ENOTSUP;
}

int seccomp_verify(void)
{
	return -ENOTSUP;
}
