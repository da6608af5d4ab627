# SPDX-License-Identifier: MIT
"""Receivers of the PROXY protocol that are asked what they make of a header: each has an upstream
here, which is told, or sees, whom the receiver takes for the client, and sends that back together
with the payload that came.

HAProxy tells it by a version 2 header, nginx by a version 1 line, mmproxy by the address it dials
from.
"""

import collections
import errno
import ipaddress
import os
import select
import socket
import struct
import time

import headers
from peers import NGINX_STREAM, Peer, find

# How long a receiver may take, once the sender's side is closed, to pass that on or to refuse.
PATIENCE = 20
_IN_FLIGHT = 48
_READ = 131072

# kind: "client", "own" (the connection's own endpoints), "refused", "silent" (no end in time) or
# "broken" (an upstream was reached whose answer did not come back).
Verdict = collections.namedtuple("Verdict", "kind address port payload", defaults=[None, None, b""])
REFUSED = Verdict("refused")


class Receiver:
    """Where the header goes, and the listening sockets of the upstream behind."""

    def __init__(self, name, address, upstreams, client_of):
        self.name = name
        self.address = address
        self.upstreams = upstreams
        # client_of(socket, bytes) is (address, port, payload) for what an upstream has received.
        self.client_of = client_of


class HAProxyReceiver(Peer):
    def __init__(self, namespace, port=9001):
        super().__init__(namespace)
        self._port = port
        self._path = str(self.directory / "upstream")
        self._config = self.write(
            "haproxy.cfg",
            f"""\
global
    maxconn 4000
    nbthread 1
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
listen front
    bind 127.0.0.1:{port} accept-proxy
    server upstream unix@{self._path} send-proxy-v2
""",
        )

    def run(self):
        upstream = _unix_listener(self._path)
        self.start([find("haproxy"), "-db", "-f", self._config], [self._port])
        return Receiver("haproxy", ("127.0.0.1", self._port), [upstream], _told_by_v2)


class NginxReceiver(Peer):
    def __init__(self, namespace, port=9002):
        super().__init__(namespace)
        self._port = port
        self._path = str(self.directory / "upstream")
        self._config = self.write(
            "nginx.conf",
            f"""\
load_module {NGINX_STREAM};
daemon off;
master_process off;
pid {self.directory}/pid;
error_log {self.directory}/error.log warn;
events {{ worker_connections 4096; }}
stream {{
    server {{
        listen 127.0.0.1:{port} proxy_protocol backlog=4096;
        proxy_protocol_timeout 60s;
        set_real_ip_from 127.0.0.0/8;
        proxy_pass unix:{self._path};
        proxy_protocol on;
        proxy_half_close on;
        proxy_timeout 60s;
    }}
}}
""",
        )

    def run(self):
        upstream = _unix_listener(self._path)
        command = [find("nginx"), "-p", str(self.directory), "-c", self._config]
        self.start([*command, "-e", str(self.directory / "error.log")], [self._port])
        return Receiver("nginx", ("127.0.0.1", self._port), [upstream], _told_by_v1)


def mmproxy_receiver(namespace, address, upstream_addresses):
    """mmproxy itself, which listens already; the upstreams are what it forwards to."""
    upstreams = []
    for upstream in upstream_addresses:
        made = namespace.socket(socket.AF_INET6 if ":" in upstream[0] else socket.AF_INET)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(upstream)
        made.listen(4096)
        upstreams.append(made)
    return Receiver("mmproxy", address, upstreams, _seen_as_peer)


def _unix_listener(path):
    made = socket.socket(socket.AF_UNIX)
    made.bind(path)
    os.chmod(path, 0o777)
    made.listen(4096)
    return made


def _told_by_v2(_, received):
    # Written by HAProxy: the only kinds it has are TCP over IPv4 and IPv6.
    assert received.startswith(headers.SIGNATURE + b"\x21"), received[:16]
    family, length = struct.unpack_from("!BH", received, 13)
    size, kind = {headers.TCP4: (4, socket.AF_INET), headers.TCP6: (16, socket.AF_INET6)}[family]
    address = socket.inet_ntop(kind, received[16 : 16 + size])
    [port] = struct.unpack_from("!H", received, 16 + 2 * size)
    return address, port, received[16 + length :]


def _told_by_v1(_, received):
    line, _, payload = received.partition(b"\r\n")
    _, protocol, source, _, port, _ = line.decode("ascii").split(" ")
    assert protocol in ("TCP4", "TCP6"), line
    return str(ipaddress.ip_address(source)), int(port), payload


def _seen_as_peer(connection, received):
    address, port = connection.getpeername()[:2]
    return address, port, received


# Where the balancers are: no header names it, or "own" would be told from "client" by the port alone,
# which is the same now and then.
_OWN = "127.41.87.203"


class _Sender:
    """The balancer's end of one connection."""

    def __init__(self, number, connection):
        self.number = number
        self.socket = connection
        self.own = connection.getsockname()[:2]
        self.received = b""
        self.unsent = b""
        self.deadline = time.monotonic() + PATIENCE


def ask(receiver, sent, namespace):
    """The receiver's Verdict on each of the byte strings, which are sent on a connection each and
    ended by a FIN."""
    with namespace.entered():
        return _Asking(receiver, sent).run()


class _Asking:
    def __init__(self, receiver, sent):
        self._receiver = receiver
        self._sent = sent
        self._verdicts = [None] * len(sent)
        self._epoll = select.epoll()
        self._senders = {}
        self._upstreams = {made.fileno(): made for made in receiver.upstreams}
        self._accepted = {}  # descriptor: [socket, bytes]
        for made in receiver.upstreams:
            made.setblocking(False)
            self._epoll.register(made, select.EPOLLIN)

    def run(self):
        following = 0
        while following < len(self._sent) or self._senders:
            while following < len(self._sent) and len(self._senders) < _IN_FLIGHT:
                self._send(following)
                following += 1
            for descriptor, _ in self._epoll.poll(0.2):
                if descriptor in self._senders:
                    self._hear(self._senders[descriptor])
                elif descriptor in self._accepted:
                    self._serve(descriptor)
                else:
                    self._accept(self._upstreams[descriptor])
            self._give_up_on_the_silent()
        for connection, _ in self._accepted.values():
            connection.close()
        self._epoll.close()
        return self._verdicts

    def _send(self, number):
        connection = socket.socket()
        connection.bind((_OWN, 0))
        connection.connect(self._receiver.address)
        connection.setblocking(False)
        sender = _Sender(number, connection)
        sender.unsent = self._sent[number]
        self._senders[connection.fileno()] = sender
        self._epoll.register(connection, select.EPOLLIN)
        self._go_on_sending(sender)

    def _go_on_sending(self, sender):
        try:
            if sender.unsent:
                sender.unsent = sender.unsent[sender.socket.send(sender.unsent) :]
            if sender.unsent:
                self._epoll.modify(sender.socket, select.EPOLLIN | select.EPOLLOUT)
                return
            sender.socket.shutdown(socket.SHUT_WR)
            self._epoll.modify(sender.socket, select.EPOLLIN)
        except BlockingIOError:
            self._epoll.modify(sender.socket, select.EPOLLIN | select.EPOLLOUT)
        except OSError as error:
            # Refused before all was sent; what there is to read, and the end, will be read.
            assert error.errno in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN), error
            sender.unsent = b""
            self._epoll.modify(sender.socket, select.EPOLLIN)

    def _hear(self, sender):
        try:
            data = sender.socket.recv(_READ)
        except BlockingIOError:
            self._go_on_sending(sender)
            return
        except ConnectionResetError:
            data = b""
        sender.received += data
        if data:
            return
        self._finish(sender, self._verdict(sender))

    def _verdict(self, sender):
        if not sender.received:
            return REFUSED
        size = struct.unpack_from("!I", sender.received)[0] if len(sender.received) >= 4 else -1
        if len(sender.received) != 4 + size:
            return Verdict("broken", payload=sender.received)
        text, _, payload = sender.received[4:].partition(b"\n")
        address, port = text.decode("ascii").split(" ")
        if (address, int(port)) == sender.own:
            return Verdict("own", payload=payload)
        return Verdict("client", address, int(port), payload)

    def _finish(self, sender, verdict):
        self._verdicts[sender.number] = verdict
        del self._senders[sender.socket.fileno()]
        sender.socket.close()

    def _give_up_on_the_silent(self):
        now = time.monotonic()
        for sender in [each for each in self._senders.values() if each.deadline < now]:
            self._finish(sender, Verdict("silent", payload=sender.received))

    def _accept(self, listener):
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        connection.setblocking(False)
        self._accepted[connection.fileno()] = [connection, b""]
        self._epoll.register(connection, select.EPOLLIN)

    def _serve(self, descriptor):
        connection, received = self._accepted[descriptor]
        try:
            data = connection.recv(_READ)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data, received = b"", None
        if data:
            self._accepted[descriptor][1] = received + data
            return
        if received is not None:
            address, port, payload = self._receiver.client_of(connection, received)
            answer = f"{address} {port}\n".encode() + payload
            connection.setblocking(True)
            connection.sendall(struct.pack("!I", len(answer)) + answer)
        del self._accepted[descriptor]
        connection.close()
