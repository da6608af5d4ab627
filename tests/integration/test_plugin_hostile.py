# SPDX-License-Identifier: MIT
"""Plugins that do what no plugin should: the client is refused or served as on_error says, and
nobody else is worse off."""

import pytest

from headers import CLIENT4, v2
from hooks import DENY, PASS, PENDING, RESET
from sessions import clients, open_session, send
from traffic import EOF, Background, read_exactly, read_to_end, reset, wait_until_ended

pytest_plugins = ["hooks"]

ESTALE = -116

on_error = pytest.mark.parametrize("on_error", ["deny", "pass"])
slowly = {"timeout": 30.0}


def assert_answered_by_on_error(on_error, host, mmproxy, upstream, record, label="bad"):
    """One more client is refused for the plugin's error, or served all the same."""
    before = len(record.calls("closed", label=label))
    connection = send(host, v2(CLIENT4) + b"payload")
    if on_error == "deny":
        assert read_to_end(connection) == (b"", EOF)
        closed = record.wait_for_calls(before + 1, "closed", label=label)[-1]
        assert (closed["reason"], closed["plugin"]) == ("plugin-error", label)
        assert 100 <= closed["code"] < 200
        line = mmproxy.wait_for_log("session: refused")
        assert (line["reason"], line["plugin"]) == ("plugin-error", label)
        mmproxy.assert_closed("plugin-error", before + 1)
        mmproxy.assert_counter(f"plugin_{label}_errors", before + 1)
        upstream.assert_untouched()
        return
    accepted, peer = upstream.accept()
    assert peer == CLIENT4
    assert read_exactly(accepted, 7) == b"payload"
    accepted.close()
    wait_until_ended(connection)
    connection.close()
    closed = record.wait_for_calls(before + 1, "closed", label=label)[-1]
    assert closed["plugin"] is None
    assert mmproxy.wait_for_log("plugin: no verdict")["plugin"] == label
    mmproxy.assert_counter(f"plugin_{label}_errors", before + 1)


# Answers that are none.


@on_error
@pytest.mark.parametrize(
    "verdict", [4, 99, -1, -5, -16, 2**31 - 1, -(2**31)], ids=lambda value: str(value)
)
def test_an_answer_that_is_no_verdict_is_an_error(
    verdict, on_error, host, start_daemon, upstream, record
):
    entries = [
        record.entry("before"),
        record.entry("bad", verdict=verdict, on_error=on_error),
        record.entry("after"),
    ]
    mmproxy = start_daemon(host, plugins=entries)
    assert_answered_by_on_error(on_error, host, mmproxy, upstream, record)
    assert bool(record.calls("filter", label="after")) == (on_error == "pass")
    record.wait_for_calls(len(record.calls("filter")), "closed")
    record.assert_each_session_was_closed_once()


@on_error
def test_pending_without_a_ticket_is_an_error(on_error, host, start_daemon, upstream, record):
    mmproxy = start_daemon(
        host, plugins=[record.entry("bad", verdict=PENDING, on_error=on_error, timeout=30.0)]
    )
    assert_answered_by_on_error(on_error, host, mmproxy, upstream, record)


@on_error
@pytest.mark.parametrize("verdict", [PENDING, 4, 99, -1, -11])
def test_a_late_verdict_that_is_none_is_an_error(
    verdict, on_error, host, start_daemon, upstream, record
):
    bad = record.puppet("bad", on_error=on_error, completes=[str(verdict)], **slowly)
    mmproxy = start_daemon(host, plugins=[bad.entry])
    assert_answered_by_on_error(on_error, host, mmproxy, upstream, record)
    assert [call["result"] for call in record.calls("complete")] == [0]
    assert record.calls("cancel") == []


def test_the_error_counts_for_the_one_session_alone(host, start_daemon, upstream, record):
    mmproxy = start_daemon(host, plugins=[record.entry("bad", verdict=99, port=20000)])
    for client in clients(5):
        connection = send(host, v2(client))
        if client[1] == 20000:
            assert read_to_end(connection) == (b"", EOF)
        else:
            assert upstream.accept()[1] == client
    mmproxy.assert_closed("plugin-error", 1)


# Tickets.


@pytest.mark.parametrize("by_thread", [False, True], ids=["itself", "by_another_thread"])
@pytest.mark.parametrize("verdict", [PASS, DENY])
def test_a_verdict_may_be_given_before_filter_returns(
    verdict, by_thread, host, start_daemon, upstream, record
):
    quick = record.puppet("quick", completes=[str(verdict)], by_thread=by_thread, **slowly)
    start_daemon(host, plugins=[quick.entry, record.entry("next")])
    connection = send(host, v2(CLIENT4) + b"payload")
    if verdict == PASS:
        accepted, _ = upstream.accept()
        assert read_exactly(accepted, 7) == b"payload"
        assert record.hooks()[:2] == ["quick filter", "next filter"]
    else:
        assert read_to_end(connection) == (b"", EOF)
        upstream.assert_untouched()
        assert record.wait_for("closed")["plugin"] == "quick"
        assert record.calls("filter", label="next") == []
    assert [call["result"] for call in record.calls("complete")] == [0]
    assert record.calls("cancel") == []


@pytest.mark.parametrize("by_thread", [False, True], ids=["itself", "by_another_thread"])
def test_of_two_verdicts_the_first_counts(by_thread, host, start_daemon, upstream, record):
    verdicts = [str(PASS), str(DENY), str(RESET)]
    twice = record.puppet("twice", completes=verdicts, by_thread=by_thread, **slowly)
    mmproxy = start_daemon(host, plugins=[twice.entry])
    send(host, v2(CLIENT4))
    upstream.accept()
    assert [call["result"] for call in record.calls("complete")] == [0, ESTALE, ESTALE]
    mmproxy.assert_counter("plugin_twice_stale_verdicts", 2)


def test_a_second_verdict_is_stale_whenever_it_comes(host, start_daemon, upstream, record):
    twice = record.puppet("twice", **slowly)
    start_daemon(host, plugins=[twice.entry])
    connection = send(host, v2(CLIENT4))
    ticket = twice.wait_for_ticket()
    assert twice.complete(ticket, PASS) == 0
    assert twice.complete(ticket, DENY) == ESTALE
    accepted, _ = upstream.accept()
    assert twice.complete(ticket, RESET) == ESTALE
    connection.sendall(b"alive")
    assert read_exactly(accepted, 5) == b"alive"
    accepted.close()
    connection.close()
    record.wait_for("closed")
    assert twice.complete(ticket, PASS) == ESTALE


def test_a_second_defer_gives_the_same_ticket(host, start_daemon, upstream, record):
    twice = record.puppet("twice", defers=5, **slowly)
    start_daemon(host, plugins=[twice.entry])
    send(host, v2(CLIENT4))
    call = record.wait_for("filter")
    assert call["tickets_differ"] == 0
    assert twice.complete(call["ticket"], PASS) == 0
    upstream.accept()


@pytest.mark.parametrize("returned", [PASS, DENY, RESET, 99])
@pytest.mark.parametrize("completes", [[], [str(PASS)], [str(DENY)]], ids=["no", "pass", "deny"])
def test_a_ticket_is_void_when_filter_answers_after_all(
    completes, returned, host, start_daemon, upstream, record
):
    hasty = record.puppet("hasty", returns=returned, completes=completes, **slowly)
    mmproxy = start_daemon(host, plugins=[hasty.entry])
    connection = send(host, v2(CLIENT4) + b"payload")
    if returned == PASS:
        accepted, _ = upstream.accept()
        assert read_exactly(accepted, 7) == b"payload"
    else:
        wait_until_ended(connection)
        upstream.assert_untouched()
        reasons = {DENY: "plugin-denied", RESET: "plugin-reset", 99: "plugin-error"}
        assert record.wait_for("closed")["reason"] == reasons[returned]
    assert hasty.complete(hasty.wait_for_ticket(), DENY) == ESTALE
    mmproxy.wait_until_idle()
    assert record.calls("cancel") == []
    if returned == PASS:
        connection.sendall(b"alive")
        assert read_exactly(accepted, 5) == b"alive"


def test_a_ticket_that_nobody_gave_out_is_stale(host, start_daemon, upstream, record):
    liar = record.puppet("liar", **slowly)
    mmproxy = start_daemon(host, plugins=[liar.entry])
    connection = send(host, v2(CLIENT4))
    ticket = liar.wait_for_ticket()
    invented = {0, 1, 2**63, 2**64 - 1, ticket + 1, ticket - 1}
    invented |= {ticket ^ (1 << bit) for bit in range(64)}
    for number in sorted(invented):
        assert liar.complete(number, DENY) == ESTALE, number
    mmproxy.wait_until_idle()
    assert liar.complete(ticket, PASS) == 0
    accepted, _ = upstream.accept()
    connection.sendall(b"alive")
    assert read_exactly(accepted, 5) == b"alive"


def test_a_ticket_of_another_entry_is_none(host, start_daemon, upstream, record):
    owner, thief = record.puppet("owner", **slowly), record.puppet("thief", port=1, **slowly)
    mmproxy = start_daemon(host, plugins=[thief.entry, owner.entry])
    send(host, v2(CLIENT4))
    ticket = owner.wait_for_ticket()
    assert thief.complete(ticket, DENY) == ESTALE
    mmproxy.wait_until_idle()
    upstream.assert_untouched()
    assert owner.complete(ticket, PASS) == 0
    upstream.accept()


def test_old_tickets_stay_stale_when_their_places_are_used_again(
    host, start_daemon, upstream, record
):
    puppet = record.puppet("puppet", **slowly)
    start_daemon(host, plugins=[puppet.entry], top={"workers": 1})
    old = []
    for client in clients(20):
        send(host, v2(client))
        ticket = puppet.wait_for_tickets(len(old) + 1)[-1]
        for stale in old:
            assert puppet.complete(stale, DENY) == ESTALE
        old.append(ticket)
        assert puppet.complete(ticket, PASS) == 0
        assert upstream.accept()[1] == client
    assert len(set(old)) == len(old)


def test_verdicts_that_cross_a_client_that_leaves_do_no_harm(host, start_daemon, record):
    """Either is first; both ways the session is closed once, and cancelled unless completed."""
    puppet = record.puppet("puppet", **slowly)
    mmproxy = start_daemon(host, plugins=[puppet.entry], top={"workers": 2})
    for number, client in enumerate(clients(200), 1):
        connection = send(host, v2(client))
        ticket = puppet.wait_for_tickets(number)[-1]
        leaving = Background(reset, connection)
        puppet.give(ticket, PASS if number % 2 else DENY)
        leaving.result()
    record.wait_for_calls(200, "complete")
    record.wait_for_calls(200, "closed")
    mmproxy.wait_until_idle()
    cancelled = {call["ticket"] for call in record.calls("cancel")}
    for call in record.calls("complete"):
        assert call["result"] in (0, ESTALE)
        assert (call["ticket"] in cancelled) == (call["result"] == ESTALE), call
    record.assert_each_session_was_closed_once()


# Slow ones.


def test_a_hook_that_blocks_is_reported_and_holds_up_its_worker_alone(
    host, start_daemon, upstream, record
):
    entry = record.entry("slow", busy=400, port=20000)
    mmproxy = start_daemon(host, plugins=[entry], top={"workers": 1})
    connection, accepted = open_session(host, upstream, clients(2)[1])
    slow = send(host, v2(clients(1)[0]))
    record.wait_for("filter", client="203.0.113.1:20000")
    connection.sendall(b"patience")
    assert read_exactly(accepted, 8) == b"patience"
    assert upstream.accept()[1] == clients(1)[0]
    line = mmproxy.wait_for_log(r"plugin: slow call.* hook=filter .*took=(0\.[4-9]|[1-9])")
    assert (line["plugin"], line["worker"]) == ("slow", "0")
    assert 1 <= mmproxy.counters()["plugin_slow_slow_calls"] <= timed_calls(record)
    slow.close()


def timed_calls(record):
    """So many may have been slow: on a busy machine, one that does not block may be so, too."""
    return len(record.calls("worker_start", "filter", "connected", "closed"))


def test_slow_calls_are_logged_at_a_limited_rate(host, start_daemon, upstream, record):
    mmproxy = start_daemon(host, plugins=[record.entry("slow", busy=50)], top={"workers": 1})
    for client in clients(60):
        send(host, v2(client))
        upstream.accept()
    mmproxy.wait_until_idle()
    lines = mmproxy.log_lines("plugin: slow call")
    assert 1 <= len(lines) <= 30
    assert 60 <= mmproxy.counters()["plugin_slow_slow_calls"] <= timed_calls(record)


# The log.


def test_what_a_plugin_says_is_in_the_log_with_its_name(host, start_daemon, record):
    puppet = record.puppet("talker")
    mmproxy = start_daemon(host, plugins=[puppet.entry])
    for level, name in enumerate(["error", "warning", "info", "debug"]):
        puppet.log(level, f"speaking at level {level}")
        line = mmproxy.wait_for_log(f"speaking at level {level}")
        assert (line.event, line.level) == ("plugin: message", name)
        assert (line["plugin"], line["text"]) == ("talker", f"speaking at level {level}")


def test_what_a_plugin_says_keeps_to_one_line_and_to_the_level_of_the_log(
    host, start_daemon, record
):
    puppet = record.puppet("talker")
    mmproxy = start_daemon(host, plugins=[puppet.entry], top={"log": {"level": "info"}})
    puppet.log(3, "of no interest")
    puppet.log(99, "at no level")
    puppet.log(-1, "at no level either")
    puppet.log(2, 'a "quote", a \r carriage return and \x1b[31m')
    line = mmproxy.wait_for_log("carriage return")
    assert "\r" not in line.text and "\x1b" not in line.text
    assert not mmproxy.log_lines("of no interest")


def test_a_plugins_threads_have_mmproxys_signals_blocked(host, start_daemon, record):
    start_daemon(host, plugins=[record.puppet("puppet").entry])
    assert record.wait_for("thread")["signals_not_blocked"] == 0
