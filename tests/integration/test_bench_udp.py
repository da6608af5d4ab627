# SPDX-License-Identifier: MIT
"""tests/bench/udp_bench: what it counts is right, however slow the machine is.

How fast anything is, is not tested here: of times there are lower bounds alone.
"""

import pathlib
import re
import signal
import time

import pytest

import bench_tools
from bench_tools import BRIEF, go_on_warming_up, program, result_of
from peers import Peer
from upstreams import UPSTREAM4
from waiting import wait_until

PORT = 5300

# Datagrams of one client, all of them measured.
WINDOW = {"clients": 1, "window": 16, "seconds": 0.1, "warm_up": 0}
RATE = {"clients": 1, "rate": 4000, "seconds": 0.1, "warm_up": 0}

modes = pytest.mark.parametrize("mode", [WINDOW, RATE], ids=["window", "rate"])


class Echo(Peer):
    """udp_bench echo."""

    def __init__(self, namespace, *options):
        super().__init__(namespace)
        self._options = options

    def run(self):
        command = [program("udp_bench"), "echo", "--listen", f"127.0.0.1:{PORT}", *self._options]
        self.start(command, [PORT], ["udp"])
        return self

    def signal(self, number):
        self._process.send_signal(number)

    def has_datagram(self):
        """Whether a datagram waits to be received."""
        table = pathlib.Path(f"/proc/{self._process.pid}/net/udp").read_text()
        # Columns: slot, local address, remote address, state, bytes to send and received, ...
        (queued,) = re.findall(rf": \w+:{PORT:04X} \S+ \S+ \w+:(\w+) ", table)
        return int(queued, 16) > 0


def start_load(namespace, to=("127.0.0.1", PORT), **options):
    options = {"framing": "none", "size": 64, **options}
    return bench_tools.start_load(namespace, "udp_bench", "load", to, **options)


def load(namespace, **options):
    result = result_of(start_load(namespace, **options))
    assert result["wrong"] == 0
    return result


def never_came(result):
    """The lost ones, but for those that a busy machine has only delayed."""
    return result["lost"] - result["late"]


@modes
def test_a_clean_run_loses_nothing(mode, host, start):
    start(Echo(host))
    result = load(host, **mode)
    assert 0 < result["sent"] == result["total"] + result["lost"]
    assert never_came(result) == result["reordered"] == 0
    percentiles = [result[name] for name in ("p50_us", "p99_us", "p999_us", "max_us")]
    assert 0 < percentiles[0] and percentiles == sorted(percentiles)


@modes
def test_exactly_what_is_dropped_is_lost(mode, host, start):
    # Of a window some are dropped, even if only the first of its datagrams leave in time.
    start(Echo(host, "--drop-every", "10"))
    result = load(host, **mode)
    assert never_came(result) == result["sent"] // 10 > 0
    assert result["sent"] == result["total"] + result["lost"]
    assert result["reordered"] == 0


@modes
def test_exactly_what_is_overtaken_is_reordered(mode, host, start):
    start(Echo(host, "--swap-every", "7"))
    result = load(host, **mode)
    # Behind the last datagram comes none that could overtake it; what is late is not told apart.
    overtaken = (result["sent"] - 1) // 7
    assert 0 < overtaken - result["late"] <= result["reordered"] <= overtaken
    assert never_came(result) == (result["sent"] % 7 == 0)


def test_answers_other_than_what_was_sent_are_wrong(host, udp_upstream):
    result = {"lost": None}
    while result["lost"] != 0:  # one is given up, if this process is held up for a second
        result = result_with_wrong_answers(host, udp_upstream)
    assert result["wrong"] == 4 * 4
    assert result["total"] == 4


def result_with_wrong_answers(host, udp_upstream):
    """Of a load that gets four wrong answers to each of its four datagrams, and the right one."""
    process = start_load(host, to=UPSTREAM4, clients=2, rate=20, seconds=0.2, warm_up=0)
    for _ in range(4):
        payload, peer = udp_upstream.receive()
        client, sequence, filler = payload[:4], payload[4:12], payload[12:]
        other_client = bytes([0, 0, 0, 1 - client[3]])
        udp_upstream.send(other_client + sequence + filler, peer)
        never_sent = b"\0\0\0\0\0\0\0\x63"
        udp_upstream.send(client + never_sent + filler, peer)
        udp_upstream.send(client + sequence + filler[:-1] + b"?", peer)
        udp_upstream.send(payload + b"?", peer)
        udp_upstream.send(payload, peer)
    return result_of(process, status=1)


@modes
def test_a_load_that_waits_counts_from_when_it_is_told_to(mode, host, start):
    start(Echo(host))
    process = start_load(host, wait=True, **{**mode, "seconds": BRIEF})
    go_on_warming_up(process)
    result = result_of(process)
    assert 0 < result["sent"] < result["total"]
    if mode is RATE:
        assert result["sent"] == 4000 * BRIEF


def test_a_rate_is_kept_to_the_datagram(host, start):
    start(Echo(host))
    result = load(host, clients=7, rate=2000, seconds=0.1, warm_up=0.05)
    assert result["sent"] == 200
    assert result["total"] + result["late"] == 100 + 200


def test_what_is_due_while_the_server_stalls_waits_from_then_on(host, start):
    """No coordinated omission: the load goes on, and latencies tell of all that it has sent."""
    echo = start(Echo(host))
    echo.signal(signal.SIGSTOP)
    process = start_load(host, clients=1, rate=1000, seconds=0.4, warm_up=0)
    wait_until(echo.has_datagram, 10, "a datagram is on its way")
    time.sleep(0.3)
    echo.signal(signal.SIGCONT)
    result = result_of(process)
    assert result["sent"] == 400
    assert result["max_us"] >= 300e3
    assert result["p99_us"] >= 290e3
    # Half of all were due in the first 0.2 s of at least 0.3 s.
    assert result["p50_us"] >= 100e3


def test_what_the_load_itself_is_late_with_leaves_at_once_and_is_counted(host, udp_upstream):
    earliest = time.monotonic()
    process = start_load(host, to=UPSTREAM4, clients=1, rate=1000, seconds=0.4, warm_up=0)
    udp_upstream.send(*udp_upstream.receive())
    process.send_signal(signal.SIGSTOP)
    status = pathlib.Path(f"/proc/{process.pid}/status")
    wait_until(lambda: "State:\tT" in status.read_text(), 10, "the load is stopped")
    stopped = time.monotonic()
    time.sleep(0.3)
    # Of what is due until the end of the run, if it is still going on.
    seconds = min(time.monotonic(), earliest + 0.4) - stopped
    process.send_signal(signal.SIGCONT)
    for _ in range(399):
        udp_upstream.send(*udp_upstream.receive())
    result = result_of(process)
    assert result["sent"] == 400
    # Behind is what left more than 1 ms too late.
    assert result["behind"] >= (seconds - 0.002) * 1000
    # Half of all were due in the first 0.2 s of these.
    assert result["p50_us"] >= (seconds - 0.202) * 1e6
