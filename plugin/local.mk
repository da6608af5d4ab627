# The plugin interface, and the plugins that ship.

# The one header that is installed: <mmproxy/plugin.h>.
mmproxyincludedir = $(includedir)/mmproxy
mmproxyinclude_HEADERS = plugin/mmproxy/plugin.h

pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = plugin/mmproxy.pc

# Where mmproxy looks for a plugin whose path is relative.
plugindir = $(libdir)/mmproxy/plugins

# A plugin is a plain shared object that only dlopen() ever sees: without a version, a static twin or
# an .la file there is nothing for libtool to do, so automake links it as it links a program.
plugin_PROGRAMS =
module_cppflags = -D_GNU_SOURCE -I$(top_srcdir)/plugin
module_cflags = $(AM_CFLAGS) -fPIC
module_ldflags = $(MMPROXY_MODULE_LDFLAGS)

include plugin/accesslog/local.mk
include plugin/acl/local.mk
include plugin/ratelimit/local.mk
include plugin/example-deferred/local.mk

# Installed as they lie here: the README of each beside the overview.
nobase_dist_doc_DATA = \
	plugin/README.md \
	plugin/accesslog/README.md \
	plugin/acl/README.md \
	plugin/example-deferred/README.md \
	plugin/ratelimit/README.md

# Does what was installed serve somebody who writes a plugin? Without root, as far as that goes.
installcheck-local:
	DESTDIR="$(DESTDIR)" CC="$(CC)" PKG_CONFIG="$(PKG_CONFIG)" /usr/bin/python3 \
		$(top_srcdir)/tests/installcheck $(sbindir)/mmproxy$(EXEEXT) $(pkgconfigdir) \
		$(top_srcdir)/plugin/example/example.c

EXTRA_DIST += plugin/example/example.c tests/installcheck
