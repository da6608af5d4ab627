# SPDX-License-Identifier: MIT
"""The plugin accesslog and the journal: entries with fields, and a journal that is away or does not
read."""

import contextlib
import re

import pytest

import headers
import plugins
from accesslog import assert_is_now, finish, log, parse, run  # noqa: F401
from headers import CLIENT4, tlv, v2
from journal import Journal, in_mount_namespace
from sessions import clients, open_session, send
from settings import configuration, listener
from udp import text


@pytest.fixture
def journal(log):
    made = Journal(log.folder)
    yield made
    made.socket.close()


@pytest.fixture
def large_journal(log, host):
    """Takes as many entries as systemd has the kernel hold for a journald."""
    made = Journal(log.folder, host)
    yield made
    made.socket.close()


def journal_entry(**config):
    return plugins.entry("accesslog", {"target": "journal", **config})


def received_and_dropped(mmproxy, journal):
    """How many entries are in the journal's queue, and how many the log says there are not."""
    received = 0
    journal.socket.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while journal.receive():
            received += 1
    return received, sum(map(int, re.findall(r'text=".*?(\d+) lines dropped', mmproxy.log())))


def test_an_entry_of_the_journal_has_a_field_for_each(
    host, start_daemon, upstream, journal
):
    entry = journal_entry(tlvs=["authority", "0xEA"])
    mmproxy = start_daemon(host, plugins=[entry], launch=journal.launch())
    connection = send(
        host, v2(CLIENT4, tlvs=tlv(headers.AUTHORITY, b"a\nMESSAGE=b\xff") + tlv(headers.AWS, b"c"))
    )
    finish((connection, upstream.accept()[0]))
    fields = journal.receive()
    own = mmproxy.wait_for_log("session: closed")
    assert fields.pop("SYSLOG_IDENTIFIER") == "mmproxy-accesslog"
    assert fields.pop("PRIORITY") == "6"
    assert_is_now(fields.pop("MMPROXY_TIME"))
    message = parse(fields.pop("MESSAGE"))
    assert {f"MMPROXY_{key.upper()}": value for key, value in message.items()} == fields
    assert fields["MMPROXY_CLIENT"] == text(CLIENT4)
    assert fields["MMPROXY_ID"] == own["id"]
    assert fields["MMPROXY_REASON"] == "finished"
    assert fields["MMPROXY_TLV_AUTHORITY"] == r"a\x0aMESSAGE=b\xff"
    assert fields["MMPROXY_TLV_0XEA"] == "c"
    assert mmproxy.wait_for_counter("plugin_accesslog_lines")["plugin_accesslog_lines"] == 1


def test_what_a_file_alone_has_is_warned_about_with_the_journal(
    host, start_daemon, journal
):
    entry = journal_entry(file="/tmp/access.log", format="json")
    config = configuration(listener(plugins=[entry]))
    status, said = run(host, start_daemon, config, launch=journal.launch())
    assert status == 0, said
    for key in "file", "format":
        assert re.search(rf"^warning: .*config\.{key}: it has no effect", said, re.M), said


@pytest.mark.parametrize("check", [False, True], ids=["start", "check"])
def test_a_machine_without_a_journal_is_told_so(check, host, start_daemon):
    config = configuration(listener(plugins=[journal_entry()]))
    launch = in_mount_namespace("mount -t tmpfs tmpfs /run")
    status, said = run(host, start_daemon, config, check, launch=launch)
    assert status == 2
    assert "there is no journal at" in said
    assert "config.target: " in said


def test_a_journal_that_has_gone_costs_lines_which_are_counted_and_told(
    host, start_daemon, upstream, journal
):
    mmproxy = start_daemon(host, plugins=[journal_entry()], launch=journal.launch())
    (journal.folder / "socket").rename(journal.folder / "gone")
    finish(open_session(host, upstream))
    mmproxy.wait_for_counter("plugin_accesslog_lines_dropped")
    mmproxy.wait_for_log("cannot write to the journal: No such file or directory; 1 lines dropped")
    (journal.folder / "gone").rename(journal.folder / "socket")
    finish(open_session(host, upstream))
    assert journal.receive()["MMPROXY_REASON"] == "finished"
    mmproxy.wait_for_log("writing to the journal again")


def test_a_journal_that_does_not_read_holds_up_no_session_and_no_end(
    host, start_daemon, upstream, journal
):
    mmproxy = start_daemon(host, plugins=[journal_entry()], launch=journal.launch())
    for client in clients(600):
        finish(open_session(host, upstream, client))
    assert mmproxy.wait_for_counter("sessions_closed_finished", 600)
    mmproxy.wait_for_log("cannot write to the journal: Connection timed out")
    mmproxy.stop()
    received, dropped = received_and_dropped(mmproxy, journal)
    assert 0 < received < 600
    assert received + dropped == 600


def test_large_entries_that_no_journal_reads_hold_up_no_end(
    host, start_daemon, upstream, large_journal
):
    """Of what nobody reads a sender may have so many bytes in the queue, whose room is another."""
    types = range(0x80, 0x90)
    values = b"".join(tlv(kind, b"\xff" * 256) for kind in types)
    mmproxy = start_daemon(
        host,
        plugins=[journal_entry(tlvs=[f"0x{kind:02x}" for kind in types])],
        max_header=8192,
        launch=large_journal.launch(),
    )
    for client in clients(500):
        connection = send(host, v2(client, tlvs=values))
        finish((connection, upstream.accept()[0]))
    assert mmproxy.wait_for_counter("sessions_closed_finished", 500)
    mmproxy.stop()
    received, dropped = received_and_dropped(mmproxy, large_journal)
    assert received > 0
    assert received + dropped == 500
