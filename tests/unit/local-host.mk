# Unit tests of the plugin host, and of the relay where it asks plugins.

unit_tests += \
	tests/unit/test_denial_cache \
	tests/unit/test_instance \
	tests/unit/test_module \
	tests/unit/test_plugin_deferred \
	tests/unit/test_plugin_getters \
	tests/unit/test_plugin_schedule \
	tests/unit/test_plugin_seats \
	tests/unit/test_plugin_session \
	tests/unit/test_tcp_verdict \
	tests/unit/test_ticket_pool \
	tests/unit/test_udp_rejudged \
	tests/unit/test_udp_verdict \
	tests/unit/test_udp_waiting

tests_unit_test_denial_cache_SOURCES = tests/unit/test_denial_cache.c
tests_unit_test_denial_cache_CPPFLAGS = $(unit_cppflags)
tests_unit_test_denial_cache_CFLAGS = $(unit_cflags)
tests_unit_test_denial_cache_LDADD = $(pure_ldadd)

tests_unit_test_instance_SOURCES = tests/unit/full_report.h tests/unit/test_instance.c
tests_unit_test_instance_CPPFLAGS = $(unit_cppflags)
tests_unit_test_instance_CFLAGS = $(unit_cflags)
tests_unit_test_instance_LDADD = $(system_ldadd)

tests_unit_test_module_SOURCES = tests/unit/scratch.c tests/unit/scratch.h tests/unit/test_module.c
tests_unit_test_module_CPPFLAGS = $(unit_cppflags)
tests_unit_test_module_CFLAGS = $(unit_cflags)
tests_unit_test_module_LDADD = $(system_ldadd)

tests_unit_libfake_a_SOURCES += \
	tests/unit/fake_plugin.c \
	tests/unit/fake_plugin.h \
	tests/unit/plugin_talk.h \
	tests/unit/tcp_schedule_plugins.c \
	tests/unit/tcp_schedule_plugins.h

tests_unit_test_plugin_deferred_SOURCES = tests/unit/test_plugin_deferred.c
tests_unit_test_plugin_deferred_CPPFLAGS = $(unit_cppflags)
tests_unit_test_plugin_deferred_CFLAGS = $(unit_cflags)
tests_unit_test_plugin_deferred_LDADD = $(relay_ldadd)

tests_unit_test_plugin_schedule_SOURCES = tests/unit/test_plugin_schedule.c
tests_unit_test_plugin_schedule_CPPFLAGS = $(unit_cppflags)
tests_unit_test_plugin_schedule_CFLAGS = $(unit_cflags)
tests_unit_test_plugin_schedule_LDADD = $(relay_ldadd)

tests_unit_test_plugin_seats_SOURCES = tests/unit/test_plugin_seats.c
tests_unit_test_plugin_seats_CPPFLAGS = $(unit_cppflags)
tests_unit_test_plugin_seats_CFLAGS = $(unit_cflags)
tests_unit_test_plugin_seats_LDADD = $(relay_ldadd)

tests_unit_test_plugin_session_SOURCES = tests/unit/test_plugin_session.c
tests_unit_test_plugin_session_CPPFLAGS = $(unit_cppflags)
tests_unit_test_plugin_session_CFLAGS = $(unit_cflags)
tests_unit_test_plugin_session_LDADD = $(relay_ldadd)

tests_unit_test_plugin_getters_SOURCES = tests/unit/test_plugin_getters.c
tests_unit_test_plugin_getters_CPPFLAGS = $(unit_cppflags)
tests_unit_test_plugin_getters_CFLAGS = $(unit_cflags)
tests_unit_test_plugin_getters_LDADD = $(system_ldadd)

tests_unit_test_tcp_verdict_SOURCES = tests/unit/test_tcp_verdict.c
tests_unit_test_tcp_verdict_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tcp_verdict_CFLAGS = $(unit_cflags)
tests_unit_test_tcp_verdict_LDADD = $(relay_ldadd)

tests_unit_test_ticket_pool_SOURCES = tests/unit/test_ticket_pool.c
tests_unit_test_ticket_pool_CPPFLAGS = $(unit_cppflags)
tests_unit_test_ticket_pool_CFLAGS = $(unit_cflags)
tests_unit_test_ticket_pool_LDADD = $(relay_ldadd)

tests_unit_test_udp_rejudged_SOURCES = tests/unit/test_udp_rejudged.c
tests_unit_test_udp_rejudged_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_rejudged_CFLAGS = $(unit_cflags)
tests_unit_test_udp_rejudged_LDADD = $(relay_ldadd)

tests_unit_test_udp_verdict_SOURCES = tests/unit/test_udp_verdict.c
tests_unit_test_udp_verdict_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_verdict_CFLAGS = $(unit_cflags)
tests_unit_test_udp_verdict_LDADD = $(relay_ldadd)

tests_unit_test_udp_waiting_SOURCES = tests/unit/test_udp_waiting.c
tests_unit_test_udp_waiting_CPPFLAGS = $(unit_cppflags)
tests_unit_test_udp_waiting_CFLAGS = $(unit_cflags)
tests_unit_test_udp_waiting_LDADD = $(system_ldadd)
