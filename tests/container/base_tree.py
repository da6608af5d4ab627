# SPDX-License-Identifier: MIT
"""A Debian 12 tree that stands in for the image which the Containerfile begins with."""

import os
import shutil
import subprocess

import mirror


def make_base_tree(tar):
    """The tree as a tar file, made unless it is there: it takes more than a minute."""
    if tar.exists():
        return
    tree = tar.with_suffix(".tree")
    shutil.rmtree(tree, ignore_errors=True)
    sources = mirror.sources()
    subprocess.run(
        ["debootstrap", "--variant=minbase", mirror.RELEASE, tree, mirror.uri(sources[0])],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (tree / "etc/apt/sources.list").write_text("\n".join(sources) + "\n")
    (tree / "etc/apt/apt.conf.d/99machine").write_text(mirror.apt_options())
    for archive in (tree / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()
    unfinished = tar.with_suffix(".part")
    subprocess.run(["tar", "-C", tree, "-cf", unfinished, "."], check=True)
    shutil.rmtree(tree)
    os.rename(unfinished, tar)
