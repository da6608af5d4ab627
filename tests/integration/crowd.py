# SPDX-License-Identifier: MIT
"""Many sessions that live and are silent, in processes of their own: a process has so many sockets.

    crowd.py upstream ADDRESS PORT           echoes whatever comes
    crowd.py balancer ADDRESS PORT FIRST N   opens N sessions, the clients' numbers from FIRST on

Each line on a balancer's standard input has it exchange a message in all of its sessions, one after
another, and say so by a line; the end of its input is its own.
"""

import os
import select
import socket
import subprocess
import sys

from headers import v2

# Opened at a time, and messages that each of them exchanges: then it has most likely gone over.
_BATCH, _EXCHANGES = 50, 8

_READY = "ready\n"


def client(number):
    return (f"203.0.{113 + number // 50000}.{1 + number // 1000 % 50}", 20000 + number % 1000)


class Crowd:
    """Sessions through the mmproxy at `to`, in as many processes as it takes."""

    def __init__(self, namespace, count, to, upstream, each=8000):
        self._processes = []
        self._balancers = []
        self._namespace = namespace
        try:
            # An upstream has the sessions of all balancers of its turn, and mmproxy one upstream.
            self._start("upstream", *upstream)
            for first in range(0, count, each):
                size = min(each, count - first)
                self._balancers.append(self._start("balancer", *to, first, size))
        except BaseException:
            self.close()
            raise

    def _start(self, *arguments):
        pipe = subprocess.PIPE
        made = self._namespace.popen(
            [sys.executable, os.path.abspath(__file__), *map(str, arguments)],
            stdin=pipe,
            stdout=pipe,
            text=True,
        )
        self._processes.append(made)
        self._wait(made)
        return made

    @staticmethod
    def _wait(process):
        line = process.stdout.readline()
        assert line == _READY, f"{process.args} ended, saying {line!r}"

    def exchange(self):
        """A message and its answer in each session."""
        for balancer in self._balancers:
            balancer.stdin.write("\n")
            balancer.stdin.flush()
        for balancer in self._balancers:
            self._wait(balancer)

    def close(self):
        for process in reversed(self._processes):
            process.stdin.close()
            process.wait()


def _say_ready():
    sys.stdout.write(_READY)
    sys.stdout.flush()


def _ping(connection, times):
    for _ in range(times):
        connection.sendall(b"ping")
        answer = b""
        while len(answer) < 4:
            piece = connection.recv(4 - len(answer))
            assert piece, "a session has ended"
            answer += piece
        assert answer == b"ping"


def _balance(to, first, count):
    connections = []
    for start in range(first, first + count, _BATCH):
        batch = []
        for number in range(start, min(start + _BATCH, first + count)):
            connection = socket.create_connection(to, timeout=60)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(v2(client(number)))
            batch.append(connection)
        for _ in range(_EXCHANGES):
            for connection in batch:
                _ping(connection, 1)
        connections += batch
    _say_ready()
    for _ in sys.stdin:
        for connection in connections:
            _ping(connection, 1)
        _say_ready()


def _serve(address):
    listening = socket.create_server(address, backlog=4096)
    poll = select.epoll()
    poll.register(listening, select.EPOLLIN)
    poll.register(sys.stdin, select.EPOLLIN)
    connections = {}
    _say_ready()
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == sys.stdin.fileno():
                return
            if descriptor == listening.fileno():
                made, _ = listening.accept()
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[made.fileno()] = made
                poll.register(made, select.EPOLLIN)
                continue
            connection = connections[descriptor]
            try:
                data = connection.recv(65536)
                connection.sendall(data)
            except ConnectionError:
                data = b""
            if not data:
                del connections[descriptor]
                connection.close()


if __name__ == "__main__":
    where = (sys.argv[2], int(sys.argv[3]))
    if sys.argv[1] == "upstream":
        _serve(where)
    else:
        _balance(where, int(sys.argv[4]), int(sys.argv[5]))
