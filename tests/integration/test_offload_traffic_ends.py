# SPDX-License-Identifier: MIT
"""How sessions end, or don't, that the kernel carries: half-closes, resets, readers that stop, peers that
are silent; and what is not handed over. By hand, one session at a time, so that each is known to be
carried when it happens.
"""

import contextlib
import errno
import hashlib
import os
import select
import socket

import pytest

from headers import v2
from offload_hosts import LINK4, PORT, Behind, Loopback, sockets
from traffic import (
    EOF,
    RESET,
    Background,
    fill_until_throttled,
    hash_to_end,
    read_exactly,
    read_to_end,
    reset,
    send_and_finish,
    wait_until_sent,
)
from upstreams import UPSTREAM4, UPSTREAM6, Listener
from waiting import wait_until

pytest_plugins = ["offload_hosts"]

MIB = 1 << 20
BALANCER = LINK4 % 2
CLIENTS = {4: "198.18.0.9", 6: "2001:db8:18::9"}

kinds = pytest.mark.parametrize("kind", [Loopback, Behind])
families = pytest.mark.parametrize("family", [4, 6])
first = pytest.mark.parametrize("first", ["client", "upstream"])


def exchange(connection, accepted):
    """Four messages each way."""
    for _ in range(4):
        connection.sendall(b"question")
        assert read_exactly(accepted, 8) == b"question"
        accepted.sendall(b"answer")
        assert read_exactly(connection, 6) == b"answer"


class Carried:
    """A host with a mmproxy, and sessions through it that the kernel carries."""

    def __init__(self, host, mmproxy):
        self.host, self.mmproxy = host, mmproxy
        self.upstreams = {
            4: Listener(host.host, UPSTREAM4),
            6: Listener(host.host, UPSTREAM6),
        }
        self._port = 20000

    def open(self, family=4, client=None, source=None, prepare=lambda made: None):
        """A session, not yet handed over: (client's end, upstream's end)."""
        self._port += 1
        client = client or (CLIENTS[family], self._port)
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        made = self.host.balancer.socket(kind)
        made.settimeout(20)
        prepare(made)
        if source is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(source)
        made.connect((self.host.to[family], PORT))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.sendall(v2(client))
        accepted, peer = self.upstreams[family].accept()
        assert peer == client
        accepted.settimeout(20)
        return made, accepted

    def carry(self, session):
        """Messages back and forth until the kernel has it, and mmproxy no socket."""
        connection, accepted = session
        before = self.mmproxy.counters()["offloaded"]

        def moved():
            exchange(connection, accepted)
            return self.mmproxy.counters()["offloaded"] > before

        wait_until(moved, 10, "the session is handed over", interval=0.02)
        wait_until(
            lambda: not sockets(self.host.host, self.mmproxy), 10, "mmproxy has no socket of it"
        )
        return session

    def session(self, family=4, **options):
        return self.carry(self.open(family, **options))


@pytest.fixture
def carried(place, start_offload):
    def build(kind, **changes):
        host = place(kind)
        return Carried(host, start_offload(host.host, **host.listener(**changes)))

    return build


def ends(session, which):
    connection, accepted = session
    return (connection, accepted) if which == "client" else (accepted, connection)


@first
@families
@kinds
def test_one_side_ends_and_the_other_goes_on_for_long(kind, family, first, carried):
    made = carried(kind)
    one, other = ends(made.session(family), first)
    question, answer = os.urandom(MIB), os.urandom(24 * MIB)
    sending = Background(send_and_finish, one, question)
    assert read_to_end(other) == (question, EOF)
    sending.result()
    sending = Background(send_and_finish, other, answer)
    assert hash_to_end(one) == (hashlib.sha256(answer).hexdigest(), len(answer), EOF)
    sending.result()
    made.mmproxy.assert_closed("finished")
    # What has passed since the hand-over is counted as what has passed before.
    (line,) = made.mmproxy.log_lines("session: closed")
    sizes = {"client": "bytes_from_client", "upstream": "bytes_from_upstream"}
    assert int(line[sizes.pop(first)]) >= len(question)
    assert int(line[sizes.popitem()[1]]) >= len(answer)


@first
@families
@kinds
def test_one_side_resets_in_the_middle(kind, family, first, carried):
    """Both send; what the other side gets is a beginning of what was sent, then a reset."""
    made = carried(kind)
    one, other = ends(made.session(family), first)
    sent = os.urandom(8 * MIB)
    sending = Background(other.sendall, os.urandom(8 * MIB))
    received = Background(read_to_end, other)
    reading = Background(read_exactly, one, 2 * MIB)
    one.sendall(sent)
    reading.result()
    reset(one)
    data, end = received.result()
    # Whoever of the two asks first is told.
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        sending.result()
        assert end == RESET
    assert sent.startswith(data)
    made.mmproxy.assert_closed(f"{first}_reset")


@first
@kinds
def test_a_reader_stops_for_a_while(kind, first, carried):
    """The window closes, end to end: little more is on its way than the reader's own buffer takes."""
    made = carried(kind)
    made.host.host.shrink_buffers()
    if made.host.balancer is not made.host.host:
        made.host.balancer.shrink_buffers()
    one, other = ends(made.session(), first)
    digest = hashlib.sha256()
    size = fill_until_throttled(one, digest=digest)
    assert size < 8 * MIB
    # The other direction goes on meanwhile.
    other.sendall(b"still here")
    assert read_exactly(one, 10) == b"still here"
    receiving = Background(hash_to_end, other)
    rest = os.urandom(4 * MIB)
    digest.update(rest)
    one.sendall(rest)
    one.shutdown(socket.SHUT_WR)
    assert receiving.result() == (digest.hexdigest(), size + len(rest), EOF)


def _keep_alive(made):
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)


_SILENCE = """\
table inet silence {
 chain out { type filter hook output priority 0; tcp sport 443 drop; }
}
"""


@families
def test_a_keepalive_asks_the_far_end_itself(family, carried):
    """While the upstream answers, the connection lives; when it has fallen silent, the client learns of
    that, though mmproxy is well."""
    made = carried(Behind)
    connection, accepted = made.session(family)
    _keep_alive(connection)
    connection.settimeout(4)
    with pytest.raises(socket.timeout):
        connection.recv(1)  # more than the probes that may go unanswered
    connection.sendall(b"alive")
    assert read_exactly(accepted, 5) == b"alive"
    wait_until_sent(connection)
    made.host.host.nft(_SILENCE)
    connection.settimeout(20)
    with pytest.raises(TimeoutError) as raised:
        connection.recv(1)
    assert raised.value.errno == errno.ETIMEDOUT  # and it is not this call's own patience


def test_urgent_data_keep_a_session_where_it_is(carried):
    """mmproxy passes urgent data on as other data, and its place is not told; so it goes on to."""
    made = carried(Loopback)
    connection, accepted = made.open()
    connection.send(b"!", socket.MSG_OOB)
    assert read_exactly(accepted, 1) == b"!"

    def stays():
        exchange(connection, accepted)
        return made.mmproxy.counters()["offload_stayed_urgent"]

    assert wait_until(stays, 10, "the session stays", interval=0.02) == 1
    exchange(connection, accepted)
    assert made.mmproxy.counters()["offloaded"] == 0


@kinds
def test_urgent_data_pass_when_the_kernel_carries(kind, carried):
    made = carried(kind)
    connection, accepted = made.session()
    connection.sendall(b"before")
    connection.send(b"!", socket.MSG_OOB)
    assert read_exactly(accepted, 6) == b"before"
    assert select.select([], [], [accepted], 10)[2]
    accepted.setblocking(False)  # else this call waits for other data before it asks
    assert accepted.recv(1, socket.MSG_OOB) == b"!"
    accepted.settimeout(20)
    connection.sendall(b"behind")
    assert read_exactly(accepted, 6) == b"behind"


def syns_lost(host):
    """Those that the balancer or mmproxy sent again, but for what the upstream's socket in TIME-WAIT
    refused: the balancer's timestamps, as that got them, may be ahead of mmproxy's own."""
    lost = 0
    for each in host.each():
        rows = [line.split() for line in each.run(["nstat", "-asz"]).stdout.splitlines()]
        counts = {row[0]: int(row[1]) for row in rows if row[0] != "#kernel"}
        # Older kernels count both kinds of refusals as one.
        refused = counts.get("TcpExtPAWSTimewait", counts["TcpExtPAWSEstab"])
        lost += max(0, counts["TcpExtTCPSynRetrans"] - refused)
    return lost


@pytest.mark.parametrize("how", ["finished", "reset"])
@kinds
def test_the_same_ports_are_used_again_at_once(kind, how, carried):
    """The same balancer's port and the same client, while late packets are still led on."""
    made = carried(kind)
    name = (BALANCER if kind is Behind else "127.0.0.1", 30000)
    for number in range(5):
        connection, accepted = made.session(client=(CLIENTS[4], 20000), source=name)
        assert syns_lost(made.host) == 0
        if how == "reset":
            reset(connection)
            assert read_to_end(accepted) == (b"", RESET)
        else:
            # Whoever ends first keeps the port for a minute; the balancer's must be free.
            accepted.shutdown(socket.SHUT_WR)
            assert read_to_end(connection) == (b"", EOF)
            connection.close()
            assert read_to_end(accepted) == (b"", EOF)
        accepted.close()
        made.mmproxy.wait_for_counter(
            "sessions_closed_finished" if how == "finished" else "sessions_closed_client_reset",
            number + 1,
        )
    assert made.mmproxy.counters()["offloaded"] == 5


def test_late_data_for_an_upstream_that_has_closed_are_reset(carried):
    """The upstream is in FIN-WAIT-2 and has nobody who reads: what comes is answered with a reset."""
    made = carried(Behind)
    connection, accepted = made.session()
    accepted.close()
    assert read_to_end(connection) == (b"", EOF)
    # So that the upstream's end is acknowledged: that is what makes it forget its socket.
    wait_until(
        lambda: "FIN-WAIT-2" in made.host.host.run(["ss", "-Htn", "sport", "=", "443"]).stdout,
        10,
        "the upstream's end is acknowledged",
    )
    connection.sendall(b"anybody?")

    def is_reset():
        try:
            connection.sendall(b"!")
        except (BrokenPipeError, ConnectionResetError):
            return True
        return False

    wait_until(is_reset, 5, "the client learns that nobody is there", interval=0.05)
    made.mmproxy.wait_for_counter("sessions_closed_upstream_reset")


_DEAF = """\
table inet deaf {
 chain in { type filter hook input priority 0; tcp sport %d tcp flags psh drop; }
}
""" % PORT


def test_a_far_end_that_never_gets_the_last_bytes_of_our_socket_ends_the_session(carried):
    """What mmproxy had sent before the hand-over is its own to send again. When it gives that up, so
    must the session end: nobody else has those bytes."""
    # From the first answer that is lost on: the hand-over has to come before.
    made = carried(Behind, user_timeout=5.0)
    connection, accepted = made.open()
    made.host.balancer.nft(_DEAF)
    before = made.mmproxy.counters()["offloaded"]

    def moved():
        connection.sendall(b"question")
        assert read_exactly(accepted, 8) == b"question"
        accepted.sendall(b"answer")
        return made.mmproxy.counters()["offloaded"] > before

    wait_until(moved, 10, "the session is handed over", interval=0.02)
    made.mmproxy.wait_for_counter("sessions_closed_client_unresponsive", timeout=30)
    assert read_to_end(accepted) == (b"", RESET)
    # Whoever was taken for dead, and is not, is told when it speaks again.
    made.host.balancer.nft("delete table inet deaf")
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        connection.sendall(b"anybody?")
        assert read_to_end(connection) == (b"", RESET)
