# Plugins for the tests: most of them do what no plugin should.

test_plugins =
check_PROGRAMS += $(test_plugins)
