# SPDX-License-Identifier: MIT
"""mmproxy with the kernel datapath, and hosts on which it carries sessions.

    pins            that of offload_pins.py
    place           fixture: place(Behind) makes one of these hosts
    start_offload   fixture: start_offload(host, listen=..., forward=...) starts such a mmproxy

    Loopback        balancer, mmproxy and upstreams on one host
    Behind          the balancer behind an interface, or several, of the host
    BehindBadLink   the same, and on the way to it is the link of bad_link.py

PYTEST_DONT_REWRITE: it is imported for its names before it is loaded for its fixtures.
"""

import collections
import contextlib
import ctypes
import fcntl
import socket
import struct

import pytest

import churn
from bad_link import BadLink
from network import Namespace, next_cable_index
from offload import is_built
from offload_pins import settings_for
from waiting import wait_until

pytest_plugins = ["offload_pins"]

# Balancers are any address of these networks, and the host has one in them, or of its own.
BALANCERS4, BALANCERS6 = "198.51.0.0/16", "2001:db8:b::/112"
BALANCER4, BALANCER6 = "198.51.0.0", "2001:db8:b::"
HOST4, HOST6 = "203.0.113.1", "2001:db8:5::1"
LINK4, LINK6 = "192.0.2.%d", "2001:db8:1::%d"

CLIENTS4, CLIENTS6 = "198.18.0.0/16", "2001:db8:18::/112"

PORT, UPSTREAM_PORT = 8443, 443


def skip_unless_built():
    if not is_built():
        pytest.skip("mmproxy --version says -libbpf: built without")


@pytest.fixture
def place():
    made = []

    def build(kind):
        made.append(kind())
        return made[-1]

    yield build
    for each in made:
        each.destroy()


@pytest.fixture
def start_offload(pins, place, start_daemon):
    skip_unless_built()

    def run(namespace, directory=None, top=None, **changes):
        made = start_daemon(
            namespace,
            top={
                "workers": 2,
                "log": {"level": "info"},
                **settings_for(directory or pins.directory),
                **(top or {}),
            },
            **changes,
        )
        if "offload: sessions may be handed to the kernel" not in made.log():
            pytest.skip(f"this kernel does not take the programs: {made.log()}")
        return made

    return run


# Of run_churn, until enough sessions have lived long enough. One is the rule.
_ROUNDS = 5


def run_churn(host, mmproxy, family=4, count=300, seed=1, share=0.3, of="offloaded", **options):
    """Sessions of tcp_churn on this host: each byte and each end is right. How many of them last
    until mmproxy judges them is the machine's affair: there are further rounds until a counter of
    mmproxy says that it were so many (a share of `count`), which must be most of those judged: the
    others had begun to end. Returns by how much all counters grew.
    """
    total = collections.Counter()
    for number in range(_ROUNDS):
        total += _churn_once(host, mmproxy, family, count=count, seed=seed + number, **options)
        if total[of] >= share * count:
            break
    judged = total["offloaded"] + sum(stayed(total).values())
    assert total[of] >= share * count and total[of] > judged / 2, total
    return total


def _churn_once(host, mmproxy, family, count, timeout=50, **options):
    before = mmproxy.counters()
    load = churn.Churn(host.host, **host.churn(family, count=count, **options))
    try:
        counts, complaint = load.finish(timeout)
    finally:
        load.kill()
    assert counts["faults"] == 0, complaint
    assert counts["opened"] == count and counts["open"] == 0

    def grown():
        after = mmproxy.counters()
        return collections.Counter({name: after[name] - before[name] for name in after})

    def all_closed():
        found = grown()
        return sum(found[name] for name in found if name.startswith("sessions_closed_")) == count

    wait_until(all_closed, 15, lambda: f"all sessions have been closed: {grown()}", interval=0.1)
    # They are counted before their sockets are closed.
    wait_until(lambda: not sockets(host.host, mmproxy), 15, "no socket is left")
    return grown()


def sockets(namespace, mmproxy):
    """Established TCP sockets of this mmproxy."""
    listed = namespace.run(["ss", "-Htnp", "state", "established"]).stdout
    return [line for line in listed.splitlines() if f"pid={mmproxy.pid}," in line]


def stayed(counters):
    """Why sessions were not handed over: {"segment": 3}."""
    return {
        name.removeprefix("offload_stayed_"): value
        for name, value in counters.items()
        if name.startswith("offload_stayed_") and value > 0
    }


# Of struct ethtool_value: checksums stay what they are, packets are not joined, or cut late.
_OFFLOADS = {"tso": 0x1F, "gso": 0x24, "gro": 0x2C}
_SIOCETHTOOL = 0x8946


def set_segmentation(namespace, device, on):
    """As `ethtool -K DEVICE tso off gso off gro off` does, or on."""
    with namespace.entered():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
            for command in _OFFLOADS.values():
                value = bytearray(struct.pack("II", command, on))
                address = (ctypes.c_char * len(value)).from_buffer(value)
                request = struct.pack("16sP", device.encode(), ctypes.addressof(address))
                fcntl.ioctl(made, _SIOCETHTOOL, request.ljust(40, b"\0"))


# Hosts.


class _Host:
    """What all have: `host`, where mmproxy and upstreams are, and `balancer`."""

    def __init__(self):
        self._made = []
        self.links = []
        try:
            self._build()
        except BaseException:
            self.destroy()
            raise

    def make(self, label):
        made = Namespace(label)
        self._made.append(made)
        return made

    def destroy(self):
        for link in self.links:
            with contextlib.suppress(Exception):
                link.stop()
        for made in self._made:
            made.destroy()
        self._made.clear()

    def prepare(self):
        """For tens of thousands of sessions, and upstreams anywhere on the host."""
        for namespace in self._made:
            namespace.sysctl("net.ipv4.tcp_max_tw_buckets", 20000)
            namespace.sysctl("net.ipv4.ip_local_port_range", "1024 65000")
        # The rules below make every client's address one of the host.
        self.host.sysctl("net.ipv4.conf.lo.accept_local", 1)
        self.host.add_return_path()
        self.host.ip(f"addr add {HOST4}/32 dev lo\n")
        self.host.ip(f"addr add {HOST6}/128 dev lo nodad\n")
        self.host.ip(f"rule add from {HOST4} iif lo table 123\n")
        self.host.ip(f"rule add from {HOST6} iif lo table 123\n", "-6")
        for client, family in (CLIENTS4, "-4"), (CLIENTS6, "-6"):
            self.host.ip(f"rule add to {client} iif lo table 123\n", family)

    def each(self):
        return list(self._made)

    def churn(self, family, upstream=None, **options):
        """How tcp_churn is to be called: balancers of this place, upstreams of that address."""
        address = upstream or ("127.0.0.1" if family == 4 else "::1")
        listens = f"{address}:{UPSTREAM_PORT}" if family == 4 else f"[{address}]:{UPSTREAM_PORT}"
        to = self.to[family]
        return {
            "to": f"{to}:{PORT}" if family == 4 else f"[{to}]:{PORT}",
            "upstream" if family == 4 else "upstream6": listens,
            "mix": "lasting",
            **options,
        }

    def listener(self, upstream4="127.0.0.1", upstream6="::1", **changes):
        return {
            "listen": f"*:{PORT}",
            "forward": {
                "ipv4": f"{upstream4}:{UPSTREAM_PORT}",
                "ipv6": f"[{upstream6}]:{UPSTREAM_PORT}",
            },
            "subnets": "any",
            **changes,
        }


class Loopback(_Host):
    to = {4: "127.0.0.1", 6: "::1"}

    def _build(self):
        self.host = self.balancer = self.make("host")
        self.prepare()


class Behind(_Host):
    """Cables between balancer and host: the first is the way to all balancers."""

    to = {4: LINK4 % 1, 6: LINK6 % 1}
    cables = 1

    def _build(self):
        self.host, self.balancer = self.make("host"), self.make("balancer")
        self._between()
        self.prepare()
        for family, to in ("-4", BALANCERS4), ("-6", BALANCERS6):
            self.balancer.ip(f"route add local {to} dev lo\n", family)
            self.host.ip(f"route add {to} via {self._hop(family)}\n", family)

    def _between(self):
        self.cable(self.host, self.balancer, "wire0", 1, 2)

    @staticmethod
    def _hop(family):
        return LINK4 % 2 if family == "-4" else LINK6 % 2

    @staticmethod
    def cable(one, other, device, here, there, alone=False):
        """With `alone`, nothing but the other end is there, and no route leads to it yet."""
        index = next_cable_index()
        one.ip(
            f"link add {device} index {index} type veth"
            f" peer name {device} index {index + 1} netns {other.name}"
        )
        for namespace, last in (one, here), (other, there):
            namespace.ip(
                f"addr add {LINK4 % last}/{32 if alone else 24} dev {device}\n"
                f"addr add {LINK6 % last}/{128 if alone else 64} dev {device} nodad\n"
                f"link set {device} up\n"
            )

    def churn(self, family, **options):
        balancer = f"{BALANCER4}:0" if family == 4 else f"[{BALANCER6}]:0"
        where = {
            "balancer": balancer,
            "balancer_namespace": self.balancer.name,
            "upstream_namespace": self.host.name,
        }
        return super().churn(family, **{**where, **options})


class BehindBadLink(Behind):
    """balancer ==bad link== router --cable-- host. `left` of the link is the balancer."""

    def _between(self):
        self.router = self.make("router")
        self.cable(self.host, self.router, "wire0", 1, 2)
        self.router.sysctl("net.ipv4.ip_forward", 1)
        self.router.sysctl("net.ipv6.conf.all.forwarding", 1)
        self.link = BadLink(self.balancer, self.router, seed=1)
        self.links.append(self.link)
        for namespace in self.balancer, self.router:
            namespace.ip("link set badlink up txqueuelen 10000\n")
        fast = "rto_min 20ms"
        self.balancer.ip(f"route add {LINK4 % 1} dev badlink {fast}\n")
        self.balancer.ip(f"route add {LINK6 % 1} dev badlink {fast}\n", "-6")
        self.router.ip(f"route add {BALANCERS4} dev badlink\n")
        self.router.ip(f"route add {BALANCERS6} dev badlink\n", "-6")
