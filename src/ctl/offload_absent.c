/* SPDX-License-Identifier: MIT */
/* mmproxyctl offload, where libbpf was not there to build it with. */
#include "ctl/offload.h"

#include "ctl/answer.h"
#include "ctl/command.h"

int offload_run(const struct options *options)
{
	(void)options;
	answer_complain(
		"offload: this mmproxyctl was built without libbpf, which loads the kernel's "
		"programs; build it with libbpf, bpftool and clang");
	return COMMAND_MISTAKE;
}
