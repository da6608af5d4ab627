# SPDX-License-Identifier: MIT
"""A link with faults between two machines: tests/tools/impair, and what stands at its ends.

    Machines(start)           two namespaces, `left` and `right`, and a BadLink between them
    Machines.at_balancer()    mmproxy and upstreams on the right, the balancer on the left
    Machines.at_upstream()    the balancer and mmproxy on the left, upstreams on the right
"""

import dataclasses
import os
import re
import select
import socket
import subprocess
import time

import pytest

import daemon
from network import Namespace
from upstreams import UPSTREAM4, UPSTREAM6

LEFT4, LEFT6 = "198.51.100.1", "2001:db8:5::1"
RIGHT4, RIGHT6 = "198.51.100.2", "2001:db8:5::2"

# The name of the device at either end.
DEVICE = "badlink"

TUN = "/dev/net/tun"

# Waiting for impair to answer, in seconds.
_PATIENCE = 30

# On a link without delay, the 200 ms of a first retransmission would be most of a test's time.
_RTO = "rto_min 20ms"


class BadLink:
    """impair between two namespaces. `to_left` and `to_right` are directions."""

    def __init__(self, left, right, seed=1, device=DEVICE, **settings):
        program = os.path.join(os.path.dirname(daemon.binary()), "tests/tools/impair")
        assert os.access(program, os.X_OK), f"no impair at {program}: make check builds it"
        assert os.path.exists(TUN), (
            f"this machine has no {TUN}: a bad link is a pair of TUN devices"
            " (modprobe tun; in a container: mknod /dev/net/tun c 10 200, or --device /dev/net/tun)"
        )
        command = [program, "--left", f"{left.name}:{device}", "--right", f"{right.name}:{device}"]
        command += ["--seed", str(seed), *_words(settings)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0
        )
        assert self._read() == "ready\n"

    def set(self, direction="", **settings):
        """From the next packet on; of both directions, or of "left" or "right"."""
        return self._ask(" ".join([direction, *_words(settings)]))

    def counts(self):
        """What has been done so far: {"right_lost": 3, ...}, `right` is what goes there."""
        return self._ask("")

    def _ask(self, line):
        self._process.stdin.write(line.encode() + b"\n")
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", self._read())}

    def _read(self):
        ready, _, _ = select.select([self._process.stdout], [], [], _PATIENCE)
        line = self._process.stdout.readline().decode() if ready else ""
        assert line, f"impair says nothing: {self._complaint()}"
        return line

    def _complaint(self):
        return self._process.stderr.read().decode() if self._process.poll() is not None else ""

    def stop(self):
        """Ends it, if that has not happened yet; the devices go with it. Returns the last counts."""
        self._process.terminate()
        said, complaint = self._process.communicate(timeout=_PATIENCE)
        assert self._process.returncode == 0, complaint.decode()
        last = said.decode().rstrip("\n").rpartition("\n")[2]
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", last)}


def _words(settings):
    return [f"{name}={value}" for name, value in settings.items()]


@dataclasses.dataclass
class Place:
    """Where everything is, as seen from a test."""

    balancer: Namespace
    proxy: Namespace
    server: Namespace
    to: dict  # what the balancer connects to, by the family of the link: 4 or 6
    upstream: dict  # where the upstreams listen, by the family of the client
    listener: dict  # settings of mmproxy's listener


class Machines:
    """Two namespaces, joined by a bad link that is good until it is told otherwise."""

    def __init__(self, seed=1):
        self._made = []
        self.link = None
        try:
            self.left, self.right = self._make("left"), self._make("right")
            self.link = BadLink(self.left, self.right, seed)
            self._give(self.left, (LEFT4, LEFT6), (RIGHT4, RIGHT6))
            self._give(self.right, (RIGHT4, RIGHT6), (LEFT4, LEFT6))
        except BaseException:
            self.destroy()
            raise

    def _make(self, label):
        made = Namespace(label)
        self._made.append(made)
        return made

    @staticmethod
    def _give(namespace, own, other):
        namespace.ip(
            f"addr add {own[0]}/32 dev {DEVICE}\n"
            f"addr add {own[1]}/128 dev {DEVICE} nodad\n"
            f"link set {DEVICE} up txqueuelen 10000\n"
            f"route add {other[0]} dev {DEVICE} src {own[0]} {_RTO}\n"
        )
        namespace.ip(f"route add {other[1]} dev {DEVICE} src {own[1]} {_RTO}\n", "-6")

    def at_balancer(self):
        self.right.add_return_path()
        return Place(
            balancer=self.left,
            proxy=self.right,
            server=self.right,
            to={4: (RIGHT4, 8443), 6: (RIGHT6, 8443)},
            upstream={4: UPSTREAM4, 6: UPSTREAM6},
            listener={"listen": "*:8443", "subnets": [LEFT4, LEFT6]},
        )

    def at_upstream(self):
        for family, own in ("-4", RIGHT4), ("-6", RIGHT6):
            self.left.ip(
                f"rule add from {own} iif {DEVICE} table 123\nroute add local default dev lo table 123\n",
                family,
            )
            self.right.ip(f"route add default dev {DEVICE} {_RTO}\n", family)
        return Place(
            balancer=self.left,
            proxy=self.left,
            server=self.right,
            to={4: ("127.0.0.1", 8443), 6: ("::1", 8443)},
            upstream={4: (RIGHT4, 443), 6: (RIGHT6, 443)},
            listener={
                "listen": ["127.0.0.1:8443", "[::1]:8443"],
                "forward": {"ipv4": f"{RIGHT4}:443", "ipv6": f"[{RIGHT6}]:443"},
            },
        )

    def set_mtu(self, size):
        for machine in self.left, self.right:
            machine.ip(f"link set {DEVICE} mtu {size}")

    def round_trip(self):
        """Seconds that a datagram needs over the link and back."""
        one, other = (
            machine.socket(socket.AF_INET, socket.SOCK_DGRAM) for machine in (self.left, self.right)
        )
        other.bind((RIGHT4, 0))
        one.settimeout(10)
        other.settimeout(10)
        began = time.monotonic()
        one.sendto(b"there", other.getsockname())
        other.sendto(b"back", other.recvfrom(100)[1])
        one.recv(100)
        return time.monotonic() - began

    def checksum_errors(self, protocol):
        """Segments or datagrams that either kernel has dropped for their checksum."""
        return sum(_snmp(machine, protocol, "InCsumErrors") for machine in (self.left, self.right))

    def destroy(self):
        try:
            if self.link is not None:
                self.link.stop()
        finally:
            for made in self._made:
                made.destroy()
            self._made.clear()


def _snmp(namespace, protocol, field):
    with namespace.entered():
        with open("/proc/thread-self/net/snmp") as file:
            names, values = [line.split() for line in file if line.startswith(protocol + ":")]
    return int(values[names.index(field)])


# Each of the link's faults, and what proves that it has happened: counts of each direction.
FAULTS = {
    "loss": ({"loss": 3}, ["lost"]),
    "reorder": ({"reorder": 10, "hold": 3}, ["reordered"]),
    "delay": ({"delay": 5, "jitter": 10}, []),
    "duplicate": ({"duplicate": 10}, ["duplicated"]),
    "corrupt": ({"corrupt": 3}, ["corrupted"]),
    "all": (
        {
            "loss": 1,
            "reorder": 5,
            "hold": 3,
            "delay": 1,
            "jitter": 3,
            "duplicate": 5,
            "corrupt": 1,
        },
        ["lost", "reordered", "duplicated", "corrupted"],
    ),
}

faults = pytest.mark.parametrize("fault", FAULTS)
places = pytest.mark.parametrize("where", ["at_balancer", "at_upstream"])


@pytest.fixture
def machines():
    made = Machines()
    yield made
    made.destroy()


def put(machines, fault):
    machines.link.set(**FAULTS[fault][0])


def assert_happened(machines, fault, protocol):
    """The link has done what it was told, in both directions: else the test would prove nothing."""
    settings, counts = FAULTS[fault]
    seen = machines.link.counts()
    for direction in "left", "right":
        for count in counts:
            assert seen[f"{direction}_{count}"] > 0, seen
    if "corrupt" in settings:
        assert machines.checksum_errors(protocol) > 0
    if "delay" in settings:
        machines.link.set(loss=0, corrupt=0)
        assert machines.round_trip() >= 2e-3 * settings["delay"]
