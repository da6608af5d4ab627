# SPDX-License-Identifier: MIT
"""Ten thousand sessions through a chain of plugins, and many reloads: each session is closed once,
and nothing is left."""

import collections
import contextlib
import re
import select
import socket
import threading

import pytest

import plugins
from headers import v2
from sessions import MMPROXY, clients, send
from test_plugin_reload import assert_reloaded, instances, reload_with
from traffic import read_to_end, reset
from udp import Balancer, crowd, text
from upstreams import Datagrams, Listener, Server, echo
from waiting import wait_until

pytest_plugins = ["hooks"]

QUIET = {"workers": 2, "log": {"level": "info"}}

CROWD = {"threads": 4, "delay": 40, "deny_every": 10}


class Crowd:
    """Clients of whom so many are there at one time, and the upstream that sends back what it got;
    all in one thread. Each client sends its own name, and a few leave without waiting."""

    def __init__(self, host, clients, at_once, leaving=0):
        self.outcomes = collections.Counter()
        self._host = host
        self._waiting = collections.deque(clients)
        self._at_once = at_once
        self._leaving = leaving
        self._listener = Listener(host).socket
        self._listener.setblocking(False)
        self._poll = select.epoll()
        self._poll.register(self._listener, select.EPOLLIN)
        self._clients, self._servers, self._received = {}, {}, collections.defaultdict(bytes)

    def run(self):
        while self._waiting or self._clients:
            while self._waiting and len(self._clients) < self._at_once:
                self._begin(self._waiting.popleft())
            for descriptor, _ in self._poll.poll(1):
                if descriptor == self._listener.fileno():
                    self._accept()
                elif descriptor in self._clients:
                    self._hear(descriptor)
                elif descriptor in self._servers:
                    self._serve(descriptor)
        self._poll.close()
        return self.outcomes

    def _begin(self, client):
        number = sum(self.outcomes.values()) + len(self._clients)
        with self._host.entered():
            connection = socket.create_connection(MMPROXY, 10)
        name = ("%s:%d" % client).encode()
        connection.sendall(v2(client) + name)
        if self._leaving and number % self._leaving == 0:
            reset(connection)
            self.outcomes["left"] += 1
            return
        connection.shutdown(socket.SHUT_WR)
        connection.setblocking(False)
        self._clients[connection.fileno()] = connection, name
        self._poll.register(connection, select.EPOLLIN)

    def _accept(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                accepted, _ = self._listener.accept()
                accepted.setblocking(False)
                self._servers[accepted.fileno()] = accepted
                self._poll.register(accepted, select.EPOLLIN)

    def _serve(self, descriptor):
        connection = self._servers[descriptor]
        data, over = self._receive(connection)
        if not over:
            return
        with contextlib.suppress(OSError):
            connection.sendall(data)
        self._forget(self._servers, connection)

    def _hear(self, descriptor):
        connection, name = self._clients[descriptor]
        data, over = self._receive(connection)
        if not over:
            return
        assert data in (name, b""), "somebody else's answer"
        self.outcomes["served" if data else "refused"] += 1
        self._forget(self._clients, connection)

    def _receive(self, connection):
        """All that it has received, and whether that is all."""
        descriptor = connection.fileno()
        try:
            piece = connection.recv(4096)
        except BlockingIOError:
            return b"", False
        except ConnectionResetError:
            piece = b""
        self._received[descriptor] += piece
        return self._received[descriptor], not piece

    def _forget(self, kind, connection):
        descriptor = connection.fileno()
        self._poll.unregister(descriptor)
        self._received.pop(descriptor, None)
        del kind[descriptor]
        connection.close()


def assert_the_accounts_balance(mmproxy, name="crowd"):
    """tests/plugins/crowd.c: each was closed once, and each ticket completed or cancelled."""
    wait_until(lambda: balanced(mmproxy, name), 20, "the verdicts have come", interval=0.1)


def balanced(mmproxy, name):
    counters = mmproxy.counters()
    count = {
        key: counters[f"plugin_{name}_{key}"]
        for key in ("asked", "busy", "tickets", "completed", "stale", "cancelled", "closed")
    }
    assert count["closed"] <= count["asked"] and count["completed"] <= count["tickets"], count
    return (
        count["asked"] == count["closed"] == count["tickets"] + count["busy"]
        and count["tickets"] == count["completed"] + count["stale"]
        and count["stale"] == count["cancelled"]
    )


def how_many(mmproxy, usual=10000):
    return usual // 5 if mmproxy.built_with_sanitizer() else usual


@pytest.mark.deadline(180)
def test_10000_connections_through_a_chain_are_each_closed_once_and_leave_nothing(
    host, start_daemon, record
):
    entries = [
        record.entry("first"),
        plugins.entry("crowd", CROWD, timeout=30.0),
        plugins.entry("counting", {"names": ["seen"]}),
        record.entry("last"),
    ]
    mmproxy = start_daemon(host, plugins=entries, top=QUIET)
    count = how_many(mmproxy)
    everybody = clients(count + 1000)
    warm = Crowd(host, everybody[count:], 500).run()
    assert warm == {"served": 900, "refused": 100}
    mmproxy.wait_for_counter("plugin_first_ended", 1000)
    descriptors, memory = mmproxy.descriptors(), mmproxy.memory("RssAnon")
    host.close_sockets()
    outcomes = Crowd(host, everybody[:count], 1000).run()
    assert outcomes == {"served": count * 9 // 10, "refused": count // 10}
    mmproxy.wait_for_counter("plugin_first_ended", count + 1000)
    mmproxy.wait_until_idle()
    counters = mmproxy.counters()
    assert counters["plugin_first_filtered"] == counters["plugin_first_ended"] == count + 1000
    assert counters["plugin_last_filtered"] == counters["plugin_last_ended"]
    assert counters["plugin_counting_seen"] == counters["plugin_last_ended"]
    assert counters["plugin_last_ended"] == (count + 1000) * 9 // 10
    assert counters["sessions_closed_plugin_denied"] == (count + 1000) // 10
    assert counters["sessions_closed_finished"] == (count + 1000) * 9 // 10
    assert_the_accounts_balance(mmproxy)
    wait_until(lambda: mmproxy.descriptors() <= descriptors, 10, "the descriptors are back")
    mmproxy.assert_memory_grew_less(memory, 1 << 20, "RssAnon")
    mmproxy.stop()
    record.assert_each_session_was_closed_once("first")
    record.assert_each_session_was_closed_once("last")
    assert len(record.calls("open")) == len(record.calls("close")) == 2


class Helper:
    """For example-deferred: denies clients whose port ends in 0, passes all others, in a thread."""

    def __init__(self, path):
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        path.chmod(0o666)
        self._listener.listen()
        self.found = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        connection, _ = self._listener.accept()
        self.found.set()
        with connection:
            while question := connection.recv(512):
                ticket, _, _, port, _ = question.decode().split()
                answer = "deny unlucky" if port.endswith("0") else "pass"
                connection.send(f"{ticket} {answer}".encode())

    def close(self):
        self._listener.close()


@pytest.mark.deadline(180)
def test_10000_connections_through_the_plugins_that_ship_have_a_line_each(
    host, start_daemon, record
):
    log = record.directory / "access.log"
    log.touch()
    log.chmod(0o666)
    helper = Helper(record.directory / "socket")
    entries = [
        plugins.entry("accesslog", {"file": str(log)}),
        plugins.entry("acl", {"deny": "203.0.113.2"}),
        plugins.entry("ratelimit", {"rate": 1000000.0, "max_sessions": 1000}),
        plugins.entry(
            "bans",
            {"socket": str(record.directory / "socket")},
            plugin="example-deferred",
            timeout=30.0,
        ),
    ]
    mmproxy = start_daemon(host, plugins=entries, top=QUIET)
    assert helper.found.wait(10)
    descriptors = mmproxy.descriptors()
    everybody = clients(how_many(mmproxy))
    denied = {client for client in everybody if client[0] == "203.0.113.2"}
    unlucky = {client for client in everybody if client[1] % 10 == 0} - denied
    # Fewer at a time than the helper's socket holds.
    outcomes = Crowd(host, everybody, 200).run()
    refused = len(denied) + len(unlucky)
    assert outcomes == {"served": len(everybody) - refused, "refused": refused}
    mmproxy.wait_for_counter("sessions_closed_plugin_denied", refused)
    mmproxy.wait_until_idle()
    counters = mmproxy.counters()
    assert counters["plugin_acl_denied"] == len(denied)
    assert counters["plugin_bans_asked"] == len(everybody) - len(denied)
    wait_until(lambda: mmproxy.descriptors() <= descriptors, 10, "the descriptors are back")
    mmproxy.stop()
    lines = log.read_text().splitlines()
    seen = collections.Counter(re.search(r" client=(\S+)", line)[1] for line in lines)
    assert seen == {text(client): 1 for client in everybody}
    told = set(re.findall(r" client=(\S+) .*reason=plugin-denied .*plugin=(\S+)", log.read_text()))
    expected = {(text(one), "acl") for one in denied} | {(text(one), "bans") for one in unlucky}
    assert told == expected
    helper.close()


@pytest.mark.deadline(180)
@pytest.mark.parametrize("on_error", ["deny", "pass"])
def test_clients_that_leave_while_they_are_judged_are_each_closed_once(
    on_error, host, start_daemon
):
    entry = plugins.entry("crowd", {**CROWD, "deny_every": 3}, on_error=on_error, timeout=0.03)
    mmproxy = start_daemon(host, plugins=[entry], top=QUIET)
    descriptors = mmproxy.descriptors()
    count = how_many(mmproxy, 5000)
    outcomes = Crowd(host, clients(count), 800, leaving=3).run()
    assert outcomes["left"] > count // 4
    assert_the_accounts_balance(mmproxy)
    counters = mmproxy.counters()
    assert counters["plugin_crowd_cancelled"] > 0
    assert counters["plugin_crowd_completed"] > 0
    wait_until(lambda: mmproxy.descriptors() <= descriptors, 10, "the descriptors are back")


def test_mmproxy_may_end_in_the_middle_of_many_verdicts(host, start_daemon):
    """Some come at that very moment; each session is closed, and each ticket settled."""
    entry = plugins.entry("crowd", {"threads": 8, "delay": 200}, timeout=30.0)
    mmproxy = start_daemon(host, plugins=[entry], top={**QUIET, "drain_timeout": 30})
    connections = [send(host, v2(client)) for client in clients(600)]
    mmproxy.wait_for_counter("plugin_crowd_asked", len(connections))
    mmproxy.wait_for_counter("plugin_crowd_completed")
    for _ in range(2):
        mmproxy.terminate()
        mmproxy.wait_for_log("daemon: stopping")
    assert mmproxy.wait_until_ended() == 0
    last = mmproxy.log_lines("daemon: counters")[-1]
    count = {key: int(value) for key, value in last.fields.items()}
    assert count["plugin_crowd_asked"] == count["plugin_crowd_closed"] == len(connections)
    settled = count.get("plugin_crowd_completed", 0) + count.get("plugin_crowd_cancelled", 0)
    assert settled == count["plugin_crowd_tickets"] == len(connections)


@pytest.mark.deadline(180)
def test_10000_flows_through_a_chain_are_each_closed_once_and_leave_nothing(
    host, start_udp, record
):
    upstream = Datagrams(host)
    entries = [
        record.entry("first"),
        plugins.entry("crowd", CROWD, on_error="pass", timeout=30.0),
    ]
    mmproxy = start_udp(host, plugins=entries, max_flows=1000, idle_timeout=3.0, top=QUIET)
    descriptors = mmproxy.descriptors()
    count, balancers = how_many(mmproxy), [Balancer(host) for _ in range(4)]
    for number, client in enumerate(crowd(count)):
        for _ in range(2):
            balancers[number % 4].send(client, b"question")
        if number % 200 == 199:
            mmproxy.wait_for_counter("plugin_first_filtered", number + 1)
            while upstream.has_datagram():
                upstream.receive()
    mmproxy.wait_for_counter("plugin_first_ended", count)
    assert_the_accounts_balance(mmproxy)
    counters = mmproxy.counters()
    assert counters["plugin_first_filtered"] == counters["plugin_first_ended"] == count
    assert counters["plugin_crowd_asked"] == count
    wait_until(lambda: mmproxy.descriptors() <= descriptors, 10, "the descriptors are back")
    mmproxy.stop()
    record.assert_each_session_was_closed_once("first")


# Reloads.


class Traffic:
    """Clients that come and go all the time, by TCP, until told to stop."""

    def __init__(self, host):
        self.sessions = self.refused = 0
        self._host = host
        self._stop = threading.Event()
        self._errors = []
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(3)]
        for thread in self._threads:
            thread.start()

    def _run(self, number):
        try:
            while not self._stop.is_set():
                self._session(number)
        except BaseException as error:  # handed to finish()
            self._errors.append(error)

    def _session(self, number):
        client = (f"203.0.113.{20 + number}", 20000 + self.sessions % 20000)
        with self._host.entered():
            connection = socket.create_connection(MMPROXY, 10)
        with contextlib.closing(connection):
            connection.sendall(v2(client) + b"ping")
            connection.shutdown(socket.SHUT_WR)
            data, _ = read_to_end(connection)
            if data == b"ping":
                self.sessions += 1
            else:
                self.refused += 1

    def finish(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        assert not self._errors
        return self.sessions


@pytest.mark.deadline(180)
def test_50_reloads_under_load_lose_no_session_and_leak_nothing(host, start_daemon, record):
    server = Server(host, echo)
    quiet = {"workers": 2, "log": {"level": "info"}}
    chains = [
        [record.entry("first"), plugins.entry("crowd", {"delay": 5})],
        [plugins.entry("crowd", {"delay": 2, "threads": 3}), record.entry("first")],
        [record.entry("first"), record.entry("second")],
    ]
    mmproxy = start_daemon(host, plugins=chains[0], top=quiet)
    for number in range(5):
        assert_reloaded(mmproxy, chains[number % 3], top=quiet)
    traffic = Traffic(host)
    wait_until(lambda: traffic.sessions > 50, 30, "there is traffic")
    for number in range(50):
        if number % 10 == 9:
            line = reload_with(mmproxy, [record.entry("bad", open_returns=-5)], top=quiet)
            assert "nothing changed" in line.text
        assert_reloaded(mmproxy, chains[number % 3], top=quiet)
        seen = traffic.sessions
        wait_until(lambda: traffic.sessions > seen + 5, 30, "there is traffic")
    traffic.finish()
    assert traffic.refused == 0
    mmproxy.wait_for_counter("sessions_closed_finished", traffic.sessions)
    # Nothing is left but the last two entries.
    opened = instances(record, "open", returns=0)
    wait_until(
        lambda: len(record.calls("close")) >= len(opened) - 2, 20, "the others are closed", 0.1
    )
    mmproxy.wait_until_idle()
    record.assert_each_session_was_closed_once()
    counters = mmproxy.counters()
    assert counters["plugin_crowd_asked"] == counters["plugin_crowd_closed"]
    assert counters["plugin_crowd_tickets"] == counters["plugin_crowd_completed"]
    assert counters["plugin_crowd_busy"] == counters["plugin_crowd_stale"] == 0
    server.close()


def test_reloads_give_their_memory_and_descriptors_back(host, start_daemon, upstream, record):
    entries = [record.entry("first"), plugins.entry("crowd", {"threads": 4})]
    quiet = {"log": {"level": "info"}}
    mmproxy = start_daemon(host, plugins=entries, top=quiet)
    for _ in range(50):
        assert_reloaded(mmproxy, entries, top=quiet)
    record.wait_for_calls(50, "close")
    descriptors, memory, tasks = mmproxy.descriptors(), mmproxy.memory(), len(mmproxy.tasks())
    for _ in range(200):
        assert_reloaded(mmproxy, entries, top=quiet)
    record.wait_for_calls(250, "close")
    wait_until(lambda: len(mmproxy.tasks()) <= tasks, 5, "the threads have ended")
    wait_until(lambda: mmproxy.descriptors() <= descriptors, 5, "the descriptors are back")
    mmproxy.assert_memory_grew_less(memory, 1 << 20)
