# SPDX-License-Identifier: MIT
"""What is said through a mmproxy in which calls fail, and that none of it is a lie.

A session may be refused, or ended by a reset, when something is missing. But what arrives is what
was sent, from its beginning on, and an orderly end stands for all of it.
"""

import os
import select
import socket
import struct

from headers import v1, v2
from sessions import MMPROXY
from traffic import EOF, RESET, reset
from udp import IPPROTO_UDP, UDP_SEGMENT

# Bytes up and down. More than the buffers hold that shrink_buffers() leaves, and than is read
# before a stream is spliced.
UP, DOWN = 900_000, 700_000

# Read at once: less than a buffer holds.
_PIECE = 150_000

# Without any progress; sanitizers are slow, and this machine may be busy.
_PATIENCE = 10

_POOL = os.urandom(1 << 20)
_GONE = (ConnectionResetError, BrokenPipeError)


class End:
    """One end of a TCP connection: what it sends, what it has got, and how that ended."""

    def __init__(self, connection, says=b""):
        connection.setblocking(False)
        self.socket = connection
        self.to_send = memoryview(says)
        self.got = bytearray()
        self.end = None
        self.finished = self.dead = False

    def push(self):
        """Sends what is taken. Returns whether anything was."""
        before = len(self.to_send)
        try:
            while self.to_send:
                self.to_send = self.to_send[self.socket.send(self.to_send) :]
        except BlockingIOError:
            pass
        except _GONE:
            self._die()
        return len(self.to_send) < before

    def pull(self):
        try:
            piece = self.socket.recv(_PIECE)
        except BlockingIOError:
            return
        except _GONE:
            self._die()
            return
        self.got += piece
        if not piece:
            self.end = EOF

    def finish(self):
        self.finished = True
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._die()

    def _die(self):
        # A reset is told once: after it reads would seem to come to an orderly end.
        self.end, self.dead = RESET, True
        self.to_send = self.to_send[:0]

    @property
    def wants_to_write(self):
        return bool(self.to_send)

    @property
    def over(self):
        return self.dead or (self.end is not None and self.finished)


def _step(ends, patience):
    """Waits for news of any end, and follows them. Returns whether there were any."""
    reading = [end.socket for end in ends if end.end is None]
    writing = [end.socket for end in ends if end.wants_to_write]
    readable, writable, _ = select.select(reading, writing, [], patience)
    for end in ends:
        if end.socket in writable:
            end.push()
        if end.socket in readable and not end.dead:
            end.pull()
    return bool(readable or writable)


def _accepted(client, upstream):
    """The upstream's end, as soon as there is one; None when the client's has ended without."""
    while client.end is None:
        ready, _, _ = select.select([client.socket, upstream.socket], [], [], _PATIENCE)
        assert ready, "the session neither reaches its upstream nor ends"
        if client.socket in ready:
            client.pull()
        if upstream.socket in ready:
            break
    # On loopback it is there before mmproxy can have told the client anything.
    return upstream.accept()[0] if upstream.has_connection() else None


def _connect(host):
    """Without a timeout, which would have connect() tell of a reset that comes at once."""
    made = host.socket()
    made.connect(MMPROXY)
    return made


def _fill(ends):
    """Nobody reads until nobody can write."""
    while any(end.push() for end in ends):
        select.select([], [end.socket for end in ends if end.wants_to_write], [], 0.002)


class Conversation:
    """Bytes both ways at once through whatever there is in between, then half-closes."""

    def __init__(self, host, upstream, client, header, breaks_off=False):
        start = (client[1] * 977) % (len(_POOL) - UP)
        self.client_address = client
        self._up, self._down = _POOL[start : start + UP], _POOL[::-1][start : start + DOWN]
        self._breaks_off = breaks_off
        self.client = End(_connect(host), header + self._up)
        self.client.push()
        accepted = _accepted(self.client, upstream)
        self.upstream = End(accepted, self._down) if accepted else None
        if self.upstream:
            self._converse()
        self._judge()
        for end in filter(None, (self.client, self.upstream)):
            end.socket.close()

    def _converse(self):
        ends = [self.client, self.upstream]
        _fill(ends)
        if self._breaks_off:
            reset(self.client.socket)
            ends = [self.upstream]
        while not all(end.over for end in ends):
            if not self.client.to_send and not self.client.finished and not self._breaks_off:
                self.client.finish()
            if self.upstream.end and not self.upstream.to_send and not self.upstream.finished:
                self.upstream.finish()
            if self._breaks_off and self.upstream.end:
                break
            if all(end.over for end in ends):
                break
            assert _step([end for end in ends if not end.over], _PATIENCE), self._state("stalled")

    @property
    def whole(self):
        """Everything arrived, and both ends were told so."""
        return (
            self.upstream is not None
            and (self.client.end, self.upstream.end) == (EOF, EOF)
            and (len(self.upstream.got), len(self.client.got)) == (UP, DOWN)
        )

    def _state(self, what):
        ends = {"client": self.client, "upstream": self.upstream}
        told = ", ".join(
            f"{name} got {len(end.got)} bytes, {len(end.to_send)} to send, end {end.end}"
            for name, end in ends.items()
            if end
        )
        return f"{what}: {told}"

    def _judge(self):
        self._judge_end(self.client, self.upstream, self._down, "client")
        if self.upstream:
            self._judge_end(self.upstream, self.client, self._up, "upstream")
        if self._breaks_off and self.upstream:
            assert self.upstream.end == RESET, self._state("a reset became an orderly end")

    def _judge_end(self, end, other, sent, name):
        assert end.got == sent[: len(end.got)], self._state(f"the {name} got other bytes")
        if end.end == EOF:
            told = other is not None and other.finished and len(end.got) == len(sent)
            assert told, self._state(f"the {name} was told of an orderly end that is none")


def converse(host, upstream, client, **options):
    """IPv4 clients have version 2, IPv6 clients version 1."""
    header = v1(client) if ":" in client[0] else v2(client)
    return Conversation(host, upstream, client, header, **options)


def exchange(balancer, upstream, client, number, settle):
    """Six datagrams of a new client, each answered: of both ways, how many are missing.

    What arrives is what was sent, in its order and no more than once. `settle` waits until whatever
    there is in between has dealt with everything.
    """
    questions = [b"%08d %d " % (number, i) + bytes(700 if i < 5 else 90) for i in range(6)]
    framed = [balancer.header(client) + question for question in questions]
    balancer.socket.setblocking(False)
    upstream.socket.setblocking(False)
    # The first ones as one packet, which is cut up in the end or not at all.
    cmsg = [(IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", len(framed[0])))]
    balancer.socket.sendmsg(framed[:5], cmsg)
    balancer.socket.send(framed[5])
    heard = _receive(upstream.socket, questions, settle, peers := [])
    answers = [b"answer to " + question for question in heard]
    for answer, peer in zip(answers, peers):
        upstream.socket.sendto(answer, peer)
    return 2 * len(questions) - len(heard) - len(_receive(balancer.socket, answers, settle, []))


def _receive(receiver, expected, settle, peers):
    got, settled = [], False
    while len(got) < len(expected):
        if select.select([receiver], [], [], 0.02 if settled else 0.005)[0]:
            try:
                data, peer = receiver.recvfrom(65536)
            except ConnectionRefusedError:
                continue
            got.append(data)
            peers.append(peer)
        elif settled:
            break
        else:
            settle()
            settled = True
    rest = iter(expected)
    assert all(datagram in rest for datagram in got), "datagrams changed, doubled or out of order"
    return got
