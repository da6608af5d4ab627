# SPDX-License-Identifier: MIT
"""TCP over links that lose, reorder, delay, repeat and damage packets: every byte arrives, in order,
and the end that was sent is the end that comes, on either side of mmproxy.

The kernel's TCP mends the link. What is tested is that mmproxy makes no assumption that only a good
link fulfils: that a header comes in one piece, that an end comes soon, that both sides are equally fast.
"""

import hashlib
import os
import re
import socket

import pytest

from bad_link import DEVICE, assert_happened, faults, machines, places, put  # noqa: F401
from headers import NOOP, tlv, v1, v2
from network import family_of
from traffic import (
    EOF,
    RESET,
    Background,
    hash_to_end,
    read_exactly,
    read_to_end,
    reset,
    send_and_finish,
)
from upstreams import Listener
from waiting import wait_until

KIB = 1 << 10

# Lost SYNs are repeated after 1, 3, 7 and 15 seconds.
PATIENT = {"connect_timeout": 40.0, "header_timeout": 40.0}

# The link's family, the header's version, the client.
CLIENTS = [
    (4, v1, ("203.0.113.9", 41001)),
    (6, v2, ("203.0.113.9", 41002)),
    (6, v1, ("2001:db8:c::9", 41003)),
    (4, v2, ("2001:db8:c::9", 41004)),
]

TCP_MAXSEG = 2


class Site:
    """mmproxy and its upstreams, somewhere about the bad link."""

    def __init__(self, machines, where, start_daemon):
        self.place = getattr(machines, where)()
        self.mmproxy = start_daemon(self.place.proxy, **self.place.listener, **PATIENT)
        self.upstreams = [
            Listener(self.place.server, address) for address in self.place.upstream.values()
        ]

    def connect(self, family, segment=None):
        """The balancer's connection, not waited for longer than a few lost SYNs."""
        made = self.place.balancer.socket(family_of(self.place.to[family][0]))
        made.settimeout(50)
        if segment is not None:
            made.setsockopt(socket.IPPROTO_TCP, TCP_MAXSEG, segment)
        made.connect(self.place.to[family])
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def open(self, clients=CLIENTS, segment=None, **header):
        """A session for each client, all opened at the same time: [(its end, upstream's end)]."""
        opened = [
            (client, Background(self._open_one, family, make, client, segment, header))
            for family, make, client in clients
        ]
        accepted = {}
        for _ in clients:
            made, peer = self._accept()
            made.settimeout(50)
            accepted[peer] = made
        return [(background.result(), accepted[client]) for client, background in opened]

    def _open_one(self, family, make, client, segment, header):
        connection = self.connect(family, segment)
        connection.sendall(make(client, **header))
        return connection

    def _accept(self):
        wait_until(lambda: self._ready(), 50, "a connection reaches the upstream")
        return self._ready()[0].accept()

    def _ready(self):
        return [each for each in self.upstreams if each.has_connection()]

    def assert_finished(self, count):
        self.mmproxy.assert_closed("finished", count)


@pytest.fixture
def site(machines, start_daemon):
    return lambda where: Site(machines, where, start_daemon)


def exchange(sessions, size):
    """Random bytes both ways through all sessions at once, each to its end."""
    running = []
    for session in sessions:
        for sender, receiver in (session, reversed(session)):
            data = os.urandom(size)
            running.append((
                (hashlib.sha256(data).hexdigest(), size, EOF),
                Background(send_and_finish, sender, data),
                Background(hash_to_end, receiver),
            ))
    for expected, sending, receiving in running:
        assert receiving.result() == expected
        sending.result()


@faults
@places
def test_every_byte_arrives_both_ways(where, fault, machines, site):
    made = site(where)
    put(machines, fault)
    exchange(made.open(), 512 * KIB)
    made.assert_finished(len(CLIENTS))
    assert_happened(machines, fault, "Tcp")


@places
def test_random_loss_by_a_packet_filter(where, machines, site):
    """The same without the tool: nftables drops three packets of a hundred, at random.

    Where they arrive: to the sender of a SYN-ACK that its own host drops it is no loss but an error, and
    it gives the connection up.
    """
    made = site(where)
    hosts = (machines.left, machines.right)
    for host in hosts:
        host.nft(
            "table inet loss {\n"
            " counter lost { }\n"
            " chain in { type filter hook prerouting priority 0;"
            f' iif "{DEVICE}" numgen random mod 100 < 3 counter name lost drop; }}\n'
            "}\n"
        )
    exchange(made.open(), 512 * KIB)
    made.assert_finished(len(CLIENTS))
    for host in hosts:
        listed = host.run(["nft", "list", "counters"]).stdout
        assert re.search(r"packets [1-9]", listed), listed


@pytest.mark.parametrize("fault", ["loss", "reorder", "all"])
def test_a_header_in_many_segments(fault, machines, site):
    """Of 88 bytes, the least that Linux lets a program choose. A v1 line takes one or two; the v2
    header is filled up to 3000 bytes and takes 34."""
    made = site("at_balancer")
    put(machines, fault)
    padding = tlv(NOOP, bytes(2900))
    clients = [entry for entry in CLIENTS if entry[1] is v2]
    sessions = made.open(clients, segment=88, tlvs=padding)
    sessions += made.open([entry for entry in CLIENTS if entry[1] is v1], segment=88)
    exchange(sessions, 32 * KIB)
    made.assert_finished(len(CLIENTS))
    assert_happened(machines, fault, "Tcp")


@pytest.mark.parametrize("first", ["client", "upstream"])
@places
def test_a_half_close_under_loss(where, first, machines, site):
    """One side ends, and gets all that the other one sends after that."""
    made = site(where)
    put(machines, "all")
    for connection, accepted in made.open():
        one, other = (connection, accepted) if first == "client" else (accepted, connection)
        question, answer = os.urandom(64 * KIB), os.urandom(128 * KIB)
        Background(send_and_finish, one, question)
        assert read_to_end(other) == (question, EOF)
        Background(send_and_finish, other, answer)
        assert read_to_end(one) == (answer, EOF)
    made.assert_finished(len(CLIENTS))
    assert_happened(machines, "all", "Tcp")


@pytest.mark.parametrize("side", ["client", "upstream"])
@places
def test_a_reset_under_loss(where, side, machines, site):
    """One side resets in the middle of what both send. What arrives at the other one is a beginning of
    what was sent, and then a reset: nothing that looks like a good end. The reset itself may come late
    or twice, but is not lost: nobody would repeat it."""
    made = site(where)
    for session in made.open():
        one, other = session if side == "client" else reversed(session)
        sent = os.urandom(512 * KIB)
        Background(other.sendall, os.urandom(512 * KIB))
        reading = Background(read_exactly, one, 512 * KIB)
        received = Background(read_to_end, other)
        put(machines, "all")
        one.sendall(sent)
        reading.result()
        machines.link.set(loss=0, corrupt=0)
        reset(one)
        data, end = received.result()
        assert end == RESET
        assert sent.startswith(data)
    made.mmproxy.wait_for_counter(f"sessions_closed_{side}_reset", len(CLIENTS))
    assert_happened(machines, "all", "Tcp")
