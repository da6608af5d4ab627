# SPDX-License-Identifier: MIT
"""tests/bench/tcp_bench: it is content when all is right, and only then.

How fast anything is, is not tested here: of times there are lower bounds alone.
"""

import pathlib
import re
import signal
import struct
import time

import pytest

from bench_tools import BRIEF, go_on_warming_up, program, result_of, start_load
from peers import Peer
from sessions import MMPROXY
from upstreams import UPSTREAM4, Server, echo
from waiting import wait_until

ECHO, SINK, SOURCE = (("127.0.0.1", port) for port in (7000, 7001, 7002))
SHORT = {"connections": 5, "seconds": 0.1, "warm_up": 0}


class Upstream(Peer):
    """tcp_bench serve."""

    def run(self):
        command = [program("tcp_bench"), "serve"]
        for option, endpoint in (("echo", ECHO), ("sink", SINK), ("source", SOURCE)):
            command += [f"--{option}", "%s:%d" % endpoint]
        self.start(command, [ECHO[1], SINK[1], SOURCE[1]])
        return self

    def signal(self, number):
        self._process.send_signal(number)


@pytest.fixture
def serving(host):
    made = []

    def serve(function):
        made.append(Server(host, function))

    yield serve
    for server in made:
        server.close()


def load(host, kind, to, status=0, **options):
    return result_of(start_load(host, "tcp_bench", kind, to, **{**SHORT, **options}), status)


@pytest.mark.parametrize("size", [1, 1000, 65536])
@pytest.mark.parametrize("direction, to", [("echo", ECHO), ("up", SINK), ("down", SOURCE)])
def test_a_stream_is_whole(direction, to, size, host, start):
    start(Upstream(host))
    result = load(host, "stream", to, direction=direction, size=size)
    assert result["wrong"] == 0
    assert result["bytes"] <= result["total"] > 0


def test_pings_come_back(host, start):
    start(Upstream(host))
    result = load(host, "ping", ECHO, size=600)
    assert 0 < result["messages"] <= result["total"]
    percentiles = [result[name] for name in ("p50_us", "p99_us", "p999_us", "max_us")]
    assert 0 < percentiles[0] and percentiles == sorted(percentiles)


def test_connections_follow_each_other(host, start):
    start(Upstream(host))
    result = load(host, "connect", ECHO, seconds=0.5)
    assert result["failed"] == 0
    assert 0 < result["completed"] <= result["total"]


@pytest.mark.parametrize("header", ["v1", "v2"])
@pytest.mark.parametrize("kind", ["connect", "ping"])
def test_each_connection_has_a_client_of_its_own(kind, header, host, serving, start_daemon):
    clients = []

    def note(connection, peer):
        clients.append(peer)
        echo(connection, peer)

    serving(note)
    mmproxy = start_daemon(host)
    # Clients 39,998 and 39,999 are the last of an address.
    result = load(host, kind, MMPROXY, header=header, client=39998, connections=3, seconds=0.5)
    count = int(result["total"]) if kind == "connect" else 3
    assert len(set(clients)) == len(clients) == count
    assert {("10.0.0.1", 59998), ("10.0.0.1", 59999), ("10.0.0.2", 20000)} <= set(clients)
    assert mmproxy.counters()[f"headers_{header}"] == count


@pytest.mark.parametrize("kind", ["ping", "connect", "stream"])
def test_a_byte_that_is_not_what_was_sent_fails_the_load(kind, host, serving):
    def spoil(connection, peer):
        while data := bytearray(connection.recv(65536)):
            # The first byte says where the text begins, any other has to follow it.
            data[-1] ^= 0xFF
            connection.sendall(data)

    serving(spoil)
    load(host, kind, UPSTREAM4, status=1)


def test_a_connection_that_ends_too_early_fails_the_load(host, serving):
    serving(lambda connection, peer: connection.recv(1))
    result = load(host, "connect", UPSTREAM4, status=1)
    assert result["completed"] == 0 < result["failed"]


@pytest.mark.parametrize("missing", [0, 1])
def test_a_byte_that_did_not_arrive_fails_the_load(missing, host, serving):
    def sink(connection, peer):
        received = 0
        while data := connection.recv(65536):
            received += len(data)
        connection.sendall(struct.pack("!Q", received - missing))

    serving(sink)
    result = load(host, "stream", UPSTREAM4, status=missing, direction="up", size=1000)
    assert result["wrong"] == 5 * missing


def sleeps(process):
    """How often it has slept: once a message, at the most, and a few times before the first."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.M)[1])


def test_what_is_due_while_the_server_stalls_waits_from_then_on(host, start):
    """No coordinated omission: what was due meanwhile counts, though it was not sent."""
    upstream = start(Upstream(host))
    options = {"rate": 1000, "connections": 2, "seconds": 1, "warm_up": 0}
    stalled_meanwhile = False
    while not stalled_meanwhile:
        earliest = time.monotonic()
        process = start_load(host, "tcp_bench", "ping", ECHO, **options)
        wait_until(lambda: sleeps(process) > 30, 10, "messages are on their way")
        upstream.signal(signal.SIGSTOP)
        time.sleep(0.3)  # how long it stalls
        upstream.signal(signal.SIGCONT)
        # The stall was part of the second, if this process was not held up itself.
        stalled_meanwhile = time.monotonic() < earliest + 1
        result = result_of(process)
    assert result["messages"] == 1000
    # Some 300 were due in that time, and waited for what was left of it.
    assert result["max_us"] >= 290_000
    assert result["p99_us"] >= 200_000


@pytest.mark.parametrize(
    "kind, counted", [("ping", "messages"), ("stream", "bytes"), ("connect", "completed")]
)
def test_a_load_that_waits_counts_from_when_it_is_told_to(kind, counted, host, start):
    start(Upstream(host))
    process = start_load(host, "tcp_bench", kind, ECHO, wait=True, **{**SHORT, "seconds": BRIEF})
    go_on_warming_up(process)
    result = result_of(process)
    assert 0 < result[counted] < result["total"]
    assert result["seconds"] >= BRIEF


def test_a_rate_is_counted_from_then_on_too(host, start):
    start(Upstream(host))
    options = {**SHORT, "seconds": BRIEF, "rate": 1000, "connections": 2}
    process = start_load(host, "tcp_bench", "ping", ECHO, wait=True, **options)
    go_on_warming_up(process)
    result = result_of(process)
    # Two connections, each with a message in 2 ms: one more of each may be due.
    assert 1000 * BRIEF <= result["messages"] <= 1000 * BRIEF + 2
    assert result["messages"] < result["total"]


def test_idle_connections_stay_and_are_still_of_use(host, start):
    start(Upstream(host))
    process = start_load(host, "tcp_bench", "idle", ECHO, connections=100)
    assert process.stdout.readline() == "connections=100\n"
    assert process.poll() is None
    result_of(process)


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["ping", "--to", "127.0.0.1"], "--to"),
        (["ping", "--to", "[::1]:80"], "--to: an IPv4 address is needed"),
        (["ping", "--to", "127.0.0.1:80", "--size", "0"], "--size"),
        (["stream", "--to", "127.0.0.1:80", "--direction", "left"], "not echo, up or down: left"),
        (["ping", "--to", "127.0.0.1:80", "--header", "v3"], "not none, v1 or v2: v3"),
        (["ping", "--to", "127.0.0.1:80", "--text", "aba"], "all different: aba"),
        (["ping", "--to", "127.0.0.1:80", "--rate", "-1"], "--rate"),
        (["juggle"], "Usage"),
    ],
)
def test_a_mistake_is_told(arguments, complaint, host):
    done = host.run([program("tcp_bench"), *arguments])
    assert done.returncode == 1
    assert complaint in done.stderr
