/* SPDX-License-Identifier: MIT */
/* What the checks of a path share. */
#include "doctor/path_judging.h"

#include <stdarg.h>
#include <stdio.h>

void path_fail(struct path_judging *judging, enum doctor_check check, const char *format, ...)
{
	va_list arguments;

	judging->causes |= PATH_CAUSE(check);
	va_start(arguments, format);
	diagnosis_add_list(judging->diagnosis, check, DOCTOR_FAILED, format, arguments);
	va_end(arguments);
}

/* Room for the names of all checks. */
#define CAUSES_SIZE 160

/* "rule, nat" */
static const char *name_causes(unsigned causes, char text[static CAUSES_SIZE])
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned check = 0; check <= DOCTOR_CHECK_SEEN; check++) {
		if ((causes & PATH_CAUSE(check)) != 0 && used < CAUSES_SIZE)
			used += (size_t)snprintf(text + used, CAUSES_SIZE - used, "%s%s",
						 used > 0 ? ", " : "",
						 doctor_check_name((enum doctor_check)check));
	}
	return text;
}

void path_follow(struct path_judging *judging, enum doctor_check check, const char *what,
		 unsigned causes)
{
	char names[CAUSES_SIZE];

	diagnosis_add(judging->diagnosis, check, DOCTOR_CONSEQUENCE, "%s: see %s", what,
		      name_causes(causes, names));
}

bool path_skip_unprivileged(struct path_judging *judging, enum doctor_check check)
{
	if (judging->findings->privileged)
		return false;
	diagnosis_add(judging->diagnosis, check, DOCTOR_SKIPPED,
		      "sending from a client's address takes CAP_NET_ADMIN");
	return true;
}

const char *path_name_process(const struct process *process, char text[static PATH_PROCESS_SIZE])
{
	if (process->pid == 0)
		snprintf(text, PATH_PROCESS_SIZE, "somebody");
	else
		snprintf(text, PATH_PROCESS_SIZE, "%s (process %d)", process->name,
			 (int)process->pid);
	return text;
}
