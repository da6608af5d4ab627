# Plugins for the tests: most of them do what no plugin should.

test_plugins = \
	tests/plugins/counting.so \
	tests/plugins/crowd.so \
	tests/plugins/intruder.so \
	tests/plugins/puppet.so \
	tests/plugins/reader.so \
	tests/plugins/recorder.so \
	tests/plugins/stuck.so \
	tests/plugins/puppet_1_0.so \
	tests/plugins/reader_1_0.so \
	tests/plugins/recorder_1_0.so \
	tests/plugins/shape_empty.so \
	tests/plugins/shape_executable_stack.so \
	tests/plugins/shape_filterless.so \
	tests/plugins/shape_hookless.so \
	tests/plugins/shape_later.so \
	tests/plugins/shape_later_used.so \
	tests/plugins/shape_minor_newer.so \
	tests/plugins/shape_nameless.so \
	tests/plugins/shape_no_symbol.so \
	tests/plugins/shape_too_small.so \
	tests/plugins/shape_unknown_flag.so \
	tests/plugins/shape_unresolved.so \
	tests/plugins/shape_wrong_major.so
check_PROGRAMS += $(test_plugins)

tests_plugins_counting_so_SOURCES = tests/plugins/counting.c
tests_plugins_counting_so_CPPFLAGS = $(module_cppflags)
tests_plugins_counting_so_CFLAGS = $(module_cflags)
tests_plugins_counting_so_LDFLAGS = $(module_ldflags)

tests_plugins_crowd_so_SOURCES = tests/plugins/crowd.c
tests_plugins_crowd_so_CPPFLAGS = $(module_cppflags)
tests_plugins_crowd_so_CFLAGS = $(module_cflags)
tests_plugins_crowd_so_LDFLAGS = $(module_ldflags)

tests_plugins_intruder_so_SOURCES = tests/plugins/intruder.c
tests_plugins_intruder_so_CPPFLAGS = $(module_cppflags)
tests_plugins_intruder_so_CFLAGS = $(module_cflags)
tests_plugins_intruder_so_LDFLAGS = $(module_ldflags)

tests_plugins_puppet_so_SOURCES = tests/plugins/puppet.c tests/plugins/record.c tests/plugins/record.h
tests_plugins_puppet_so_CPPFLAGS = $(module_cppflags)
tests_plugins_puppet_so_CFLAGS = $(module_cflags)
tests_plugins_puppet_so_LDFLAGS = $(module_ldflags)

tests_plugins_reader_so_SOURCES = tests/plugins/reader.c
tests_plugins_reader_so_CPPFLAGS = $(module_cppflags)
tests_plugins_reader_so_CFLAGS = $(module_cflags)
tests_plugins_reader_so_LDFLAGS = $(module_ldflags)

tests_plugins_recorder_so_SOURCES = tests/plugins/recorder.c tests/plugins/record.c tests/plugins/record.h
tests_plugins_recorder_so_CPPFLAGS = $(module_cppflags)
tests_plugins_recorder_so_CFLAGS = $(module_cflags)
tests_plugins_recorder_so_LDFLAGS = $(module_ldflags)

tests_plugins_stuck_so_SOURCES = tests/plugins/stuck.c
tests_plugins_stuck_so_CPPFLAGS = $(module_cppflags)
tests_plugins_stuck_so_CFLAGS = $(module_cflags)
tests_plugins_stuck_so_LDFLAGS = $(module_ldflags)

# The same against the header as it was when ABI 1.0 was given out: they must load and work for as
# long as the major version is 1. What needs more than 1.0 belongs into other files.
abi_1_0_cppflags = -D_GNU_SOURCE -I$(top_srcdir)/tests/plugins/abi-1.0

tests_plugins_puppet_1_0_so_SOURCES = tests/plugins/puppet.c tests/plugins/record.c tests/plugins/record.h
tests_plugins_puppet_1_0_so_CPPFLAGS = $(abi_1_0_cppflags)
tests_plugins_puppet_1_0_so_CFLAGS = $(module_cflags)
tests_plugins_puppet_1_0_so_LDFLAGS = $(module_ldflags)

tests_plugins_reader_1_0_so_SOURCES = tests/plugins/reader.c
tests_plugins_reader_1_0_so_CPPFLAGS = $(abi_1_0_cppflags)
tests_plugins_reader_1_0_so_CFLAGS = $(module_cflags)
tests_plugins_reader_1_0_so_LDFLAGS = $(module_ldflags)

tests_plugins_recorder_1_0_so_SOURCES = tests/plugins/recorder.c tests/plugins/record.c tests/plugins/record.h
tests_plugins_recorder_1_0_so_CPPFLAGS = $(abi_1_0_cppflags)
tests_plugins_recorder_1_0_so_CFLAGS = $(module_cflags)
tests_plugins_recorder_1_0_so_LDFLAGS = $(module_ldflags)

# One source, a macro each: what a descriptor can look like.
tests_plugins_shape_empty_so_SOURCES = tests/plugins/shapes.c
tests_plugins_shape_empty_so_CPPFLAGS = $(module_cppflags) -DSHAPE_EMPTY
tests_plugins_shape_empty_so_CFLAGS = $(module_cflags)
tests_plugins_shape_empty_so_LDFLAGS = $(module_ldflags)

tests_plugins_shape_executable_stack_so_SOURCES = tests/plugins/shapes.c
tests_plugins_shape_executable_stack_so_CPPFLAGS = $(module_cppflags) -DSHAPE_EXECUTABLE_STACK
tests_plugins_shape_executable_stack_so_CFLAGS = $(module_cflags)
tests_plugins_shape_executable_stack_so_LDFLAGS = $(module_ldflags) -Wl,-z,execstack

tests_plugins_shape_filterless_so_SOURCES = tests/plugins/shapes.c
tests_plugins_shape_filterless_so_CPPFLAGS = $(module_cppflags) -DSHAPE_FILTERLESS
tests_plugins_shape_filterless_so_CFLAGS = $(module_cflags)
tests_plugins_shape_filterless_so_LDFLAGS = $(module_ldflags)

tests_plugins_shape_hookless_so_SOURCES = tests/plugins/shapes.c
tests_plugins_shape_hookless_so_CPPFLAGS = $(module_cppflags) -DSHAPE_HOOKLESS
tests_plugins_shape_hookless_so_CFLAGS = $(module_cflags)
tests_plugins_shape_hookless_so_LDFLAGS = $(module_ldflags)

tests_plugins_shape_later_so_SOURCES = tests/plugins/shapes.c
tests_plugins_shape_later_so_CPPFLAGS = $(module_cppflags) -DSHAPE_LATER
tests_plugins_shape_later_so_CFLAGS = $(module_cflags)
tests_plugins_shape_later_so_LDFLAGS = $(module_ldflags)

tests_plugins_shape_later_used_so_SOURCES = tests/plugins/shapes.c
tests_plugins_shape_later_used_so_CPPFLAGS = $(module_cppflags) -DSHAPE_LATER_USED
tests_plugins_shape_later_used_so_CFLAGS = $(module_cflags)
tests_plugins_shape_later_used_so_LDFLAGS = $(module_ldflags)

tests_plugins_shape_minor_newer_so_SOURCES = tests/plugins/shapes.c
tests_plugins_shape_minor_newer_so_CPPFLAGS = $(module_cppflags) -DSHAPE_MINOR_NEWER
tests_plugins_shape_minor_newer_so_CFLAGS = $(module_cflags)
tests_plugins_shape_minor_newer_so_LDFLAGS = $(module_ldflags)

tests_plugins_shape_nameless_so_SOURCES = tests/plugins/shapes.c
tests_plugins_shape_nameless_so_CPPFLAGS = $(module_cppflags) -DSHAPE_NAMELESS
tests_plugins_shape_nameless_so_CFLAGS = $(module_cflags)
tests_plugins_shape_nameless_so_LDFLAGS = $(module_ldflags)

tests_plugins_shape_no_symbol_so_SOURCES = tests/plugins/shapes.c
tests_plugins_shape_no_symbol_so_CPPFLAGS = $(module_cppflags) -DSHAPE_NO_SYMBOL
tests_plugins_shape_no_symbol_so_CFLAGS = $(module_cflags)
tests_plugins_shape_no_symbol_so_LDFLAGS = $(module_ldflags)

tests_plugins_shape_too_small_so_SOURCES = tests/plugins/shapes.c
tests_plugins_shape_too_small_so_CPPFLAGS = $(module_cppflags) -DSHAPE_TOO_SMALL
tests_plugins_shape_too_small_so_CFLAGS = $(module_cflags)
tests_plugins_shape_too_small_so_LDFLAGS = $(module_ldflags)

tests_plugins_shape_unknown_flag_so_SOURCES = tests/plugins/shapes.c
tests_plugins_shape_unknown_flag_so_CPPFLAGS = $(module_cppflags) -DSHAPE_UNKNOWN_FLAG
tests_plugins_shape_unknown_flag_so_CFLAGS = $(module_cflags)
tests_plugins_shape_unknown_flag_so_LDFLAGS = $(module_ldflags)

tests_plugins_shape_unresolved_so_SOURCES = tests/plugins/shapes.c
tests_plugins_shape_unresolved_so_CPPFLAGS = $(module_cppflags) -DSHAPE_UNRESOLVED
tests_plugins_shape_unresolved_so_CFLAGS = $(module_cflags)
tests_plugins_shape_unresolved_so_LDFLAGS = $(module_ldflags)

tests_plugins_shape_wrong_major_so_SOURCES = tests/plugins/shapes.c
tests_plugins_shape_wrong_major_so_CPPFLAGS = $(module_cppflags) -DSHAPE_WRONG_MAJOR
tests_plugins_shape_wrong_major_so_CFLAGS = $(module_cflags)
tests_plugins_shape_wrong_major_so_LDFLAGS = $(module_ldflags)

# Both headers' layouts in one program.
if HAVE_CMOCKA
check_LIBRARIES += tests/plugins/liblayout_1_0.a tests/plugins/liblayout_now.a
check_PROGRAMS += tests/plugins/test_layout
TESTS += tests/plugins/test_layout
endif
tests_plugins_liblayout_1_0_a_SOURCES = tests/plugins/layout.c tests/plugins/layout.h
tests_plugins_liblayout_1_0_a_CPPFLAGS = $(abi_1_0_cppflags) -DLAYOUT=layout_1_0
tests_plugins_liblayout_now_a_SOURCES = tests/plugins/layout.c tests/plugins/layout.h
tests_plugins_liblayout_now_a_CPPFLAGS = $(module_cppflags) -DLAYOUT=layout_now
tests_plugins_test_layout_SOURCES = tests/plugins/test_layout.c tests/plugins/layout.h
tests_plugins_test_layout_CPPFLAGS = $(module_cppflags)
tests_plugins_test_layout_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_plugins_test_layout_LDADD = \
	tests/plugins/liblayout_1_0.a tests/plugins/liblayout_now.a $(CMOCKA_LIBS)

EXTRA_DIST += tests/plugins/abi-1.0/mmproxy/plugin.h
