# The plugin ratelimit.

plugin_PROGRAMS += plugin/ratelimit/ratelimit.so
ratelimit_sources = \
	plugin/ratelimit/bucket.h \
	plugin/ratelimit/hash.c plugin/ratelimit/hash.h \
	plugin/ratelimit/table.c plugin/ratelimit/table.h
plugin_ratelimit_ratelimit_so_SOURCES = plugin/ratelimit/ratelimit.c $(ratelimit_sources)
plugin_ratelimit_ratelimit_so_CPPFLAGS = $(module_cppflags)
plugin_ratelimit_ratelimit_so_CFLAGS = $(module_cflags)
plugin_ratelimit_ratelimit_so_LDFLAGS = $(module_ldflags)

ratelimit_tests = \
	tests/unit/test_ratelimit_bucket \
	tests/unit/test_ratelimit_model \
	tests/unit/test_ratelimit_table
if HAVE_CMOCKA
check_PROGRAMS += $(ratelimit_tests)
TESTS += $(ratelimit_tests)
endif
ratelimit_test_cppflags = $(module_cppflags) -I$(top_srcdir)/src -I$(top_srcdir)/plugin/ratelimit
ratelimit_test_cflags = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

tests_unit_test_ratelimit_bucket_SOURCES = \
	tests/unit/test_ratelimit_bucket.c $(ratelimit_sources)
tests_unit_test_ratelimit_bucket_CPPFLAGS = $(ratelimit_test_cppflags)
tests_unit_test_ratelimit_bucket_CFLAGS = $(ratelimit_test_cflags)
tests_unit_test_ratelimit_bucket_LDADD = libpure.a $(CMOCKA_LIBS)

tests_unit_test_ratelimit_model_SOURCES = \
	tests/unit/test_ratelimit_model.c $(ratelimit_sources)
tests_unit_test_ratelimit_model_CPPFLAGS = $(ratelimit_test_cppflags)
tests_unit_test_ratelimit_model_CFLAGS = $(ratelimit_test_cflags)
tests_unit_test_ratelimit_model_LDADD = $(CMOCKA_LIBS)

tests_unit_test_ratelimit_table_SOURCES = \
	tests/unit/test_ratelimit_table.c $(ratelimit_sources)
tests_unit_test_ratelimit_table_CPPFLAGS = $(ratelimit_test_cppflags)
tests_unit_test_ratelimit_table_CFLAGS = $(ratelimit_test_cflags)
tests_unit_test_ratelimit_table_LDADD = $(CMOCKA_LIBS)
