# SPDX-License-Identifier: MIT
"""A plugin's file that is replaced while mmproxy runs, as an update of a package does it."""

import os
import shutil

import pytest

import plugins
from headers import CLIENT4, v2
from sessions import assert_alive, open_session, send, unused_client
from settings import configuration, listener
from traffic import EOF, read_to_end


def replace(path, name):
    """As install(1) and mv(1) do it: another file of the same name."""
    shutil.copyfile(plugins.path(name), f"{path}.new")
    os.chmod(f"{path}.new", 0o644)
    os.replace(f"{path}.new", path)


def test_a_reload_loads_the_new_file_beside_the_one_that_is_in_use(host, start_daemon, upstream):
    folder = plugins.folder()
    path = f"{folder}/replaced.so"
    replace(path, "shape_hookless")
    entry = {"name": "judge", "path": path, "config": {"default": "deny"}}
    config = configuration(listener(plugins=[entry]), workers=1)
    mmproxy = start_daemon(host, config=config)
    assert mmproxy.wait_for_log("plugin: opened")["name"] != "acl"
    session = open_session(host, upstream)

    replace(path, "acl")
    assert mmproxy.reload().event == "config: reloaded"
    assert mmproxy.log_lines("plugin: opened")[-1]["name"] == "acl"
    assert read_to_end(send(host, v2(CLIENT4))) == (b"", EOF)
    mmproxy.assert_closed("plugin-denied")
    assert_alive(*session)


def test_a_reload_that_finds_the_same_file_has_the_same_code(host, start_daemon):
    mmproxy = start_daemon(host, plugins=[plugins.entry("acl")], top={"workers": 1})
    mapped = _mappings(mmproxy, "acl.so")
    for _ in range(5):
        assert mmproxy.reload().event == "config: reloaded"
    assert _mappings(mmproxy, "acl.so") == mapped > 0


@pytest.mark.parametrize("kept", [200, 5000, 16000], ids=["headers", "code", "data"])
def test_a_file_that_is_still_being_copied_is_refused_and_changes_nothing(
    kept, host, start_daemon, upstream
):
    path = f"{plugins.folder()}/copied.so"
    replace(path, "acl")
    mmproxy = start_daemon(host, plugins=[{"name": "acl", "path": path}])
    session = open_session(host, upstream)
    with open(f"{path}.new", "wb") as file, open(path, "rb") as whole:
        file.write(whole.read(kept))
    os.replace(f"{path}.new", path)
    assert mmproxy.reload().event == "config: reload failed, nothing changed"
    (mistake,) = mmproxy.log_lines("config: mistake")
    assert "copied.so is cut short" in mistake["text"]
    assert_alive(*session)
    assert_alive(*open_session(host, upstream, unused_client()))


def _mappings(mmproxy, name):
    with open(f"/proc/{mmproxy.pid}/maps") as file:
        return sum(line.rstrip().endswith(name) for line in file)
