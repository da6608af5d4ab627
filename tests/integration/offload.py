# SPDX-License-Identifier: MIT
"""The offload's surroundings: a BPF file system of a test's own, mmproxyctl offload, and what of a host
it may have changed."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

import ctl
import daemon

# Of lo, what load may change.
SETTINGS = ("route_localnet", "accept_local", "rp_filter")

NOBODY = 65534

# As the packaged unit does.
AS_THE_UNIT = [
    "setpriv",
    "--reuid=nobody",
    "--regid=nogroup",
    "--clear-groups",
    "--inh-caps=-all,+net_admin",
    "--ambient-caps=-all,+net_admin",
    "--bounding-set=-all,+net_admin",
    "--no-new-privs",
]


def is_built():
    """Does the mmproxy under test have what it takes? It says so itself."""
    return "+libbpf" in daemon.version_text().split()


def needs_bpf():
    """For a module: without libbpf there is nothing to test."""
    return pytest.mark.skipif(not is_built(), reason="mmproxy --version says -libbpf: built without")


class Directory:
    """An offload_directory in a BPF file system that only root may pass through, as systemd's."""

    def __init__(self, namespace, name="mmproxy"):
        self.namespace = namespace
        self.mount = pathlib.Path(tempfile.mkdtemp(prefix="mmpbpf"))
        subprocess.run(
            ["mount", "-t", "bpf", "-o", "mode=0700", "bpf", str(self.mount)], check=True
        )
        self.path = self.mount / name
        self.config = self.mount.with_name(self.mount.name + ".conf")

    def write_config(self, text):
        self.config.write_text(text)
        self.config.chmod(0o644)

    def ctl(self, action, *words, user=None, **options):
        prefix = []
        if user is not None:
            prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        command = [ctl.binary(), "offload", action, "--config", str(self.config), *words]
        done = self.namespace.run([*prefix, *command], **options)
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        return done

    def done(self, action):
        """Of an action that must work: its output."""
        ran = self.ctl(action)
        assert ran.returncode == 0, ran
        return ran

    def status(self):
        return json.loads(self.ctl("status", "--json").stdout)

    def filtered(self):
        """The names of the interfaces that have the filter."""
        return {one["name"] for one in self.status()["interfaces"] if one["filter"]}

    def destroy(self):
        self.config.unlink(missing_ok=True)
        subprocess.run(["umount", str(self.mount)], check=True)
        self.mount.rmdir()


def settings_of_lo(namespace):
    with namespace.entered():
        return {
            name: int(pathlib.Path(f"/proc/sys/net/ipv4/conf/lo/{name}").read_text())
            for name in SETTINGS
        }


def interfaces(namespace):
    listed = namespace.run(["ip", "-j", "link"]).stdout
    return [one["ifname"] for one in json.loads(listed)]


def traces(directory):
    """All that load may leave: qdiscs, filters, pins, modes, settings."""
    namespace = directory.namespace
    filters = {
        (name, way): namespace.run(["tc", "filter", "show", "dev", name, way]).stdout
        for name in interfaces(namespace)
        for way in ("ingress", "egress")
    }
    pins = {
        str(path): path.lstat().st_mode
        for path in [directory.mount, *sorted(directory.mount.rglob("*"))]
    }
    qdiscs = namespace.run(["tc", "qdisc", "show"]).stdout
    return qdiscs, filters, pins, settings_of_lo(namespace)


def forge_layout(directory, number, live, about=True):
    """The pins of another version, as far as every version knows them: `about` with its two numbers."""
    folder = directory.path / f"layout-{number}"
    folder.mkdir()
    if not about:
        return folder
    # Keys and values in this host's order; a layout's number, and the sessions that it carries.
    _bpftool("map", "create", folder / "about", "type", "array", "key", "4", "value", "8",
             "entries", "4", "name", "forged")
    for key, value in ((0, number), (1, live)):
        set_about(folder, key, value)
    return folder


def set_about(folder, key, value):
    words = ["key", *_bytes(key, 4), "value", *_bytes(value, 8)]
    _bpftool("map", "update", "pinned", folder / "about", *words)


def remember(directory, kind, index, former, now):
    """What mmproxy's user can write into its map: struct key and struct value of remembered.c."""
    key = [*_bytes(kind, 4), *_bytes(index, 4)]
    value = [*_bytes(former, 4), *_bytes(now, 4), *["0"] * 16]
    _bpftool("map", "update", "pinned", directory.path / "remembered", "key", *key, "value", *value)


def _bytes(number, size):
    return [str(byte) for byte in number.to_bytes(size, sys.byteorder)]


def _bpftool(*words):
    environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
    subprocess.run(["bpftool", *map(str, words)], check=True, env=environment, capture_output=True)
