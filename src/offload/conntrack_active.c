/* SPDX-License-Identifier: MIT */
#include "offload/conntrack.h"
#include "offload/setting.h"

/* There is a count only where the module is, and one above zero where a rule wants it. */
bool conntrack_is_active(void)
{
	return kernel_setting("net/netfilter/nf_conntrack_count") > 0;
}
