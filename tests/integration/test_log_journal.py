# SPDX-License-Identifier: MIT
"""The log as entries of the journal: when it goes there, what an entry has, and a journald that is
stuck, away, or another one."""

import os
import signal

import pytest

import daemon
from headers import CLIENT4
from journal import Journal, in_mount_namespace, message
from sessions import clients, open_session, send
from traffic import read_exactly
from udp import text
from waiting import wait_until

TO_JOURNAL = {"log": {"level": "debug", "target": "journal"}}


@pytest.fixture
def journal(host, tmp_path_factory):
    folder = tmp_path_factory.mktemp("journal")
    folder.chmod(0o755)
    for above in list(folder.parents)[:2]:
        above.chmod(0o755)
    made = Journal(folder, host)
    made.follow()
    yield made
    made.close()


def stream_of(log):
    """What systemd sets where stderr is the journal's: here it is the log's file."""
    status = os.fstat(log.fileno())
    return {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}


def start(start_daemon, host, journal, top=None, **settings):
    """With its log in the journal, from which the line `ready` must come."""
    launch = journal.launch()
    mmproxy = start_daemon(host, top=top or TO_JOURNAL, launch=launch, ready=False, **settings)
    journal.wait_for("daemon: ready")
    return mmproxy


def test_an_entry_has_a_field_for_each_and_a_message_for_people(
    host, start_daemon, upstream, journal
):
    mmproxy = start(start_daemon, host, journal)
    for end in open_session(host, upstream):
        end.close()
    entry = journal.wait_for("^session: closed")
    assert entry["PRIORITY"] == "6"
    assert entry["SYSLOG_IDENTIFIER"] == "mmproxy"
    assert entry["MMPROXY_SUBSYSTEM"] == "session"
    assert entry["MMPROXY_EVENT"] == "closed"
    assert entry["MMPROXY_CLIENT"] == text(CLIENT4)
    assert entry["MMPROXY_LISTENER"] == "web"
    line = message(entry)
    assert line.event == "session: closed"
    fields = {f"MMPROXY_{key.upper()}": value for key, value in line.fields.items()}
    plain = ("MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "MMPROXY_SUBSYSTEM", "MMPROXY_EVENT")
    assert fields == {key: value for key, value in entry.items() if key not in plain}
    assert mmproxy.log() == ""


def test_what_a_peer_sends_makes_no_field_and_no_line(host, start_daemon, journal):
    start(start_daemon, host, journal)
    send(host, b"GET\nMESSAGE=forged\nPRIORITY=0\n\n\x1b[31m\xff")
    entry = journal.wait_for("^session: refused")
    assert entry["PRIORITY"] == "4"
    assert entry["MMPROXY_EVENT"] == "refused"
    shown = [value for value in entry.values() if "forged" in value]
    assert len(shown) == 2  # the message and the field
    assert all(r"GET\x0aMESSAGE=forged\x0a" in value for value in shown)
    assert not any("\n" in value or "\x1b" in value for value in entry.values())


def test_levels_are_priorities(host, start_daemon, journal):
    start(start_daemon, host, journal)
    assert {entry["PRIORITY"] for entry in journal.entries} == {"6", "7"}
    (host.connect(("127.0.0.1", 8443))).close()
    assert journal.wait_for("closed-without-a-byte")["PRIORITY"] == "7"


def test_it_is_the_default_where_the_journal_reads_stderr(host, start_daemon, journal):
    launch = {**journal.launch(), "environment": stream_of}
    mmproxy = start_daemon(host, launch=launch, ready=False)
    assert journal.wait_for("daemon: ready")["MMPROXY_EVENT"] == "ready"
    mmproxy.stop()
    journal.wait_for("daemon: stopped")
    assert mmproxy.log() == ""


@pytest.mark.parametrize(
    "log, environment",
    [
        ({}, None),
        ({}, {"JOURNAL_STREAM": "8:12345"}),
        ({"target": "stderr"}, stream_of),
        ({"format": "json"}, stream_of),
    ],
    ids=["no-stream", "another-stream", "stderr-wanted", "json-wanted"],
)
def test_it_is_not_the_default_elsewhere(log, environment, host, start_daemon, journal):
    if "format" in log and "+jansson" not in daemon.version_text():
        return  # test_service.py has what is said then
    launch = {**journal.launch(), "environment": environment}
    mmproxy = start_daemon(host, top={"log": log}, launch=launch)
    assert mmproxy.log_lines()
    mmproxy.stop()
    assert journal.entries == []


def test_without_a_journald_the_default_is_stderr_and_nothing_is_said_of_it(host, start_daemon):
    launch = {**in_mount_namespace("mount -t tmpfs tmpfs /run"), "environment": stream_of}
    mmproxy = start_daemon(host, launch=launch)
    assert not mmproxy.log_lines("journald")
    assert all(line.text.startswith("<") for line in mmproxy.log_lines())


def test_a_journald_that_was_wanted_and_is_not_there_is_warned_about(host, start_daemon):
    launch = in_mount_namespace("mount -t tmpfs tmpfs /run")
    mmproxy = start_daemon(host, top=TO_JOURNAL, launch=launch)
    (line,) = mmproxy.log_lines("journald")
    assert line.level == "warning"
    assert line["error"] == "No such file or directory"


def test_lines_for_a_journald_that_has_ended_go_to_stderr_until_there_is_another(
    host, start_daemon, upstream, journal
):
    mmproxy = start(start_daemon, host, journal)
    journal.close()
    send(host, b"GET / HTTP/1.0\r\n")
    assert mmproxy.wait_for_log("session: refused").level == "warning"
    before = mmproxy.log_size()
    journal.open()
    journal.follow()
    for end in open_session(host, upstream):
        end.close()
    journal.wait_for("^session: closed")
    assert mmproxy.log_size() == before


def test_a_journald_whose_socket_was_replaced_is_found(host, start_daemon, upstream, journal):
    mmproxy = start(start_daemon, host, journal)
    journal.close()
    journal.open()
    journal.follow()
    for end in open_session(host, upstream):
        end.close()
    journal.wait_for("^session: closed")
    assert mmproxy.log() == ""


def test_a_journald_that_is_stuck_holds_up_nothing_and_what_it_missed_is_counted(
    host, start_daemon, upstream, journal
):
    mmproxy = start(start_daemon, host, journal)
    journal.stop_following()
    read = len(journal.entries)
    for client in clients(700):
        connection, accepted = open_session(host, upstream, client)
        connection.close()
        accepted.close()
    connection, accepted = open_session(host, upstream)
    connection.sendall(b"ping")
    assert read_exactly(accepted, 4) == b"ping"
    journal.follow()
    wait_until(
        lambda: len(journal.entries) > read and journal.is_empty(),
        10,
        "what it had room for is read",
    )
    mmproxy.process.send_signal(signal.SIGUSR1)
    missed = int(journal.wait_for("^log: lines lost, journald had no room")["MMPROXY_LINES"])
    assert missed > 0
    counted = int(journal.wait_for("^daemon: counters")["MMPROXY_LOG_LINES_DROPPED"])
    assert counted == missed
    closed = [entry for entry in journal.entries if entry["MMPROXY_EVENT"] == "closed"]
    assert len(closed) < 700
    assert mmproxy.log() == ""


def test_a_reload_does_not_change_the_target(host, start_daemon, journal):
    mmproxy = start(start_daemon, host, journal)
    changed = mmproxy.config_file.read_text().replace('"journal"', '"stderr"')
    mmproxy.write_config(changed)
    mmproxy.process.send_signal(signal.SIGHUP)
    entry = journal.wait_for("config: mistake")
    assert "log.target: changed, and this change needs a restart" in entry["MMPROXY_TEXT"]
    journal.wait_for("config: reload failed")
