# SPDX-License-Identifier: MIT
"""Connections that wait for their header: how many may, and who makes room for whom."""

import time

import pytest

from headers import CLIENT4, v1, v2
from sessions import MMPROXY, assert_alive, clients, open_session, send
from settings import configuration, listener
from traffic import EOF, read_exactly, read_to_end, wait_until_ended
from upstreams import Server, echo
from waiting import wait_until

HALF = v1(CLIENT4)[:20]
EVICTED = "header-evicted"


def is_open(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


def wait_silently(host):
    return host.connect(MMPROXY)


def test_the_one_that_has_waited_longest_makes_room(host, start_daemon, upstream):
    mmproxy = start_daemon(
        host, max_waiting_headers=3, header_timeout=60.0, top={"workers": 1}
    )
    live = open_session(host, upstream)
    waiting = []
    for number in range(8):
        waiting.append(wait_silently(host) if number % 2 else send(host, HALF))
        mmproxy.wait_for_counter("sessions_accepted", 2 + number)
    mmproxy.assert_closed(EVICTED, 5)
    for connection in waiting[:5]:
        assert wait_until_ended(connection) in ("eof", "reset")
    assert all(map(is_open, waiting[5:]))
    line = mmproxy.wait_for_log("session: refused")
    assert line["reason"] == EVICTED
    assert line["first_bytes"] == HALF.decode()
    # Those that are left are served once they say who they are for.
    waiting[5].settimeout(10)
    waiting[5].sendall(v2(("203.0.113.9", 42000)))
    accepted, peer = upstream.accept()
    assert peer == ("203.0.113.9", 42000)
    assert_alive(*live)


def test_balancers_that_send_at_once_are_served_beside_a_crowd_that_waits(host, start_daemon):
    server = Server(host, echo)
    mmproxy = start_daemon(
        host, max_waiting_headers=50, header_timeout=60.0, top={"log": {"level": "info"}}
    )
    for number, client in enumerate(clients(200)):
        for _ in range(5):
            send(host, HALF)
        connection = send(host, v2(client) + b"x")
        assert read_exactly(connection, 1) == b"x"
        connection.close()
    mmproxy.wait_for_counter("sessions_closed_finished", 200)
    counters = mmproxy.wait_for_counter("sessions_closed_header_evicted", 900)
    assert counters["sessions_closed_header_evicted"] <= 1000 - 50 + 2
    assert len(mmproxy.log_lines(EVICTED)) < 50
    assert counters["log_suppressed"] > 800
    server.close()


def test_a_reload_changes_how_many_may_wait(host, start_daemon):
    mmproxy = start_daemon(
        host, max_waiting_headers=0, header_timeout=60.0, top={"workers": 1}
    )
    waiting = [wait_silently(host) for _ in range(100)]
    mmproxy.wait_for_counter("sessions_accepted", 100)
    mmproxy.write_config(
        configuration(listener(max_waiting_headers=10, header_timeout=60.0), workers=1)
    )
    assert mmproxy.reload().event == "config: reloaded"
    assert all(map(is_open, waiting))
    last = wait_silently(host)
    mmproxy.assert_closed(EVICTED, 91)
    assert is_open(last) and is_open(waiting[-1]) and not is_open(waiting[0])


@pytest.fixture
def crowded(host, start_daemon):
    """mmproxy with 128 descriptors, and far more half headers than it can have, for a minute."""

    def start(**settings):
        mmproxy = start_daemon(
            host,
            launch={"prefix": ["prlimit", "--nofile=128:128"]},
            header_timeout=60.0,
            **{"top": {"workers": 2, "log": {"level": "info"}}, **settings},
        )
        for _ in range(500):
            send(host, HALF)
        mmproxy.wait_for_counter("accept_paused", 1)
        return mmproxy

    return start


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("limit", [0, 10], ids=["descriptors", "max_sessions"])
def test_half_headers_do_not_keep_live_balancers_waiting(workers, limit, crowded, host):
    server = Server(host, echo)
    top = {"workers": workers, "log": {"level": "info"}}
    mmproxy = crowded(max_sessions=limit, top=top)
    took, live = [], []
    for client in clients(30):
        began = time.monotonic()
        connection = send(host, v2(client) + b"x")
        assert read_exactly(connection, 1) == b"x"
        took.append(time.monotonic() - began)
        # Some stay: a place that a half header has left is theirs, and nobody takes it.
        live.append(connection)
        if len(live) > 5:
            live.pop(0).close()
    # 500 of them stood in the queue before the first; nobody had to wait for header_timeout.
    assert max(took) < 20
    assert mmproxy.counters()["sessions_closed_header_timeout"] == 0
    for connection in live:
        connection.sendall(b"y")
        assert read_exactly(connection, 1) == b"y"
    assert mmproxy.descriptors() <= 128
    server.close()


def test_a_full_proxy_with_nobody_to_close_still_lets_clients_wait(host, start_daemon, upstream):
    """What was before there was anybody to close: no session is ended for another."""
    mmproxy = start_daemon(
        host, max_sessions=2, header_timeout=60.0, top={"workers": 1}
    )
    sessions = [open_session(host, upstream, client) for client in clients(2)]
    waiting = [send(host, HALF) for _ in range(5)]
    mmproxy.wait_for_counter("accept_paused", 1)
    mmproxy.wait_until_idle()
    for session in sessions:
        assert_alive(*session)
    assert mmproxy.counters()["sessions_closed_header_evicted"] == 0
    assert all(map(is_open, waiting))
    sessions[0][0].close()
    assert read_to_end(sessions[0][1]) == (b"", EOF)
    sessions[0][1].close()
    # Whoever of the five comes next holds the place for a moment, not for a minute.
    connection = send(host, v2(("203.0.113.77", 4000)))
    accepted, peer = upstream.accept()
    assert peer == ("203.0.113.77", 4000)
    assert_alive(connection, accepted)
    wait_until(
        lambda: mmproxy.counters()["sessions_closed_header_evicted"] == 5, 10, "all have gone"
    )
