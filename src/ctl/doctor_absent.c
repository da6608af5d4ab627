/* SPDX-License-Identifier: MIT */
/* mmproxyctl doctor, where libmnl was not there to build it with. */
#include "ctl/doctor.h"

#include "ctl/answer.h"
#include "ctl/command.h"

int doctor_run(const struct options *options)
{
	(void)options;
	answer_complain("doctor: this mmproxyctl was built without libmnl, by which the kernel is "
			"asked; build it with libmnl");
	return COMMAND_MISTAKE;
}
