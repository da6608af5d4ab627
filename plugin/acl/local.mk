# The plugin acl.

plugin_PROGRAMS += plugin/acl/acl.so
acl_sources = \
	plugin/acl/file.c plugin/acl/file.h \
	plugin/acl/prefix.c plugin/acl/prefix.h \
	plugin/acl/rules.c plugin/acl/rules.h \
	plugin/acl/table.c plugin/acl/table.h
plugin_acl_acl_so_SOURCES = plugin/acl/acl.c $(acl_sources)
plugin_acl_acl_so_CPPFLAGS = $(module_cppflags)
plugin_acl_acl_so_CFLAGS = $(module_cflags)
plugin_acl_acl_so_LDFLAGS = $(module_ldflags)

acl_tests = \
	tests/unit/test_acl_file \
	tests/unit/test_acl_prefix \
	tests/unit/test_acl_rules \
	tests/unit/test_acl_table
if HAVE_CMOCKA
check_PROGRAMS += $(acl_tests)
TESTS += $(acl_tests)
endif
acl_test_cppflags = $(module_cppflags) -I$(top_srcdir)/plugin/acl
acl_test_cflags = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

tests_unit_test_acl_file_SOURCES = \
	tests/unit/test_acl_file.c tests/unit/scratch.c tests/unit/scratch.h $(acl_sources)
tests_unit_test_acl_file_CPPFLAGS = $(acl_test_cppflags)
tests_unit_test_acl_file_CFLAGS = $(acl_test_cflags)
tests_unit_test_acl_file_LDADD = $(CMOCKA_LIBS)

tests_unit_test_acl_prefix_SOURCES = tests/unit/test_acl_prefix.c $(acl_sources)
tests_unit_test_acl_prefix_CPPFLAGS = $(acl_test_cppflags)
tests_unit_test_acl_prefix_CFLAGS = $(acl_test_cflags)
tests_unit_test_acl_prefix_LDADD = $(CMOCKA_LIBS)

tests_unit_test_acl_rules_SOURCES = \
	tests/unit/test_acl_rules.c tests/unit/scratch.c tests/unit/scratch.h $(acl_sources)
tests_unit_test_acl_rules_CPPFLAGS = $(acl_test_cppflags)
tests_unit_test_acl_rules_CFLAGS = $(acl_test_cflags)
tests_unit_test_acl_rules_LDADD = $(CMOCKA_LIBS)

tests_unit_test_acl_table_SOURCES = tests/unit/test_acl_table.c $(acl_sources)
tests_unit_test_acl_table_CPPFLAGS = $(acl_test_cppflags)
tests_unit_test_acl_table_CFLAGS = $(acl_test_cflags)
tests_unit_test_acl_table_LDADD = $(CMOCKA_LIBS)
