# Unit tests: `make check` needs no root and no network.

unit_tests = \
	tests/unit/test_address \
	tests/unit/test_changes \
	tests/unit/test_client_counts \
	tests/unit/test_client_totals \
	tests/unit/test_config \
	tests/unit/test_config_lockdown \
	tests/unit/test_config_offload \
	tests/unit/test_config_mistakes \
	tests/unit/test_config_remarks \
	tests/unit/test_config_routing \
	tests/unit/test_config_scan \
	tests/unit/test_config_service \
	tests/unit/test_control_request \
	tests/unit/test_counter \
	tests/unit/test_counters_log \
	tests/unit/test_crc32c \
	tests/unit/test_dial_udp \
	tests/unit/test_decimal \
	tests/unit/test_escape \
	tests/unit/test_exposition \
	tests/unit/test_flow_quota \
	tests/unit/test_flow_table \
	tests/unit/test_header_guess \
	tests/unit/test_histogram \
	tests/unit/test_landlock \
	tests/unit/test_tcp_limits \
	tests/unit/test_tcp_listener \
	tests/unit/test_log_journal \
	tests/unit/test_log_limiter \
	tests/unit/test_loop \
	tests/unit/test_metrics_counters \
	tests/unit/test_offload_checksum \
	tests/unit/test_options \
	tests/unit/test_packet \
	tests/unit/test_prefix \
	tests/unit/test_prefix_set \
	tests/unit/test_prefix_set_random \
	tests/unit/test_proxy_header \
	tests/unit/test_proxy_tlv \
	tests/unit/test_quota_sequences \
	tests/unit/test_report \
	tests/unit/test_return_plan \
	tests/unit/test_session_view \
	tests/unit/test_siphash \
	tests/unit/test_source_policy \
	tests/unit/test_suggest \
	tests/unit/test_spp \
	tests/unit/test_sys \
	tests/unit/test_tcp_adopt \
	tests/unit/test_tcp_dial \
	tests/unit/test_tcp_faults \
	tests/unit/test_tcp_flow \
	tests/unit/test_tcp_header \
	tests/unit/test_tcp_latency \
	tests/unit/test_tcp_offload \
	tests/unit/test_tcp_offload_faults \
	tests/unit/test_tcp_offload_life \
	tests/unit/test_tcp_offload_silence \
	tests/unit/test_tcp_offload_stays \
	tests/unit/test_tcp_port \
	tests/unit/test_tcp_reset \
	tests/unit/test_tcp_schedule \
	tests/unit/test_tcp_session \
	tests/unit/test_tcp_splice \
	tests/unit/test_tcp_timeouts \
	tests/unit/test_timer_wheel \
	tests/unit/test_token \
	tests/unit/test_udp_adopt \
	tests/unit/test_udp_batch \
	tests/unit/test_udp_claims \
	tests/unit/test_udp_client_limit \
	tests/unit/test_udp_debts \
	tests/unit/test_udp_faults \
	tests/unit/test_udp_first \
	tests/unit/test_udp_flow \
	tests/unit/test_udp_framing \
	tests/unit/test_udp_offload \
	tests/unit/test_udp_receiver \
	tests/unit/test_udp_room \
	tests/unit/test_udp_schedule \
	tests/unit/test_udp_sender \
	tests/unit/test_udp_sender_faults \
	tests/unit/test_udp_settings \
	tests/unit/test_udp_sharing

if HAVE_LIBMNL
unit_tests += tests/unit/test_return_item
unit_tests += tests/unit/test_return_explain tests/unit/test_route_notices
unit_tests += tests/unit/test_doctor_diagnosis tests/unit/test_doctor_host tests/unit/test_doctor_path \
	tests/unit/test_doctor_offload tests/unit/test_doctor_remedies
unit_tests += tests/unit/test_doctor_probe tests/unit/test_doctor_readings tests/unit/test_trace_event
endif
if HAVE_LIBSECCOMP
unit_tests += tests/unit/test_seccomp_verify
endif
if HAVE_BPF
unit_tests += tests/unit/test_offload_filters tests/unit/test_doctor_offload_facts
endif

if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
else
TESTS += tests/unit/cmocka-is-missing
endif

unit_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
unit_cflags = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
libraries = $(LIBCONFIG_LIBS) $(LIBCAP_LIBS) $(JANSSON_LIBS) $(LIBSYSTEMD_LIBS) \
	$(LIBMICROHTTPD_LIBS) $(LIBMNL_LIBS) $(LIBNFTABLES_LIBS) $(LIBBPF_LIBS) $(CMOCKA_LIBS)

# The pure layers alone.
pure_ldadd = libpure.a $(CMOCKA_LIBS)

tests_unit_test_address_SOURCES = tests/unit/test_address.c
tests_unit_test_address_CPPFLAGS = $(unit_cppflags)
tests_unit_test_address_CFLAGS = $(unit_cflags)
tests_unit_test_address_LDADD = $(pure_ldadd)

tests_unit_test_client_counts_SOURCES = tests/unit/test_client_counts.c
tests_unit_test_client_counts_CPPFLAGS = $(unit_cppflags)
tests_unit_test_client_counts_CFLAGS = $(unit_cflags)
tests_unit_test_client_counts_LDADD = $(system_ldadd)
tests_unit_test_client_counts_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=calloc

tests_unit_test_client_totals_SOURCES = tests/unit/test_client_totals.c
tests_unit_test_client_totals_CPPFLAGS = $(unit_cppflags)
tests_unit_test_client_totals_CFLAGS = $(unit_cflags)
tests_unit_test_client_totals_LDADD = $(pure_ldadd)

tests_unit_test_counter_SOURCES = tests/unit/test_counter.c
tests_unit_test_counter_CPPFLAGS = $(unit_cppflags)
tests_unit_test_counter_CFLAGS = $(unit_cflags)
tests_unit_test_counter_LDADD = $(pure_ldadd)

tests_unit_test_crc32c_SOURCES = tests/unit/test_crc32c.c
tests_unit_test_crc32c_CPPFLAGS = $(unit_cppflags)
tests_unit_test_crc32c_CFLAGS = $(unit_cflags)
tests_unit_test_crc32c_LDADD = $(pure_ldadd)

tests_unit_test_decimal_SOURCES = tests/unit/test_decimal.c
tests_unit_test_decimal_CPPFLAGS = $(unit_cppflags)
tests_unit_test_decimal_CFLAGS = $(unit_cflags)
tests_unit_test_decimal_LDADD = $(pure_ldadd)

tests_unit_test_report_SOURCES = tests/unit/test_report.c
tests_unit_test_report_CPPFLAGS = $(unit_cppflags)
tests_unit_test_report_CFLAGS = $(unit_cflags)
tests_unit_test_report_LDADD = $(pure_ldadd)

tests_unit_test_escape_SOURCES = tests/unit/test_escape.c
tests_unit_test_escape_CPPFLAGS = $(unit_cppflags)
tests_unit_test_escape_CFLAGS = $(unit_cflags)
tests_unit_test_escape_LDADD = $(pure_ldadd)

tests_unit_test_flow_table_SOURCES = tests/unit/test_flow_table.c
tests_unit_test_flow_table_CPPFLAGS = $(unit_cppflags)
tests_unit_test_flow_table_CFLAGS = $(unit_cflags)
tests_unit_test_flow_table_LDADD = $(pure_ldadd)

tests_unit_test_header_guess_SOURCES = tests/unit/test_header_guess.c
tests_unit_test_header_guess_CPPFLAGS = $(unit_cppflags)
tests_unit_test_header_guess_CFLAGS = $(unit_cflags)
tests_unit_test_header_guess_LDADD = $(pure_ldadd)

tests_unit_test_histogram_SOURCES = tests/unit/test_histogram.c
tests_unit_test_histogram_CPPFLAGS = $(unit_cppflags)
tests_unit_test_histogram_CFLAGS = $(unit_cflags)
tests_unit_test_histogram_LDADD = $(pure_ldadd)

tests_unit_test_counters_log_SOURCES = tests/unit/test_counters_log.c
tests_unit_test_counters_log_CPPFLAGS = $(unit_cppflags)
tests_unit_test_counters_log_CFLAGS = $(unit_cflags)
tests_unit_test_counters_log_LDADD = libmmproxy.a libpure.a $(libraries)

tests_unit_test_log_journal_SOURCES = tests/unit/test_log_journal.c
tests_unit_test_log_journal_CPPFLAGS = $(unit_cppflags)
tests_unit_test_log_journal_CFLAGS = $(unit_cflags)
tests_unit_test_log_journal_LDADD = $(config_ldadd)

tests_unit_test_log_limiter_SOURCES = tests/unit/test_log_limiter.c
tests_unit_test_log_limiter_CPPFLAGS = $(unit_cppflags)
tests_unit_test_log_limiter_CFLAGS = $(unit_cflags)
tests_unit_test_log_limiter_LDADD = $(pure_ldadd)

tests_unit_test_offload_checksum_SOURCES = tests/unit/test_offload_checksum.c
tests_unit_test_offload_checksum_CPPFLAGS = $(unit_cppflags)
tests_unit_test_offload_checksum_CFLAGS = $(unit_cflags)
tests_unit_test_offload_checksum_LDADD = $(pure_ldadd)

tests_unit_test_offload_filters_SOURCES = tests/unit/test_offload_filters.c
tests_unit_test_offload_filters_CPPFLAGS = $(unit_cppflags)
tests_unit_test_offload_filters_CFLAGS = $(unit_cflags) $(LIBBPF_CFLAGS)
tests_unit_test_offload_filters_LDADD = libmmproxy.a libpure.a $(libraries)
tests_unit_test_offload_filters_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=bpf_tc_query \
	-Wl,--wrap=bpf_tc_detach -Wl,--wrap=bpf_tc_hook_destroy -Wl,--wrap=netlink_ask

tests_unit_test_packet_SOURCES = tests/unit/test_packet.c
tests_unit_test_packet_CPPFLAGS = $(unit_cppflags)
tests_unit_test_packet_CFLAGS = $(unit_cflags)
tests_unit_test_packet_LDADD = $(pure_ldadd)

tests_unit_test_prefix_SOURCES = tests/unit/test_prefix.c tests/unit/prefix_texts.h
tests_unit_test_prefix_CPPFLAGS = $(unit_cppflags)
tests_unit_test_prefix_CFLAGS = $(unit_cflags)
tests_unit_test_prefix_LDADD = $(pure_ldadd)
tests_unit_test_prefix_set_SOURCES = tests/unit/test_prefix_set.c tests/unit/prefix_texts.h
tests_unit_test_prefix_set_CPPFLAGS = $(unit_cppflags)
tests_unit_test_prefix_set_CFLAGS = $(unit_cflags)
tests_unit_test_prefix_set_LDADD = $(pure_ldadd)
tests_unit_test_prefix_set_random_SOURCES = tests/unit/test_prefix_set_random.c
tests_unit_test_prefix_set_random_CPPFLAGS = $(unit_cppflags)
tests_unit_test_prefix_set_random_CFLAGS = $(unit_cflags)
tests_unit_test_prefix_set_random_LDADD = $(pure_ldadd)

tests_unit_test_proxy_tlv_SOURCES = tests/unit/test_proxy_tlv.c
tests_unit_test_proxy_tlv_CPPFLAGS = $(unit_cppflags)
tests_unit_test_proxy_tlv_CFLAGS = $(unit_cflags)
tests_unit_test_proxy_tlv_LDADD = $(pure_ldadd)

tests_unit_test_seccomp_verify_SOURCES = tests/unit/test_seccomp_verify.c
tests_unit_test_seccomp_verify_CPPFLAGS = $(unit_cppflags)
tests_unit_test_seccomp_verify_CFLAGS = $(unit_cflags)
tests_unit_test_seccomp_verify_LDADD = libmmproxy.a libpure.a $(libraries) $(LIBSECCOMP_LIBS)
tests_unit_test_seccomp_verify_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=fopen -Wl,--wrap=fopen64

tests_unit_test_siphash_SOURCES = tests/unit/test_siphash.c
tests_unit_test_siphash_CPPFLAGS = $(unit_cppflags)
tests_unit_test_siphash_CFLAGS = $(unit_cflags)
tests_unit_test_siphash_LDADD = $(pure_ldadd)

tests_unit_test_source_policy_SOURCES = tests/unit/test_source_policy.c
tests_unit_test_source_policy_CPPFLAGS = $(unit_cppflags)
tests_unit_test_source_policy_CFLAGS = $(unit_cflags)
tests_unit_test_source_policy_LDADD = $(pure_ldadd)

tests_unit_test_spp_SOURCES = tests/unit/test_spp.c
tests_unit_test_spp_CPPFLAGS = $(unit_cppflags)
tests_unit_test_spp_CFLAGS = $(unit_cflags)
tests_unit_test_spp_LDADD = $(pure_ldadd)

tests_unit_test_suggest_SOURCES = tests/unit/test_suggest.c
tests_unit_test_suggest_CPPFLAGS = $(unit_cppflags)
tests_unit_test_suggest_CFLAGS = $(unit_cflags)
tests_unit_test_suggest_LDADD = $(pure_ldadd)

tests_unit_test_timer_wheel_SOURCES = tests/unit/test_timer_wheel.c
tests_unit_test_timer_wheel_CPPFLAGS = $(unit_cppflags)
tests_unit_test_timer_wheel_CFLAGS = $(unit_cflags)
tests_unit_test_timer_wheel_LDADD = $(pure_ldadd)

proxy_vectors = \
	tests/unit/proxy_vector_words.h tests/unit/proxy_vectors.c tests/unit/proxy_vectors.h \
	tests/unit/proxy_vectors_start.c \
	tests/unit/proxy_vectors_v1.c \
	tests/unit/proxy_vectors_v1_fields.c \
	tests/unit/proxy_vectors_v2.c \
	tests/unit/proxy_vectors_v2_tlv.c \
	tests/unit/proxy_vectors_v2_udp.c

tests_unit_test_proxy_header_SOURCES = $(proxy_vectors) tests/unit/test_proxy_header.c
tests_unit_test_proxy_header_CPPFLAGS = $(unit_cppflags)
tests_unit_test_proxy_header_CFLAGS = $(unit_cflags)
tests_unit_test_proxy_header_LDADD = $(pure_ldadd)

# The configuration's loader, with scratch files of the test's own.
config_ldadd = libmmproxy.a libpure.a $(libraries)
config_fixture = \
	tests/unit/config_fixture.c tests/unit/config_fixture.h \
	tests/unit/scratch.c tests/unit/scratch.h

tests_unit_test_config_SOURCES = $(config_fixture) tests/unit/test_config.c
tests_unit_test_config_CPPFLAGS = $(unit_cppflags)
tests_unit_test_config_CFLAGS = $(unit_cflags)
tests_unit_test_config_LDADD = $(config_ldadd)

tests_unit_test_config_mistakes_SOURCES = $(config_fixture) tests/unit/test_config_mistakes.c
tests_unit_test_config_mistakes_CPPFLAGS = $(unit_cppflags)
tests_unit_test_config_mistakes_CFLAGS = $(unit_cflags)
tests_unit_test_config_mistakes_LDADD = $(config_ldadd)

tests_unit_test_config_offload_SOURCES = $(config_fixture) tests/unit/test_config_offload.c
tests_unit_test_config_offload_CPPFLAGS = $(unit_cppflags)
tests_unit_test_config_offload_CFLAGS = $(unit_cflags)
tests_unit_test_config_offload_LDADD = $(config_ldadd)

tests_unit_test_config_lockdown_SOURCES = $(config_fixture) tests/unit/test_config_lockdown.c
tests_unit_test_config_lockdown_CPPFLAGS = $(unit_cppflags)
tests_unit_test_config_lockdown_CFLAGS = $(unit_cflags)
tests_unit_test_config_lockdown_LDADD = $(config_ldadd)

tests_unit_test_landlock_SOURCES = \
	tests/unit/scratch.c tests/unit/scratch.h tests/unit/test_landlock.c
tests_unit_test_landlock_CPPFLAGS = $(unit_cppflags)
tests_unit_test_landlock_CFLAGS = $(unit_cflags)
tests_unit_test_landlock_LDADD = $(config_ldadd)

tests_unit_test_config_routing_SOURCES = $(config_fixture) tests/unit/test_config_routing.c
tests_unit_test_config_routing_CPPFLAGS = $(unit_cppflags)
tests_unit_test_config_routing_CFLAGS = $(unit_cflags)
tests_unit_test_config_routing_LDADD = $(config_ldadd)

tests_unit_test_return_item_SOURCES = tests/unit/test_return_item.c
tests_unit_test_return_item_CPPFLAGS = $(unit_cppflags)
tests_unit_test_return_item_CFLAGS = $(unit_cflags)
tests_unit_test_return_item_LDADD = $(config_ldadd)
tests_unit_test_return_item_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=nft_mark_list \
	-Wl,--wrap=nft_mark_is_ours -Wl,--wrap=nft_mark_is_whole -Wl,--wrap=nft_mark_apply -Wl,--wrap=nft_mark_remove

tests_unit_test_return_plan_SOURCES = tests/unit/test_return_plan.c
tests_unit_test_return_plan_CPPFLAGS = $(unit_cppflags)
tests_unit_test_return_plan_CFLAGS = $(unit_cflags)
tests_unit_test_return_plan_LDADD = $(config_ldadd)

tests_unit_test_route_notices_SOURCES = tests/unit/test_route_notices.c
tests_unit_test_route_notices_CPPFLAGS = $(unit_cppflags)
tests_unit_test_route_notices_CFLAGS = $(unit_cflags) $(LIBMNL_CFLAGS)
tests_unit_test_route_notices_LDADD = $(config_ldadd)

tests_unit_test_token_SOURCES = tests/unit/test_token.c
tests_unit_test_token_CPPFLAGS = $(unit_cppflags)
tests_unit_test_token_CFLAGS = $(unit_cflags)
tests_unit_test_token_LDADD = $(config_ldadd)

tests_unit_test_return_explain_SOURCES = tests/unit/test_return_explain.c
tests_unit_test_return_explain_CPPFLAGS = $(unit_cppflags)
tests_unit_test_return_explain_CFLAGS = $(unit_cflags)
tests_unit_test_return_explain_LDADD = $(config_ldadd)

tests_unit_test_doctor_diagnosis_SOURCES = tests/unit/test_doctor_diagnosis.c
tests_unit_test_doctor_diagnosis_CPPFLAGS = $(unit_cppflags)
tests_unit_test_doctor_diagnosis_CFLAGS = $(unit_cflags)
tests_unit_test_doctor_diagnosis_LDADD = libdoctor.a $(config_ldadd)

tests_unit_test_doctor_offload_SOURCES = tests/unit/test_doctor_offload.c
tests_unit_test_doctor_offload_CPPFLAGS = $(unit_cppflags)
tests_unit_test_doctor_offload_CFLAGS = $(unit_cflags)
tests_unit_test_doctor_offload_LDADD = libdoctor.a $(config_ldadd)

tests_unit_test_doctor_offload_facts_SOURCES = tests/unit/test_doctor_offload_facts.c
tests_unit_test_doctor_offload_facts_CPPFLAGS = $(unit_cppflags)
tests_unit_test_doctor_offload_facts_CFLAGS = $(unit_cflags)
tests_unit_test_doctor_offload_facts_LDADD = libdoctor.a $(config_ldadd)
tests_unit_test_doctor_offload_facts_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=filters_find \
	-Wl,--wrap=config_wants_offload

tests_unit_test_doctor_host_SOURCES = tests/unit/test_doctor_host.c
tests_unit_test_doctor_host_CPPFLAGS = $(unit_cppflags)
tests_unit_test_doctor_host_CFLAGS = $(unit_cflags)
tests_unit_test_doctor_host_LDADD = libdoctor.a $(config_ldadd)

doctor_path_fixture = tests/unit/doctor_path_fixture.c tests/unit/doctor_path_fixture.h

tests_unit_test_doctor_path_SOURCES = $(doctor_path_fixture) tests/unit/test_doctor_path.c
tests_unit_test_doctor_path_CPPFLAGS = $(unit_cppflags)
tests_unit_test_doctor_path_CFLAGS = $(unit_cflags)
tests_unit_test_doctor_path_LDADD = libdoctor.a $(config_ldadd)

tests_unit_test_doctor_remedies_SOURCES = $(doctor_path_fixture) tests/unit/test_doctor_remedies.c
tests_unit_test_doctor_remedies_CPPFLAGS = $(unit_cppflags)
tests_unit_test_doctor_remedies_CFLAGS = $(unit_cflags)
tests_unit_test_doctor_remedies_LDADD = libdoctor.a $(config_ldadd)

tests_unit_test_doctor_probe_SOURCES = tests/unit/test_doctor_probe.c
tests_unit_test_doctor_probe_CPPFLAGS = $(unit_cppflags)
tests_unit_test_doctor_probe_CFLAGS = $(unit_cflags)
tests_unit_test_doctor_probe_LDADD = libdoctor.a $(config_ldadd)

tests_unit_test_doctor_readings_SOURCES = tests/unit/test_doctor_readings.c
tests_unit_test_doctor_readings_CPPFLAGS = $(unit_cppflags)
tests_unit_test_doctor_readings_CFLAGS = $(unit_cflags) $(LIBMNL_CFLAGS)
tests_unit_test_doctor_readings_LDADD = libdoctor.a $(config_ldadd)

tests_unit_test_trace_event_SOURCES = tests/unit/test_trace_event.c
tests_unit_test_trace_event_CPPFLAGS = $(unit_cppflags)
tests_unit_test_trace_event_CFLAGS = $(unit_cflags) $(LIBMNL_CFLAGS)
tests_unit_test_trace_event_LDADD = libdoctor.a $(config_ldadd)

tests_unit_test_config_remarks_SOURCES = $(config_fixture) tests/unit/test_config_remarks.c
tests_unit_test_config_remarks_CPPFLAGS = $(unit_cppflags)
tests_unit_test_config_remarks_CFLAGS = $(unit_cflags)
tests_unit_test_config_remarks_LDADD = $(config_ldadd)

tests_unit_test_config_scan_SOURCES = tests/unit/scratch.c tests/unit/scratch.h tests/unit/test_config_scan.c
tests_unit_test_config_scan_CPPFLAGS = $(unit_cppflags)
tests_unit_test_config_scan_CFLAGS = $(unit_cflags)
tests_unit_test_config_scan_LDADD = $(config_ldadd)

tests_unit_test_config_service_SOURCES = $(config_fixture) tests/unit/test_config_service.c
tests_unit_test_config_service_CPPFLAGS = $(unit_cppflags)
tests_unit_test_config_service_CFLAGS = $(unit_cflags)
tests_unit_test_config_service_LDADD = $(config_ldadd)

tests_unit_test_options_SOURCES = $(config_fixture) tests/unit/full_report.h tests/unit/test_options.c
tests_unit_test_options_CPPFLAGS = $(unit_cppflags)
tests_unit_test_options_CFLAGS = $(unit_cflags)
tests_unit_test_options_LDADD = $(config_ldadd)

# Reloads.
tests_unit_test_changes_SOURCES = $(config_fixture) tests/unit/full_report.h tests/unit/test_changes.c
tests_unit_test_changes_CPPFLAGS = $(unit_cppflags)
tests_unit_test_changes_CFLAGS = $(unit_cflags)
tests_unit_test_changes_LDADD = $(config_ldadd)

# Metrics.
tests_unit_test_exposition_SOURCES = tests/unit/test_exposition.c
tests_unit_test_exposition_CPPFLAGS = $(unit_cppflags)
tests_unit_test_exposition_CFLAGS = $(unit_cflags)
tests_unit_test_exposition_LDADD = $(config_ldadd)

tests_unit_test_metrics_counters_SOURCES = tests/unit/test_metrics_counters.c
tests_unit_test_metrics_counters_CPPFLAGS = $(unit_cppflags)
tests_unit_test_metrics_counters_CFLAGS = $(unit_cflags)
tests_unit_test_metrics_counters_LDADD = $(config_ldadd)

tests_unit_test_control_request_SOURCES = tests/unit/test_control_request.c
tests_unit_test_control_request_CPPFLAGS = $(unit_cppflags)
tests_unit_test_control_request_CFLAGS = $(unit_cflags)
tests_unit_test_control_request_LDADD = libmmproxy.a libpure.a $(libraries)

# The real system behind the table.
tests_unit_test_loop_SOURCES = tests/unit/test_loop.c
tests_unit_test_loop_CPPFLAGS = $(unit_cppflags)
tests_unit_test_loop_CFLAGS = $(unit_cflags)
tests_unit_test_loop_LDADD = libmmproxy.a libpure.a $(libraries)

tests_unit_test_sys_SOURCES = tests/unit/test_sys.c
tests_unit_test_sys_CPPFLAGS = $(unit_cppflags)
tests_unit_test_sys_CFLAGS = $(unit_cflags)
tests_unit_test_sys_LDADD = libmmproxy.a libpure.a $(libraries)

# What a worker's UDP flows share with others', and the real system's batches.
system_ldadd = libmmproxy.a libpure.a $(libraries)

tests_unit_test_flow_quota_SOURCES = tests/unit/test_flow_quota.c tests/unit/quota_side.h
tests_unit_test_flow_quota_CPPFLAGS = $(unit_cppflags)
tests_unit_test_flow_quota_CFLAGS = $(unit_cflags)
tests_unit_test_flow_quota_LDADD = $(system_ldadd)

tests_unit_test_quota_sequences_SOURCES = tests/unit/test_quota_sequences.c tests/unit/quota_side.h
tests_unit_test_quota_sequences_CPPFLAGS = $(unit_cppflags)
tests_unit_test_quota_sequences_CFLAGS = $(unit_cflags)
tests_unit_test_quota_sequences_LDADD = $(system_ldadd)

tests_unit_test_udp_claims_SOURCES = tests/unit/test_udp_claims.c
tests_unit_test_udp_claims_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_claims_CFLAGS = $(unit_cflags)
tests_unit_test_udp_claims_LDADD = $(system_ldadd)

tests_unit_test_udp_receiver_SOURCES = tests/unit/test_udp_receiver.c
tests_unit_test_udp_receiver_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_receiver_CFLAGS = $(unit_cflags)
tests_unit_test_udp_receiver_LDADD = $(system_ldadd)

# The relay, over a fake operating system; no test framework, fuzz targets have it too.
check_LIBRARIES += tests/unit/libfake.a
tests_unit_libfake_a_SOURCES = \
	tests/unit/fake_control.c \
	tests/unit/fake_datapath.c \
	tests/unit/fake_datapath.h \
	tests/unit/fake_loop.c \
	tests/unit/fake_loop.h \
	tests/unit/fake_message.c \
	tests/unit/fake_message.h \
	tests/unit/fake_socket.c \
	tests/unit/fake_socket.h \
	tests/unit/fake_sys.c \
	tests/unit/fake_sys.h \
	tests/unit/fake_udp.c \
	tests/unit/fake_udp.h \
	tests/unit/fake_udp_control.c \
	tests/unit/fake_udp_datapath.c \
	tests/unit/fake_udp_datapath.h \
	tests/unit/relay_checks.h \
	tests/unit/relay_fixture.c \
	tests/unit/relay_fixture.h \
	tests/unit/tcp_flow.h \
	tests/unit/tcp_handoff.h \
	tests/unit/tcp_schedule.c \
	tests/unit/tcp_schedule.h \
	tests/unit/tcp_talk.h \
	tests/unit/udp_fixture.c \
	tests/unit/udp_fixture.h \
	tests/unit/udp_handoff.h \
	tests/unit/udp_places.h \
	tests/unit/udp_post.c \
	tests/unit/udp_post.h \
	tests/unit/udp_schedule.c \
	tests/unit/udp_schedule.h \
	tests/unit/udp_sending.h \
	tests/unit/udp_talk.h
tests_unit_libfake_a_CPPFLAGS = $(unit_cppflags)
tests_unit_libfake_a_CFLAGS = $(unit_cflags)
relay_ldadd = tests/unit/libfake.a libmmproxy.a libpure.a $(libraries)

tests_unit_test_tcp_limits_SOURCES = tests/unit/test_tcp_limits.c
tests_unit_test_tcp_limits_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_limits_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_limits_LDADD = $(relay_ldadd)

tests_unit_test_tcp_listener_SOURCES = tests/unit/test_tcp_listener.c
tests_unit_test_tcp_listener_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_listener_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_listener_LDADD = $(relay_ldadd)
# A want of memory.
tests_unit_test_tcp_listener_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=calloc

tests_unit_test_session_view_SOURCES = tests/unit/test_session_view.c
tests_unit_test_session_view_CPPFLAGS = $(unit_cppflags)
tests_unit_test_session_view_CFLAGS = $(unit_cflags)
tests_unit_test_session_view_LDADD = $(relay_ldadd)

tests_unit_test_tcp_dial_SOURCES = tests/unit/test_tcp_dial.c
tests_unit_test_tcp_dial_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_dial_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_dial_LDADD = $(relay_ldadd)

tests_unit_test_tcp_faults_SOURCES = tests/unit/test_tcp_faults.c
tests_unit_test_tcp_faults_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_faults_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_faults_LDADD = $(relay_ldadd)

tests_unit_test_tcp_flow_SOURCES = tests/unit/test_tcp_flow.c
tests_unit_test_tcp_flow_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_flow_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_flow_LDADD = $(relay_ldadd)

tests_unit_test_tcp_header_SOURCES = tests/unit/test_tcp_header.c
tests_unit_test_tcp_header_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_header_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_header_LDADD = $(relay_ldadd)

tests_unit_test_tcp_latency_SOURCES = tests/unit/test_tcp_latency.c
tests_unit_test_tcp_latency_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_latency_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_latency_LDADD = $(relay_ldadd)

tests_unit_test_tcp_adopt_SOURCES = tests/unit/test_tcp_adopt.c
tests_unit_test_tcp_adopt_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_adopt_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_adopt_LDADD = $(relay_ldadd)
tests_unit_test_tcp_adopt_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=calloc

tests_unit_test_tcp_offload_SOURCES = tests/unit/test_tcp_offload.c
tests_unit_test_tcp_offload_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_offload_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_offload_LDADD = $(relay_ldadd)

tests_unit_test_tcp_offload_faults_SOURCES = tests/unit/test_tcp_offload_faults.c
tests_unit_test_tcp_offload_faults_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_offload_faults_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_offload_faults_LDADD = $(relay_ldadd)
tests_unit_test_tcp_offload_faults_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=calloc

tests_unit_test_tcp_offload_life_SOURCES = tests/unit/test_tcp_offload_life.c
tests_unit_test_tcp_offload_life_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_offload_life_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_offload_life_LDADD = $(relay_ldadd)

tests_unit_test_tcp_offload_silence_SOURCES = tests/unit/test_tcp_offload_silence.c
tests_unit_test_tcp_offload_silence_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_offload_silence_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_offload_silence_LDADD = $(relay_ldadd)

tests_unit_test_tcp_offload_stays_SOURCES = tests/unit/test_tcp_offload_stays.c
tests_unit_test_tcp_offload_stays_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_offload_stays_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_offload_stays_LDADD = $(relay_ldadd)

tests_unit_test_tcp_port_SOURCES = tests/unit/test_tcp_port.c
tests_unit_test_tcp_port_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_port_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_port_LDADD = $(relay_ldadd)

tests_unit_test_tcp_reset_SOURCES = tests/unit/test_tcp_reset.c
tests_unit_test_tcp_reset_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_reset_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_reset_LDADD = $(relay_ldadd)

random_schedules = tests/unit/random_schedules.c tests/unit/random_schedules.h

tests_unit_test_tcp_schedule_SOURCES = tests/unit/test_tcp_schedule.c $(random_schedules)
tests_unit_test_tcp_schedule_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_schedule_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_schedule_LDADD = $(relay_ldadd)

tests_unit_test_tcp_session_SOURCES = tests/unit/test_tcp_session.c
tests_unit_test_tcp_session_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_session_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_session_LDADD = $(relay_ldadd)

tests_unit_test_tcp_splice_SOURCES = tests/unit/test_tcp_splice.c
tests_unit_test_tcp_splice_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_splice_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_splice_LDADD = $(relay_ldadd)

tests_unit_test_tcp_timeouts_SOURCES = tests/unit/test_tcp_timeouts.c
tests_unit_test_tcp_timeouts_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_timeouts_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_timeouts_LDADD = $(relay_ldadd)

tests_unit_test_dial_udp_SOURCES = tests/unit/test_dial_udp.c
tests_unit_test_dial_udp_CPPFLAGS = $(unit_cppflags)
tests_unit_test_dial_udp_CFLAGS = $(unit_cflags)
tests_unit_test_dial_udp_LDADD = $(relay_ldadd)

tests_unit_test_udp_batch_SOURCES = tests/unit/test_udp_batch.c
tests_unit_test_udp_batch_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_batch_CFLAGS = $(unit_cflags)
tests_unit_test_udp_batch_LDADD = $(relay_ldadd)

tests_unit_test_udp_debts_SOURCES = tests/unit/test_udp_debts.c
tests_unit_test_udp_debts_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_debts_CFLAGS = $(unit_cflags)
tests_unit_test_udp_debts_LDADD = $(relay_ldadd)

tests_unit_test_udp_faults_SOURCES = tests/unit/test_udp_faults.c
tests_unit_test_udp_faults_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_faults_CFLAGS = $(unit_cflags)
tests_unit_test_udp_faults_LDADD = $(relay_ldadd)

tests_unit_test_udp_first_SOURCES = tests/unit/test_udp_first.c
tests_unit_test_udp_first_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_first_CFLAGS = $(unit_cflags)
tests_unit_test_udp_first_LDADD = $(relay_ldadd)

tests_unit_test_udp_flow_SOURCES = tests/unit/test_udp_flow.c
tests_unit_test_udp_flow_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_flow_CFLAGS = $(unit_cflags)
tests_unit_test_udp_flow_LDADD = $(relay_ldadd)

tests_unit_test_udp_framing_SOURCES = tests/unit/test_udp_framing.c
tests_unit_test_udp_framing_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_framing_CFLAGS = $(unit_cflags)
tests_unit_test_udp_framing_LDADD = $(relay_ldadd)

tests_unit_test_udp_schedule_SOURCES = tests/unit/test_udp_schedule.c $(random_schedules)
tests_unit_test_udp_schedule_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_schedule_CFLAGS = $(unit_cflags)
tests_unit_test_udp_schedule_LDADD = $(relay_ldadd)

tests_unit_test_udp_sender_SOURCES = tests/unit/test_udp_sender.c
tests_unit_test_udp_sender_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_sender_CFLAGS = $(unit_cflags)
tests_unit_test_udp_sender_LDADD = $(relay_ldadd)

tests_unit_test_udp_sender_faults_SOURCES = tests/unit/test_udp_sender_faults.c
tests_unit_test_udp_sender_faults_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_sender_faults_CFLAGS = $(unit_cflags)
tests_unit_test_udp_sender_faults_LDADD = $(relay_ldadd)

tests_unit_test_udp_room_SOURCES = tests/unit/test_udp_room.c
tests_unit_test_udp_room_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_room_CFLAGS = $(unit_cflags)
tests_unit_test_udp_room_LDADD = $(relay_ldadd)

tests_unit_test_udp_adopt_SOURCES = tests/unit/test_udp_adopt.c
tests_unit_test_udp_adopt_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_adopt_CFLAGS = $(unit_cflags)
tests_unit_test_udp_adopt_LDADD = $(relay_ldadd)

tests_unit_test_udp_offload_SOURCES = tests/unit/test_udp_offload.c
tests_unit_test_udp_offload_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_offload_CFLAGS = $(unit_cflags)
tests_unit_test_udp_offload_LDADD = $(relay_ldadd)

tests_unit_test_udp_settings_SOURCES = tests/unit/test_udp_settings.c
tests_unit_test_udp_settings_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_settings_CFLAGS = $(unit_cflags)
tests_unit_test_udp_settings_LDADD = $(relay_ldadd)

tests_unit_test_udp_client_limit_SOURCES = tests/unit/test_udp_client_limit.c
tests_unit_test_udp_client_limit_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_client_limit_CFLAGS = $(unit_cflags)
tests_unit_test_udp_client_limit_LDADD = $(relay_ldadd)

tests_unit_test_udp_sharing_SOURCES = tests/unit/test_udp_sharing.c
tests_unit_test_udp_sharing_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_sharing_CFLAGS = $(unit_cflags)
tests_unit_test_udp_sharing_LDADD = $(relay_ldadd)

include tests/unit/local-host.mk
include tests/unit/local-ctl.mk
