/* SPDX-License-Identifier: MIT */
/* A build without libnftables: nothing can be traced, and the doctor says so. */
#include "doctor/trace.h"

#include <errno.h>

struct trace *trace_open(void)
{
	errno = EOPNOTSUPP;
	return NULL;
}

void trace_close(struct trace *trace)
{
	(void)trace;
}

int trace_begin(struct trace *trace, bool udp, const struct address *local,
		const struct address *upstream, bool unchanged)
{
	(void)trace;
	(void)udp;
	(void)local;
	(void)upstream;
	(void)unchanged;
	return -EOPNOTSUPP;
}

int trace_fd(const struct trace *trace)
{
	(void)trace;
	return -1;
}

bool trace_read(struct trace *trace)
{
	(void)trace;
	return false;
}

void trace_end(struct trace *trace)
{
	(void)trace;
}

struct trace_way trace_way(const struct trace *trace, enum trace_direction direction)
{
	(void)trace;
	(void)direction;
	return (struct trace_way){0};
}

const struct trace_decision *trace_drop(const struct trace *trace)
{
	(void)trace;
	return NULL;
}

const struct trace_decision *trace_nat(const struct trace *trace)
{
	(void)trace;
	return NULL;
}

const struct trace_decision *trace_redirection(const struct trace *trace)
{
	(void)trace;
	return NULL;
}
