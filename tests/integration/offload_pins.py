# SPDX-License-Identifier: MIT
"""A BPF file system of a test's own, in which mmproxy pins what it loads: for modules with
pytest_plugins = ["offload_pins"], or that of offload_hosts or offload_udp.

    pins    fixture: one of them

PYTEST_DONT_REWRITE: it is imported for its names before it is loaded for its fixture.
"""

import ctypes
import functools
import json
import os
import pathlib
import subprocess
import tempfile

import pytest


@functools.cache
def _libbpf():
    return ctypes.CDLL("libbpf.so.1")


class Pins:
    """A mounted BPF file system, and a folder in it for one mmproxy after another."""

    def __init__(self):
        self.mount = tempfile.mkdtemp(prefix="mmp-bpf-")
        subprocess.run(["mount", "-t", "bpf", "bpf", self.mount], check=True)
        self.directory = f"{self.mount}/mmproxy"

    def another(self, name):
        """A folder beside the first one's, for a second mmproxy."""
        return f"{self.mount}/{name}"

    @property
    def settings(self):
        return settings_for(self.directory)

    @property
    def folder(self):
        """Of the one layout that there is."""
        (found,) = pathlib.Path(self.directory).glob("layout-*")
        return found

    def destroy(self):
        subprocess.run(["umount", self.mount], check=True)
        os.rmdir(self.mount)

    def dump(self, name):
        """What is in a map: pairs of key and value, as bytes."""
        return [
            (_bytes_of(entry["key"]), _bytes_of(entry["value"]))
            for entry in json.loads(self._bpftool("--json", "map", "dump", name))
        ]

    def count(self, name):
        return len(self.dump(name))

    def fill(self, name, count):
        """Puts in sessions or flows of nobody, until there is no room. Returns their numbers."""
        descriptor = self._open(name)
        keys = (ctypes.c_uint64 * count)(*(1 << 63 | number for number in range(count)))
        size = json.loads(self._bpftool("--json", "map", "show", name))["bytes_value"]
        done = ctypes.c_uint32(count)
        values = ctypes.create_string_buffer(size * count)
        _libbpf().bpf_map_update_batch(descriptor, keys, values, ctypes.byref(done), None)
        os.close(descriptor)
        return keys

    def empty(self, name, keys):
        """Takes them out again."""
        descriptor = self._open(name)
        done = ctypes.c_uint32(len(keys))
        assert _libbpf().bpf_map_delete_batch(descriptor, keys, ctypes.byref(done), None) == 0
        os.close(descriptor)

    def freeze(self, name):
        """Nobody changes it any more, by system calls."""
        self._bpftool("map", "freeze", name)

    def _open(self, name):
        descriptor = _libbpf().bpf_obj_get(str(self.folder / name).encode())
        assert descriptor >= 0
        return descriptor

    def _bpftool(self, *words):
        command = ["bpftool", *words[:-1], "pinned", self.folder / words[-1]]
        return subprocess.run(command, check=True, capture_output=True).stdout


def _bytes_of(values):
    return bytes(int(value, 16) for value in values)


def settings_for(directory):
    """At the top. mmproxy is started by root, and loads what is missing itself."""
    return {"offload": "auto", "offload_directory": directory}


@pytest.fixture
def pins():
    made = Pins()
    yield made
    made.destroy()
