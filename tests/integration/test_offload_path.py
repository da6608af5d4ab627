# SPDX-License-Identifier: MIT
"""What lies between a balancer and a session that the kernel carries: a router whose links get
smaller, and network cards that make checksums, or leave them to others."""

import contextlib
import ctypes
import fcntl
import hashlib
import os
import socket
import struct
import subprocess
import tempfile

import pytest

from headers import v2
from network import Namespace, next_cable_index
from traffic import Background, read_exactly
from upstreams import UPSTREAM4, UPSTREAM6, Listener
from waiting import wait_until

BALANCER4, BALANCER6 = "198.51.100.1", "2001:db8:5::1"
ROUTER4, ROUTER6 = "198.51.100.254", "2001:db8:5::fe"
GATEWAY4, GATEWAY6 = "192.0.2.254", "2001:db8:7::fe"
SERVER4, SERVER6 = "192.0.2.2", "2001:db8:7::2"

CLIENTS = [("203.0.113.9", 41000), ("2001:db8:c::9", 41000)]

MIB = 1 << 20
SMALL = 1280


class Routed:
    """balancer, router, server."""

    def __init__(self):
        self._made = []
        try:
            self.balancer = self._make("balancer")
            self.router = self._make("router")
            self.server = self._make("server")
            self._cable(self.balancer, "outside", BALANCER4, BALANCER6, "near", ROUTER4, ROUTER6)
            self._cable(self.server, "outside", SERVER4, SERVER6, "far", GATEWAY4, GATEWAY6)
            self.router.sysctl("net.ipv4.ip_forward", 1)
            self.router.sysctl("net.ipv6.conf.all.forwarding", 1)
            for end, gateway4, gateway6 in (
                (self.balancer, ROUTER4, ROUTER6),
                (self.server, GATEWAY4, GATEWAY6),
            ):
                end.ip(f"route add default via {gateway4}\n")
                end.ip(f"route add default via {gateway6}\n", "-6")
            self.server.add_return_path()
            # What was the balancer's goes to 127.0.0.1, and comes by lo from whoever it says: a client,
            # or the router. The way back to them is lo, by which no host but this one should come.
            self.server.sysctl("net.ipv4.conf.lo.route_localnet", 1)
            self.server.sysctl("net.ipv4.conf.lo.accept_local", 1)
        except BaseException:
            self.destroy()
            raise

    def _make(self, label):
        made = Namespace(label)
        self._made.append(made)
        return made

    def _cable(self, end, device, address4, address6, port, router4, router6):
        index = next_cable_index()
        end.ip(
            f"link add {device} index {index} type veth"
            f" peer name {port} index {index + 1} netns {self.router.name}\n"
            f"addr add {address4}/24 dev {device}\n"
            f"addr add {address6}/64 dev {device} nodad\n"
            f"link set {device} up\n"
        )
        self.router.ip(
            f"addr add {router4}/24 dev {port}\n"
            f"addr add {router6}/64 dev {port} nodad\n"
            f"link set {port} up\n"
        )

    def shrink(self):
        """The link to the balancer gets smaller, which the router alone knows."""
        self.router.ip(f"link set near mtu {SMALL}\n")

    def messages(self):
        """How often the router has said so: in IPv4 and IPv6."""
        counts = self.router.run(["nstat", "-asz", "IcmpOutDestUnreachs", "Icmp6OutPktTooBigs"])
        rows = [line.split() for line in counts.stdout.splitlines() if line[0] != "#"]
        return sum(int(row[1]) for row in rows)

    def destroy(self):
        for made in self._made:
            made.destroy()
        self._made.clear()


@pytest.fixture
def routed():
    made = Routed()
    yield made
    made.destroy()


@pytest.fixture
def pins():
    """A folder in a BPF file system of the test's own."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "bpf", "bpf", folder], check=True)
        try:
            yield os.path.join(folder, "mmproxy")
        finally:
            subprocess.run(["umount", folder], check=True)


def path_mtu(connection):
    """tcpi_pmtu of struct tcp_info."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 64)
    return struct.unpack_from("=I", info, 60)[0]


def ping(one, other, rounds=20):
    for number in range(rounds):
        for sender, receiver in ((one, other), (other, one)):
            data = f"{number} ".encode() * 3
            sender.sendall(data)
            assert read_exactly(receiver, len(data)) == data


def ping_until_offloaded(mmproxy, one, other):
    """It is looked for the moment to hand a session over when bytes pass."""

    def offloaded():
        ping(one, other)
        return mmproxy.counters().get("offloaded")

    wait_until(offloaded, 10, lambda: f"the kernel has the session: {mmproxy.counters()}")


def sockets_of(namespace, port):
    listed = namespace.run(["ss", "-Htn", "sport", "=", str(port)]).stdout
    return listed.splitlines()


@contextlib.contextmanager
def transferred(sender, receiver, size):
    """`size` random bytes are on their way inside the block, and have arrived as they were."""
    data = os.urandom(size)
    sending = Background(sender.sendall, data)
    receiving = Background(read_exactly, receiver, size)
    yield
    sending.result()
    assert hashlib.sha256(receiving.result()).digest() == hashlib.sha256(data).digest()


@contextlib.contextmanager
def both_transferred(one, other, size):
    with transferred(one, other, size), transferred(other, one, size):
        yield


class Session:
    """Of a balancer and an upstream, who have their bytes, but no socket of mmproxy's any more."""

    def __init__(self, routed, mmproxy, client):
        self.ipv6 = ":" in client[0]
        upstream = Listener(routed.server, UPSTREAM6 if self.ipv6 else UPSTREAM4)
        self.balancer = routed.balancer.connect((SERVER6 if self.ipv6 else SERVER4, 8443))
        self.balancer.sendall(v2(client))
        self.upstream, peer = upstream.accept()
        assert peer == client
        ping_until_offloaded(mmproxy, self.balancer, self.upstream)
        wait_until(lambda: not sockets_of(routed.server, 8443), 10, "mmproxy's socket is gone")

    def end(self):
        ping(self.balancer, self.upstream)
        for one, other in (self.upstream, self.balancer), (self.balancer, self.upstream):
            one.shutdown(socket.SHUT_WR)
            assert other.recv(1) == b""


@pytest.fixture
def offloaded(routed, pins, start_daemon):
    """offloaded(client): a Session."""
    mmproxy = start_daemon(
        routed.server,
        listen=[f"{SERVER4}:8443", f"[{SERVER6}]:8443"],
        subnets=[f"{BALANCER4}/32", f"{BALANCER6}/128"],
        top={"offload": "auto", "offload_directory": pins},
    )
    return lambda client: Session(routed, mmproxy, client)


both_families = pytest.mark.parametrize("client", CLIENTS, ids=["ipv4", "ipv6"])


@both_families
def test_the_upstream_learns_the_mtu_of_the_path_to_the_balancer(client, routed, offloaded):
    """The messages are about packets of ours, but only the upstream can send smaller ones."""
    session = offloaded(client)
    assert path_mtu(session.upstream) >= 1500
    with transferred(session.upstream, session.balancer, 4 * MIB):
        pass
    assert routed.messages() == 0
    with transferred(session.upstream, session.balancer, 16 * MIB):
        routed.shrink()
    # All of that may have arrived before.
    with transferred(session.upstream, session.balancer, 16 * MIB):
        pass
    assert routed.messages() > 0
    assert path_mtu(session.upstream) == SMALL
    session.end()


@both_families
def test_a_change_of_routes_is_nothing_to_it(client, routed, offloaded):
    """The kernel forgets by which way the packets of a connection came, and looks for it once more."""
    session = offloaded(client)
    routed.server.ip("route add 198.18.0.0/15 dev outside\n")
    routed.server.ip("route add 2001:db8:99::/64 dev outside\n", "-6")
    with both_transferred(session.balancer, session.upstream, MIB):
        pass
    session.end()


# Of <linux/ethtool.h>.
ETHTOOL_STXCSUM = 0x17
SIOCETHTOOL = 0x8946


def leave_checksums(namespace, device, to_the_card):
    """Whether the kernel leaves a packet's checksum to the card, or makes it before it sends it."""
    value = ctypes.create_string_buffer(struct.pack("=II", ETHTOOL_STXCSUM, to_the_card))
    request = struct.pack("16sP16x", device.encode(), ctypes.addressof(value))
    with namespace.socket(kind=socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCETHTOOL, request)


@pytest.mark.parametrize("to_the_card", [True, False], ids=["card", "kernel"])
@both_families
def test_checksums_are_right_whoever_makes_them(client, to_the_card, routed, offloaded):
    for namespace in routed.balancer, routed.server:
        leave_checksums(namespace, "outside", to_the_card)
    leave_checksums(routed.router, "far", to_the_card)
    leave_checksums(routed.router, "near", to_the_card)
    session = offloaded(client)
    with both_transferred(session.balancer, session.upstream, 8 * MIB):
        pass
    session.end()
    for namespace in routed.balancer, routed.server:
        assert wrong_checksums(namespace) == 0


def wrong_checksums(namespace):
    return int(namespace.run(["nstat", "-asz", "TcpInCsumErrors"]).stdout.split()[-2])
