# SPDX-License-Identifier: MIT
"""Everything bad at once beside live traffic, and afterwards as if nothing had been.

How fast it stays is a figure, and tests/bench/abuse measures it. What is judged here holds on a slow
machine as well: no live session ends, no byte is wrong, everybody who sends a header is served, and
nothing is taken that is not given back.
"""

import statistics
import time

import pytest

from abuse import Abuse
from bench_tools import program, result_of, start_load
from control import is_answered, request
from headers import v2
from peers import Peer
from sessions import MMPROXY, clients, send
from settings import configuration, listener, udp_listener
from traffic import read_exactly
from udp import Balancer
from waiting import wait_until

ECHO, UDP_ECHO = ("127.0.0.1", 7000), ("127.0.0.1", 5300)

# Of mmproxy: a few hundred sessions and flows, far less than the 5,000 that want one.
DESCRIPTORS = 2048
HALF_HEADERS = 5000

# Bytes of its own that it may take for what that many descriptors allow, with what is left in the
# allocator's hands: a session's, 4 KiB of header at the most, and a flow's.
MEMORY = 16 << 20


class Upstreams(Peer):
    """tcp_bench serve and udp_bench echo."""

    def __init__(self, namespace):
        super().__init__(namespace)
        self._udp = Peer(namespace)

    def run(self):
        self.start([program("tcp_bench"), "serve", "--echo", "%s:%d" % ECHO], [ECHO[1]])
        command = [program("udp_bench"), "echo", "--listen", "%s:%d" % UDP_ECHO]
        self._udp.start(command, [UDP_ECHO[1]], ["udp"])
        return self

    def stop(self):
        self._udp.stop()
        super().stop()


@pytest.fixture
def start_abuse(host):
    started = []

    def start(*arguments):
        started.append(Abuse(host, *arguments))
        return started[-1]

    yield start
    for abuse in started:
        abuse.kill()


@pytest.fixture
def start_besieged(host, start, start_daemon):
    """mmproxy with few descriptors before echoes, TCP and UDP."""

    def run(descriptors=DESCRIPTORS, **settings):
        start(Upstreams(host))
        both = [
            listener(forward={"ipv4": "%s:%d" % ECHO}, header_timeout=60.0, **settings),
            udp_listener(forward={"ipv4": "%s:%d" % UDP_ECHO}),
        ]
        config = configuration(*both, workers=2, drain_timeout=0, log={"level": "warning"})
        mmproxy = start_daemon(
            host,
            config=config,
            ready=False,
            launch={"prefix": ["prlimit", f"--nofile={descriptors}:{descriptors}"]},
        )
        wait_until(lambda: is_answered(mmproxy), 15, "it is up")
        return mmproxy

    return run


def live_flows(mmproxy):
    flows = request(mmproxy, "sessions listener=dns client=203.0.113.0/24 limit=100")["sessions"]
    return {(flow["client"], flow["id"]) for flow in flows}


class LiveFlows:
    """UDP clients that ask all the time, and know the answer."""

    def __init__(self, host, count):
        self._balancers = {
            client: Balancer(host) for client in [("203.0.113.200", 5000 + n) for n in range(count)]
        }
        self.rounds = 0
        # Whoever has been answered and comes back is no passer-by.
        for _ in range(3):
            self.round_trips()

    def round_trips(self):
        """One for each; how many of them were not answered."""
        self.rounds += 1
        lost = 0
        for client, balancer in self._balancers.items():
            balancer.socket.settimeout(0.5)
            asked = b"%d of %d" % (self.rounds, client[1])
            balancer.send(client, asked)
            try:
                while (answer := balancer.socket.recv(65536)) != asked:
                    late, _, who = answer.partition(b" of ")
                    assert int(who) == client[1] and int(late) < self.rounds
            except TimeoutError:
                lost += 1
        return lost


@pytest.mark.deadline(120)
def test_live_traffic_goes_on_beside_half_headers_no_descriptors_and_a_flood(
    host, start_besieged, start_abuse
):
    mmproxy = start_besieged()
    sessions = []
    for client in clients(20):
        connection = send(host, v2(client))
        connection.settimeout(30)
        sessions.append(connection)
    flows = LiveFlows(host, 10)
    ids = live_flows(mmproxy)
    assert len(ids) == 10
    memory = mmproxy.memory("RssAnon")

    abuse = [
        start_abuse("half-headers", "%s:%d" % MMPROXY, HALF_HEADERS),
        start_abuse("datagrams", "127.0.0.1:8443", 5000),
    ]
    mmproxy.wait_for_counter("sessions_closed_flow_evicted", 100)
    options = {"header": "v2", "seconds": 5, "warm_up": 0, "client": 100000}
    newcomers = start_load(host, "tcp_bench", "connect", MMPROXY, connections=4, **options)
    took, lost = [], []
    most = 0
    while newcomers.poll() is None:
        for number, connection in enumerate(sessions):
            word = b"%08d" % number
            began = time.monotonic()
            connection.sendall(word)
            assert read_exactly(connection, 8) == word
            took.append(time.monotonic() - began)
        lost.append(flows.round_trips())
        most = max(most, mmproxy.descriptors())
    served = result_of(newcomers)
    print(f"worst round trip {max(took):.3f} s, {sum(lost)} of {len(lost) * 10} datagrams lost")
    # It goes on: a pause of the machine's makes some late, or lose their turn, and not most.
    assert statistics.median(took) < 1
    assert sum(lost) < len(lost) * 10 / 2
    # Whoever sends a header at once is served, between thousands who do not.
    assert served["completed"] > 0 and served["failed"] == 0
    # No live flow made room for a stranger.
    assert live_flows(mmproxy) == ids
    assert most <= DESCRIPTORS
    mmproxy.assert_memory_grew_less(memory, MEMORY, "RssAnon")
    counters = mmproxy.counters()
    assert counters["sessions_closed_header_evicted"] > 0
    assert counters["sessions_closed_header_timeout"] == 0
    made = [one.finish() for one in abuse]
    assert made[0] > HALF_HEADERS and made[1] > 5000

    # And then it is as before: whoever comes is served, and what was taken is given back.
    began = time.monotonic()
    connection = send(host, v2(("203.0.113.150", 4000)) + b"x")
    assert read_exactly(connection, 1) == b"x"
    print(f"served {time.monotonic() - began:.3f} s after the end of the abuse")
    connection.close()
    wait_until(
        lambda: request(mmproxy, "sessions listener=web")["matched"] == 20, 30, "only they are left"
    )
    for number, connection in enumerate(sessions):
        connection.sendall(b"%08d" % number)
        assert read_exactly(connection, 8) == b"%08d" % number


@pytest.mark.deadline(120)
def test_a_besieged_control_socket_holds_up_no_session(host, start_besieged, start_abuse):
    mmproxy = start_besieged(descriptors=4096)
    options = {"header": "v2", "seconds": 4, "warm_up": 0}
    for kind, load in ("connect", {"connections": 4}), ("ping", {"connections": 20, "rate": 500}):
        abuse = start_abuse("control", mmproxy.control_socket, 1000)
        process = start_load(host, "tcp_bench", kind, MMPROXY, **options, **load)
        result = result_of(process)
        assert result.get("failed", 0) == 0 and result["total"] > 0
        if kind == "ping":
            assert result["messages"] > 0
        assert mmproxy.descriptors() <= 4096
        assert abuse.finish() >= 1000
    # Whoever asks politely is answered again.
    assert wait_until(lambda: request(mmproxy, "status"), 15, "it answers")["generation"] == 1
