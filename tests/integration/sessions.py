# SPDX-License-Identifier: MIT
"""Connections to mmproxy, as a balancer opens them, and whole sessions through it."""

import itertools

import pytest

from headers import CLIENT4, v2
from traffic import EOF, read_exactly, read_to_end

# Where settings.listener() listens.
MMPROXY = ("127.0.0.1", 8443)


def send(host, data):
    """A balancer's connection that has sent this."""
    connection = host.connect(MMPROXY)
    connection.sendall(data)
    return connection


def open_session(host, upstream, client=CLIENT4):
    """A session whose upstream has accepted the client: (client's end, upstream's end)."""
    connection = send(host, v2(client))
    accepted, peer = upstream.accept()
    assert peer == client
    for end in connection, accepted:
        end.settimeout(30)
    return connection, accepted


def clients(count):
    """That many different client tuples."""
    return [(f"203.0.113.{1 + number // 1000}", 20000 + number % 1000) for number in range(count)]


# The ports that unused_client() gives out.
_ports = itertools.count(31000)


def unused_client():
    """A client tuple of no session before, whose port upstream may therefore still be in use."""
    return (CLIENT4[0], next(_ports))


def assert_alive(connection, accepted):
    """Bytes still pass, both ways."""
    connection.sendall(b"ping")
    assert read_exactly(accepted, 4) == b"ping"
    accepted.sendall(b"pong")
    assert read_exactly(connection, 4) == b"pong"


def close(connection, accepted):
    """Ends a session in order, the client first."""
    connection.close()
    assert read_to_end(accepted) == (b"", EOF)
    accepted.close()


either_side = pytest.mark.parametrize("side", ["client", "upstream"])


def ends(session, first):
    """The two ends of a session, the one named first first."""
    connection, accepted = session
    return (connection, accepted) if first == "client" else (accepted, connection)
