# SPDX-License-Identifier: MIT
"""Connections to mmproxy, as a balancer opens them, and whole sessions through it."""

import pytest

from headers import CLIENT4, v2

# Where settings.listener() listens.
MMPROXY = ("127.0.0.1", 8443)


def send(host, data):
    """A balancer's connection that has sent this."""
    connection = host.connect(MMPROXY)
    connection.sendall(data)
    return connection


def open_session(host, upstream, client=CLIENT4):
    """A session whose upstream has accepted: (client's end, upstream's end)."""
    connection = send(host, v2(client))
    accepted, _ = upstream.accept()
    for end in connection, accepted:
        end.settimeout(30)
    return connection, accepted


def clients(count):
    """That many different client tuples."""
    return [(f"203.0.113.{1 + number // 1000}", 20000 + number % 1000) for number in range(count)]


either_side = pytest.mark.parametrize("side", ["client", "upstream"])


def ends(session, first):
    """The two ends of a session, the one named first first."""
    connection, accepted = session
    return (connection, accepted) if first == "client" else (accepted, connection)
