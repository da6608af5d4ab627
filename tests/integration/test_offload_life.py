# SPDX-License-Identifier: MIT
"""Sessions that the kernel carries: what is shown and counted of them, and how they end."""

import time

import pytest

import metrics
from control import request
from offload_hosts import stayed
from offload_life import (
    assert_both_reset,
    closed,
    hand_over,
    open_carried,
    open_through,
    shown,
)
from sessions import clients, either_side, ends, send
from headers import v2
from traffic import EOF, RESET, read_exactly, read_to_end, reset, wait_until_ended
from waiting import wait_until

pytest_plugins = ["hooks", "offload_hosts"]


def _exchanged(session):
    """Bytes both ways behind the hand-over; how many from the client and from the upstream."""
    connection, accepted = session
    connection.sendall(b"u" * 300000)
    read_exactly(accepted, 300000)
    accepted.sendall(b"d" * 700000)
    read_exactly(connection, 700000)
    return 300000, 700000


# What is shown.


def test_its_bytes_are_shown_live(host, upstream, start_offload):
    mmproxy = start_offload(host)
    number, *session = open_carried(host, upstream, mmproxy)
    up, down = _exchanged(session)

    def counted():
        now = shown(mmproxy, number)
        return now["bytes_from_client"] - up, now["bytes_from_upstream"] - down

    # What brought it to the kernel: pings and pongs, of which the last are acknowledged late.
    wait_until(
        lambda: all(0 < more < 1000 for more in counted()), 10, lambda: f"all show: {counted()}"
    )
    now = shown(mmproxy, number)
    assert now["state"] == "offloaded" and now["idle"] < now["age"]
    (client,) = request(mmproxy, "clients")["clients"]
    assert client["sessions"] == 1
    assert client["bytes_from_client"] == now["bytes_from_client"]


def test_metrics_count_its_bytes_and_never_go_back(host, upstream, start_offload):
    mmproxy = start_offload(host, top={"metrics": {"listen": metrics.LISTEN_TEXT}})
    number, *session = open_carried(host, upstream, mmproxy)

    def value(name, **labels):
        return metrics.scrape(host).value(name, **labels)

    seen = [value("mmproxy_relayed_bytes_total", from_="client")]
    for _ in range(5):
        session[0].sendall(b"x" * 100000)
        read_exactly(session[1], 100000)
        seen.append(value("mmproxy_relayed_bytes_total", from_="client"))
    assert seen == sorted(seen)
    session[0].close()
    session[1].close()
    line = closed(mmproxy, number)
    assert value("mmproxy_relayed_bytes_total", from_="client") == int(line["bytes_from_client"])
    assert value("mmproxy_offload_sessions_total", by="handover") == 1


# Ends, each with its line, its reason and its bytes, once.


@either_side
def test_one_that_finishes_is_counted_to_the_byte(side, host, upstream, start_offload):
    mmproxy = start_offload(host)
    number, *session = open_carried(host, upstream, mmproxy)
    first, second = ends(session, side)
    up, down = _exchanged(session)
    first.shutdown(1)
    assert second.recv(1) == b""
    second.sendall(b"x" * 5000)
    second.close()
    assert read_to_end(first) == (b"x" * 5000, EOF)
    line = closed(mmproxy, number)
    assert line["reason"] == "finished"
    more = (5000, 0) if side == "upstream" else (0, 5000)
    # What brought it to the kernel: as many bytes of pings as of pongs.
    pings = int(line["bytes_from_client"]) - up - more[0]
    assert pings == int(line["bytes_from_upstream"]) - down - more[1]
    assert pings % 4 == 0 and 0 < pings < 4000
    mmproxy.assert_closed("finished")
    counters = mmproxy.counters()
    assert counters["bytes_from_client"] == int(line["bytes_from_client"])
    assert counters["bytes_from_upstream"] == int(line["bytes_from_upstream"])
    assert shown(mmproxy) == []


@either_side
def test_a_reset_reaches_the_other_side(side, host, upstream, start_offload):
    mmproxy = start_offload(host)
    number, *session = open_carried(host, upstream, mmproxy)
    _exchanged(session)
    first, second = ends(session, side)
    reset(first)
    assert wait_until_ended(second) == RESET
    assert closed(mmproxy, number)["reason"] == f"{side}-reset"


def test_both_ends_of_one_that_is_killed_are_reset(host, upstream, start_offload):
    mmproxy = start_offload(host)
    number, *session = open_carried(host, upstream, mmproxy)
    _exchanged(session)
    request(mmproxy, f"kill {number}")
    assert_both_reset(*session)
    assert closed(mmproxy, number)["reason"] == "killed"
    assert shown(mmproxy) == []


def test_one_that_is_killed_in_mid_transfer_is_reset(host, upstream, start_offload):
    mmproxy = start_offload(host)
    number, connection, accepted = open_carried(host, upstream, mmproxy)
    connection.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            connection.send(b"x" * 65536)
    request(mmproxy, f"kill {number}")
    assert_both_reset(connection, accepted)


def test_silence_ends_it_in_order(host, upstream, start_offload):
    mmproxy = start_offload(host, idle_timeout=4.0)
    number, *session = open_carried(host, upstream, mmproxy)
    for end in session:
        assert wait_until_ended(end) == EOF
    assert closed(mmproxy, number)["reason"] == "idle-timeout"


def test_one_that_is_never_silent_never_ends(host, upstream, start_offload):
    """The kernel's last byte is younger than the round that looks at it."""
    mmproxy = start_offload(host, idle_timeout=3.0)
    number, connection, accepted = open_carried(host, upstream, mmproxy)
    end = time.monotonic() + 5  # a round looks at it every 3 s
    while time.monotonic() < end:
        for _ in range(100):
            connection.sendall(b"x" * 100)
            read_exactly(accepted, 100)
    assert shown(mmproxy, number)["state"] == "offloaded"


def test_a_plugin_hears_of_the_end_once(host, upstream, start_offload, record):
    mmproxy = start_offload(host, plugins=[record.entry("first")])
    numbers = []
    for how in "finish", "reset", "kill":
        number, connection, accepted = open_carried(host, upstream, mmproxy)
        numbers.append(number)
        connection.sendall(b"x" * 1000)
        read_exactly(accepted, 1000)
        if how == "kill":
            request(mmproxy, f"kill {number}")
        elif how == "reset":
            reset(connection)
        connection.close()
        accepted.close()
        closed(mmproxy, number)
    record.wait_for_calls(3, "closed")
    mmproxy.stop()
    record.assert_each_session_was_closed_once()
    # In the order of their ends; what their lines say.
    for number, call in zip(numbers, record.calls("closed")):
        assert call["bytes_from_client"] == int(closed(mmproxy, number)["bytes_from_client"]) > 0
    assert record.calls("closed")[0]["bytes_from_client"] > 1000


def test_a_shutdown_that_waits_for_nobody_leaves_it(host, upstream, start_offload):
    mmproxy = start_offload(host)
    number, connection, accepted = open_carried(host, upstream, mmproxy)
    mmproxy.stop()
    assert closed(mmproxy, number)["reason"] == "left-to-kernel"
    _exchanged((connection, accepted))


# Limits.


def test_it_counts_among_a_listeners_sessions(host, upstream, start_offload):
    mmproxy = start_offload(host, max_sessions=3)
    sessions = [open_carried(host, upstream, mmproxy) for _ in range(3)]
    waiting = send(host, v2(clients(1)[0]))
    mmproxy.wait_for_counter("accept_paused")
    upstream.assert_untouched()
    request(mmproxy, f"kill {sessions[0][0]}")
    upstream.accept()
    waiting.close()


def test_it_counts_among_a_clients_sessions(host, upstream, start_offload):
    mmproxy = start_offload(host, max_sessions_per_client=2)
    number, *session = open_carried(host, upstream, mmproxy)
    open_carried(host, upstream, mmproxy)
    refused = send(host, v2(("203.0.113.9", 999)))
    assert wait_until_ended(refused) in (EOF, RESET)
    mmproxy.assert_closed("client-limit")
    session[0].close()
    session[1].close()
    closed(mmproxy, number)
    open_carried(host, upstream, mmproxy)


def test_it_takes_no_descriptor(host, upstream, start_offload):
    mmproxy = start_offload(host)
    before = mmproxy.descriptors()
    sessions = [open_through(host, upstream, client) for client in clients(200)]
    hand_over(host, mmproxy, *sessions)
    # The last of them is mmproxy's end of what asked for the sessions.
    wait_until(lambda: mmproxy.descriptors() == before, 10, "no descriptor is left")
    assert stayed(mmproxy.counters()) == {}
