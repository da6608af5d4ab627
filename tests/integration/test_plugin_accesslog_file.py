# SPDX-License-Identifier: MIT
"""The plugin accesslog and its file: rotation, full disks, and what is no file for a log; and what
is said of mistakes in its settings."""

import contextlib
import os
import re
import subprocess

import pytest

import headers
import plugins
from accesslog import NOBODY, Log, finish, formats, log, parse, run  # noqa: F401
from headers import CLIENT4, tlv, v2
from sessions import clients, open_session, send
from settings import configuration, listener
from udp import text


# The file.


def test_the_file_is_for_its_owner_and_group_alone(host, start_daemon, log):
    start_daemon(host, plugins=[log.entry()])
    status = log.path.stat()
    assert status.st_mode & 0o777 == 0o640
    assert status.st_uid == NOBODY


def test_lines_are_added_to_what_is_in_the_file(host, start_daemon, upstream, log):
    log.path.write_text("before=yes\n")
    os.chown(log.path, NOBODY, NOBODY)
    start_daemon(host, plugins=[log.entry()])
    finish(open_session(host, upstream))
    assert log.wait_for(2)[0] == {"before": "yes"}


def test_a_relative_path_begins_at_the_configuration_file(host, start_daemon, upstream):
    mmproxy = start_daemon(host, config=configuration(listener(), **plugins.reachable()))
    os.chown(mmproxy.directory, NOBODY, NOBODY)
    entry = plugins.entry("accesslog", {"file": "access.log"})
    mmproxy.write_config(configuration(listener(plugins=[entry]), **plugins.reachable()))
    assert mmproxy.reload().event == "config: reloaded"
    finish(open_session(host, upstream))
    Log(mmproxy.directory).wait_for_one()


def test_two_listeners_may_share_a_file(host, start_daemon, upstream, log):
    config = configuration(
        listener("one", plugins=[log.entry()]),
        listener("two", listen="127.0.0.1:8444", plugins=[log.entry()]),
    )
    start_daemon(host, config=config)
    finish(open_session(host, upstream))
    connection = host.connect(("127.0.0.1", 8444))
    connection.sendall(v2(CLIENT4))
    finish((connection, upstream.accept()[0]))
    assert sorted(line["listener"] for line in log.wait_for(2)) == ["one", "two"]


def rotate(log, mmproxy):
    """What logrotate does: another name, then a reload."""
    number = len(list(log.folder.glob("access.log.*"))) + 1
    rotated = log.folder / f"access.log.{number}"
    log.path.rename(rotated)
    assert mmproxy.reload().event == "config: reloaded"
    return rotated


def test_a_reload_opens_the_file_again(host, start_daemon, upstream, log):
    mmproxy = start_daemon(host, plugins=[log.entry()])
    finish(open_session(host, upstream, clients(3)[0]))
    log.wait_for_one()
    during = open_session(host, upstream, clients(3)[1])
    rotated = rotate(log, mmproxy)
    assert log.text() == ""
    finish(open_session(host, upstream, clients(3)[2]))
    assert log.wait_for_one()["client"] == text(clients(3)[2])
    # A session of before the rotation goes to the file of before the rotation.
    finish(during)
    lines = log.wait_for(2, rotated)
    assert [line["client"] for line in lines] == [text(client) for client in clients(3)[:2]]
    assert mmproxy.counters()["plugin_accesslog_lines"] == 3


def test_a_session_that_outlives_its_file_goes_to_the_current_one(
    host, start_daemon, upstream, log
):
    mmproxy = start_daemon(host, plugins=[log.entry()])
    session = open_session(host, upstream)
    rotate(log, mmproxy).unlink()
    finish(session)
    assert log.wait_for_one()["client"] == text(CLIENT4)


def test_a_file_that_was_removed_is_there_again_with_the_next_line(
    host, start_daemon, upstream, log
):
    start_daemon(host, plugins=[log.entry()])
    log.path.unlink()
    finish(open_session(host, upstream))
    log.wait_for_one()


@formats
def test_rotation_under_traffic_loses_no_line(form, host, start_daemon, upstream, log):
    mmproxy = start_daemon(host, plugins=[log.entry(format=form)], top={"workers": 2})
    expected, sessions = clients(600), []
    for number, client in enumerate(expected):
        sessions.append(open_session(host, upstream, client))
        if number % 3:
            finish(sessions.pop(number % len(sessions)))
        if number % 100 == 50:
            rotate(log, mmproxy)
    for session in sessions:
        finish(session)
    mmproxy.wait_for_counter("plugin_accesslog_lines", 600)
    files = [log.path, *log.folder.glob("access.log.*")]
    assert len(files) == 7
    lines = [parse(line) for file in files for line in log.text(file).splitlines()]
    assert sorted(line["client"] for line in lines) == sorted(text(client) for client in expected)
    assert mmproxy.counters()["plugin_accesslog_lines_dropped"] == 0


def test_a_reload_that_cannot_open_the_file_changes_nothing(host, start_daemon, upstream, log):
    mmproxy = start_daemon(host, plugins=[log.entry()])
    log.path.rename(log.folder / "access.log.1")
    log.folder.chmod(0o555)
    os.chown(log.folder, 0, 0)
    assert "nothing changed" in mmproxy.reload().text
    assert mmproxy.log_lines("config: mistake .*user 65534 may not read and write")
    finish(open_session(host, upstream))
    assert log.wait_for(1, log.folder / "access.log.1")


@contextlib.contextmanager
def small_disk(folder, size):
    """A file system of so many bytes, there."""
    options = f"size={size},uid={NOBODY},mode=0755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_costs_whole_lines_which_are_counted_and_told(
    host, start_daemon, upstream, log
):
    with small_disk(log.folder, 16384):
        ballast = log.folder / "ballast"
        ballast.write_bytes(bytes(12288))
        mmproxy = start_daemon(host, plugins=[log.entry(tlvs=["authority"])])
        number = 0
        while mmproxy.counters()["plugin_accesslog_lines_dropped"] < 3:
            number += 1
            connection = send(
                host, v2((CLIENT4[0], 20000 + number), tlvs=tlv(headers.AUTHORITY, b"\0" * 250))
            )
            finish((connection, upstream.accept()[0]))
            mmproxy.wait_for_counter("sessions_closed_finished", number)
            mmproxy.wait_until_idle()
        told = mmproxy.wait_for_log("plugin: message plugin=accesslog")
        assert told.level == "error"
        assert f"cannot write to {log.path}: No space left on device; 1 lines dropped" in told.text
        assert len(mmproxy.log_lines("plugin: message plugin=accesslog")) == 1
        ballast.unlink()
        finish(open_session(host, upstream))
        told = mmproxy.wait_for_log("writing to .* again; 2 more lines were dropped")
        assert told.level == "info"
        counters = mmproxy.wait_for_counter("plugin_accesslog_lines", number - 2)
        assert counters["plugin_accesslog_lines_dropped"] == 3
        lines = log.wait_for(number - 2)
        assert lines[-1]["client"] == text(CLIENT4)
        assert {line["tlv_authority"] for line in lines[:-1]} == {"\\x00" * 250}
        mmproxy.stop()


# Mistakes.


MISTAKES = {
    "no_file": ({}, "file", "it is missing"),
    "unknown_tlv": ({"file": "/x", "tlvs": ["alpn", "host"]}, "tlvs", '"host" is no TLV; write'),
    "number_of_no_tlv": ({"file": "/x", "tlvs": ["0x100"]}, "tlvs", '"0x100" is no TLV'),
    "number_without_digits": ({"file": "/x", "tlvs": ["0x"]}, "tlvs", '"0x" is no TLV'),
    "number_with_a_sign": ({"file": "/x", "tlvs": ["0x+1"]}, "tlvs", "is no TLV"),
    "empty_tlv": ({"file": "/x", "tlvs": [""]}, "tlvs", '"" is no TLV'),
    "tlv_twice": ({"file": "/x", "tlvs": ["0xea", "0xEA"]}, "tlvs", '"0xEA" is there twice'),
    "too_many_tlvs": (
        {"file": "/x", "tlvs": [f"0x{number:02x}" for number in range(17)]},
        "tlvs",
        "17 TLVs are too many; write 16 at most",
    ),
    "tlvs_of_a_wrong_type": ({"file": "/x", "tlvs": [1]}, "tlvs", "wrong type"),
    "unknown_format": ({"file": "/x", "format": "xml"}, "format", 'write "logfmt" or "json"'),
    "unknown_target": ({"file": "/x", "target": "db"}, "target", 'write "file" or "journal"'),
    "wrong_type": ({"file": 1}, "file", "wrong type"),
    "no_folder": ({"file": "/no/such/access.log"}, "file", "there is no folder /no/such; create"),
    "a_folder": ({"file": "/usr"}, "file", "/usr is a folder; name a file in it"),
    "a_device": ({"file": "/dev/null"}, "file", "name a regular file"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
@pytest.mark.parametrize("check", [False, True], ids=["start", "check"])
def test_a_mistake_is_one_line_with_its_place(mistake, check, host, start_daemon):
    settings, key, words = mistake
    entry = plugins.entry("accesslog", settings)
    status, said = run(host, start_daemon, configuration(listener(plugins=[entry])), check)
    assert status == 2, said
    place = rf"mmproxy\.conf:\d+: listeners\[0\]\.plugins\[0\]\.config\.{key}(\[\d\])?: "
    matching = [line for line in said.splitlines() if re.search(place, line)]
    assert len(matching) == 1, said
    assert words in matching[0].replace('\\"', '"')
    assert "daemon: ready" not in said


def test_every_mistake_is_reported_not_just_the_first(host, start_daemon):
    entry = plugins.entry("accesslog", {"format": "xml", "tlvs": ["one", "two"]})
    status, said = run(host, start_daemon, configuration(listener(plugins=[entry])))
    assert status == 2
    for words in "file: it is missing", '"xml" is unknown', '"one" is no TLV', '"two" is no TLV':
        assert words in said


def test_what_is_not_built_in_is_refused_by_name(host, start_daemon, log):
    with open(plugins.path("accesslog"), "rb") as file:
        built_in = b"json_dumpb" in file.read()
    _, said = run(host, start_daemon, configuration(listener(plugins=[log.entry(format="json")])))
    assert ("built without jansson and cannot write json" in said) == (not built_in)


def test_a_check_of_good_settings_creates_nothing(host, start_daemon, log):
    config = configuration(listener(plugins=[log.entry(format="json", tlvs=["alpn", "0xEA"])]))
    status, said = run(host, start_daemon, config)
    assert status == 0, said
    assert "warning" not in said
    assert not log.path.exists()


def test_a_setting_that_there_is_none_of_is_warned_about(host, start_daemon, log):
    config = configuration(listener(plugins=[log.entry(colour="red")]))
    status, said = run(host, start_daemon, config)
    assert status == 0, said
    line = [number for number, text in enumerate(config.splitlines(), 1) if "colour" in text][0]
    assert re.search(rf"^warning: .*mmproxy\.conf:{line}: .*config\.colour: ", said, re.M), said


def test_a_folder_that_mmproxy_may_not_write_to_ends_the_start(host, start_daemon, log):
    os.chown(log.folder, 0, 0)
    config = configuration(listener(plugins=[log.entry()]))
    status, said = run(host, start_daemon, config, check=False)
    assert status == 2
    mistakes = [line for line in said.splitlines() if str(log.path) in line]
    assert len(mistakes) == 1, said
    assert f"user {NOBODY} may not read and write {log.path}" in mistakes[0]
    assert f"chown {NOBODY} {log.folder}" in mistakes[0]
    assert "daemon: ready" not in said


def test_a_pipe_is_refused_at_the_start_and_waits_for_nobody(host, start_daemon, log):
    os.mkfifo(log.path)
    os.chown(log.path, NOBODY, NOBODY)
    config = configuration(listener(plugins=[log.entry()]))
    status, said = run(host, start_daemon, config, check=False)
    assert status == 2
    assert "name a regular file" in said
