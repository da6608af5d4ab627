# SPDX-License-Identifier: MIT
"""Each setting of src/config/settings.def is read where the table says that it may stand, with its default or
the least that its range allows. A setting that nobody reads would end mmproxy at the first file that has it."""

import pathlib
import re
import subprocess

import pytest

from daemon import binary

_TABLE = pathlib.Path(__file__).resolve().parents[2] / "src" / "config" / "settings.def"
_ROW = re.compile(r'^SETTING\((\w+), (\w+), (\w+), "([^"]*)", "([^"]*)", "[^"]*"\)$', re.MULTILINE)

# What stands for a text or a list of them, where it has to mean something.
_TEXTS = {
    "user": "root",
    "group": "root",
    "mode": "0600",
    "socket": "/run/mmproxy/control.sock",
    "offload_directory": "/sys/fs/bpf/other",
    "name": "ssh",
    "device": "lo",
    "ipv4": "127.0.0.1:22",
    "ipv6": "[::1]:22",
    "path": "/usr/lib/mmproxy/ssh.so",
    "paths": "/tmp",
    "subnets": "198.51.100.0/24",
    "subnets_files": "balancers.txt",
    "permit_sources": "127.0.0.0/8",
}
_GROUPS = {"forward": '{ ipv4 = "127.0.0.1:22"; }', "metrics": '{ listen = "127.0.0.1:9464"; }'}
_LISTENER = {
    "name": '"ssh"',
    "listen": '"*:2222"',
    "forward": _GROUPS["forward"],
    "subnets": '[ "198.51.100.0/24" ]',
}

ROWS = _ROW.findall(_TABLE.read_text())


def value(scope, name, kind, default, allowed):
    """The setting's default, or something else that is right."""
    if kind == "INTEGER" or kind == "SECONDS":
        least = default if default not in ("none", "required") else re.findall(r"[\d.]+", allowed)[0]
        return f"{float(least)}" if kind == "SECONDS" else f"{least}L"
    if kind == "BOOLEAN":
        return default
    if kind == "CHOICE":
        return f'"{allowed.split("|")[0]}"'
    if kind == "GROUP":
        return _GROUPS.get(name, "{ }")
    if kind == "GROUPS":
        return "( )" if name == "plugins" else f"( {listener({})} )"
    text = "127.0.0.1:9464" if scope == "metrics" else _TEXTS.get(name, "*:2222")
    return f'[ "{text}" ]' if kind == "TEXTS" else f'"{text}"'


def listener(more):
    return "{ " + " ".join(f"{name} = {text};" for name, text in {**_LISTENER, **more}.items()) + " }"


def configuration(scope, name, text):
    """A file with this one setting besides what every file has."""
    if scope == "top":
        rest = "" if name == "listeners" else f"listeners = ( {listener({})} );"
        return f"{name} = {text};\n{rest}\n"
    if scope == "listener":
        return f"listeners = ( {listener({name: text})} );\n"
    if scope in ("forward", "udp"):
        return f"listeners = ( {listener({scope: f'{{ {name} = {text}; }}'})} );\n"
    if scope == "plugin":
        entry = f"{name} = {text};" if name == "name" else f'name = "ssh"; {name} = {text};'
        return f"plugins = ( {{ {entry} }} );\nlisteners = ( {listener({})} );\n"
    return f"{scope} = {{ {name} = {text}; }};\nlisteners = ( {listener({})} );\n"


def test_the_table_is_read_whole():
    assert len(ROWS) == _TABLE.read_text().count("\nSETTING(") >= 50


@pytest.mark.parametrize("row", ROWS, ids=[".".join(row[:2]) for row in ROWS])
def test_a_setting_of_the_table_is_read(tmp_path, row):
    scope, name = row[:2]
    (tmp_path / "balancers.txt").write_text("198.51.100.0/24\n")
    file = tmp_path / "mmproxy.conf"
    file.write_text(configuration(scope, name, value(*row)))
    done = subprocess.run(
        [binary(), "--check", "--config", str(file)], capture_output=True, text=True
    )
    if scope == "plugin":
        # There is no such plugin, and that is all that is wrong.
        assert done.returncode == 2 and "ssh.so" in done.stderr, done.stderr
    else:
        assert done.returncode == 0, file.read_text() + done.stderr
