# SPDX-License-Identifier: MIT
"""UDP over links that lose, reorder, delay, repeat and damage packets: what arrives is what that client
has sent, and no more copies of it than the link has made."""

import collections
import contextlib
import os
import socket
import struct

import pytest

from bad_link import (  # noqa: F401
    FAULTS,
    RIGHT4,
    Machines,
    assert_happened,
    faults,
    machines,
    places,
    put,
)
from headers import spp
from udp import Balancer, framings
from upstreams import SO_RCVBUFFORCE, Datagrams
from waiting import steady, wait_until

# Clients of either family, and what each sends. The largest goes in fragments.
CLIENTS = [("203.0.113.9", 41000 + number) for number in range(3)]
CLIENTS += [("2001:db8:c::9", 42000 + number) for number in range(3)]
SIZES = [40, 400, 1400, 4000]
COUNT = 100

# The share of a client's datagrams that must arrive: loss and damage take some on each way, and a
# fragment takes the whole.
LEAST = 0.6


def datagrams_of(client, way):
    """Random, each with its number; no two of any client's are alike."""
    return [
        struct.pack("!HI", client[1], number) + way + os.urandom(SIZES[number % len(SIZES)])
        for number in range(COUNT)
    ]


class Site:
    """mmproxy and its upstreams, somewhere about the bad link; a balancer with a socket a client."""

    def __init__(self, machines, where, framing, start_udp):
        place = getattr(machines, where)()
        self.mmproxy = start_udp(place.proxy, framing, **place.listener)
        self.upstreams = {
            family: Datagrams(place.server, address) for family, address in place.upstream.items()
        }
        self.balancers = {
            client: Balancer(place.balancer, framing, place.to[4 + 2 * (number % 2)])
            for number, client in enumerate(CLIENTS)
        }

    def upstream(self, client):
        return self.upstreams[6 if ":" in client[0] else 4].socket


@pytest.fixture
def site(machines, start_udp):
    return lambda where, framing: Site(machines, where, framing, start_udp)


def drain(sockets):
    """All that comes until nothing more does: [(socket, bytes, peer)]."""
    came = []

    def receive():
        for each in sockets:
            # Of a datagram that is damaged, only the call that would read it finds out.
            each.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    came.append((each, *each.recvfrom(65536)))
            each.settimeout(10)
        return len(came)

    steady(receive, 0.2, 30, "nothing more arrives")
    return came


def settle(machines, mmproxy):
    """Whatever was sent has left the link, and been dealt with, on whichever side mmproxy is."""

    def settled():
        mmproxy.wait_until_idle()
        before = machines.link.counts()
        mmproxy.wait_until_idle()
        return before["waiting"] == 0 and machines.link.counts() == before

    wait_until(settled, 15, "the link is empty and stays so")


def assert_own_and_no_more(arrived, sent, duplicated):
    """`arrived` and `sent` are lists by client. Packets that the link has doubled may be fragments:
    those make no second datagram."""
    extra = 0
    for client in CLIENTS:
        copies = collections.Counter(arrived[client])
        assert copies.keys() <= set(sent[client]), f"{client} has what it was not sent"
        assert len(copies) >= LEAST * len(sent[client]), f"{client}: {len(copies)}"
        assert max(copies.values()) <= 2
        extra += sum(copies.values()) - len(copies)
    assert extra <= duplicated
    return extra


def what_arrives(seed):
    """Of numbered datagrams over the bare link."""
    machines = Machines(seed)
    try:
        machines.link.set("right", loss=10, duplicate=10, corrupt=10)
        sender = machines.left.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver = machines.right.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        receiver.bind((RIGHT4, 0))
        for number in range(300):
            sender.sendto(b"%d" % number, receiver.getsockname())

        def passed():
            counts = machines.link.counts()
            return counts["right_received"] == 300 and counts["waiting"] == 0

        wait_until(passed, 15, "all have come to the link and left it")
        return [payload for _, payload, _ in drain([receiver])]
    finally:
        machines.destroy()


def test_the_same_seed_makes_the_same_faults():
    first = what_arrives(7)
    assert 150 < len(first) < 300 and len(set(first)) < len(first)
    assert what_arrives(7) == first
    assert what_arrives(8) != first


@faults
@framings
@places
def test_what_arrives_is_the_clients_own(where, framing, fault, machines, site):
    made = site(where, framing)
    # Where only the first datagram has a header, there would be no flow without it.
    for client, balancer in made.balancers.items():
        balancer.send(client, b"hello")
    # The link is good as yet, so all of them come.
    hellos = []
    for upstream in made.upstreams.values():
        hellos += [upstream.receive() for _ in range(len(CLIENTS) // len(made.upstreams))]
    assert sorted(peer for _, peer in hellos) == sorted(CLIENTS)
    put(machines, fault)

    sent = {client: datagrams_of(client, b"there") for client in CLIENTS}
    for number in range(COUNT):
        for client, balancer in made.balancers.items():
            balancer.send(client, sent[client][number])
    settle(machines, made.mmproxy)
    arrived = collections.defaultdict(list)
    for _, payload, peer in drain([each.socket for each in made.upstreams.values()]):
        arrived[peer[:2]].append(payload)
    assert set(arrived) == set(CLIENTS)
    extra = assert_own_and_no_more(arrived, sent, machines.link.counts()["right_duplicated"])

    answers = {client: datagrams_of(client, b"back") for client in CLIENTS}
    for number in range(COUNT):
        for client in CLIENTS:
            made.upstream(client).sendto(answers[client][number], client)
    settle(machines, made.mmproxy)
    arrived = collections.defaultdict(list)
    clients = {balancer.socket: client for client, balancer in made.balancers.items()}
    for owner, payload, _ in drain(list(clients)):
        header = spp(clients[owner]) if framing == "spp" else b""
        assert payload.startswith(header)
        arrived[clients[owner]].append(payload[len(header) :])
    extra += assert_own_and_no_more(
        arrived, answers, machines.link.counts()["left_duplicated"]
    )
    # Three of four are single packets: a link that doubles some has doubled whole datagrams.
    assert (extra > 0) == ("duplicate" in FAULTS[fault][0])
    assert_happened(machines, fault, "Udp")
    counters = made.mmproxy.counters()
    assert counters["sessions_accepted"] == len(CLIENTS)
    dropped = {name for name, value in counters.items() if "dropped" in name and value}
    # The kernel's count is one of all that a socket did not take: of damaged ones, too.
    assert dropped <= ({"datagrams_dropped_queue"} if "corrupt" in FAULTS[fault][0] else set())
