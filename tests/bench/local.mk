# The bench. Its programs are built with the tests; it is started by hand (tests/bench/run), never by
# `make check`: speed is nothing that passes or fails.
check_PROGRAMS += tests/bench/tcp_bench tests/bench/udp_bench tests/bench/udp_plain
bench_gate = tests/bench/load/gate.c tests/bench/load/gate.h
bench_latency = tests/bench/load/latency.c tests/bench/load/latency.h
tests_bench_tcp_bench_SOURCES = \
	tests/bench/load/tcp_bench.c tests/bench/load/tcp_server.c tests/bench/load/tcp_server.h \
	tests/bench/load/tcp_connection.c tests/bench/load/tcp_connection.h \
	tests/bench/load/tcp_load.h tests/bench/load/tcp_load_connect.c tests/bench/load/tcp_load_idle.c \
	tests/bench/load/tcp_load_ping.c tests/bench/load/tcp_load_stream.c \
	tests/bench/load/payload.c tests/bench/load/payload.h $(tool_arguments) $(bench_gate) $(bench_latency)
tests_bench_tcp_bench_CPPFLAGS = $(tool_cppflags)
tests_bench_tcp_bench_LDADD = libpure.a
tests_bench_udp_bench_SOURCES = \
	tests/bench/load/udp_bench.c \
	tests/bench/load/udp_echo.c tests/bench/load/udp_echo.h \
	tests/bench/load/udp_flight.c tests/bench/load/udp_flight.h \
	tests/bench/load/udp_load.c tests/bench/load/udp_load.h tests/bench/load/udp_load_parts.h \
	tests/bench/load/udp_load_clients.c tests/bench/load/udp_load_receive.c tests/bench/load/udp_load_send.c \
	$(tool_arguments) $(bench_gate) $(bench_latency) $(bench_batch) $(bench_framing)
tests_bench_udp_bench_CPPFLAGS = $(tool_cppflags)
tests_bench_udp_bench_LDADD = libpure.a
tests_bench_udp_plain_SOURCES = tests/bench/load/udp_plain.c $(bench_batch)
tests_bench_udp_plain_CPPFLAGS = $(tool_cppflags)
tests_bench_udp_plain_LDADD = libpure.a

# Steps of the relay, whose instructions can be counted.
check_PROGRAMS += tests/bench/relay_steps
tests_bench_relay_steps_SOURCES = \
	tests/bench/steps/null_sys.c tests/bench/steps/null_sys.h \
	tests/bench/steps/passing_plugins.c tests/bench/steps/passing_plugins.h \
	tests/bench/steps/relay_steps.c tests/bench/steps/relay_steps.h \
	tests/bench/steps/relay_steps_tcp.c tests/bench/steps/relay_steps_udp.c \
	tests/bench/steps/step_relay.c tests/bench/steps/step_relay.h \
	tests/unit/fake_loop.c tests/unit/fake_loop.h
tests_bench_relay_steps_CPPFLAGS = $(unit_cppflags) -I$(top_srcdir)/tests/bench/steps \
	-DCOMPILER_FLAGS='"$(AM_CFLAGS) $(CFLAGS)"'
tests_bench_relay_steps_LDADD = libmmproxy.a libpure.a $(libraries)
tests_bench_relay_steps_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=clock_gettime

EXTRA_DIST += \
	tests/bench/abuse tests/bench/run tests/bench/publish tests/bench/report tests/bench/sample.py tests/bench/test_report.py \
	tests/bench/instructions tests/bench/instructions.json \
	tests/bench/harness/__init__.py tests/bench/harness/bench.py tests/bench/harness/calls.py \
	tests/bench/harness/gnuplot.py tests/bench/harness/loads.py tests/bench/harness/machine.py \
	tests/bench/harness/markdown.py tests/bench/harness/offload.py tests/bench/harness/plots.py \
	tests/bench/harness/proxies.py \
	tests/bench/harness/results.py tests/bench/harness/runner.py tests/bench/harness/scenarios.py \
	tests/bench/harness/stage.py tests/bench/harness/words.py
