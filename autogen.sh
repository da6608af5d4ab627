#!/bin/sh
# Makes ./configure. Needs autoconf, automake and pkg-config's m4 macros.
set -e
cd "$(dirname "$0")"
for tool in autoreconf automake pkg-config; do
	command -v "$tool" >/dev/null || {
		echo "autogen.sh: $tool is missing: apt-get install autoconf automake pkg-config" >&2
		exit 1
	}
done
exec autoreconf --force --install --warnings=all
