# SPDX-License-Identifier: MIT
"""A reset on one side becomes a reset on the other, behind every byte that was sent before it."""

import os
import socket

import pytest

from headers import CLIENT4, v2
from sessions import either_side, ends, open_session, send
from traffic import (
    EOF,
    RESET,
    Background,
    fill,
    read_to_end,
    reset,
    wait_until_ended,
    wait_until_sent,
)
from waiting import wait_until

MIB = 1 << 20


@either_side
def test_a_reset_is_passed_on_as_a_reset(side, host, mmproxy, upstream):
    first, second = ends(open_session(host, upstream), side)
    mmproxy.wait_until_idle()
    reset(first)
    assert wait_until_ended(second) == RESET
    assert mmproxy.wait_for_log("session: closed")["reason"] == f"{side}-reset"


@either_side
@pytest.mark.parametrize("size", [1, 65536, 4 * MIB])
def test_a_reset_loses_no_byte_sent_before_it(side, size, host, mmproxy, upstream):
    first, second = ends(open_session(host, upstream), side)
    mmproxy.wait_until_idle()  # a client that leaves before the upstream has answered is let go
    data = os.urandom(size)
    reader = Background(read_to_end, second)
    first.sendall(data)
    wait_until_sent(first)
    reset(first)
    received, end = reader.result()
    assert len(received) == len(data)
    assert received == data
    assert end == RESET


@either_side
@pytest.mark.parametrize("size", [1000, 60000, 300000])
def test_a_reset_waits_behind_data_not_read_yet(side, size, host, mmproxy, upstream):
    """The reader begins when the sender is long gone."""
    first, second = ends(open_session(host, upstream), side)
    data = os.urandom(size)
    first.sendall(data)
    wait_until_sent(first)
    mmproxy.wait_until_idle()
    reset(first)
    mmproxy.wait_until_idle()
    received, end = read_to_end(second)
    assert len(received) == len(data)
    assert received == data
    assert end == RESET


def test_an_upstream_that_answers_and_resets_before_anyone_looks_is_heard(
    host, mmproxy, upstream
):
    """mmproxy finds the new connection, the answer and the reset at the same moment."""
    host.nft(
        "add table inet t\nadd chain inet t in { type filter hook input priority 0; }\n"
        "add rule inet t in tcp dport 443 drop\n"
    )
    connection = send(host, v2(CLIENT4))
    mmproxy.wait_until_idle()
    # The SYN is lost; the kernel sends it again while mmproxy is stopped.
    with mmproxy.halted():
        host.nft("delete table inet t")
        accepted, _ = upstream.accept()
        accepted.sendall(b"go away\n")
        wait_until_sent(accepted)
        reset(accepted)
    assert read_to_end(connection) == (b"go away\n", RESET)
    assert mmproxy.wait_for_log("session: (closed|failed)")["reason"] == "upstream-reset"


@either_side
def test_a_reset_while_the_other_side_sends_ends_both(side, host, mmproxy, upstream):
    for number in range(20):
        first, second = ends(open_session(host, upstream, (CLIENT4[0], 20000 + number)), side)
        mmproxy.wait_until_idle()
        fill(second, limit=4 * MIB)
        reset(first)
        assert wait_until_ended(second) == RESET
    mmproxy.wait_for_counter(f"sessions_closed_{side}_reset", 20)


@either_side
def test_a_reset_after_a_half_close_is_passed_on(side, host, mmproxy, upstream):
    first, second = ends(open_session(host, upstream), side)
    first.shutdown(socket.SHUT_WR)
    assert read_to_end(second) == (b"", EOF)
    reset(first)

    def writing_fails():
        try:
            second.send(b"x")
        except (BrokenPipeError, ConnectionResetError):
            return True
        return False

    wait_until(writing_fails, 10, "the other end is reset")
