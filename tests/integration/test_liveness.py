# SPDX-License-Identifier: MIT
"""Who counts as alive: a peer that is idle or slow does, one that acknowledges nothing does not."""

import os
import time

from headers import CLIENT4, v2
from sessions import either_side, ends, open_session, send, unused_client
from traffic import EOF, RESET, Background, read_exactly, read_to_end, send_and_finish
from traffic import wait_until_ended
from upstreams import Server, echo

MIB = 1 << 20
WAYS = ("sport", "dport")


def time_until_ended(connection, began):
    wait_until_ended(connection)
    return time.monotonic() - began


def cut_off(host, *ports):
    """From now on nothing passes between mmproxy and the other end of these ports."""
    rules = [f"add rule inet t in tcp {way} {port} drop\n" for port in ports for way in WAYS]
    host.nft(
        "add table inet t\nadd chain inet t in { type filter hook input priority 0; }\n"
        + "".join(rules)
    )


@either_side
def test_a_side_that_acknowledges_nothing_is_given_up_after_user_timeout(
    side, host, start_daemon, upstream
):
    mmproxy = start_daemon(host, user_timeout=1.0)
    silent, other = ends(open_session(host, upstream), side)
    mmproxy.wait_until_idle()
    cut_off(host, 8443 if side == "client" else 443)
    began = time.monotonic()
    other.sendall(b"is anybody there?")
    assert wait_until_ended(other) == RESET
    # The kernel looks when it would send again, so it may be late by one such interval.
    assert 0.9 <= time.monotonic() - began <= 3.5
    assert mmproxy.wait_for_log("session: closed")["reason"] == f"{side}-unresponsive"


def test_keepalive_finds_a_side_that_left_without_a_word(host, start_daemon, upstream):
    mmproxy = start_daemon(host, keepalive=1.0, user_timeout=2.0)
    gone_client = open_session(host, upstream)
    gone_upstream = open_session(host, upstream, (CLIENT4[0], 41001))
    mmproxy.wait_until_idle()
    cut_off(host, gone_client[0].getsockname()[1], 41001)
    assert wait_until_ended(gone_client[1], timeout=30) == RESET
    assert wait_until_ended(gone_upstream[0], timeout=30) == RESET
    mmproxy.wait_for_log("session: closed .*reason=client-unresponsive client=203.0.113.9:41000")
    mmproxy.wait_for_log("session: closed .*reason=upstream-unresponsive client=203.0.113.9:41001")


@either_side
def test_a_reader_that_pauses_longer_than_user_timeout_is_left_alone(
    side, host, start_daemon, upstream
):
    """It still acknowledges: user_timeout is for peers that have gone silent."""
    mmproxy = start_daemon(host, user_timeout=1.0)
    host.shrink_buffers(65536)
    reader, writer = ends(open_session(host, upstream), side)
    data = os.urandom(4 * MIB)
    sender = Background(send_and_finish, writer, data)
    mmproxy.wait_until_idle()
    time.sleep(3.5)  # the pause is what is tested, not a wait for something
    assert sender.running()
    received, end = read_to_end(reader)
    assert (len(received), end) == (len(data), EOF)
    assert received == data
    sender.result()


def stays_busy(talker, listener, idle_timeout):
    """Has a byte go from one to the other five times an `idle_timeout`, and for twice as long as
    one. False: the machine has paused for so long that the session may have ended for it."""
    began = last = time.monotonic()
    while last - began < 2 * idle_timeout:
        sent = time.monotonic()
        try:
            talker.sendall(b"y")
            assert read_exactly(listener, 1) == b"y"
        except (AssertionError, ConnectionError):
            if time.monotonic() - last < 0.8 * idle_timeout:
                raise
            return False
        last = sent
        time.sleep(0.2 * idle_timeout)
    return True


def test_an_idle_session_ends_after_idle_timeout_and_a_busy_one_does_not(host, start_daemon):
    server = Server(host, echo)
    mmproxy = start_daemon(host, idle_timeout=1.0)
    busy_stayed = False
    while not busy_stayed:
        before = mmproxy.log_size()
        busy = send(host, v2((CLIENT4[0], 41001)))
        began = time.monotonic()
        idle = send(host, v2(CLIENT4) + b"x")
        assert read_exactly(idle, 1) == b"x"
        end = Background(time_until_ended, idle, began)
        busy_stayed = stays_busy(busy, busy, 1.0)
        assert end.result() >= 0.8
        busy.close()
    # The timeout ended the idle one, and this test the other.
    mmproxy.wait_for_log("session: closed .*reason=finished client=203.0.113.9:41001", after=before)
    idle_line = mmproxy.wait_for_log("session: closed .*client=203.0.113.9:41000", after=before)
    assert idle_line["reason"] == "idle-timeout"
    server.close()


@either_side
def test_traffic_one_way_is_enough_to_be_busy(side, host, start_daemon, upstream):
    start_daemon(host, idle_timeout=1.0)
    # A session that has ended may still be ending at its upstream.
    while not stays_busy(*ends(open_session(host, upstream, unused_client()), side), 1.0):
        pass


def test_a_session_without_idle_timeout_stays(host, start_daemon, upstream):
    start_daemon(host, header_timeout=1.0, connect_timeout=1.0, user_timeout=1.0)
    connection = send(host, v2(CLIENT4))
    accepted, _ = upstream.accept()
    time.sleep(1.5)  # longer than every other timeout
    connection.sendall(b"still here")
    assert read_exactly(accepted, 10) == b"still here"


def test_an_idle_timeout_in_the_middle_of_a_stream_does_not_look_like_its_end(
    host, start_daemon, upstream
):
    """A reader that stopped for idle_timeout gets what had arrived, then a reset: never a FIN."""
    host.shrink_buffers()
    mmproxy = start_daemon(host, idle_timeout=0.5)
    received = b""
    while not received:  # nothing has arrived of a stream that begins after the timeout
        before = mmproxy.log_size()
        # The one before may still be ending at its upstream.
        connection, accepted = open_session(host, upstream, unused_client())
        sent = Background(send_until_reset, accepted)
        line = mmproxy.wait_for_log("session: closed", after=before)
        assert line["reason"] == "idle-timeout"
        sent.result()
        received, end = read_to_end(connection)
    assert end == RESET


def send_until_reset(connection):
    try:
        while True:
            connection.sendall(bytes(65536))
    except ConnectionError:
        return
