# The daemon: the pure layers, the rest, and a main of a few lines.

noinst_LIBRARIES += libpure.a libmmproxy.a

# Pure: no I/O, no clock. Unit tests and fuzz targets link this alone, so a file that reaches upward
# fails to link.
libpure_a_SOURCES = \
	src/base/address.c src/base/address.h \
	src/base/client_totals.c src/base/client_totals.h \
	src/base/close_reason.c src/base/close_reason.def src/base/close_reason.h \
	src/base/control_path.h \
	src/base/counter.c src/base/counter.def src/base/counter.h \
	src/base/denial_cache.c src/base/denial_cache.h \
	src/base/decimal.c src/base/decimal.h \
	src/base/escape.c src/base/escape.h \
	src/base/flow_table.c src/base/flow_table.h \
	src/base/histogram.c src/base/histogram.h \
	src/base/list.h \
	src/base/log_limiter.c src/base/log_limiter.h \
	src/base/prefix_set.c src/base/prefix_set.h \
	src/base/refcount.h \
	src/base/report.c src/base/report.h \
	src/base/sanitizer.h \
	src/base/siphash.c src/base/siphash.h \
	src/base/source_policy.c src/base/source_policy.h \
	src/base/suggest.c src/base/suggest.h \
	src/base/text.h \
	src/base/text_list.c src/base/text_list.h \
	src/base/timer_wheel.c src/base/timer_wheel.h \
	src/base/utf8.h \
	src/wire/crc32c.c src/wire/crc32c.h \
	src/wire/header_guess.c src/wire/header_guess.h \
	src/wire/packet.c src/wire/packet.h \
	src/wire/proxy_fields.c src/wire/proxy_fields.h \
	src/wire/proxy_header.c src/wire/proxy_header.h \
	src/wire/proxy_tlv.c src/wire/proxy_tlv.h \
	src/wire/proxy_v1.c src/wire/proxy_v2.c src/wire/proxy_version.h \
	src/wire/refusal_hint.c src/wire/refusal_hint.h \
	src/wire/spp.c src/wire/spp.h

libmmproxy_a_SOURCES = \
	src/os/descriptors.c src/os/descriptors.h \
	src/os/dial.c src/os/dial.h \
	src/os/landlock.c src/os/landlock.h \
	src/os/listen.c src/os/listen.h \
	src/os/log.c src/os/log.h \
	src/os/log_journal.c src/os/log_journal.h \
	src/os/log_line.h src/os/log_text.c \
	src/os/loop.c src/os/loop.h \
	src/os/own_addresses.c src/os/own_addresses.h \
	src/os/passed_sockets.c src/os/passed_sockets.h \
	src/os/group.c src/os/group.h \
	src/os/privileges.c src/os/privileges.h \
	src/os/scheduling.c src/os/scheduling.h \
	src/os/seccomp.h src/os/seccomp_calls.def \
	src/os/service_manager.c src/os/service_manager.h \
	src/os/socket.c src/os/socket.h \
	src/os/sys.c src/os/sys.h \
	src/os/wall_clock.h \
	src/host/host_functions.c src/host/host_functions.h \
	src/host/instance.c src/host/instance.h \
	src/host/module.c src/host/module.h \
	src/host/plugin_config.c src/host/plugin_config.h \
	src/host/plugin_entry.h \
	src/host/plugin_getters.c src/host/plugin_getters.h \
	src/host/plugin_host.c src/host/plugin_host.h \
	src/host/plugin_session.c src/host/plugin_session.h \
	src/host/plugin_set.c src/host/plugin_set.h \
	src/host/ticket_pool.c src/host/ticket_pool.h \
	src/routing/return_mark.c src/routing/return_mark.h \
	src/routing/return_plan.c src/routing/return_plan.h \
	src/routing/token.c src/routing/token.h \
	src/relay/budget.h \
	src/relay/client_counts.c src/relay/client_counts.h \
	src/relay/chunk.c src/relay/chunk.h \
	src/relay/dial_timeouts.h \
	src/relay/flow_quota.c src/relay/flow_quota.h \
	src/relay/header_queue.c src/relay/header_queue.h \
	src/relay/pipe_pool.c src/relay/pipe_pool.h \
	src/relay/relay.c src/relay/relay.h \
	src/relay/session_log.c src/relay/session_log.h \
	src/relay/session_plugins.c src/relay/session_plugins.h \
	src/relay/session_view.c src/relay/session_view.h \
	src/relay/settings.h \
	src/relay/stream.c src/relay/stream.h \
	src/relay/tcp.h src/relay/tcp_session.h \
	src/relay/tcp_listener.c src/relay/tcp_listener.h \
	src/relay/tcp_room.c src/relay/tcp_room.h \
	src/relay/tcp_adopt.c src/relay/tcp_handover.c src/relay/tcp_handover.h \
	src/relay/tcp_carried.c src/relay/tcp_carried_end.c src/relay/tcp_offload.c src/relay/tcp_offload.h \
	src/relay/tcp_twin.c \
	src/relay/tcp_dial.c src/relay/tcp_header.c src/relay/tcp_relay.c src/relay/tcp_session.c \
	src/relay/tcp_verdict.c \
	src/relay/udp.h \
	src/relay/udp_claims.c src/relay/udp_claims.h \
	src/relay/udp_dial.c src/relay/udp_flow.c src/relay/udp_inbound.c src/relay/udp_listener.c src/relay/udp_reply.c \
	src/relay/udp_handover.c src/relay/udp_handover.h \
	src/relay/udp_offload.c src/relay/udp_offload.h \
	src/relay/udp_spill.c src/relay/udp_spill.h \
	src/relay/udp_receiver.c src/relay/udp_receiver.h \
	src/relay/udp_sender.c src/relay/udp_sender.h \
	src/relay/udp_verdict.c \
	src/relay/udp_adopt.c \
	src/relay/udp_waiting.c src/relay/udp_waiting.h \
	src/relay/udp_workspace.c src/relay/udp_workspace.h \
	src/config/config.c src/config/config.h \
	src/config/config_address.c src/config/config_address.h \
	src/config/config_endpoints.c \
	src/config/config_file.c \
	src/config/config_grammar.c src/config/config_grammar.h \
	src/config/config_listener.c src/config/config_loader.h \
	src/config/config_lockdown.c \
	src/config/config_offload.c \
	src/config/config_plugins.c \
	src/config/config_routing.c \
	src/config/config_scan.c src/config/config_scan.h \
	src/config/config_service.c \
	src/config/config_subnets.c \
	src/config/config_token.c src/config/config_token.h \
	src/config/config_value.c \
	src/config/file_text.c src/config/file_text.h \
	src/config/prefix_file.c \
	src/config/setting.c src/config/setting.h src/config/settings.def \
	src/daemon/announce.c src/daemon/announce.h \
	src/daemon/capacity.c \
	src/daemon/changes.c src/daemon/changes.h \
	src/daemon/control/control.h \
	src/daemon/control/request.c src/daemon/control/request.h \
	src/daemon/counters.c \
	src/daemon/dial_hint.c src/daemon/dial_hint.h \
	src/daemon/drain.c \
	src/daemon/metrics/exposition.c src/daemon/metrics/exposition.h \
	src/daemon/generation.c src/daemon/generation.h \
	src/daemon/heartbeat.c src/daemon/heartbeat.h \
	src/daemon/heirs.c src/daemon/heirs.h \
	src/daemon/listeners.c src/daemon/listeners.h \
	src/daemon/listeners_passed.c src/daemon/listeners_passed.h src/daemon/listeners_update.c \
	src/daemon/listening.c src/daemon/listening.h \
	src/daemon/lockdown.c src/daemon/lockdown.h \
	src/daemon/metrics/metrics.c src/daemon/metrics/metrics.h \
	src/daemon/metrics/metrics_counters.c src/daemon/metrics/http.h src/daemon/metrics/process.c \
	src/daemon/options.c src/daemon/options.h \
	src/daemon/plugins.c src/daemon/plugins.h \
	src/daemon/reload.c \
	src/daemon/routing.h src/daemon/routing_check.c \
	src/daemon/server.c src/daemon/server.h src/daemon/server_state.h \
	src/daemon/startup.c \
	src/daemon/worker.c src/daemon/worker.h \
	src/daemon/worker_listeners.c
libmmproxy_a_CPPFLAGS = $(AM_CPPFLAGS) -DPLUGINDIR='"$(plugindir)"'
libmmproxy_a_CFLAGS = $(AM_CFLAGS) $(LIBCONFIG_CFLAGS) $(LIBCAP_CFLAGS) $(JANSSON_CFLAGS) \
	$(LIBSYSTEMD_CFLAGS) $(LIBMICROHTTPD_CFLAGS) $(LIBMNL_CFLAGS) $(LIBNFTABLES_CFLAGS) \
	$(LIBSECCOMP_CFLAGS) $(LIBBPF_CFLAGS)
if HAVE_LIBMNL
libmmproxy_a_SOURCES += \
	src/routing/kernel_routes.c src/routing/kernel_routes.h \
	src/routing/kernel_rules.c src/routing/kernel_rules.h \
	src/routing/netlink.c src/routing/netlink.h \
	src/routing/nft_table.c src/routing/nft_table.h \
	src/routing/route_message.h \
	src/routing/return_check.c src/routing/return_check.h \
	src/routing/return_explain.c src/routing/return_explain.h \
	src/routing/return_item.c src/routing/return_item.h \
	src/routing/return_keeper.c src/routing/return_keeper.h \
	src/routing/return_orphans.c src/routing/return_orphans.h \
	src/routing/route_notices.c src/routing/route_notices.h \
	src/daemon/routing.c
else
libmmproxy_a_SOURCES += \
	src/routing/nft_table_absent.c src/routing/nft_table.h \
	src/routing/return_check_absent.c src/routing/return_check.h \
	src/daemon/routing_absent.c
endif
if HAVE_LIBNFTABLES
libmmproxy_a_SOURCES += src/routing/nft.c src/routing/nft.h
else
libmmproxy_a_SOURCES += src/routing/nft_absent.c src/routing/nft.h
endif
if HAVE_LIBSECCOMP
libmmproxy_a_SOURCES += src/os/seccomp.c
else
libmmproxy_a_SOURCES += src/os/seccomp_absent.c
endif
include src/offload/local.mk
if HAVE_JANSSON
libmmproxy_a_SOURCES += \
	src/os/log_json.c \
	src/daemon/control/control.c src/daemon/control/commands.c src/daemon/control/connection.c \
	src/daemon/control/gather.c src/daemon/control/gather.h \
	src/daemon/control/sessions.c src/daemon/control/state.h
endif
if HAVE_LIBMICROHTTPD
libmmproxy_a_SOURCES += src/daemon/metrics/http.c
else
libmmproxy_a_SOURCES += src/daemon/metrics/http_absent.c
endif

# The doctor: what it looks with, and how it judges. The command is mmproxyctl's.
if HAVE_LIBMNL
noinst_LIBRARIES += libdoctor.a
libdoctor_a_SOURCES = \
	src/doctor/check_client.c \
	src/doctor/check_hops.c \
	src/doctor/check_host.c src/doctor/check_host.h \
	src/doctor/check_listener.c src/doctor/check_listener.h \
	src/doctor/check_offload.c src/doctor/check_offload.h \
	src/doctor/check_path.c src/doctor/check_path.h \
	src/doctor/check_upstream.c \
	src/doctor/conntrack.c src/doctor/conntrack.h \
	src/doctor/detour.c src/doctor/detour.h \
	src/doctor/diagnosis.c src/doctor/diagnosis.h \
	src/doctor/diagnosis_text.c \
	src/doctor/doctor.c src/doctor/doctor.h src/doctor/doctor_check.def \
	src/doctor/examine.c src/doctor/examine.h \
	src/doctor/examiner.c src/doctor/examiner.h \
	src/doctor/forwarder.c src/doctor/forwarder.h \
	src/doctor/host_facts.c src/doctor/host_facts.h \
	src/doctor/interface_setting.c src/doctor/interface_setting.h \
	src/doctor/interruption.c src/doctor/interruption.h \
	src/doctor/knock.c src/doctor/knock.h \
	src/doctor/offload_facts.h \
	src/doctor/path_facts.c src/doctor/path_facts.h \
	src/doctor/path_judging.c src/doctor/path_judging.h \
	src/doctor/path_mend.c src/doctor/path_mend.h \
	src/doctor/probe.c src/doctor/probe.h \
	src/doctor/processes.c src/doctor/processes.h \
	src/doctor/rp_filter.c src/doctor/rp_filter.h \
	src/doctor/bytes_sent.c src/doctor/bytes_sent.h \
	src/doctor/socket_diag.c src/doctor/socket_diag.h \
	src/doctor/trace.h \
	src/doctor/trace_event.c src/doctor/trace_event.h
libdoctor_a_CFLAGS = $(AM_CFLAGS) $(LIBMNL_CFLAGS) $(LIBNFTABLES_CFLAGS)
if HAVE_BPF
libdoctor_a_SOURCES += src/doctor/offload_facts.c
else
libdoctor_a_SOURCES += src/doctor/offload_facts_absent.c
endif
if HAVE_LIBNFTABLES
libdoctor_a_SOURCES += src/doctor/trace.c
else
libdoctor_a_SOURCES += src/doctor/trace_absent.c
endif
endif

sbin_PROGRAMS += mmproxy
mmproxy_SOURCES = src/main.c
mmproxy_LDADD = libmmproxy.a libpure.a $(LIBCONFIG_LIBS) $(LIBCAP_LIBS) $(JANSSON_LIBS) \
	$(LIBSYSTEMD_LIBS) $(LIBMICROHTTPD_LIBS) $(LIBMNL_LIBS) $(LIBNFTABLES_LIBS) $(LIBSECCOMP_LIBS) \
	$(LIBBPF_LIBS)

include src/ctl/local.mk
