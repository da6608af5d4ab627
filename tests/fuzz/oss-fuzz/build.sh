#!/bin/sh -eu
# OSS-Fuzz runs this in the source tree, with its own compilers, flags and engine. The machine that runs
# the targets has none of their libraries, so these are linked in, and those that only decide which
# settings are known are done without.
export LIBCONFIG_LIBS=-l:libconfig.a LIBCAP_LIBS=-l:libcap.a JANSSON_LIBS=-l:libjansson.a
exec tests/fuzz/build "$OUT" --without-systemd --without-libmicrohttpd --without-libmnl --without-libnftables \
	--without-ncurses --without-libpcap
