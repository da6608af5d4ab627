# SPDX-License-Identifier: MIT
"""Abuse, as a program of its own, so that it takes no turn from whoever measures.

    abuse.py half-headers TO COUNT    so many connections at a time that never finish their header;
                                      one that is closed is followed by another
    abuse.py datagrams TO RATE        a second, each of a client that was never there before
    abuse.py control PATH COUNT       so many connections at a time to a control socket, which are
                                      silent, send half requests, garbage or far too much, or ask for
                                      much and never read it

TO is ADDRESS:PORT. Each says "ready" once it is in full swing, and goes on until its standard input
ends; then it says what it has done.
"""

import contextlib
import os
import resource
import select
import socket
import subprocess
import sys
import time

from headers import v1, v2_udp

IP_BIND_ADDRESS_NO_PORT = 24

HALF = v1(("203.0.113.9", 41000))[:20]

# Connections opened, or datagrams sent, between two looks at the rest.
TURN = 50


class Abuse:
    """One of them, from the moment it is made: Abuse(host, "half-headers", "127.0.0.1:8443", 5000).
    It must be in full swing when the constructor returns."""

    def __init__(self, namespace, *arguments):
        pipe = subprocess.PIPE
        command = [sys.executable, os.path.abspath(__file__), *map(str, arguments)]
        self._process = namespace.popen(command, stdin=pipe, stdout=pipe, text=True)
        ready = self._process.stdout.readline()
        assert ready == "ready\n", f"{arguments}: {ready}"

    def finish(self):
        """Ends it, all of its connections with it. Returns how much it has done."""
        said, _ = self._process.communicate(timeout=30)
        assert self._process.returncode == 0
        return int(said)

    def kill(self):
        self._process.kill()
        self._process.communicate()


def endpoint(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def told_to_end():
    return bool(select.select([sys.stdin], [], [], 0)[0])


def half_headers(to, count):
    """Balancer addresses are 127.0.0.0/16, so that neither they nor their ports run out."""
    poller, open_ones, made = select.epoll(), {}, 0
    said = False

    def begin():
        connection = socket.socket()
        connection.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        connection.setblocking(False)
        connection.bind((f"127.0.{made // 20000 % 256}.{1 + made % 200}", 0))
        with contextlib.suppress(BlockingIOError):
            connection.connect(to)
        poller.register(connection, select.EPOLLOUT | select.EPOLLONESHOT)
        open_ones[connection.fileno()] = connection

    while not told_to_end():
        for _ in range(min(TURN, count - len(open_ones))):
            begin()
            made += 1
        for descriptor, events in poller.poll(0.01, TURN):
            connection = open_ones[descriptor]
            try:
                if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                    raise ConnectionError
                connection.send(HALF)
                poller.modify(descriptor, select.EPOLLIN | select.EPOLLRDHUP)
            except OSError:
                connection.close()
                del open_ones[descriptor]
        if not said and made >= count:
            print("ready", flush=True)
            said = True
    for connection in open_ones.values():
        connection.close()
    return made


def flood_client(number):
    """Clients of 198.18.0.0/15, none twice before all have been."""
    which, port = number % 62500, number // 62500 % 60000
    return (f"198.18.{which // 250}.{1 + which % 250}", 1024 + port)


def datagrams(to, rate):
    balancer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    balancer.connect(to)
    began, sent = time.monotonic(), 0
    while not told_to_end():
        due = int((time.monotonic() - began) * rate)
        # What was late is sent now, so that the rate is what was asked for where it can be.
        for _ in range(min(due - sent, TURN)):
            with contextlib.suppress(OSError):  # a full queue, or an ICMP error
                balancer.send(v2_udp(flood_client(sent)) + b"flood")
            sent += 1
            if sent == TURN:
                print("ready", flush=True)
        if sent >= due:
            time.sleep(0.001)
    return sent


REQUESTS = [
    b"",
    b"sessions lim",
    b"\x00\xff\x16\x03\x01" * 50 + b"\n",
    b"x" * 65536,
    b"sessions limit=10000\n" * 50,
    b"status\n",
]


def control(path, count):
    open_ones, made = [], 0
    said = False
    while not told_to_end():
        if len(open_ones) == count:
            open_ones.pop(0).close()
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        open_ones.append(connection)
        made += 1
        with contextlib.suppress(OSError):
            connection.connect(path)
            connection.send(REQUESTS[made % len(REQUESTS)])
        if len(open_ones) == count and not said:
            print("ready", flush=True)
            said = True
        time.sleep(0.0005)
    return made


def main():
    kind, to, number = sys.argv[1:]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    done = {
        "half-headers": lambda: half_headers(endpoint(to), int(number)),
        "datagrams": lambda: datagrams(endpoint(to), int(number)),
        "control": lambda: control(to, int(number)),
    }[kind]()
    print(done)


if __name__ == "__main__":
    main()
