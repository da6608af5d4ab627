# SPDX-License-Identifier: MIT
"""Plugins and TCP: what becomes of a session by their verdicts, and who is told why."""

import pytest

from headers import CLIENT4, v2
from hooks import DENY, RESET, assert_category, finish
from sessions import clients, open_session, send
from settings import configuration, listener
from traffic import EOF, RESET as CUT, read_to_end, wait_until_ended
from udp import text
from waiting import wait_until

pytest_plugins = ["hooks"]

# As compiled against the current header, and against that of ABI 1.0.
every_version = pytest.mark.parametrize("plugin", ["recorder", "recorder_1_0"])


@every_version
@pytest.mark.parametrize("verdict, ending", [(DENY, EOF), (RESET, CUT)], ids=["deny", "reset"])
@pytest.mark.parametrize("size", [0, 7, 100000])
def test_a_refused_client_sees_the_end_its_verdict_means_whatever_it_has_sent(
    size, verdict, ending, plugin, host, start_daemon, upstream, record
):
    entry = record.entry("first", plugin, verdict=verdict, why="not today")
    mmproxy = start_daemon(host, plugins=[entry])
    connection = send(host, v2(CLIENT4) + bytes(size))
    assert read_to_end(connection) == (b"", ending)
    reason = "plugin-denied" if verdict == DENY else "plugin-reset"
    mmproxy.assert_closed(reason)
    mmproxy.assert_counter("plugin_first_refusals")
    upstream.assert_untouched()
    closed = record.wait_for("closed")
    assert (closed["reason"], closed["error"]) == (reason, 0)
    assert (closed["plugin"], closed["why"]) == ("first", "not today")
    assert_category(closed, 100)
    assert closed["end_flags"] == closed["bytes_from_client"] == 0
    line = mmproxy.wait_for_log("session: refused")
    assert (line["listener"], line["reason"]) == ("web", reason)
    assert (line["plugin"], line["why"]) == ("first", "not today")
    assert line["client"] == text(CLIENT4)
    assert line["balancer"] == text(connection.getsockname())
    assert record.hooks() == ["first filter", "first closed"]


def test_a_client_that_is_denied_and_never_leaves_is_let_go_of(host, start_daemon, record):
    mmproxy = start_daemon(host, plugins=[record.entry("first", verdict=DENY)])
    descriptors = mmproxy.descriptors()
    connections = [send(host, v2(client)) for client in clients(50)]
    for connection in connections:
        assert read_to_end(connection) == (b"", EOF)
    # They are closed after the plugin was told so.
    wait_until(lambda: mmproxy.descriptors() <= descriptors, 15, "the descriptors are back")
    assert len(record.calls("closed")) == 50


def test_a_refusal_without_a_reason_has_none(host, start_daemon, record):
    mmproxy = start_daemon(host, plugins=[record.entry("first", verdict=DENY)])
    wait_until_ended(send(host, v2(CLIENT4)))
    closed = record.wait_for("closed")
    assert (closed["plugin"], closed["why"]) == ("first", None)
    assert "why" not in mmproxy.wait_for_log("session: refused").fields


def test_the_first_refusal_ends_the_chain(host, start_daemon, upstream, record):
    entries = [
        record.entry("first", why="said before passing"),
        record.entry("second", verdict=DENY, why="enough"),
        record.entry("third"),
    ]
    start_daemon(host, plugins=entries)
    assert read_to_end(send(host, v2(CLIENT4))) == (b"", EOF)
    for closed in record.wait_for_calls(2, "closed"):
        assert (closed["plugin"], closed["why"]) == ("second", "enough")
    assert record.hooks()[:2] == ["first filter", "second filter"]
    assert sorted(record.hooks()[2:]) == ["first closed", "second closed"]
    upstream.assert_untouched()


def test_plugins_are_asked_in_the_order_of_the_configuration(
    host, start_daemon, upstream, record
):
    labels = ["c", "a", "d", "b"]
    start_daemon(host, plugins=[record.entry(label) for label in labels])
    finish(*open_session(host, upstream))
    record.wait_for_calls(4, "closed")
    assert record.hooks()[:4] == [f"{label} filter" for label in labels]
    assert sorted(record.hooks()[4:8]) == sorted(f"{label} connected" for label in labels)
    assert sorted(record.hooks()[8:]) == sorted(f"{label} closed" for label in labels)


def test_what_is_explained_and_then_passed_is_nobodys_reason(
    host, start_daemon, upstream, record
):
    start_daemon(host, plugins=[record.entry("first", why="well, all right"), record.entry("next")])
    finish(*open_session(host, upstream))
    for closed in record.wait_for_calls(2, "closed"):
        assert closed["plugin"] is None and closed["why"] is None


@pytest.mark.parametrize(
    "why, kept",
    [
        ("x" * 120, "x" * 120),
        ("x" * 121, "x" * 120),
        ("x" * 1000, "x" * 120),
        ("ä" * 100, "ä" * 60),
        ("x" + "ä" * 100, "x" + "ä" * 59),
        ("x" * 118 + "€", "x" * 118),
    ],
    ids=["fits", "one_more", "long", "two_bytes_each", "in_the_middle_of_two", "of_three"],
)
def test_a_reason_is_cut_after_120_bytes_and_stays_text(why, kept, host, start_daemon, record):
    start_daemon(host, plugins=[record.entry("first", verdict=DENY, why=why)])
    wait_until_ended(send(host, v2(CLIENT4)))
    assert record.wait_for("closed")["why"] == kept


def test_a_reason_cannot_forge_a_line_of_the_log(host, start_daemon, record):
    config = configuration(listener(plugins=[record.entry("first", verdict=DENY, why="WHY")]))
    mmproxy = start_daemon(host, config=config.replace("WHY", r"a \"quote\"\nforged: line\r\\"))
    wait_until_ended(send(host, v2(CLIENT4)))
    assert record.wait_for("closed")["why"] == 'a "quote"\nforged: line\r\\'
    assert "plugin=first" in mmproxy.wait_for_log("session: refused").text
    assert not mmproxy.log_lines("^forged")
