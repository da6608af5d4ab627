# SPDX-License-Identifier: MIT
"""Addresses and ports that come again while the kernel still carries a session of theirs."""

import socket

import pytest

from headers import v2
from offload_hosts import stayed
from offload_life import closed, hand_over, open_carried, open_through, shown
from sessions import MMPROXY, assert_alive, unused_client
from traffic import RESET, read_exactly, wait_until_ended, wait_until_sent

pytest_plugins = ["offload_hosts"]

SOURCE = ("127.0.0.1", 55000)


def test_a_client_that_comes_again_replaces_itself(host, upstream, start_offload):
    """By another connection of the balancer, as after a client's restart."""
    mmproxy = start_offload(host)
    client = unused_client()
    number, *old = open_carried(host, upstream, mmproxy, client=client)
    new = open_through(host, upstream, client=client)
    for end in old:
        assert wait_until_ended(end) == RESET
    assert closed(mmproxy, number)["reason"] == "replaced"
    assert_alive(*new)
    hand_over(host, mmproxy, new)
    assert len(shown(mmproxy)) == 1
    mmproxy.assert_closed("replaced")


def test_it_may_replace_one_with_bytes_on_their_way(host, upstream, start_offload):
    mmproxy = start_offload(host)
    client = unused_client()
    number, connection, accepted = open_carried(host, upstream, mmproxy, client=client)
    connection.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            connection.send(b"x" * 65536)
    new = open_through(host, upstream, client=client)
    assert wait_until_ended(connection) == RESET
    assert wait_until_ended(accepted) == RESET
    hand_over(host, mmproxy, new)
    assert closed(mmproxy, number)["reason"] == "replaced"


def test_another_workers_session_is_replaced_as_well(host, upstream, start_offload):
    mmproxy = start_offload(host, top={"workers": 2})
    client = unused_client()
    sessions = [open_carried(host, upstream, mmproxy, client=client)]
    for _ in range(8):
        sessions.append(open_carried(host, upstream, mmproxy, client=client))
    for number, *ends in sessions[:-1]:
        for end in ends:
            assert wait_until_ended(end) == RESET
        assert closed(mmproxy, number)["reason"] == "replaced"
    assert_alive(*sessions[-1][1:])
    mmproxy.assert_closed("replaced", 8)


def test_one_that_was_left_by_another_mmproxy_is_replaced(host, upstream, start_offload):
    first = start_offload(host)
    client = unused_client()
    number, *old = open_carried(host, upstream, first, client=client)
    first.stop()
    second = start_offload(host)
    new = open_through(host, upstream, client=client)
    for end in old:
        assert wait_until_ended(end) == RESET
    assert closed(second, number)["reason"] == "replaced"
    hand_over(host, second, new)


def test_a_client_that_comes_again_after_the_end_is_another(host, upstream, start_offload):
    """At once: late packets of the first still find their way."""
    mmproxy = start_offload(host)
    client = unused_client()
    number, connection, accepted = open_carried(host, upstream, mmproxy, client=client)
    connection.close()
    assert accepted.recv(1) == b""
    accepted.close()
    assert closed(mmproxy, number)["reason"] == "finished"
    new = open_through(host, upstream, client=client)
    hand_over(host, mmproxy, new)


def _vanish(connection, accepted):
    """Closes without a word, as a host that restarts: TCP_REPAIR. Nothing is on its way to it."""
    for end in (connection, accepted):
        wait_until_sent(end)
    connection.setsockopt(socket.IPPROTO_TCP, 19, 1)
    connection.close()


def test_a_balancer_that_uses_its_port_again_replaces_its_session(host, upstream, start_offload):
    mmproxy = start_offload(host)
    number, connection, accepted = open_carried(host, upstream, mmproxy, source=SOURCE)
    _vanish(connection, accepted)
    new = open_through(host, upstream, source=SOURCE)
    assert wait_until_ended(accepted) == RESET
    assert closed(mmproxy, number)["reason"] == "replaced"
    hand_over(host, mmproxy, new)
    assert_alive(*new)


def test_the_same_balancers_port_and_client_may_come_again(host, upstream, start_offload):
    mmproxy = start_offload(host)
    client = unused_client()
    number, connection, accepted = open_carried(
        host, upstream, mmproxy, source=SOURCE, client=client
    )
    _vanish(connection, accepted)
    new = open_through(host, upstream, source=SOURCE, client=client)
    assert wait_until_ended(accepted) == RESET
    assert closed(mmproxy, number)["reason"] == "replaced"
    hand_over(host, mmproxy, new)
    mmproxy.assert_closed("replaced")


def test_a_balancers_port_comes_again_after_an_orderly_end(host, upstream, start_offload):
    """Into what the kernel keeps for late packets."""
    mmproxy = start_offload(host)
    for _ in range(5):
        number, connection, accepted = open_carried(host, upstream, mmproxy, source=SOURCE)
        # The upstream's side first, so that the balancer's port is free at once.
        accepted.close()
        assert connection.recv(1) == b""
        connection.close()
        assert closed(mmproxy, number)["reason"] == "finished"
    assert stayed(mmproxy.counters()) == {}


def test_a_ipv4_session_of_a_dual_stack_listener_goes_over(host, upstream, start_offload):
    mmproxy = start_offload(host, listen="*:8443")
    number, connection, accepted = open_carried(host, upstream, mmproxy, to=MMPROXY)
    connection.sendall(b"x" * 100000)
    read_exactly(accepted, 100000)
    assert shown(mmproxy, number)["balancer"].startswith("127.0.0.1:")
    _vanish(connection, accepted)
    # Its place can be spoken from, though it was another kind of socket's.
    mmproxy.stop()
    second = start_offload(host, listen="*:8443")
    from control import request

    request(second, f"kill {number}")
    assert wait_until_ended(accepted) == RESET


def test_a_client_of_a_relayed_session_gets_another_port(host, upstream, start_offload):
    """Where the first is no session of the kernel's, the dial finds its address in use."""
    start_offload(host)
    client = unused_client()
    old = open_through(host, upstream, client=client)
    connection = host.connect(MMPROXY)
    connection.sendall(v2(client))
    _, peer = upstream.accept()
    assert peer[0] == client[0] and peer != client
    assert_alive(*old)
