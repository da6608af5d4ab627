# SPDX-License-Identifier: MIT
"""Debian's mirror as this machine's own apt has it, for roots that are made here; the repository names none."""

import subprocess
import sys

RELEASE = "bookworm"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

_SUITES = (RELEASE, f"{RELEASE}-updates", f"{RELEASE}-security")

# Options of apt that decide whether it reaches the mirror, and trusts the clock.
_OPTIONS = ("Acquire::http::", "Acquire::https::", "Acquire::Check-")


def _said_by(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def sources():
    """Lines of sources.list, the release's first: those of this machine's that are Debian's own for it."""
    names = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    found = {}
    for line in _said_by("apt-get", "indextargets", "--format", names, "Created-By: Packages"):
        uri, suite, component = line.split()
        if component == "main" and suite in _SUITES:
            found.setdefault(suite, f"deb [signed-by={KEYRING}] {uri} {suite} main")
    if RELEASE not in found:
        sys.exit(f"this machine's apt knows no mirror of {RELEASE}: see apt-get indextargets")
    return [found[suite] for suite in _SUITES if suite in found]


def uri(source):
    """Where a line of sources() leads."""
    return source.split()[2]


def apt_options():
    """For a file in apt.conf.d."""
    lines = _said_by("apt-config", "dump")
    return "".join(f"{line}\n" for line in lines if line.startswith(_OPTIONS))
