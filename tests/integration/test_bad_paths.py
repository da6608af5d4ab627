# SPDX-License-Identifier: MIT
"""Paths whose MTU is small, or changes under a transfer, or is known to a router alone."""

import hashlib
import os
import socket
import threading

import pytest

from bad_link import DEVICE, Machines, machines, places  # noqa: F401
from headers import CLIENT4, CLIENT6, v2
from network import Namespace, next_cable_index
from test_bad_links import CLIENTS, site  # noqa: F401
from traffic import Background, read_exactly
from udp import Balancer, answer, both_families, framings, question, round_trip
from upstreams import Datagrams, Listener
from waiting import wait_until

KIB = 1 << 10
MIB = 1 << 20

CHANGES = pytest.mark.parametrize(
    "sizes", [(1500, 1280, 9000), (9000, 1280, 1500)], ids=["small_then_large", "large_then_small"]
)


class Flow:
    """One direction of a session: random bytes in pieces, and what has arrived of them. The last
    piece leaves when it is told to `finish`."""

    PIECE = 1 * MIB

    def __init__(self, sender, receiver, pieces):
        self.arrived = 0
        self.finish = threading.Event()
        self._sent, self._received = hashlib.sha256(), hashlib.sha256()
        self._receiver = Background(self._receive, receiver)
        self._sender = Background(self._send, sender, pieces)

    def _send(self, sender, pieces):
        for left in reversed(range(pieces)):
            if left == 0:
                self.finish.wait(60)
            piece = os.urandom(self.PIECE)
            self._sent.update(piece)
            sender.sendall(piece)
        sender.shutdown(socket.SHUT_WR)

    def _receive(self, receiver):
        while piece := receiver.recv(65536):
            self._received.update(piece)
            self.arrived += len(piece)

    def assert_exact(self, size):
        self._sender.result()
        self._receiver.result()
        assert self.arrived == size
        assert self._received.digest() == self._sent.digest()


@CHANGES
@places
def test_the_mtu_changes_in_the_middle_of_a_transfer(where, sizes, machines, site):
    machines.set_mtu(sizes[0])
    made = site(where)
    # Slow enough that the changes come in the middle; and after them there is more, at any rate.
    machines.link.set(rate=80000)
    flows = []
    for session in made.open():
        flows += [Flow(*session, len(sizes)), Flow(*reversed(session), len(sizes))]
    whole = len(sizes) * Flow.PIECE
    for part, size in zip((0.2, 0.5), sizes[1:]):
        goal = part * whole * len(flows)
        wait_until(lambda: sum(flow.arrived for flow in flows) >= goal, 50, "a part has arrived")
        machines.set_mtu(size)
    machines.link.set(rate=0)
    for flow in flows:
        flow.finish.set()
        flow.assert_exact(whole)
    made.assert_finished(len(CLIENTS))


@CHANGES
@framings
@places
def test_datagrams_of_any_size_pass_when_the_mtu_changes(
    where, framing, sizes, machines, start_udp
):
    """Many of one size at once: mmproxy has the kernel cut them out of one piece as long as a packet
    is large enough for one, and sends them one by one, in fragments, when it is not."""
    place = getattr(machines, where)()
    mmproxy = start_udp(place.proxy, framing, **place.listener)
    for client in CLIENT4, CLIENT6:
        family = 6 if ":" in client[0] else 4
        upstream = Datagrams(place.server, place.upstream[family])
        balancer = Balancer(place.balancer, framing, place.to[family])
        for mtu in sizes:
            machines.set_mtu(mtu)
            for size in 100, 1250, 1400, 3000:
                burst = [os.urandom(size) for _ in range(20)]
                for payload in burst:
                    balancer.send(client, payload)
                assert [upstream.receive() for _ in burst] == [(each, client) for each in burst]
                for payload in burst:
                    upstream.send(payload, client)
                assert [balancer.receive(client) for _ in burst] == burst
    assert not [name for name, value in mmproxy.counters().items() if "dropped" in name and value]


# A router on the way, which alone knows how small the next link is.

FAR4, FAR6 = "198.18.7.2", "2001:db8:7::2"
NEAR4, NEAR6 = "198.18.7.1", "2001:db8:7::1"


class Routed:
    """balancer and mmproxy, a bad link, a router, an upstream. What is larger than 1280 bytes the
    router does not pass on, and says so by ICMP, in its own name."""

    def __init__(self):
        self.machines = Machines()
        self.proxy, self.router = self.machines.left, self.machines.right
        self.far = None
        try:
            self.far = Namespace("far")
            self._connect()
        except BaseException:
            self.destroy()
            raise

    def _connect(self):
        index = next_cable_index()
        self.router.ip(
            f"link add inner index {index} type veth"
            f" peer name outer index {index + 1} netns {self.far.name}\n"
            f"addr add {NEAR4}/24 dev inner\naddr add {NEAR6}/64 dev inner nodad\n"
            f"link set inner up\n"
            f"route add {FAR4} dev inner mtu lock 1280\n"
            f"route add 203.0.113.0/24 dev {DEVICE}\n"
        )
        self.router.ip(
            f"route add {FAR6} dev inner mtu lock 1280\nroute add 2001:db8:c::/64 dev {DEVICE}\n",
            "-6",
        )
        self.router.sysctl("net.ipv4.ip_forward", 1)
        self.router.sysctl("net.ipv6.conf.all.forwarding", 1)
        self.far.ip(
            f"addr add {FAR4}/24 dev outer\naddr add {FAR6}/64 dev outer nodad\nlink set outer up\n"
            f"route add default via {NEAR4}\n"
        )
        self.far.ip(f"route add default via {NEAR6}\n", "-6")
        for family, far in ("-4", FAR4), ("-6", FAR6):
            self.proxy.ip(
                f"route add {far} dev {DEVICE}\n"
                f"rule add from {far} iif {DEVICE} table 123\n"
                "route add local default dev lo table 123\n",
                family,
            )

    def deliver_errors(self):
        """ICMP comes from the router, whom no rule about the upstream's answers is about."""
        self.proxy.ip(f"rule add ipproto icmp iif {DEVICE} table 123\n")
        self.proxy.ip(f"rule add ipproto ipv6-icmp iif {DEVICE} table 123\n", "-6")

    @property
    def forward(self):
        return {"ipv4": f"{FAR4}:443", "ipv6": f"[{FAR6}]:443"}

    def destroy(self):
        if self.far is not None:
            self.far.destroy()
        self.machines.destroy()


@pytest.fixture
def routed():
    made = Routed()
    yield made
    made.destroy()


def far_of(client):
    return (FAR6 if ":" in client[0] else FAR4, 443)


@both_families
def test_tcp_learns_the_mtu_of_the_path_from_a_router(client, routed, start_daemon):
    routed.deliver_errors()
    start_daemon(routed.proxy, forward=routed.forward)
    upstream = Listener(routed.far, far_of(client))
    connection = routed.proxy.connect(("127.0.0.1", 8443))
    data = os.urandom(256 * KIB)
    sending = Background(connection.sendall, v2(client) + data)
    accepted, peer = upstream.accept()
    assert peer == client
    assert read_exactly(accepted, len(data)) == data
    sending.result()


@both_families
def test_udp_learns_the_mtu_of_the_path_from_a_router(client, routed, start_udp):
    """The datagram that is too large is the router's to drop. Those that come after it go in
    fragments, and none is lost for the error that came in between."""
    routed.deliver_errors()
    mmproxy = start_udp(routed.proxy, forward=routed.forward)
    upstream = Datagrams(routed.far, far_of(client))
    balancer = Balancer(routed.proxy)
    assert round_trip(balancer, upstream, client) == client
    balancer.send(client, bytes(1400))
    mmproxy.wait_for_counter("datagrams_from_client", 2)
    mmproxy.wait_for_counter("upstream_icmp_errors")
    for size in 100, 1400, 100, 3000:
        payload = os.urandom(size)
        assert question(balancer, upstream, client, payload) == client
        answer(balancer, upstream, client, client, payload)
    counters = mmproxy.counters()
    assert not [name for name, value in counters.items() if "dropped" in name and value]
