# SPDX-License-Identifier: MIT
"""Deadlines, descriptors, memory and log lines: what one peer, or very many, may cost."""

import contextlib
import select
import socket
import statistics
import time

import pytest

import headers
from headers import CLIENT4, v1, v2
from sessions import MMPROXY, clients, open_session, send
from traffic import EOF, Background, read_exactly, read_to_end, wait_until_ended
from upstreams import Server, echo
from waiting import steady, wait_until


# Deadlines.


def test_the_header_deadline_is_kept_by_whoever_sends_nothing_half_or_drop_by_drop(
    host, start_daemon, upstream
):
    mmproxy = start_daemon(host, header_timeout=2.0)
    silent, halved, dripping = (TimedConnection(host) for _ in range(3))
    served = send(host, v2(CLIENT4))
    accepted, _ = upstream.accept()
    halved.socket.sendall(v1(CLIENT4)[:20])
    # A byte now and then does not move the deadline: it ends while they go on.
    drops = iter(headers.padded(CLIENT4, 4096))
    while dripping.end.running():
        with contextlib.suppress(ConnectionError):
            dripping.socket.sendall(bytes([next(drops)]))
        time.sleep(0.1)
    ends = [connection.end.result() for connection in (silent, halved, dripping)]
    # By this setting, and not by what there is without, of 5 s.
    assert 1.8 <= min(ends) < 4.5, ends
    mmproxy.assert_closed("header-timeout", 2)
    mmproxy.assert_closed("header-timeout-empty")
    assert len(mmproxy.log_lines("session: refused .*reason=header-timeout")) == 3
    # Once the header is in, the deadline is lifted.
    served.sendall(b"still here")
    assert read_exactly(accepted, 10) == b"still here"
    upstream.assert_untouched()


class TimedConnection:
    """One whose `end` is a Background for the seconds from before it was opened."""

    def __init__(self, host):
        began = time.monotonic()
        self.socket = host.connect(MMPROXY)
        self.end = Background(self._time_until_ended, began)

    def _time_until_ended(self, began):
        wait_until_ended(self.socket)
        return time.monotonic() - began


def test_a_silent_connection_gets_a_hint_at_the_load_balancer_that_waits(host, start_daemon):
    mmproxy = start_daemon(host, header_timeout=0.3)
    wait_until_ended(host.connect(MMPROXY))
    line = mmproxy.wait_for_log("session: refused .*reason=header-timeout-empty")
    assert "NLB" in line["hint"]


def test_a_health_check_without_a_byte_is_counted_and_logged_at_debug_level(host, mmproxy):
    host.connect(MMPROXY).close()
    counters = mmproxy.wait_for_counter("sessions_closed_closed_without_a_byte")
    assert counters["sessions_closed_closed_without_a_byte"] == 1
    assert mmproxy.wait_for_log("closed-without-a-byte").level == "debug"


def test_a_health_check_without_a_byte_is_silent_at_the_usual_level(host, start_daemon):
    mmproxy = start_daemon(host, top={"log": {"level": "info"}})
    for _ in range(5):
        host.connect(MMPROXY).close()
    mmproxy.wait_for_counter("sessions_closed_closed_without_a_byte", 5)
    assert not mmproxy.log_lines("session:")


def test_two_thousand_half_headers_end_and_hold_up_nobody(host, start_daemon, upstream):
    mmproxy = start_daemon(host, header_timeout=2.0)
    live, accepted = open_session(host, upstream)
    began, ended = {}, {}
    poller = select.epoll()
    for _ in range(2000):
        earliest = time.monotonic()
        connection = host.connect(MMPROXY)
        began[connection.fileno()] = earliest
        connection.sendall(v1(CLIENT4)[:20])
        poller.register(connection, select.EPOLLIN)
    while len(ended) < len(began):
        live.sendall(b"ping")
        assert read_exactly(accepted, 4) == b"ping"
        for descriptor, _ in poller.poll(0.05):
            ended[descriptor] = time.monotonic()
            poller.unregister(descriptor)
    took = [ended[descriptor] - began[descriptor] for descriptor in began]
    assert min(took) >= 1.8
    assert statistics.median(took) < 4.5
    mmproxy.assert_closed("header-timeout", 2000)


# Descriptors.


@pytest.fixture
def crowded(host, start_daemon):
    """mmproxy with 128 descriptors, and ten times as many clients that all want a session."""
    server = Server(host, echo)
    mmproxy = start_daemon(
        host,
        launch={"prefix": ["prlimit", "--nofile=128:128"]},
        top={"log": {"level": "info"}, "workers": 2},
        header_timeout=60.0,
        connect_timeout=60.0,
    )
    connections = {}
    for client in clients(1280):
        connection = send(host, v2(client))
        connections[client] = connection
    served = []

    def count():
        while not server.peers.empty():
            served.append(server.next_peer())
        return len(served)

    mmproxy.wait_for_counter("accept_paused")
    wait_until(lambda: count() >= 40, 10, "as many are served as there are descriptors for")
    steady(count, 0.5, 10, "no more clients are served")
    yield mmproxy, server, connections, served
    server.close()


def test_out_of_descriptors_it_waits_without_spinning(crowded):
    mmproxy, _, _, served = crowded
    assert 40 <= len(served) <= 64
    assert mmproxy.descriptors() <= 128
    before = mmproxy.cpu_seconds()
    time.sleep(2.0)  # the window the time is measured over
    assert mmproxy.cpu_seconds() - before < 0.05 * 2.0


def test_out_of_descriptors_the_next_client_is_served_soon_after_one_leaves(crowded):
    mmproxy, server, connections, served = crowded
    took = []
    for leaving in served[:10]:
        began = time.monotonic()
        connections[leaving].close()
        server.next_peer(timeout=5)
        took.append(time.monotonic() - began)
    # Where this machine pauses it is not most of them that it holds up.
    assert statistics.median(took) < 0.3, took


def test_out_of_descriptors_nobody_is_turned_away(crowded):
    mmproxy, server, connections, served = crowded
    waiting = set(connections) - set(served)
    # Everybody who was served leaves, until everybody was served.
    leaving = list(served)
    while waiting:
        for client in leaving:
            connections[client].close()
        leaving = [server.next_peer()]
        while not server.peers.empty():
            leaving.append(server.next_peer())
        waiting -= set(leaving)
    for client in leaving:
        connections[client].close()
    mmproxy.wait_for_counter("sessions_closed_finished", len(connections))
    assert not mmproxy.log_lines("session: (refused|failed)")


def test_out_of_descriptors_it_still_ends_when_told(crowded):
    mmproxy, _, _, _ = crowded
    began, before = time.monotonic(), mmproxy.cpu_seconds()
    mmproxy.terminate()
    mmproxy.wait_for_log("daemon: stopping")
    while time.monotonic() - began < 0.5:  # the window the time is measured over
        used = mmproxy.cpu_seconds() - before
        time.sleep(0.05)
    assert used < 0.1 or mmproxy.built_with_sanitizer()
    mmproxy.terminate()
    assert mmproxy.wait_until_ended() == 0
    mmproxy.wait_for_log("daemon: stopping now: asked a second time")
    assert not mmproxy.log_lines("daemon: drain_timeout is over")


@pytest.mark.parametrize("workers", [1, 2])
def test_max_sessions_of_one_serves_all_who_wait_one_by_one(
    workers, host, start_daemon, upstream
):
    mmproxy = start_daemon(host, max_sessions=1, top={"workers": workers})
    waiting = {client: send(host, v2(client)) for client in clients(20)}
    while waiting:
        accepted, peer = upstream.accept()
        mmproxy.wait_until_idle()
        upstream.assert_untouched()
        waiting.pop(peer).close()
        assert read_to_end(accepted) == (b"", EOF)
        accepted.close()


def test_max_sessions_lets_the_next_client_wait(host, start_daemon, upstream):
    mmproxy = start_daemon(host, max_sessions=3, top={"workers": 1})
    connections = []
    for client in clients(4):
        connections.append(host.connect(MMPROXY))
        connections[-1].sendall(v2(client))
    sessions = upstream.accept_many(3)
    assert [peer for _, peer in sessions] == clients(4)[:3]
    mmproxy.wait_until_idle()
    upstream.assert_untouched()
    connections[1].close()
    assert read_to_end(sessions[1][0]) == (b"", EOF)
    sessions[1][0].close()
    assert upstream.accept()[1] == clients(4)[3]


def test_500_refused_headers_leak_no_descriptor(host, mmproxy, upstream):
    wait_until_ended(send(host, b"GET / HTTP/1.1\r\n\r\n"))
    before = mmproxy.descriptors()
    bad = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 203.0.113.9 192.0.2.80 70000 443\r\n",
        v2(("224.0.0.1", 1)),
        v2(CLIENT4, tlvs=b"\x04\xff\xff"),
        v2(CLIENT4, family=headers.UDP4),
    ]
    for number in range(500):
        connection = send(host, bad[number % len(bad)])
        wait_until_ended(connection)
        connection.close()
    mmproxy.wait_for_counter("sessions_accepted", 501)
    wait_until(lambda: mmproxy.descriptors() <= before, 10, "the descriptors are back")
    upstream.assert_untouched()


# Memory.


@pytest.mark.deadline(120)
def test_an_idle_session_costs_two_descriptors_and_less_than_a_kibibyte(
    host, start_daemon, upstream
):
    mmproxy = start_daemon(host, top={"log": {"level": "info"}})

    def open_sessions(first, count):
        ends = []
        for client in clients(first + count)[first:]:
            connection = send(host, v2(client) + b"x")
            accepted, _ = upstream.accept()
            accepted.sendall(b"y" * 1000)
            assert read_exactly(connection, 1000) == b"y" * 1000
            assert read_exactly(accepted, 1) == b"x"
            ends += [connection, accepted]
        return ends

    # What is there once for all sessions, pools and hot buffers, is there before the measurement.
    warm = open_sessions(0, 200)
    mmproxy.wait_until_idle()
    descriptors, memory = mmproxy.descriptors(), mmproxy.memory("RssAnon")
    idle = open_sessions(200, 2000)
    mmproxy.wait_until_idle()
    assert mmproxy.descriptors() - descriptors <= 2 * 2000
    mmproxy.assert_memory_grew_less(memory, 2000 * 1024, "RssAnon")
    # And they give everything back.
    for end in warm + idle:
        end.close()
    wait_until(
        lambda: mmproxy.descriptors() <= descriptors - 400, 10, "the descriptors are given back"
    )


def test_a_session_that_has_been_busy_costs_no_more_once_it_is_idle(host, start_daemon, upstream):
    mmproxy = start_daemon(host, top={"workers": 1, "log": {"level": "info"}})

    def busy_session(client):
        connection = host.connect(MMPROXY)
        connection.settimeout(20)
        sender = Background(connection.sendall, v2(client) + bytes(1 << 20))
        accepted, _ = upstream.accept()
        assert read_exactly(accepted, 1 << 20) == bytes(1 << 20)
        sender.result()

    for client in clients(10):
        busy_session(client)
    mmproxy.wait_until_idle()
    descriptors, memory = mmproxy.descriptors(), mmproxy.memory("RssAnon")
    for client in clients(110)[10:]:
        busy_session(client)
    mmproxy.wait_until_idle()
    # A stream that was busy enough borrowed a pipe; the worker keeps it for the next.
    assert mmproxy.descriptors() - descriptors <= 2 * 100 + 2
    mmproxy.assert_memory_grew_less(memory, 100 * 1024, "RssAnon")


# The log.


def test_repeated_lines_about_one_peer_are_limited_and_counted(host, mmproxy):
    for _ in range(300):
        connection = send(host, b"GET / HTTP/1.1\r\n\r\n")
        wait_until_ended(connection)
        connection.close()
    counters = mmproxy.wait_for_counter("sessions_closed_header_missing", 300)
    lines = mmproxy.log_lines("session: refused")
    assert 1 <= len(lines) <= 100
    assert counters["log_suppressed"] == 300 - len(lines)


def test_suppressed_lines_of_one_peer_do_not_hide_another(host, start_daemon):
    mmproxy = start_daemon(host)
    for _ in range(300):
        connection = send(host, b"GET / HTTP/1.1\r\n\r\n")
        wait_until_ended(connection)
        connection.close()
    mmproxy.wait_for_counter("log_suppressed", 1)
    other = host.connect(MMPROXY, source=("127.0.0.99", 0))
    other.sendall(b"SSH-2.0-x\r\n")
    wait_until_ended(other)
    mmproxy.wait_for_log(r"session: refused .*balancer=127\.0\.0\.99:")


def test_ordinary_sessions_of_one_balancer_are_all_logged(host, start_daemon):
    server = Server(host, echo)
    mmproxy = start_daemon(host, top={"log": {"level": "info"}})
    for client in clients(200):
        connection = send(host, v2(client))
        connection.shutdown(socket.SHUT_WR)
        assert read_to_end(connection) == (b"", EOF)
        connection.close()
    mmproxy.wait_for_counter("sessions_closed_finished", 200)
    seen = {line["client"] for line in mmproxy.log_lines("session: closed")}
    assert seen == {f"{address}:{port}" for address, port in clients(200)}
    server.close()
