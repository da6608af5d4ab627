# SPDX-License-Identifier: MIT
"""Hosts in front of which nothing is wrong: mmproxy's return path stands, the upstreams answer.

    Loopback      upstreams on 127.0.0.1 and ::1, told by where their answers come from
    OwnAddress    upstreams on another address of the host, told by mark
    Container     upstreams in a namespace behind a veth, told by mark

Each has an upstream a family, a listener for each of them, and an interface to the outside with a
default route. `answer()` says what a spoofed connection meets there.
"""

import contextlib
import os
import socket
import threading

import network
import settings
import spoofing
from upstreams import Datagrams, Server, report_peer

FAMILIES = (4, 6)
MARK = 123

_OUTSIDE = {4: "192.0.2.1", 6: "2001:db8:5::1"}
_EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}

# What doc/routing.md has for marks that connection tracking brings back. %s: of which family.
_MARKS = """\
table inet mmproxy_123 {
	chain output {
		type route hook output priority mangle; policy accept;
		%s ct direction original meta mark 123 ct mark set meta mark
		%s ct direction reply ct mark 123 meta mark set ct mark
	}
	chain prerouting {
		type filter hook prerouting priority mangle; policy accept;
		%s ct direction reply ct mark 123 meta mark set ct mark
	}
}
"""


def text(address):
    """A (address, port) as the doctor writes it."""
    return "[%s]:%d" % address if ":" in address[0] else "%s:%d" % address


def hurry():
    """This thread is served before all others: the doctor waits for it 0.1 s or 0.3 s, and takes
    no answer for a fault. Where the machine does not allow that, there is no harm in trying."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


class Answering(Datagrams):
    """A UDP upstream that answers each datagram with the address that it has seen."""

    def __init__(self, namespace, address):
        super().__init__(namespace, address)
        self.socket.settimeout(None)
        self._waker = self.socket.dup()  # whoever closes the namespace's sockets leaves it open
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        hurry()
        while True:
            try:
                _, peer = self.socket.recvfrom(65536)
            except OSError:
                return
            if peer is None:
                return  # shut down
            # A firewall's drop, and an answer that has no way, are told at once.
            with contextlib.suppress(OSError):
                self.socket.sendto(peer[0].encode(), peer)

    def close(self):
        with self._waker, contextlib.suppress(OSError):
            self._waker.shutdown(socket.SHUT_RDWR)  # not connected, it says, but wakes up
        self._thread.join(10)  # which held the port
        super().close()


class Host:
    """A namespace with an outside, upstreams, and the configuration for them."""

    # Of the connections that are dialled, a family; and the file's routing group.
    marks = {4: 0, 6: 0}
    routing = None

    def __init__(self, start=None, udp=False):
        """`start` is the fixture, for the breaks that need another program."""
        self.start = start
        self.udp = udp
        self.namespaces, self.upstreams = [], {}
        try:
            self.namespace = self.make("host")
            for scope in ("all", "default"):
                self.namespace.sysctl(f"net.ipv4.conf.{scope}.rp_filter", 0)
            self.namespace.add_interface("192.0.2.1/24", "2001:db8:5::1/64")
            self.ip(4, "route add default via 192.0.2.2")
            self.ip(6, "route add default via 2001:db8:5::2")
            self.lay_out()
            for family in FAMILIES:
                self.ip(family, f"route add local {_EVERYTHING[family]} dev lo table 123")
                self.ip(family, f"rule add {self.rule(family)} table 123")
                self.serve(family)
        except BaseException:
            self.destroy()
            raise

    def lay_out(self):
        """What a kind of host has besides."""

    def make(self, label):
        made = network.Namespace(label)
        self.namespaces.append(made)
        return made

    def ip(self, family, command):
        self.namespace.ip(command + "\n", f"-{family}")

    def nft(self, ruleset):
        self.namespace.nft(ruleset)

    # The upstreams.

    def address(self, family):
        """The upstream's, as the configuration has it."""
        raise NotImplementedError

    def elsewhere(self, family):
        """Another address that an upstream might be bound to by mistake."""
        return (_OUTSIDE[family], 443)

    def serving(self):
        """The namespace that the upstreams are in."""
        return self.namespace

    def serve(self, family, address=None, serve=report_peer):
        """Starts the upstream, at its address unless another is named."""
        address = address or self.address(family)
        if self.udp:
            self.upstreams[family] = Answering(self.serving(), address)
        else:
            self.upstreams[family] = Server(self.serving(), serve, address)

    def silence(self, family):
        """Ends the upstream."""
        self.upstreams.pop(family).close()

    def answer(self, family, **how):
        """The client's address as the upstream has seen it, or spoofing.NO_ANSWER or REFUSED."""
        reach = spoofing.ask if self.udp else spoofing.connect
        return reach(self.namespace, self.address(family), self.marks[family], **how)

    def plain_answer(self, family):
        return spoofing.connect_plainly(self.namespace, self.address(family))

    # The return path.

    def rule(self, family):
        """The policy rule's selector."""
        raise NotImplementedError

    def remove_rule(self, family):
        self.ip(family, f"rule del {self.rule(family)} table 123")

    def remove_route(self, family):
        self.ip(family, f"route del local {_EVERYTHING[family]} dev lo table 123")

    # The configuration.

    def where(self, family):
        return text(self.address(family))

    def config(self, families=FAMILIES, **changes):
        """A listener a family, each with one upstream."""
        listeners = [
            settings.listener(
                f"web{family}",
                listen=f"127.0.0.1:{8440 + family}",
                forward={f"ipv{family}": self.where(family)},
                mark=self.marks[family] or None,
                protocol="udp" if self.udp else "tcp",
                **changes,
            )
            for family in families
        ]
        top = {"routing": self.routing} if self.routing else {}
        return settings.configuration(*listeners, **top)

    def destroy(self):
        for family in list(self.upstreams):
            self.silence(family)
        for namespace in self.namespaces:
            namespace.destroy()
        self.namespaces.clear()


class Loopback(Host):
    def address(self, family):
        return ({4: "127.0.0.1", 6: "::1"}[family], 443)

    def rule(self, family):
        return {4: "from 127.0.0.0/8 iif lo", 6: "from ::1/128 iif lo"}[family]


class _Marked(Host):
    marks = {4: MARK, 6: MARK}
    routing = {"method": "mark"}

    def rule(self, family):
        return f"from {self.address(family)[0]} fwmark {MARK}"

    def bring_marks_back(self, family=None):
        """Has connection tracking do it, of one family alone if that is named."""
        self.nft(_MARKS.replace("%s", f"meta nfproto ipv{family}" if family else ""))


class OwnAddress(_Marked):
    def lay_out(self):
        self.bring_marks_back()

    def address(self, family):
        return (_OUTSIDE[family], 443)

    def elsewhere(self, family):
        return ({4: "127.0.0.1", 6: "::1"}[family], 443)


class Container(_Marked):
    """Two cables lead to the container: `cable`, and `other`, which is not used but by a break."""

    HOST = {4: "198.51.100.1", 6: "2001:db8:cc::1"}
    OTHER = {4: "198.51.101.1", 6: "2001:db8:cd::1"}

    def lay_out(self):
        self.container = self.make("container")
        self.cable("cable", self.HOST)
        self.cable("other", self.OTHER)
        self.answer_by("cable")
        self.bring_marks_back()

    def cable(self, name, addresses):
        """`addresses` are the host's; the container has the next ones.

        Who sits at the host's end the container knows without asking: the reverse-path filter
        would drop its question in the place of the packet that the test is about.
        """
        index = network.next_cable_index()
        card = f"02:00:00:00:{index >> 8:02x}:{index & 255:02x}"
        self.namespace.ip(
            f"link add {name} index {index} address {card} type veth"
            f" peer name {name} index {index + 1} netns {self.container.name}\n"
        )
        self._plug_in(self.namespace, name, addresses)
        self._plug_in(self.container, name, {key: _next(one) for key, one in addresses.items()})
        self.container.ip(f"neigh add {addresses[4]} lladdr {card} dev {name} nud permanent\n")

    @staticmethod
    def _plug_in(namespace, name, addresses):
        namespace.sysctl(f"net.ipv4.conf.{name}.rp_filter", 0)
        namespace.ip(
            f"addr add {addresses[4]}/24 dev {name}\n"
            f"addr add {addresses[6]}/64 dev {name} nodad\n"
            f"link set {name} up\n"
        )

    def answer_by(self, cable):
        """Which cable the container's default route leads to."""
        routers = {"cable": self.HOST, "other": self.OTHER}[cable]
        for family in FAMILIES:
            self.container.ip(f"route replace default via {routers[family]}\n", f"-{family}")

    def serving(self):
        return self.container

    def address(self, family):
        return (_next(self.HOST[family]), 443)

    def elsewhere(self, family):
        return (_next(self.OTHER[family]), 443)


def _next(address):
    """The one behind an address that ends in 1."""
    return address[:-1] + "2"
