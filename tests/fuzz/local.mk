# Fuzz targets. `make check` builds them with a plain main that replays what is known; with an engine
# (configure LIB_FUZZING_ENGINE=-fsanitize=fuzzer, see tests/fuzz/build) they are fuzzers.

# A new target is named here, gets its few lines below, and tests/fuzz/TARGET.options with max_len;
# corpus/TARGET and TARGET.dict where they help.
fuzz_targets = \
	tests/fuzz/fuzz_config \
	tests/fuzz/fuzz_control_request \
	tests/fuzz/fuzz_datagram_header \
	tests/fuzz/fuzz_packet \
	tests/fuzz/fuzz_prefix_file \
	tests/fuzz/fuzz_proxy_header \
	tests/fuzz/fuzz_proxy_tlv \
	tests/fuzz/fuzz_tcp_header \
	tests/fuzz/fuzz_tcp_schedule \
	tests/fuzz/fuzz_udp_schedule
if HAVE_JANSSON
fuzz_targets += tests/fuzz/fuzz_decode_capture tests/fuzz/fuzz_decode_text
endif

check_PROGRAMS += $(fuzz_targets) tests/fuzz/seeds
if HAVE_FUZZING_ENGINE
fuzz_engine = $(LIB_FUZZING_ENGINE)
else
check_LIBRARIES += tests/fuzz/libreplay.a
fuzz_engine = tests/fuzz/libreplay.a
endif
tests_fuzz_libreplay_a_SOURCES = tests/fuzz/fuzz.h tests/fuzz/replay.c
tests_fuzz_libreplay_a_CPPFLAGS = $(fuzz_cppflags)

fuzz_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/fuzz -I$(top_srcdir)/tests/unit
fuzz_pure_ldadd = $(fuzz_engine) libpure.a
fuzz_system_ldadd = $(fuzz_engine) libmmproxy.a libpure.a $(fuzz_libraries)
fuzz_relay_ldadd = $(fuzz_engine) tests/unit/libfake.a libmmproxy.a libpure.a $(fuzz_libraries)
fuzz_ctl_ldadd = $(fuzz_engine) libctl.a libmmproxy.a libpure.a $(fuzz_libraries) -lm
fuzz_libraries = $(LIBCONFIG_LIBS) $(LIBCAP_LIBS) $(JANSSON_LIBS) $(LIBSYSTEMD_LIBS) \
	$(LIBMICROHTTPD_LIBS) $(LIBMNL_LIBS) $(LIBNFTABLES_LIBS) $(LIBBPF_LIBS)

# Files come out of the input.
fuzz_files = tests/fuzz/fuzz.h tests/fuzz/fuzz_files.c tests/fuzz/fuzz_files.h
fuzz_files_ldflags = $(AM_LDFLAGS) -Wl,--wrap=file_text_read

tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz_config.c $(fuzz_files)
tests_fuzz_fuzz_config_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_config_LDFLAGS = $(fuzz_files_ldflags)
tests_fuzz_fuzz_config_LDADD = $(fuzz_system_ldadd)

tests_fuzz_fuzz_control_request_SOURCES = tests/fuzz/fuzz_control_request.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_control_request_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_control_request_LDADD = $(fuzz_system_ldadd)

tests_fuzz_fuzz_datagram_header_SOURCES = tests/fuzz/fuzz_datagram_header.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_datagram_header_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_datagram_header_LDADD = $(fuzz_pure_ldadd)

tests_fuzz_fuzz_decode_capture_SOURCES = tests/fuzz/fuzz_decode_capture.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_decode_capture_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_decode_capture_LDADD = $(fuzz_ctl_ldadd)

tests_fuzz_fuzz_decode_text_SOURCES = tests/fuzz/fuzz_decode_text.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_decode_text_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_decode_text_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_fuzz_fuzz_decode_text_LDADD = $(fuzz_ctl_ldadd)

tests_fuzz_fuzz_packet_SOURCES = tests/fuzz/fuzz_packet.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_packet_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_packet_LDADD = $(fuzz_pure_ldadd)

tests_fuzz_fuzz_prefix_file_SOURCES = tests/fuzz/fuzz_prefix_file.c $(fuzz_files)
tests_fuzz_fuzz_prefix_file_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_prefix_file_LDFLAGS = $(fuzz_files_ldflags)
tests_fuzz_fuzz_prefix_file_LDADD = $(fuzz_system_ldadd)

tests_fuzz_fuzz_proxy_header_SOURCES = tests/fuzz/fuzz_proxy_header.c tests/fuzz/fuzz.h tests/fuzz/fuzz_cuts.h
tests_fuzz_fuzz_proxy_header_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_proxy_header_LDADD = $(fuzz_pure_ldadd)

tests_fuzz_fuzz_proxy_tlv_SOURCES = tests/fuzz/fuzz_proxy_tlv.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_proxy_tlv_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_proxy_tlv_LDADD = $(fuzz_pure_ldadd)

tests_fuzz_fuzz_tcp_header_SOURCES = tests/fuzz/fuzz_tcp_header.c tests/fuzz/fuzz.h tests/fuzz/fuzz_cuts.h
tests_fuzz_fuzz_tcp_header_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_tcp_header_LDADD = $(fuzz_relay_ldadd)

tests_fuzz_fuzz_tcp_schedule_SOURCES = tests/fuzz/fuzz_tcp_schedule.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_tcp_schedule_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_tcp_schedule_LDADD = $(fuzz_relay_ldadd)

tests_fuzz_fuzz_udp_schedule_SOURCES = tests/fuzz/fuzz_udp_schedule.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_udp_schedule_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_udp_schedule_LDADD = $(fuzz_relay_ldadd)

tests_fuzz_seeds_SOURCES = tests/fuzz/seeds.c tests/fuzz/fuzz_cuts.h $(proxy_vectors)
tests_fuzz_seeds_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_seeds_LDADD = libpure.a

# For whoever wants the targets and nothing else.
.PHONY: fuzz-targets
fuzz-targets: $(fuzz_targets) tests/fuzz/seeds$(EXEEXT)

TESTS += tests/fuzz/replay-corpus
AM_TESTS_ENVIRONMENT = FUZZ_TARGETS='$(fuzz_targets)'; export FUZZ_TARGETS;
EXTRA_DIST += tests/fuzz/replay-corpus tests/fuzz/corpus
EXTRA_DIST += tests/fuzz/build tests/fuzz/coverage tests/fuzz/coverage-gaps tests/fuzz/run \
	tests/fuzz/oss-fuzz/Dockerfile tests/fuzz/oss-fuzz/build.sh tests/fuzz/oss-fuzz/project.yaml \
	tests/fuzz/config.dict \
	tests/fuzz/config.options \
	tests/fuzz/control_request.dict \
	tests/fuzz/control_request.options \
	tests/fuzz/datagram_header.dict \
	tests/fuzz/datagram_header.options \
	tests/fuzz/decode_capture.dict \
	tests/fuzz/decode_capture.options \
	tests/fuzz/decode_text.dict \
	tests/fuzz/decode_text.options \
	tests/fuzz/packet.dict \
	tests/fuzz/packet.options \
	tests/fuzz/prefix_file.dict \
	tests/fuzz/prefix_file.options \
	tests/fuzz/proxy_header.dict \
	tests/fuzz/proxy_header.options \
	tests/fuzz/proxy_tlv.dict \
	tests/fuzz/proxy_tlv.options \
	tests/fuzz/tcp_header.dict \
	tests/fuzz/tcp_header.options \
	tests/fuzz/tcp_schedule.options \
	tests/fuzz/udp_schedule.options
