# mmproxyctl. Built only where it is.

ctl_tests = \
	tests/unit/test_ctl_decode_flows \
	tests/unit/test_ctl_decode_header \
	tests/unit/test_ctl_decode_text \
	tests/unit/test_ctl_format \
	tests/unit/test_ctl_options \
	tests/unit/test_ctl_routing \
	tests/unit/test_ctl_table \
	tests/unit/test_ctl_top

if HAVE_JANSSON
if HAVE_CMOCKA
check_PROGRAMS += $(ctl_tests)
TESTS += $(ctl_tests)
endif
endif

ctl_cflags = $(unit_cflags) $(JANSSON_CFLAGS)
ctl_ldadd = libctl.a $(ctl_doctor) libmmproxy.a libpure.a $(libraries) $(NCURSES_LIBS) $(LIBPCAP_LIBS) -lm

tests_unit_test_ctl_decode_flows_SOURCES = tests/unit/test_ctl_decode_flows.c
tests_unit_test_ctl_decode_flows_CPPFLAGS = $(unit_cppflags)
tests_unit_test_ctl_decode_flows_CFLAGS = $(ctl_cflags)
tests_unit_test_ctl_decode_flows_LDADD = $(ctl_ldadd)

tests_unit_test_ctl_decode_header_SOURCES = $(proxy_vectors) tests/unit/test_ctl_decode_header.c
tests_unit_test_ctl_decode_header_CPPFLAGS = $(unit_cppflags)
tests_unit_test_ctl_decode_header_CFLAGS = $(ctl_cflags)
tests_unit_test_ctl_decode_header_LDADD = $(ctl_ldadd)

tests_unit_test_ctl_decode_text_SOURCES = tests/unit/test_ctl_decode_text.c
tests_unit_test_ctl_decode_text_CPPFLAGS = $(unit_cppflags)
tests_unit_test_ctl_decode_text_CFLAGS = $(ctl_cflags)
tests_unit_test_ctl_decode_text_LDADD = $(ctl_ldadd)

tests_unit_test_ctl_format_SOURCES = tests/unit/test_ctl_format.c
tests_unit_test_ctl_format_CPPFLAGS = $(unit_cppflags)
tests_unit_test_ctl_format_CFLAGS = $(ctl_cflags)
tests_unit_test_ctl_format_LDADD = $(ctl_ldadd)

tests_unit_test_ctl_options_SOURCES = tests/unit/test_ctl_options.c
tests_unit_test_ctl_options_CPPFLAGS = $(unit_cppflags)
tests_unit_test_ctl_options_CFLAGS = $(ctl_cflags)
tests_unit_test_ctl_options_LDADD = $(ctl_ldadd)

tests_unit_test_ctl_routing_SOURCES = tests/unit/test_ctl_routing.c
tests_unit_test_ctl_routing_CPPFLAGS = $(unit_cppflags)
tests_unit_test_ctl_routing_CFLAGS = $(ctl_cflags)
tests_unit_test_ctl_routing_LDADD = $(ctl_ldadd)

tests_unit_test_ctl_table_SOURCES = tests/unit/test_ctl_table.c
tests_unit_test_ctl_table_CPPFLAGS = $(unit_cppflags)
tests_unit_test_ctl_table_CFLAGS = $(ctl_cflags)
tests_unit_test_ctl_table_LDADD = $(ctl_ldadd)

tests_unit_test_ctl_top_SOURCES = tests/unit/test_ctl_top.c
tests_unit_test_ctl_top_CPPFLAGS = $(unit_cppflags)
tests_unit_test_ctl_top_CFLAGS = $(ctl_cflags)
tests_unit_test_ctl_top_LDADD = $(ctl_ldadd)
