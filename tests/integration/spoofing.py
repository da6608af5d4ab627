# SPDX-License-Identifier: MIT
"""What becomes of a connection that speaks for a client, asked of the kernel itself: a transparent
socket in this process. By it a test proves that what it has broken is broken, whoever else says so.
"""

import errno
import socket

from network import family_of

# Documentation addresses, other than those that the doctor itself speaks for.
CLIENT4, CLIENT6 = "203.0.113.50", "2001:db8:c::50"

NO_ANSWER, REFUSED = "no answer", "refused"
CHANGED = "answered, but as somebody else"

_PLAIN_WORDS = (CLIENT4, CLIENT6, NO_ANSWER, REFUSED)

_IP_TRANSPARENT, _IPV6_TRANSPARENT, _SO_MARK = 19, 75, 36

# Seconds for an answer that has to come, even where whoever answers waits for a CPU; and for one
# that must not.
_PATIENCE, BRIEFLY = 10, 0.15


def _transparent(namespace, kind, upstream, mark, patience):
    six = family_of(upstream[0]) == socket.AF_INET6
    made = namespace.socket(family_of(upstream[0]), kind)
    if six:
        made.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
    else:
        made.setsockopt(socket.SOL_IP, _IP_TRANSPARENT, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as mmproxy: it blocks nobody
    made.setsockopt(socket.SOL_SOCKET, _SO_MARK, mark)
    made.settimeout(patience)
    made.bind((CLIENT6 if six else CLIENT4, 0))
    return made


def _outcome(made, exchange):
    try:
        return exchange(made)
    except socket.timeout:
        return NO_ANSWER
    except OSError as error:
        if error.errno == errno.ECONNREFUSED:
            return REFUSED
        # What the output chain drops, and what has no family, is said without waiting.
        if error.errno in (errno.EPERM, errno.ENETUNREACH, errno.EADDRNOTAVAIL):
            return NO_ANSWER
        raise
    finally:
        made.close()


def judge(seen):
    """What an outcome means where it is no matter whom else the upstream takes the client for."""
    return seen if seen in _PLAIN_WORDS else CHANGED


def connect(namespace, upstream, mark=0, patience=_PATIENCE):
    """The address that upstreams.report_peer() has seen; or NO_ANSWER, or REFUSED."""

    def exchange(made):
        made.connect(upstream)
        return made.makefile("r").readline().split()[1]

    made = _transparent(namespace, socket.SOCK_STREAM, upstream, mark, patience)
    return _outcome(made, exchange)


def ask(namespace, upstream, mark=0, patience=_PATIENCE):
    """The same of a UDP upstream, which answers with the address that it has seen."""

    def exchange(made):
        made.connect(upstream)
        made.send(b"who am I?")
        return made.recv(100).decode()

    made = _transparent(namespace, socket.SOCK_DGRAM, upstream, mark, patience)
    return _outcome(made, exchange)


def connect_plainly(namespace, upstream):
    """What a connection of this host's own meets."""

    def exchange(made):
        made.settimeout(_PATIENCE)
        made.connect(upstream)
        return made.makefile("r").readline().split()[1]

    return _outcome(namespace.socket(family_of(upstream[0])), exchange)
