# SPDX-License-Identifier: MIT
"""Upstreams for mmproxy to dial, in a namespace of the test's choice.

Listener leaves everything to the test: it accepts when asked, and hands out the plain socket.
Datagrams is the same for UDP.
Server serves by itself, one thread a connection, and keeps a record of whom it saw.
"""

import contextlib
import queue
import select
import socket
import threading

from network import family_of

UPSTREAM4 = ("127.0.0.1", 443)
UPSTREAM6 = ("::1", 443)

SO_RCVBUFFORCE = 33


class Listener:
    """A listening socket; each accepted one is the test's to play with."""

    def __init__(self, namespace, address=UPSTREAM4, backlog=4096):
        self.socket = namespace.socket(family_of(address[0]))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family_of(address[0]) == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.socket.bind(address)
        self.socket.listen(backlog)
        self._namespace = namespace

    def accept(self, timeout=10):
        """The next connection and the peer it shows: (socket, (address, port))."""
        self.socket.settimeout(timeout)
        try:
            accepted, peer = self.socket.accept()
        except socket.timeout:
            raise AssertionError(f"no connection reached the upstream in {timeout} s") from None
        accepted.settimeout(10)
        self._namespace.keep(accepted)
        return accepted, peer[:2]

    def accept_many(self, count, timeout=20):
        return [self.accept(timeout) for _ in range(count)]

    def has_connection(self):
        """Whether a connection waits to be accepted."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def assert_untouched(self):
        """Nobody waits. On loopback a dialled connection is queued before connect() returns."""
        if self.has_connection():
            _, peer = self.accept()
            raise AssertionError(f"the upstream has a connection from {peer}")

    def close(self):
        self.socket.close()


class Datagrams:
    """A UDP socket that answers when the test says so."""

    def __init__(self, namespace, address=UPSTREAM4):
        self.socket = namespace.socket(family_of(address[0]), socket.SOCK_DGRAM)
        if family_of(address[0]) == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.socket.settimeout(10)
        self.socket.bind(address)

    def receive(self):
        """The next datagram and whom it shows as its sender: (bytes, (address, port))."""
        try:
            payload, peer = self.socket.recvfrom(65536)
        except socket.timeout:
            raise AssertionError("no datagram reached the upstream in time") from None
        return payload, peer[:2]

    def send(self, payload, peer):
        self.socket.sendto(payload, peer)

    def has_datagram(self):
        """Whether a datagram waits to be received."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def assert_untouched(self):
        """On loopback a datagram is here before mmproxy has counted it, or a later one, as sent."""
        if self.has_datagram():
            raise AssertionError("the upstream has %r from %s" % self.receive())

    def close(self):
        self.socket.close()


class Server:
    """Accepts in a thread of its own and runs `serve(socket, peer)` in one a connection.

    `peers` is a queue of the (address, port) pairs seen, in the order they came.
    """

    def __init__(self, namespace, serve, address=UPSTREAM4):
        self.peers = queue.Queue()
        self._serve = serve
        self._listener = Listener(namespace, address)
        self._listener.socket.setblocking(True)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                accepted, peer = self._listener.socket.accept()
            except OSError:
                return
            self.peers.put(peer[:2])
            threading.Thread(target=self._run, args=(accepted, peer[:2]), daemon=True).start()

    def _run(self, accepted, peer):
        with accepted, contextlib.suppress(OSError):
            accepted.settimeout(60)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._serve(accepted, peer)

    def next_peer(self, timeout=10):
        try:
            return self.peers.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no connection reached the upstream in {timeout} s") from None

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.socket.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def echo(connection, peer):
    """Sends everything back, then closes in turn."""
    while data := connection.recv(262144):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def report_peer(connection, peer):
    """Tells the client which address it came from, as b"peer ADDRESS PORT\\n"."""
    connection.sendall(f"peer {peer[0]} {peer[1]}\n".encode())
    while connection.recv(65536):
        pass
