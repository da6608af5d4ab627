# The plugin example-deferred, and the helper that it asks.
plugin_PROGRAMS += plugin/example-deferred/example-deferred.so
plugin_example_deferred_example_deferred_so_SOURCES = plugin/example-deferred/example_deferred.c
plugin_example_deferred_example_deferred_so_CPPFLAGS = $(module_cppflags)
plugin_example_deferred_example_deferred_so_CFLAGS = $(module_cflags)
plugin_example_deferred_example_deferred_so_LDFLAGS = $(module_ldflags)

dist_example_SCRIPTS = plugin/example-deferred/ban-helper
