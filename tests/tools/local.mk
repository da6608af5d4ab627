# The integration tests' own tools.

# A balancer for UDP, a load of TCP sessions, a bad link, and connections with all that can happen to them.
check_PROGRAMS += tests/tools/udp_forwarder tests/tools/tcp_load tests/tools/impair \
	tests/tools/tcp_churn tests/tools/header_verdicts
tool_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/tools -I$(top_srcdir)/tests/bench/load
tool_arguments = tests/tools/arguments.c tests/tools/arguments.h
bench_batch = tests/bench/load/udp_batch.c tests/bench/load/udp_batch.h
bench_framing = tests/bench/load/udp_framing.c tests/bench/load/udp_framing.h
tests_tools_udp_forwarder_SOURCES = \
	tests/tools/udp_forwarder.c tests/tools/udp_forwarder.h \
	tests/tools/udp_forwarder_clients.c tests/tools/udp_forwarder_replies.c \
	tests/tools/udp_forwarder_requests.c \
	$(tool_arguments) $(bench_batch) $(bench_framing)
tests_tools_udp_forwarder_CPPFLAGS = $(tool_cppflags)
tests_tools_udp_forwarder_LDADD = libmmproxy.a libpure.a
tests_tools_tcp_load_SOURCES = tests/tools/tcp_load.c $(tool_arguments)
tests_tools_tcp_load_CPPFLAGS = $(tool_cppflags)
tests_tools_tcp_load_LDADD = libmmproxy.a libpure.a
tests_tools_header_verdicts_SOURCES = tests/tools/header_verdicts.c
tests_tools_header_verdicts_LDADD = libpure.a

# Loaded into mmproxy, it makes calls fail. No warning about what it defines, no sanitizer in it, and
# no fortified declarations of what is its own.
fail_call = tests/tools/fail_call.so
check_PROGRAMS += $(fail_call)
tests_tools_fail_call_so_SOURCES = \
	tests/tools/fail_call.c tests/tools/fail_call.h tests/tools/fail_call.def \
	tests/tools/fail_call_wrappers.c
tests_tools_fail_call_so_CPPFLAGS = -D_GNU_SOURCE -U_FORTIFY_SOURCE
tests_tools_fail_call_so_CFLAGS = \
	-std=gnu17 -Wall -Wextra -fPIC -fvisibility=hidden -fno-builtin -ftls-model=initial-exec
tests_tools_fail_call_so_LDFLAGS = -shared -Wl,-z,now

tests_tools_tcp_churn_SOURCES = tests/tools/tcp_churn.c tests/tools/tcp_churn.h \
	tests/tools/churn_end.c tests/tools/churn_judge.c tests/tools/churn_pace.c \
	tests/tools/churn_plan.c \
	tests/tools/churn_run.c tests/tools/churn_run.h \
	tests/tools/churn_stream.c $(tool_arguments)
tests_tools_tcp_churn_CPPFLAGS = $(tool_cppflags)
tests_tools_tcp_churn_LDADD = libmmproxy.a libpure.a
tests_tools_impair_SOURCES = tests/tools/impair.c tests/tools/impair.h \
	tests/tools/impair_fate.c tests/tools/impair_queue.c $(tool_arguments)
tests_tools_impair_CPPFLAGS = $(tool_cppflags)
tests_tools_impair_LDADD = libpure.a
