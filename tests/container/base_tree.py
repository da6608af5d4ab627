# SPDX-License-Identifier: MIT
"""A Debian 12 tree that stands in for the image which the Containerfile begins with.

Mirror, further sources and proxy are those of this machine's apt, so that the repository names none.
"""

import os
import pathlib
import re
import shutil
import subprocess

SUITE = "bookworm"
_FORMAT = "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"


def make_base_tree(tar):
    """The tree as a tar file, made unless it is there: it takes more than a minute."""
    if tar.exists():
        return
    tree = tar.with_suffix(".tree")
    shutil.rmtree(tree, ignore_errors=True)
    sources = _apt_sources()
    subprocess.run(
        ["debootstrap", "--variant=minbase", SUITE, tree, sources[0][0]],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    _write_apt_settings(tree, sources)
    for archive in (tree / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()
    unfinished = tar.with_suffix(".part")
    subprocess.run(["tar", "-C", tree, "-cf", unfinished, "."], check=True)
    shutil.rmtree(tree)
    os.rename(unfinished, tar)


def _apt_sources():
    """(URI, release, component) of each index of this release that apt knows, the release's first."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", _FORMAT, "Identifier: Packages"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    rows = [line.split("|") for line in listed.splitlines()]
    found = [row[2:] for row in rows if row[0] == "Debian" and row[1].startswith(SUITE)]
    found.sort(key=lambda source: source[1] != SUITE)
    assert found and found[0][1] == SUITE, (
        f"apt has no index of Debian {SUITE}: its sources are needed, and `apt-get update`"
    )
    return found


def _write_apt_settings(tree, sources):
    etc = pathlib.Path(tree) / "etc/apt"
    lines = sorted({f"deb {' '.join(source)}\n" for source in sources})
    (etc / "sources.list").write_text("".join(lines))
    settings = subprocess.run(
        ["apt-config", "dump"], check=True, capture_output=True, text=True
    ).stdout
    kept = re.findall(r'^Acquire::https?::.*"[^"]+";$', settings, re.MULTILINE)
    (etc / "apt.conf.d/99machine").write_text("".join(f"{line}\n" for line in kept))
