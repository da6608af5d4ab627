# SPDX-License-Identifier: MIT
"""Datagrams to mmproxy, as a balancer sends them, and their way to the upstream and back."""

import select
import socket

import pytest

from headers import CLIENT4, CLIENT6, spp, v2_udp
from network import family_of
from upstreams import SO_RCVBUFFORCE

# Where settings.udp_listener() listens.
MMPROXY4, MMPROXY6 = ("127.0.0.1", 8443), ("::1", 8443)

IPPROTO_UDP, UDP_SEGMENT = 17, 103

FRAMINGS = ["every", "first", "spp"]

framings = pytest.mark.parametrize("framing", FRAMINGS)
headed_framings = pytest.mark.parametrize("framing", ["every", "spp"])
both_families = pytest.mark.parametrize("client", [CLIENT4, CLIENT6], ids=["ipv4", "ipv6"])
hops = pytest.mark.parametrize("to", [MMPROXY4, MMPROXY6], ids=["over_ipv4", "over_ipv6"])


class Balancer:
    """One socket of a balancer, connected: answers from elsewhere than it asked it does not see."""

    def __init__(self, namespace, framing="every", to=MMPROXY4, source=None):
        self.framing = framing
        self.socket = namespace.socket(family_of(to[0]), socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.socket.settimeout(10)
        if source is not None:
            self.socket.bind((source, 0))
        self.socket.connect(to)
        self._announced = None

    @property
    def address(self):
        return self.socket.getsockname()[:2]

    def header(self, client, service=None):
        return (spp if self.framing == "spp" else v2_udp)(client, service)

    def send(self, client, payload, service=None, header=None):
        """One datagram of a client's. Where only the first has a header, that is the first one
        after another client's; `header` says otherwise."""
        if header is None:
            header = self.framing != "first" or self._announced != (client, service)
        self._announced = (client, service)
        self.send_bare(self.header(client, service) + payload if header else payload)

    def send_bare(self, data):
        self.socket.send(data)

    def receive_bare(self):
        try:
            return self.socket.recv(65536)
        except socket.timeout:
            raise AssertionError("no answer reached the balancer in time") from None

    def receive(self, client, service=None):
        """The next answer, which must be for this client as far as one can tell."""
        data = self.receive_bare()
        if self.framing != "spp":
            return data
        header = spp(client, service)
        assert data[: len(header)] == header
        return data[len(header) :]

    def has_answer(self):
        return bool(select.select([self.socket], [], [], 0)[0])


def question(balancer, upstream, client, payload=b"question", service=None, **options):
    """A datagram to the upstream, which must be there next. Returns whom the upstream sees."""
    balancer.send(client, payload, service, **options)
    seen, peer = upstream.receive()
    assert seen == payload
    return peer


def answer(balancer, upstream, peer, client, payload=b"answer", service=None):
    """A datagram from the upstream, which must be the balancer's next one."""
    upstream.send(payload, peer)
    assert balancer.receive(client, service) == payload


def round_trip(balancer, upstream, client, payload=b"payload", service=None, **options):
    """A question and its answer. Returns whom the upstream sees."""
    peer = question(balancer, upstream, client, b"of " + payload, service, **options)
    answer(balancer, upstream, peer, client, b"to " + payload, service)
    return peer


def text(address):
    """An address and port as the log writes it."""
    return "[%s]:%d" % address if ":" in address[0] else "%s:%d" % address


def assert_nothing_reaches(upstream, balancer, mmproxy):
    """Whatever the balancer has sent has been dealt with, and none of it is at the upstream."""
    mmproxy.wait_until_idle()
    upstream.assert_untouched()


def flows(mmproxy):
    """How many flows there are now, by the counters."""
    counters = mmproxy.counters()
    ends = ("idle_timeout", "flow_evicted", "flow_replaced", "flow_moved", "shutdown")
    return counters["sessions_relayed"] - sum(counters[f"sessions_closed_{end}"] for end in ends)


def wait_until_closed(mmproxy, client, timeout=10):
    """The log line of the end of a client's flow."""
    return mmproxy.wait_for_log(f"session: closed .*client={_pattern(client)} ", timeout)


def _pattern(client):
    return text(client).replace("[", r"\[").replace("]", r"\]").replace(".", r"\.")


def assert_every_datagram_arrived(mmproxy):
    counters = mmproxy.counters()
    dropped = {name: value for name, value in counters.items() if "dropped" in name and value}
    assert not dropped


def crowd(count, first=0):
    """That many different clients."""
    return [
        (f"198.18.{number // 5000}.{1 + number % 5000 // 25}", 20000 + number % 25)
        for number in range(first, first + count)
    ]
