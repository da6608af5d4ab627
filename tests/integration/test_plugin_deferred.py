# SPDX-License-Identifier: MIT
"""Plugins that take their time over a TCP client: it waits, so do its bytes, and nobody else."""

import os
import socket
import time

import pytest

from headers import CLIENT4, CLIENT6, v1, v2
from hooks import DENY, PASS, RESET, finish
from sessions import MMPROXY, clients, open_session, send
from traffic import (
    EOF,
    RESET as CUT,
    Background,
    fill_until_throttled,
    hash_to_end,
    read_exactly,
    read_to_end,
    reset,
    send_and_finish,
    wait_until_ended,
    wait_until_sent,
)
from waiting import wait_until

pytest_plugins = ["hooks"]

ESTALE = -116

every_version = pytest.mark.parametrize("plugin", ["puppet", "puppet_1_0"])
slowly = {"timeout": 30.0}


# The verdict.


@every_version
def test_a_session_goes_on_when_its_verdict_is_pass(plugin, host, start_daemon, upstream, record):
    slow = record.puppet("slow", plugin, **slowly)
    start_daemon(host, plugins=[slow.entry])
    connection = send(host, v2(CLIENT4))
    ticket = slow.wait_for_ticket()
    assert ticket != 0
    upstream.assert_untouched()
    assert slow.complete(ticket, PASS, "a reason that nobody asked for") == 0
    accepted, peer = upstream.accept()
    assert peer == CLIENT4
    finish(connection, accepted)
    closed = record.wait_for("closed")
    assert (closed["reason"], closed["plugin"], closed["why"]) == ("finished", None, None)
    assert record.hooks() == ["slow filter", "slow connected", "slow closed"]
    record.assert_each_session_was_closed_once()


@every_version
@pytest.mark.parametrize("verdict, ending", [(DENY, EOF), (RESET, CUT)], ids=["deny", "reset"])
@pytest.mark.parametrize("size", [0, 7, 100000])
def test_a_refusal_may_come_late(
    size, verdict, ending, plugin, host, start_daemon, upstream, record
):
    slow = record.puppet("slow", plugin, **slowly)
    mmproxy = start_daemon(host, plugins=[slow.entry])
    connection = send(host, v2(CLIENT4) + bytes(size))
    assert slow.complete(slow.wait_for_ticket(), verdict, "thought about it") == 0
    assert read_to_end(connection) == (b"", ending)
    reason = "plugin-denied" if verdict == DENY else "plugin-reset"
    closed = record.wait_for("closed")
    assert (closed["reason"], closed["plugin"]) == (reason, "slow")
    assert closed["why"] == "thought about it"
    line = mmproxy.wait_for_log("session: refused")
    assert (line["reason"], line["plugin"]) == (reason, "slow")
    assert line["why"] == "thought about it"
    mmproxy.assert_closed(reason)
    upstream.assert_untouched()
    assert record.hooks() == ["slow filter", "slow closed"]


def test_a_late_reason_is_cut_after_120_bytes(host, start_daemon, record):
    slow = record.puppet("slow", **slowly)
    start_daemon(host, plugins=[slow.entry])
    send(host, v2(CLIENT4))
    slow.complete(slow.wait_for_ticket(), DENY, "ä" * 100)
    assert record.wait_for("closed")["why"] == "ä" * 60


def test_each_of_two_that_take_their_time_is_waited_for(host, start_daemon, upstream, record):
    one, two = record.puppet("one", **slowly), record.puppet("two", **slowly)
    entries = [one.entry, record.entry("between"), two.entry, record.entry("last")]
    start_daemon(host, plugins=entries)
    connection = send(host, v2(CLIENT4) + b"payload")
    first = one.wait_for_ticket()
    assert record.hooks() == ["one filter"]
    assert one.complete(first, PASS) == 0
    second = two.wait_for_ticket()
    assert second != first
    assert record.hooks() == ["one filter", "between filter", "two filter"]
    upstream.assert_untouched()
    assert two.complete(second, PASS) == 0
    accepted, _ = upstream.accept()
    assert read_exactly(accepted, 7) == b"payload"
    record.wait_for("connected", label="last")
    assert record.hooks()[3:] == ["last filter"] + [
        f"{label} connected" for label in ("one", "between", "two", "last")
    ]
    finish(connection, accepted)
    record.wait_for_calls(4, "closed")
    record.assert_each_session_was_closed_once()


def test_a_late_refusal_of_the_second_is_told_to_the_first(host, start_daemon, record):
    one, two = record.puppet("one", **slowly), record.puppet("two", **slowly)
    start_daemon(host, plugins=[one.entry, two.entry, record.entry("third")])
    connection = send(host, v2(CLIENT4))
    one.complete(one.wait_for_ticket(), PASS)
    two.complete(two.wait_for_ticket(), DENY, "no")
    assert read_to_end(connection) == (b"", EOF)
    for closed in record.wait_for_calls(2, "closed"):
        assert (closed["plugin"], closed["why"]) == ("two", "no")
    assert record.calls(label="third", session=closed["session"]) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_nobody_else_waits(workers, host, start_daemon, upstream, record):
    slow = record.puppet("slow", port=20000, **slowly)
    mmproxy = start_daemon(host, plugins=[slow.entry], top={"workers": workers})
    waiting = send(host, v2(clients(1)[0]))
    record.wait_for("filter")
    for client in clients(20)[1:]:
        finish(*open_session(host, upstream, client))
    slow.complete(slow.wait_for_ticket(), PASS)
    finish(waiting, upstream.accept()[0])
    mmproxy.assert_closed("finished", 20)


def test_verdicts_may_come_in_any_order(host, start_daemon, upstream, record):
    slow = record.puppet("slow", **slowly)
    start_daemon(host, plugins=[slow.entry], top={"workers": 2})
    connections = {client: send(host, v2(client)) for client in clients(20)}
    slow.wait_for_tickets(20)
    calls = record.calls("filter")
    assert len({call["ticket"] for call in calls}) == 20
    for number, call in enumerate(reversed(calls)):
        verdict = PASS if number % 2 else DENY
        assert slow.complete(call["ticket"], verdict) == 0
        address, port = call["client"].split(":")
        connection = connections[address, int(port)]
        if verdict == PASS:
            accepted, peer = upstream.accept()
            assert peer == (address, int(port))
            finish(connection, accepted)
        else:
            assert read_to_end(connection) == (b"", EOF)
    record.wait_for_calls(20, "closed")
    record.assert_each_session_was_closed_once()


# What is sent while the verdict is awaited.


@pytest.mark.parametrize("header", [v1, v2])
@pytest.mark.parametrize("client", [CLIENT4, CLIENT6], ids=["ipv4", "ipv6"])
def test_what_is_sent_meanwhile_arrives_whole_and_in_order(
    client, header, host, start_daemon, upstream, upstream6, record
):
    slow = record.puppet("slow", **slowly)
    start_daemon(host, plugins=[slow.entry])
    connection = send(host, header(client) + b"behind the header, ")
    ticket = slow.wait_for_ticket()
    connection.sendall(b"in the meantime, ")
    wait_until_sent(connection)
    slow.complete(ticket, PASS)
    accepted, _ = (upstream6 if ":" in client[0] else upstream).accept()
    connection.sendall(b"and afterwards")
    whole = b"behind the header, in the meantime, and afterwards"
    assert read_exactly(accepted, len(whole)) == whole
    finish(connection, accepted)


def test_a_megabyte_sent_meanwhile_arrives_whole_after_a_header_in_single_bytes(
    host, start_daemon, upstream, record
):
    slow = record.puppet("slow", **slowly)
    mmproxy = start_daemon(host, plugins=[slow.entry])
    connection, data = host.connect(MMPROXY), os.urandom(1 << 20)
    for byte in v2(CLIENT4):
        connection.sendall(bytes([byte]))
        mmproxy.wait_until_idle()
    ticket = slow.wait_for_ticket()
    sender = Background(send_and_finish, connection, data)
    mmproxy.wait_until_idle()
    slow.complete(ticket, PASS)
    accepted, _ = upstream.accept()
    assert read_to_end(accepted) == (data, EOF)
    sender.result()
    send_and_finish(accepted, b"answer")
    assert read_to_end(connection) == (b"answer", EOF)
    assert record.wait_for("closed")["bytes_from_client"] == len(data)


def test_a_half_close_meanwhile_is_passed_on_behind_the_payload(
    host, start_daemon, upstream, record
):
    slow = record.puppet("slow", **slowly)
    mmproxy = start_daemon(host, plugins=[slow.entry])
    connection = send(host, v2(CLIENT4) + b"ques")
    ticket = slow.wait_for_ticket()
    send_and_finish(connection, b"tion")
    wait_until_sent(connection)
    mmproxy.wait_until_idle()
    assert slow.complete(ticket, PASS) == 0
    accepted, _ = upstream.accept()
    assert read_to_end(accepted) == (b"question", EOF)
    send_and_finish(accepted, b"answer")
    assert read_to_end(connection) == (b"answer", EOF)
    assert record.wait_for("closed")["reason"] == "finished"


def test_who_sends_and_sends_meanwhile_is_throttled_and_costs_no_memory(
    host, start_daemon, upstream, record
):
    host.shrink_buffers()
    slow = record.puppet("slow", timeout=60.0)
    mmproxy = start_daemon(host, plugins=[slow.entry], top={"workers": 1})
    connections = [send(host, v2(client)) for client in clients(20)]
    slow.wait_for_tickets(20)
    memory, cpu, began = mmproxy.memory("RssAnon"), mmproxy.cpu_seconds(), time.monotonic()
    taken = [fill_until_throttled(connection) for connection in connections[:3]]
    assert max(taken) < 4 << 20
    used, took = mmproxy.cpu_seconds() - cpu, time.monotonic() - began
    assert used < 0.2 * took + 0.1
    mmproxy.assert_memory_grew_less(memory, 1 << 20, "RssAnon")
    # All of it arrives.
    for call, count in zip(record.calls("filter"), taken):
        slow.complete(call["ticket"], PASS)
        accepted, _ = upstream.accept()
        connections[0].shutdown(socket.SHUT_WR)
        assert hash_to_end(accepted)[1:] == (count, EOF)
        connections.pop(0)


# Who leaves, and who is late.


@every_version
def test_a_client_that_resets_meanwhile_is_cancelled_and_closed(
    plugin, host, start_daemon, upstream, record
):
    slow = record.puppet("slow", plugin, **slowly)
    mmproxy = start_daemon(host, plugins=[slow.entry])
    connection = send(host, v2(CLIENT4) + b"payload")
    ticket = slow.wait_for_ticket()
    reset(connection)
    closed = record.wait_for("closed")
    assert record.hooks() == ["slow filter", "slow cancel", "slow closed"]
    (cancelled,) = record.calls("cancel")
    assert cancelled["ticket"] == ticket
    assert cancelled["client"] == closed["client"]
    assert closed["reason"] in ("client-left", "client-reset")
    assert (closed["plugin"], closed["why"], closed["end_flags"]) == (None, None, 0)
    assert slow.complete(ticket, PASS) == ESTALE
    mmproxy.wait_until_idle()
    upstream.assert_untouched()
    record.assert_each_session_was_closed_once()


def test_a_cancelled_verdict_is_stale_even_within_cancel(host, start_daemon, upstream, record):
    slow = record.puppet("slow", on_cancel=PASS, **slowly)
    mmproxy = start_daemon(host, plugins=[slow.entry])
    connection = send(host, v2(CLIENT4))
    slow.wait_for_ticket()
    reset(connection)
    record.wait_for("closed")
    assert [call["result"] for call in record.calls("complete")] == [ESTALE]
    mmproxy.wait_until_idle()
    upstream.assert_untouched()


@every_version
def test_a_verdict_that_does_not_come_in_time_is_cancelled_and_the_client_refused(
    plugin, host, start_daemon, upstream, record
):
    slow = record.puppet("slow", plugin, timeout=0.4)
    mmproxy = start_daemon(host, plugins=[record.entry("first"), slow.entry])
    began = time.monotonic()
    connection = send(host, v2(CLIENT4) + b"payload")
    assert read_to_end(connection) == (b"", EOF)
    assert time.monotonic() - began >= 0.35
    for closed in record.wait_for_calls(2, "closed"):
        assert (closed["reason"], closed["plugin"]) == ("plugin-timeout", "slow")
    line = mmproxy.wait_for_log("session: refused")
    assert (line["reason"], line["plugin"]) == ("plugin-timeout", "slow")
    mmproxy.assert_closed("plugin-timeout")
    mmproxy.assert_counter("plugin_slow_timeouts")
    assert record.hooks(label="slow") == ["slow filter", "slow cancel", "slow closed"]
    assert slow.complete(slow.wait_for_ticket(), PASS) == ESTALE
    upstream.assert_untouched()


def test_with_on_error_pass_a_client_is_served_when_the_time_is_over(
    host, start_daemon, upstream, record
):
    slow = record.puppet("slow", timeout=0.3, on_error="pass")
    mmproxy = start_daemon(host, plugins=[slow.entry, record.entry("next")])
    connection = send(host, v2(CLIENT4) + b"payload")
    accepted, peer = upstream.accept()
    assert peer == CLIENT4
    assert read_exactly(accepted, 7) == b"payload"
    assert record.hooks()[:3] == ["slow filter", "slow cancel", "next filter"]
    assert mmproxy.wait_for_log("plugin: no verdict")["plugin"] == "slow"
    mmproxy.assert_counter("plugin_slow_timeouts")
    assert slow.complete(slow.wait_for_ticket(), DENY) == ESTALE
    finish(connection, accepted)
    for closed in record.wait_for_calls(2, "closed"):
        assert (closed["reason"], closed["plugin"]) == ("finished", None)


def test_the_time_is_a_second_when_nothing_else_is_said(host, start_daemon, record):
    start_daemon(host, plugins=[record.puppet("slow").entry])
    began = time.monotonic()
    wait_until_ended(send(host, v2(CLIENT4)))
    assert time.monotonic() - began >= 0.9
    assert record.wait_for("closed")["reason"] == "plugin-timeout"


def test_each_plugin_has_its_own_time(host, start_daemon, upstream, record):
    one, two = record.puppet("one", **slowly), record.puppet("two", timeout=3.0)
    start_daemon(host, plugins=[one.entry, two.entry])
    send(host, v2(CLIENT4))
    ticket = one.wait_for_ticket()
    time.sleep(3.1)  # longer than the second one may take
    one.complete(ticket, PASS)
    assert two.complete(two.wait_for_ticket(), PASS) == 0
    upstream.accept()


def test_header_and_idle_timeout_do_not_count_while_a_verdict_is_awaited(
    host, start_daemon, upstream, record
):
    slow = record.puppet("slow", **slowly)
    start_daemon(host, plugins=[slow.entry], header_timeout=1.0, idle_timeout=2.0)
    connection = send(host, v2(CLIENT4) + b"payload")
    ticket = slow.wait_for_ticket()
    time.sleep(2.2)
    assert slow.complete(ticket, PASS) == 0
    accepted, _ = upstream.accept()
    assert read_exactly(accepted, 7) == b"payload"
    finish(connection, accepted)


# The end of mmproxy.


def test_sigterm_waits_for_verdicts_as_for_sessions(host, start_daemon, upstream, record):
    slow = record.puppet("slow", **slowly)
    mmproxy = start_daemon(host, plugins=[slow.entry])
    connection = send(host, v2(CLIENT4) + b"payload")
    ticket = slow.wait_for_ticket()
    mmproxy.terminate()
    mmproxy.wait_for_log("daemon: stopping")
    assert slow.complete(ticket, PASS) == 0
    accepted, _ = upstream.accept()
    assert read_exactly(accepted, 7) == b"payload"
    finish(connection, accepted)
    assert mmproxy.wait_until_ended() == 0
    assert record.calls()[-1].hook == "close"
    record.assert_each_session_was_closed_once()


@pytest.mark.parametrize("signals", [1, 2])
def test_verdicts_that_are_awaited_to_the_end_are_cancelled(
    signals, host, start_daemon, upstream, record
):
    slow = record.puppet("slow", **slowly)
    drain = 0.5 if signals == 1 else 30
    mmproxy = start_daemon(host, plugins=[slow.entry], top={"drain_timeout": drain, "workers": 2})
    connections = [send(host, v2(client)) for client in clients(10)]
    slow.wait_for_tickets(10)
    for _ in range(signals):
        mmproxy.terminate()
        mmproxy.wait_for_log("daemon: stopping")
    assert mmproxy.wait_until_ended() == 0
    assert len(record.calls("cancel")) == len(record.calls("closed")) == 10
    assert {call["reason"] for call in record.calls("closed")} == {"shutdown"}
    assert record.calls()[-1].hook == "close"
    record.assert_each_session_was_closed_once()
    for connection in connections:
        wait_until_ended(connection)
    upstream.assert_untouched()


# Very many.


@pytest.mark.deadline(120)
@pytest.mark.parametrize("on_error", ["deny", "pass"])
def test_there_are_tickets_for_so_many_and_the_others_are_answered_by_on_error(
    on_error, host, start_daemon, upstream, record
):
    slow = record.puppet("slow", timeout=60.0, on_error=on_error)
    mmproxy = start_daemon(
        host, plugins=[slow.entry], top={"workers": 1, "log": {"level": "info"}}
    )
    connections, first = [], 0
    while 0 not in slow.tickets():
        assert first < 20000, "no end of tickets"
        for client in clients(first + 500)[first:]:
            connections.append(send(host, v2(client)))
        first += 500
        record.wait_for_calls(first, "filter")
    tickets = slow.tickets()
    refused = tickets.count(0)
    assert refused <= 500
    assert 0 not in tickets[: len(tickets) - refused]
    if on_error == "deny":
        mmproxy.assert_closed("plugin-error", refused)
        upstream.assert_untouched()
    else:
        upstream.accept_many(refused)
    # As soon as one has its verdict there is a ticket for another.
    slow.complete(tickets[0], DENY)
    send(host, v2(clients(first + 1)[-1]))
    assert slow.wait_for_tickets(first + 1)[-1] != 0
    for end in connections:
        reset(end)
    wait_until(lambda: len(record.calls("closed")) >= first, 30, "all are closed", interval=0.2)
