# SPDX-License-Identifier: MIT
"""Network namespaces: the machines of a test.

A socket keeps the namespace it was made in, so the test process opens its sockets wherever it
likes: it steps into a namespace for the length of one call and steps out again.
"""

import contextlib
import ctypes
import fcntl
import itertools
import os
import re
import signal
import socket
import subprocess

from waiting import wait_until

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)
_indexes = itertools.count(1001, 2)

# The way back: whatever an upstream on loopback answers stays on this host, wherever the client is.
_RETURN_PATH = """\
rule add from 127.0.0.1/8 iif lo table 123
route add local 0.0.0.0/0 dev lo table 123
"""
_RETURN_PATH6 = """\
rule add from ::1/128 iif lo table 123
route add local ::/0 dev lo table 123
"""


class Namespace:
    """One network namespace, and everything that runs or was opened in it."""

    def __init__(self, label):
        self.name = f"mmp-{os.getpid()}-{next(_numbers)}-{label}"
        self._sockets = []
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        try:
            self._descriptor = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
            # Nobody else is on these links: no waiting for duplicate addresses.
            self.sysctl("net.ipv6.conf.default.accept_dad", 0)
            self.ip("link set lo up")
            # bbr paces loopback, and cubic is not permitted outside the initial namespace.
            self.sysctl("net.ipv4.tcp_congestion_control", "reno")
        except BaseException:
            _delete(self.name)
            raise

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is in this namespace inside the `with` block. Not to be nested."""
        back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(self._descriptor)
            try:
                yield
            finally:
                _setns(back)
        finally:
            os.close(back)

    def ip(self, batch, family=None):
        """Runs ip(8) commands, one a line."""
        command = ["ip", *([family] if family else []), "-n", self.name, "-batch", "-"]
        self._checked(command, batch)

    def nft(self, ruleset):
        with self.entered():
            self._checked(["nft", "-f", "-"], ruleset)

    @staticmethod
    def _checked(command, text):
        done = subprocess.run(command, input=text, text=True, capture_output=True)
        assert done.returncode == 0, f"{command}: {done.stderr}"

    def sysctl(self, name, value):
        with self.entered():
            with open("/proc/sys/" + name.replace(".", "/"), "w") as file:
                file.write(str(value))

    def run(self, command, **options):
        """Like subprocess.run, inside the namespace, with the output captured as text."""
        options = {"capture_output": True, "text": True, "timeout": 30, **options}
        with self.entered():
            return subprocess.run(command, **options)

    def popen(self, command, **options):
        with self.entered():
            return subprocess.Popen(command, **options)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
        """A socket of this namespace; closed with it at the latest."""
        with self.entered():
            return self.keep(socket.socket(family, kind, protocol))

    def keep(self, made):
        """Has a socket closed with the others."""
        self._sockets.append(made)
        return made

    def close_sockets(self):
        for made in self._sockets:
            made.close()
        self._sockets.clear()

    def connect(self, address, source=None, timeout=10):
        """A TCP connection from this namespace. `address` and `source` are (text, port)."""
        made = self.socket(family_of(address[0]))
        made.settimeout(timeout)
        if source is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(source)
        made.connect(address)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def add_return_path(self):
        self.ip(_RETURN_PATH)
        self.ip(_RETURN_PATH6, "-6")

    def add_interface(self, address4, address6):
        """An interface with addresses of its own, its other end up but connected to nothing."""
        self.ip(
            "link add outside type veth peer name nowhere\n"
            f"addr add {address4} brd + dev outside\n"
            f"addr add {address6} dev outside nodad\n"
            "link set outside up\n"
            "link set nowhere up\n"
        )

    def shrink_buffers(self, size=262144):
        """Caps what the kernel queues per socket, so that back-pressure shows after little data."""
        self.sysctl("net.ipv4.tcp_rmem", f"4096 131072 {size}")
        self.sysctl("net.ipv4.tcp_wmem", f"4096 65536 {size}")

    def pids(self):
        listed = subprocess.run(
            ["ip", "netns", "pids", self.name], capture_output=True, text=True
        ).stdout
        return [int(pid) for pid in listed.split() if int(pid) != os.getpid()]

    def destroy(self):
        """Closes its sockets, ends its processes, removes it."""
        self.close_sockets()
        _delete(self.name)
        os.close(self._descriptor)


class Path:
    """Three machines in a row: client, balancer, server, a cable between each two.

    The client knows the balancer alone. The server runs mmproxy and its upstreams, whose answers find
    their way back unless the test wants mmproxy to see to that.
    """

    CLIENT4, CLIENT6 = "203.0.113.9", "2001:db8:c::9"
    FRONT4, FRONT6 = "203.0.113.1", "2001:db8:c::1"  # the balancer, as the client sees it
    BALANCER4, BALANCER6 = "198.51.100.1", "2001:db8:5::1"  # the balancer, as the server sees it
    SERVER4, SERVER6 = "198.51.100.2", "2001:db8:5::2"

    def __init__(self, return_path=True):
        self._made = []
        try:
            self.client = self._make("client")
            self.balancer = self._make("balancer")
            self.server = self._make("server")
            self._cable(self.client, "front", self.balancer, "clients")
            self._cable(self.server, "outside", self.balancer, "servers")
            _give(self.client, "front", self.CLIENT4, self.CLIENT6)
            _give(self.balancer, "clients", self.FRONT4, self.FRONT6)
            _give(self.balancer, "servers", self.BALANCER4, self.BALANCER6)
            _give(self.server, "outside", self.SERVER4, self.SERVER6)
            self.server.ip(f"route add default via {self.BALANCER4}")
            self.server.ip(f"route add default via {self.BALANCER6}", "-6")
            if return_path:
                self.server.add_return_path()
        except BaseException:
            self.destroy()
            raise

    def _make(self, label):
        made = Namespace(label)
        self._made.append(made)
        return made

    @staticmethod
    def _cable(one, one_name, other, other_name):
        # Two ends with the same index look unrelated to the kernel, which then takes its time, a
        # second, before IPv6 may use the link.
        index = next_cable_index()
        one.ip(
            f"link add {one_name} index {index} type veth"
            f" peer name {other_name} index {index + 1} netns {other.name}"
        )

    def destroy(self):
        for made in self._made:
            made.destroy()
        self._made.clear()


def next_cable_index():
    """For the one end of a veth; the other has the next."""
    return next(_indexes)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@contextlib.contextmanager
def tidying():
    """Whether it is this test run's turn: those that begin together find the same leftovers. The
    others need not wait, which would be for ever if the one whose turn it is were stopped."""
    with open("/run/mmproxy-tests.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def remove_leftovers():
    """Removes the namespaces of test runs that were killed before they could."""
    with tidying() as our_turn:
        names = os.listdir("/run/netns") if our_turn and os.path.isdir("/run/netns") else []
        for name in names:
            owner = re.fullmatch(r"mmp-(\d+)-\d+-\w+", name)
            if owner and not os.path.exists(f"/proc/{owner.group(1)}"):
                _delete(name)


def _give(namespace, device, address4, address6):
    namespace.ip(
        f"addr add {address4}/24 brd + dev {device}\n"
        f"addr add {address6}/64 dev {device} nodad\n"
        f"link set {device} up\n"
    )


def _setns(descriptor):
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _delete(name):
    def kill_what_is_left():
        listed = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
        pids = [int(pid) for pid in listed.stdout.split() if int(pid) != os.getpid()]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    wait_until(kill_what_is_left, 10, f"the processes in {name} are gone")
    done = subprocess.run(["ip", "netns", "delete", name], capture_output=True, text=True)
    # Somebody else may have found it to be a leftover.
    assert done.returncode == 0 or not os.path.exists(f"/run/netns/{name}"), done.stderr
