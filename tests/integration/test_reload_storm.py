# SPDX-License-Identifier: MIT
"""A thousand reloads under a thousand connections a second, with broken files among them: every
connection gets its own answer, and nothing is left behind.

The load is paced by tests/tools/tcp_load, the reloads by the load: each waits until so many more
sessions have been answered. So what is asserted are counts, and on a slow machine both take longer.
"""

import contextlib
import itertools
import os
import time

import pytest

import control
import daemon
import plugins
from headers import v2
from sessions import assert_alive, clients
from settings import configuration, listener, udp_listener
from tcp_load import TcpLoad
from traffic import EOF, read_to_end
from upstreams import Listener
from waiting import wait_until

pytest_plugins = ["hooks"]

RELOADS, RATE = 1000, 1000
# A build with sanitizers is many times slower, and so is its every allocation: a tenth of the
# reloads under a fifth of the load.
SANITIZED_RELOADS, SANITIZED_RATE = 100, 200
SESSIONS_PER_RELOAD = 15

# Before the measurement: what is there once, buffers and the like, is there then.
WARM_RELOADS = 150
KIB = 1 << 10

# A listener that comes and goes.
VISITOR = ("127.0.0.1", 8445)

# What is freed goes back to the system, so that what has grown is what is held.
FRUGAL = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


@pytest.fixture
def start_load(host):
    started = []

    def run(rate):
        started.append(TcpLoad(host, rate))
        return started[-1]

    yield run
    for load in started:
        load.kill()


class Files:
    """Configurations for a daemon: the first one, good ones and broken ones without end."""

    def __init__(self, record):
        self._record = record
        self.numbers = itertools.count(1)
        self._broken_ones = itertools.cycle(self._broken())

    def first(self):
        return self._file(listener("web"))

    def good(self):
        """With its number, by which it is known what is in it."""
        number = next(self.numbers)
        return number, self._good(number)

    def broken(self):
        return next(self._broken_ones)

    def _file(self, *listeners, **top):
        """Always with the listener whose sessions outlive the storm."""
        steady = listener(
            "steady",
            listen="127.0.0.1:8444",
            forward={"ipv4": "127.0.0.1:444"},
            plugins=[self._record.entry("steady")],
        )
        top = {"workers": 2, "drain_timeout": 0, "log": {"level": "info"}, **top}
        return configuration(*listeners, steady, **top)

    def _good(self, number):
        """All that may change does, each at a pace of its own."""
        chains = [
            None,
            [plugins.entry("acl", {"deny": [f"192.0.2.{number % 250}"]})],
            [plugins.entry("ratelimit", {"rate": 100.0}), self._record.entry("web")],
        ]
        web = listener(
            "web",
            subnets=["127.0.0.0/8"] + [f"192.0.2.{other}/32" for other in range(number % 7)],
            header_timeout=5.0 + number % 3,
            idle_timeout=60.0 + number % 5,
            user_timeout=30.0 + number % 2,
            max_sessions=5000 + number % 11,
            mark=number % 4,
            plugins=chains[number % len(chains)],
        )
        return self._file(web, *self._others(number))

    @staticmethod
    def has_visitor(number):
        return number % 2 == 1

    def _others(self, number):
        """Listeners that come and go. One of UDP takes a moment to go: the next is elsewhere."""
        if self.has_visitor(number):
            yield listener("visitor", listen="%s:%d" % VISITOR)
        if number % 3:
            place = number % 8
            yield udp_listener(f"udp-{place}", listen=f"127.0.0.1:{8450 + place}", max_flows=50)

    def _broken(self):
        good = self._file(listener("web"))
        return [
            good.replace("(", "", 1),
            good[: len(good) * 2 // 3],
            '@include "no-such-file"\n' + good,
            "",
            self._file(listener("web", no_such_setting=1)),
            self._file(listener("web", listen="127.0.0.1:8443:1")),
            self._file(listener("web", subnets=None, subnets_files=["/no/such/file"])),
            self._file(listener("web", plugins=[{"name": "x", "path": "/no/such/plugin.so"}])),
            self._file(listener("web", plugins=[plugins.entry("acl", {"deny": ["none"]})])),
            self._file(listener("web"), workers=3),
        ]


class Reloads:
    """Reloads of a daemon's configuration, by signal and by the control socket in turn."""

    def __init__(self, host, mmproxy, files):
        self.done = self.good = self.visits = 0
        self._host = host
        self._mmproxy = mmproxy
        self._files = files
        self._control = "+jansson" in daemon.version_text()

    def storm(self, count, load):
        """Each is awaited, and each second or third is of a broken file."""
        began = load.counts()["right"]
        for number in range(count):
            wait_until(
                lambda: load.counts()["right"] - began >= number * SESSIONS_PER_RELOAD,
                60,
                lambda: f"sessions are answered: {load.counts()}",
                interval=0.002,
            )
            if number % 5 in (1, 3):
                assert not self._reload(self._files.broken())
            else:
                number, text = self._files.good()
                assert self._reload(text), self._mmproxy.log()[-4000:]
                self._visit(self._files.has_visitor(number))

    def put(self, text):
        assert self._reload(text), self._mmproxy.log()[-4000:]

    def _reload(self, text):
        """Whether it is in force now. Each that is has the next number."""
        self._mmproxy.write_config(text)
        self.done += 1
        if self._control and self.done % 2:
            with control.Client(self._mmproxy) as client:
                answer = client.ask("reload")
            generation = answer["result"]["generation"] if answer["ok"] else None
            assert answer["ok"] or answer["lines"]
        else:
            line = self._mmproxy.reload()
            generation = int(line["generation"]) if "generation" in line.fields else None
            assert generation or "nothing changed" in line.text
        if generation:
            self.good += 1
            assert generation == 1 + self.good
        return generation is not None

    def _visit(self, expected):
        """Who connects to a listener that is there is accepted, also when it goes soon after."""
        with contextlib.closing(self._host.socket()) as visitor:
            assert (visitor.connect_ex(VISITOR) == 0) == expected
            self.visits += expected


class Resources:
    """What must be again as it was: descriptors, threads, files that are mapped."""

    def __init__(self, mmproxy):
        links = []
        for number in os.listdir(f"/proc/{mmproxy.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed since
                links.append(os.readlink(f"/proc/{mmproxy.pid}/fd/{number}"))
        with open(f"/proc/{mmproxy.pid}/maps") as file:
            fields = [line.split() for line in file]
        self.descriptors = sorted(link.partition(":")[0] for link in links)
        self.threads = len(mmproxy.tasks())
        self.mapped = sorted({line[5] for line in fields if len(line) > 5})

    def __eq__(self, other):
        return vars(self) == vars(other)

    def __repr__(self):
        return repr(vars(self))


def wait_until_generations(record, count):
    """Each generation opens the plugin, and closes it when it goes. A broken file's may have
    come so far, too."""

    def alive():
        opened, closed = (len(record.calls(hook, label="steady")) for hook in ("open", "close"))
        return opened - closed

    wait_until(lambda: alive() == count, 15, lambda: f"{count} generations, not {alive()}")


@pytest.mark.deadline(240)
def test_a_thousand_reloads_under_a_thousand_connections_a_second(
    host, start_daemon, start_load, record, capsys
):
    files = Files(record)
    mmproxy = start_daemon(host, config=files.first(), launch={"environment": FRUGAL})
    sanitized = mmproxy.built_with_sanitizer()
    count, rate = (SANITIZED_RELOADS, SANITIZED_RATE) if sanitized else (RELOADS, RATE)
    upstream = Listener(host, ("127.0.0.1", 444))
    steady = [open_steady(host, upstream, client) for client in clients(20)]
    reloads = Reloads(host, mmproxy, files)

    load = start_load(rate)
    reloads.storm(WARM_RELOADS, load)
    ran = [load.finish()]
    reloads.put(files.first())
    wait_until_generations(record, 2)
    mmproxy.wait_until_idle()
    before = Resources(mmproxy)

    def storm():
        load = start_load(rate)
        wait_until(lambda: load.counts()["right"] >= 100, 60, "the load is answered")
        began, first = time.monotonic(), load.counts()
        reloads.storm(count, load)
        last, took = load.counts(), time.monotonic() - began
        reloads.put(files.first())
        ran.append(load.finish())
        answered = last["right"] - first["right"]
        with capsys.disabled():
            print(f"\n{count} reloads, two of five of a broken file, under {answered}"
                  f" sessions in {took:.1f} s: {answered / took:.0f} a second")
        assert answered >= (count - 1) * SESSIONS_PER_RELOAD
        # The first generation lives on in its sessions, the last one serves: no other is left.
        wait_until_generations(record, 2)
        what = lambda: f"all is as before: {before}, not {Resources(mmproxy)}"
        wait_until(lambda: Resources(mmproxy) == before, 15, what)
        mmproxy.wait_until_idle()

    mmproxy.assert_a_round_leaves_less(storm, 192 * KIB, "RssAnon", rounds=2)
    for each in ran:
        right = each["right"]
        assert each == {**dict.fromkeys(each, 0), "opened": right, "right": right}
    for session in steady:
        assert_alive(*session)

    # Nobody was turned away, and whoever left did so in order.
    finished = sum(each["right"] for each in ran)
    counters = mmproxy.wait_for_counter("sessions_closed_finished", finished)
    ends = {name: value for name, value in counters.items() if name.startswith("sessions_closed")}
    assert ends == {
        "sessions_closed_finished": finished,
        "sessions_closed_closed_without_a_byte": reloads.visits,
    }
    assert counters["accept_errors"] == 0

    for connection, accepted in steady:
        connection.close()
        assert read_to_end(accepted) == (b"", EOF)
        accepted.close()
    wait_until_generations(record, 1)


def open_steady(host, upstream, client):
    connection = host.connect(("127.0.0.1", 8444))
    connection.sendall(v2(client))
    accepted, peer = upstream.accept()
    assert peer == client
    return connection, accepted
