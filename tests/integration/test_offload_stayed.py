# SPDX-License-Identifier: MIT
"""Sessions that the kernel cannot carry stay relays, work, and are counted by the reason."""

import socket
import struct

import pytest

from headers import CLIENT6, v2
from offload_hosts import PORT, UPSTREAM_PORT, Behind, stayed
from offload_life import open_through, shown
from sessions import assert_alive, unused_client
from traffic import read_exactly
from upstreams import Listener
from waiting import wait_until

pytest_plugins = ["offload_hosts"]


class _Scene:
    """A balancer behind an interface, mmproxy, an upstream beside it."""

    def __init__(self, place, start_offload):
        self.place = place(Behind)
        self.host, self.balancer = self.place.host, self.place.balancer
        self._start = start_offload

    def start(self, **changes):
        self.mmproxy = self._start(self.host, **self.place.listener(**changes))
        return self.mmproxy

    def listen(self, address="127.0.0.1", namespace=None):
        return Listener(namespace or self.host, (address, UPSTREAM_PORT))

    def open(self, upstream, **where):
        return open_through(
            where.pop("balancer", self.balancer), upstream, to=(self.place.to[4], PORT), **where
        )

    def assert_stays(self, session, reason):
        """It is tried, counted once for this reason, and goes on."""

        def judged():
            assert_alive(*session)
            return stayed(self.mmproxy.counters())

        assert wait_until(judged, 20, f"it stays: {reason}") == {reason: 1}
        assert [found["state"] for found in shown(self.mmproxy)] == ["relay"]
        session[0].sendall(b"x" * 500000)
        read_exactly(session[1], 500000)


@pytest.fixture
def scene(place, start_offload):
    return _Scene(place, start_offload)


@pytest.mark.parametrize(
    "name, value, reason",
    [("tcp_timestamps", 0, "timestamps"), ("tcp_sack", 0, "sack"), ("tcp_ecn", 1, "ecn")],
)
def test_what_only_the_balancer_negotiates(name, value, reason, scene):
    scene.balancer.sysctl(f"net.ipv4.{name}", value)
    scene.start()
    scene.assert_stays(scene.open(scene.listen()), reason)


def test_what_neither_has_keeps_nobody(scene):
    scene.start()
    for namespace in scene.host, scene.balancer:
        for name in "tcp_timestamps", "tcp_sack":
            namespace.sysctl(f"net.ipv4.{name}", 0)
    session = scene.open(scene.listen())

    def carried():
        assert_alive(*session)
        return shown(scene.mmproxy)[0]["state"] == "offloaded"

    wait_until(carried, 20, "it goes over")
    session[0].sendall(b"x" * 500000)
    read_exactly(session[1], 500000)
    assert stayed(scene.mmproxy.counters()) == {}


def test_urgent_data(scene):
    scene.start()
    session = scene.open(scene.listen())
    session[0].send(b"!", socket.MSG_OOB)
    session[1].setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    assert read_exactly(session[1], 1) == b"!"
    scene.assert_stays(session, "urgent")


# An option for experiments (RFC 4727): its number, its length, two bytes.
EXPERIMENT = b"\xfd\x04??"


def strange_segment(connection):
    """Of the connection's two ports and addresses, and of no interest to it otherwise."""
    (source, from_port), (destination, to_port) = connection.getsockname(), connection.getpeername()
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    acknowledges = (20 + len(EXPERIMENT)) // 4 << 12 | 0x10
    made = struct.pack(">HHIIHHHH", from_port, to_port, 0, 0, acknowledges, 0, 0, 0) + EXPERIMENT
    summed = addresses + struct.pack(">HH", socket.IPPROTO_TCP, len(made)) + made
    total = sum(word for (word,) in struct.iter_unpack(">H", summed))
    total = (total & 0xFFFF) + (total >> 16)
    return made[:16] + struct.pack(">H", 0xFFFF - total % 0xFFFF) + made[18:]


def test_an_option_that_nobody_knows(scene):
    scene.start()
    connection, accepted = scene.open(scene.listen())
    raw = scene.balancer.socket(kind=socket.SOCK_RAW, protocol=socket.IPPROTO_TCP)

    def judged():
        # mmproxy is asked first: what it does after a byte has been passed on is done then.
        assert len(shown(scene.mmproxy)) == 1
        raw.sendto(strange_segment(connection), connection.getpeername())
        connection.sendall(b"x")
        assert read_exactly(accepted, 1) == b"x"
        return stayed(scene.mmproxy.counters())

    assert wait_until(judged, 20, "it stays") == {"options": 1}
    assert_alive(connection, accepted)


def test_the_kernels_tables_are_full(scene, pins):
    scene.start()
    upstream = scene.listen()
    filled = pins.fill("sessions", 1 << 17)
    scene.assert_stays(scene.open(upstream), "full")
    pins.empty("sessions", filled)
    later = scene.open(upstream)

    def carried():
        assert_alive(*later)
        return [found["state"] for found in shown(scene.mmproxy)] == ["relay", "offloaded"]

    wait_until(carried, 20, "the next one goes over")


def test_the_kernel_refuses(scene, pins):
    scene.start()
    pins.freeze("places")
    scene.assert_stays(scene.open(scene.listen()), "error")


def test_a_loopback_upstream_that_packets_of_an_interface_do_not_reach(scene):
    scene.start()
    scene.host.sysctl("net.ipv4.conf.lo.route_localnet", 0)
    scene.assert_stays(scene.open(scene.listen()), "route")


def test_an_interface_without_the_program(scene):
    scene.start()
    done = scene.host.run(["tc", "filter", "del", "dev", "wire0", "ingress"])
    assert done.returncode == 0, done.stderr
    scene.assert_stays(scene.open(scene.listen()), "unseen")


def test_an_upstream_on_another_host(scene):
    """In the balancer's namespace, which is one."""
    other = "192.0.2.2"
    scene.host.ip(f"rule add from {other} iif wire0 table 123\n")
    scene.balancer.ip("route add 203.0.113.0/24 via 192.0.2.1\n")
    scene.start(forward={"ipv4": f"{other}:{UPSTREAM_PORT}"})
    upstream = scene.listen(other, scene.balancer)
    scene.assert_stays(scene.open(upstream), "remote")


def test_a_way_that_is_too_narrow(scene):
    """It was wider when the upstream was told how much fits."""
    scene.start()
    session = scene.open(scene.listen())
    scene.host.ip("route add 192.0.2.2/32 dev wire0 mtu lock 900\n")
    scene.assert_stays(session, "segment")


def test_legs_of_two_families(scene):
    scene.start()
    upstream = Listener(scene.host, ("::1", UPSTREAM_PORT))
    connection = scene.balancer.connect((scene.place.to[4], PORT))
    connection.sendall(v2(CLIENT6))
    accepted, _ = upstream.accept()
    scene.assert_stays((connection, accepted), "family")


def test_a_client_whose_port_was_replaced(scene):
    """Another session has it, which has not gone over: it has said nothing."""
    scene.start()
    upstream = scene.listen()
    client = unused_client()
    old = scene.open(upstream, client=client)
    connection = scene.balancer.connect((scene.place.to[4], PORT))
    connection.sendall(v2(client))
    accepted, peer = upstream.accept()
    assert peer != client

    def judged():
        assert_alive(connection, accepted)
        return stayed(scene.mmproxy.counters())

    assert wait_until(judged, 20, "it stays") == {"port": 1}
    old[0].close()


def test_one_whose_bytes_are_always_under_way(scene):
    """The upstream has room for a few, and reads none."""
    scene.start()
    upstream = scene.listen()
    upstream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection = scene.balancer.connect((scene.place.to[4], PORT))
    connection.sendall(v2(unused_client()) + b"x" * 100000)
    accepted, _ = upstream.accept()

    def judged():
        accepted.sendall(b"pong")
        assert read_exactly(connection, 4) == b"pong"
        return stayed(scene.mmproxy.counters())

    assert wait_until(judged, 20, "it stays") == {"busy": 1}
    assert read_exactly(accepted, 100000) == b"x" * 100000
    assert_alive(connection, accepted)


def test_one_that_is_half_closed(scene):
    scene.start()
    connection, accepted = scene.open(scene.listen())
    connection.shutdown(socket.SHUT_WR)
    assert accepted.recv(1) == b""

    def judged():
        accepted.sendall(b"pong")
        assert read_exactly(connection, 4) == b"pong"
        return stayed(scene.mmproxy.counters())

    assert wait_until(judged, 20, "it stays") == {"ending": 1}
