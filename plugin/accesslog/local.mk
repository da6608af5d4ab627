# The plugin accesslog.

accesslog_sources = \
	plugin/accesslog/buffer.h \
	plugin/accesslog/clock.c plugin/accesslog/clock.h \
	plugin/accesslog/field.c plugin/accesslog/field.h \
	plugin/accesslog/journal.c plugin/accesslog/journal.h \
	plugin/accesslog/line.h plugin/accesslog/line_json.c plugin/accesslog/line_logfmt.c \
	plugin/accesslog/log_file.c plugin/accesslog/log_file.h \
	plugin/accesslog/queue.c plugin/accesslog/queue.h \
	plugin/accesslog/record.c plugin/accesslog/record.h \
	plugin/accesslog/settings.c plugin/accesslog/settings.h \
	plugin/accesslog/trouble.c plugin/accesslog/trouble.h

plugin_PROGRAMS += plugin/accesslog/accesslog.so
plugin_accesslog_accesslog_so_SOURCES = plugin/accesslog/accesslog.c $(accesslog_sources)
plugin_accesslog_accesslog_so_CPPFLAGS = $(module_cppflags)
plugin_accesslog_accesslog_so_CFLAGS = $(module_cflags) $(JANSSON_CFLAGS)
plugin_accesslog_accesslog_so_LDFLAGS = $(module_ldflags)
plugin_accesslog_accesslog_so_LDADD = $(JANSSON_LIBS)


accesslog_tests = \
	tests/unit/test_accesslog_field \
	tests/unit/test_accesslog_file \
	tests/unit/test_accesslog_journal \
	tests/unit/test_accesslog_line \
	tests/unit/test_accesslog_queue \
	tests/unit/test_accesslog_trouble

if HAVE_CMOCKA
check_PROGRAMS += $(accesslog_tests)
TESTS += $(accesslog_tests)
endif

accesslog_test_cppflags = $(module_cppflags) -I$(top_srcdir)/plugin/accesslog -I$(top_srcdir)/tests/unit
accesslog_test_cflags = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS)
accesslog_test_ldadd = $(CMOCKA_LIBS) $(JANSSON_LIBS)

tests_unit_test_accesslog_field_SOURCES = tests/unit/test_accesslog_field.c \
	plugin/accesslog/field.c
tests_unit_test_accesslog_field_CPPFLAGS = $(accesslog_test_cppflags)
tests_unit_test_accesslog_field_CFLAGS = $(accesslog_test_cflags)
tests_unit_test_accesslog_field_LDADD = $(accesslog_test_ldadd)

tests_unit_test_accesslog_file_SOURCES = tests/unit/test_accesslog_file.c \
	tests/unit/scratch.c tests/unit/scratch.h plugin/accesslog/log_file.c
tests_unit_test_accesslog_file_CPPFLAGS = $(accesslog_test_cppflags)
tests_unit_test_accesslog_file_CFLAGS = $(accesslog_test_cflags)
tests_unit_test_accesslog_file_LDADD = $(accesslog_test_ldadd)

tests_unit_test_accesslog_journal_SOURCES = tests/unit/test_accesslog_journal.c \
	plugin/accesslog/field.c plugin/accesslog/line_logfmt.c plugin/accesslog/journal.c
tests_unit_test_accesslog_journal_CPPFLAGS = $(accesslog_test_cppflags)
tests_unit_test_accesslog_journal_CFLAGS = $(accesslog_test_cflags)
tests_unit_test_accesslog_journal_LDADD = $(accesslog_test_ldadd)
# A journal that the test makes up, and without clock.c its time, too.
tests_unit_test_accesslog_journal_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=connect,--wrap=poll,--wrap=send

tests_unit_test_accesslog_line_SOURCES = tests/unit/test_accesslog_line.c \
	plugin/accesslog/field.c plugin/accesslog/record.c plugin/accesslog/line_json.c plugin/accesslog/line_logfmt.c plugin/accesslog/journal.c plugin/accesslog/clock.c
tests_unit_test_accesslog_line_CPPFLAGS = $(accesslog_test_cppflags)
tests_unit_test_accesslog_line_CFLAGS = $(accesslog_test_cflags)
tests_unit_test_accesslog_line_LDADD = $(accesslog_test_ldadd)

tests_unit_test_accesslog_queue_SOURCES = tests/unit/test_accesslog_queue.c \
	plugin/accesslog/queue.c
tests_unit_test_accesslog_queue_CPPFLAGS = $(accesslog_test_cppflags)
tests_unit_test_accesslog_queue_CFLAGS = $(accesslog_test_cflags)
tests_unit_test_accesslog_queue_LDADD = $(accesslog_test_ldadd)

tests_unit_test_accesslog_trouble_SOURCES = tests/unit/test_accesslog_trouble.c \
	plugin/accesslog/trouble.c
tests_unit_test_accesslog_trouble_CPPFLAGS = $(accesslog_test_cppflags)
tests_unit_test_accesslog_trouble_CFLAGS = $(accesslog_test_cflags)
tests_unit_test_accesslog_trouble_LDADD = $(accesslog_test_ldadd)
