# SPDX-License-Identifier: MIT
"""UDP: how many flows there are, who leaves when there is no room, and what is left of them."""

import struct
import time

import pytest

import headers
from headers import CLIENT4
from settings import configuration, listener, udp_listener
from udp import (
    IPPROTO_UDP,
    UDP_SEGMENT,
    Balancer,
    answer,
    crowd,
    flows,
    framings,
    headed_framings,
    question,
    round_trip,
    text,
    wait_until_closed,
)
from udp_alive import set_idle_timeout
from waiting import wait_until

QUIET = {"level": "info"}

# Flows above the limit for a moment: flow_quota.h; and each worker dials before it makes room.
OVERDRAFT = 64


def flood(balancer, clients):
    """A datagram of each, as fast as one can: up to 60 in one send."""
    whole = [balancer.header(client) + b"flood" for client in clients]
    control = [(IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", len(whole[0])))]
    for first in range(0, len(whole), 60):
        balancer.socket.sendmsg([b"".join(whole[first : first + 60])], control)


def skip_flood(upstream):
    """The next datagram that is not the flood's."""
    while True:
        payload, peer = upstream.receive()
        if payload != b"flood":
            return payload, peer


class Live:
    """Clients, each behind a socket of the balancer, that ask and are answered all the time."""

    def __init__(self, host, upstream, count, framing="every"):
        self.clients = [("192.0.2.50", 30000 + number) for number in range(count)]
        self.balancers = [Balancer(host, framing) for _ in self.clients]
        self.upstream = upstream
        self.rounds = 0
        # Whoever has been answered and comes back is no passer-by.
        for _ in range(2):
            self.round_trips()

    def round_trips(self):
        self.rounds += 1
        asked = b"%d" % self.rounds
        for client, balancer in zip(self.clients, self.balancers):
            balancer.send(client, asked)
        for _ in self.clients:
            payload, peer = skip_flood(self.upstream)
            assert payload == asked
            self.upstream.send(text(peer).encode(), peer)
        for client, balancer in zip(self.clients, self.balancers):
            assert balancer.receive(client) == text(client).encode()

    def assert_none_has_ended(self, mmproxy):
        assert not mmproxy.log_lines("session: .*client=192.0.2.50:")


# The table.


@pytest.mark.deadline(180)
@pytest.mark.parametrize("framing, workers", [("every", 1), ("spp", 2)])
def test_a_flood_of_clients_leaves_live_flows_and_memory_alone(
    framing, workers, host, start_udp, udp_upstream
):
    mmproxy = start_udp(host, framing, max_flows=1000, top={"workers": workers, "log": QUIET})
    descriptors = mmproxy.descriptors()
    live = Live(host, udp_upstream, 10, framing)
    attackers = [Balancer(host, framing) for _ in range(4)]
    clients, peak, memory = crowd(100000), 0, 0
    for number in range(200):
        part = clients[number * 500 : (number + 1) * 500]
        flood(attackers[number % len(attackers)], part)
        live.round_trips()
        peak = max(peak, mmproxy.descriptors() - descriptors)
        if number == 40:
            memory = mmproxy.memory("RssAnon")
    live.assert_none_has_ended(mmproxy)
    assert 900 <= peak <= 1000 + OVERDRAFT + workers
    mmproxy.assert_memory_grew_less(memory, 512 * 1024, "RssAnon")
    counters = mmproxy.wait_for_counter("sessions_relayed", 100010)
    assert counters["sessions_accepted"] == counters["sessions_relayed"] == 100010
    assert 900 <= flows(mmproxy) <= 1000
    # All of it comes back.
    mmproxy.write_config(
        configuration(
            udp_listener(framing=framing, max_flows=1000, idle_timeout=0.05),
            workers=workers,
            log=QUIET,
            drain_timeout=0,
        )
    )
    mmproxy.reload()
    wait_until(lambda: mmproxy.descriptors() == descriptors, 10, "the descriptors are back")
    assert flows(mmproxy) == 0


@pytest.mark.parametrize("workers", [1, 4])
def test_a_flood_that_never_waits_leaves_live_flows_their_place(
    workers, host, start_udp, udp_upstream
):
    """Faster than mmproxy: datagrams may be lost in the queue then, but no live flow is evicted."""
    mmproxy = start_udp(
        host, max_flows=200, listen="127.0.0.1:8443", top={"workers": workers, "log": QUIET}
    )
    live = Live(host, udp_upstream, 20)
    attackers = [Balancer(host) for _ in range(8)]
    clients = crowd(16000)
    for first in range(0, len(clients), 100):
        flood(attackers[first // 100 % len(attackers)], clients[first : first + 100])
    mmproxy.wait_until_idle()
    live.assert_none_has_ended(mmproxy)
    live.round_trips()
    assert 100 <= flows(mmproxy) <= 200


@framings
def test_who_was_silent_longest_leaves_first(framing, host, start_udp, udp_upstream):
    mmproxy = start_udp(
        host, framing, max_flows=2, listen="127.0.0.1:8443", top={"workers": 1}
    )
    one, two, three, four = crowd(4)
    balancers = {client: Balancer(host, framing) for client in (one, two, three, four)}

    def ask(client):
        assert question(balancers[client], udp_upstream, client) == client

    ask(one)
    ask(two)
    ask(one)
    ask(three)
    assert wait_until_closed(mmproxy, two)["reason"] == "flow-evicted"
    # An answer counts as well.
    answer(balancers[one], udp_upstream, one, one)
    ask(four)
    assert wait_until_closed(mmproxy, three)["reason"] == "flow-evicted"
    ask(one)
    ask(four)
    mmproxy.assert_closed("flow-evicted", 2)


def test_who_was_answered_and_came_back_stays_when_passers_by_go(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, max_flows=2, listen="127.0.0.1:8443", top={"workers": 1})
    balancer = Balancer(host)
    one, *others = crowd(20)
    for _ in range(2):
        round_trip(balancer, udp_upstream, one)
    for client in others:
        assert question(balancer, udp_upstream, client) == client
    assert round_trip(balancer, udp_upstream, one) == one
    mmproxy.assert_closed("flow-evicted", len(others) - 1)
    # Among those who came back, it is again who was silent longest.
    for client in others[:2]:
        for _ in range(2):
            round_trip(balancer, udp_upstream, client)
    assert wait_until_closed(mmproxy, one)["reason"] == "flow-evicted"


def test_an_evicted_client_is_served_again_when_it_returns(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, max_flows=1, listen="127.0.0.1:8443", top={"workers": 1})
    balancer = Balancer(host)
    clients = crowd(3)
    for client in clients * 5:
        assert round_trip(balancer, udp_upstream, client) == client
    mmproxy.assert_closed("flow-evicted", 14)


@pytest.fixture
def flooded(host, start_udp, udp_upstream):
    """mmproxy with two workers and a full table, by one socket: (mmproxy, that socket).

    The flood's socket belongs to one worker; of many others, some belong to the other.
    """
    mmproxy = start_udp(
        host, max_flows=200, listen="127.0.0.1:8443", top={"workers": 2, "log": QUIET}
    )
    attacker = Balancer(host)
    flood(attacker, crowd(2000))
    for _ in range(2000):
        assert udp_upstream.receive()[0] == b"flood"
    assert flows(mmproxy) == 200
    return mmproxy, attacker


def test_a_flood_by_one_socket_does_not_lock_out_the_clients_of_others(
    host, flooded, udp_upstream
):
    mmproxy, attacker = flooded
    newcomers = [("192.0.2.51", 30000 + number) for number in range(20)]
    for number, client in enumerate(newcomers):
        balancer = Balancer(host)
        for _ in range(3):
            assert round_trip(balancer, udp_upstream, client) == client
        flood(attacker, crowd(100, 2000 + 100 * number))
        for _ in range(100):
            assert udp_upstream.receive()[0] == b"flood"
    assert not mmproxy.log_lines(r"session: .*client=192\.0\.2\.51:")


def test_who_has_more_than_its_share_makes_room_even_when_it_is_quiet(host, flooded, udp_upstream):
    mmproxy, _ = flooded
    for number in range(12):
        client = ("192.0.2.51", 30000 + number)
        assert round_trip(Balancer(host), udp_upstream, client) == client
    wait_until(lambda: flows(mmproxy) == 200, 10, "there are as many flows as there may be")
    assert not mmproxy.log_lines(r"session: .*client=192\.0\.2\.51:")


def test_many_new_clients_at_once_find_room_in_a_table_that_another_socket_has_filled(
    host, flooded, udp_upstream
):
    mmproxy, attacker = flooded
    live = Live(host, udp_upstream, 50)
    for number in range(5):
        flood(attacker, crowd(500, 2000 + 500 * number))
        live.round_trips()
    live.assert_none_has_ended(mmproxy)
    assert flows(mmproxy) <= 200 + OVERDRAFT


@pytest.mark.parametrize("workers", [1, 2])
def test_where_descriptors_are_short_they_are_the_limit(workers, host, start_udp, udp_upstream):
    mmproxy = start_udp(
        host,
        max_flows=5000,
        top={"workers": workers, "log": QUIET},
        launch={"prefix": ["prlimit", "--nofile=200:200"]},
    )
    line = mmproxy.wait_for_log("fewer flows than max_flows")
    allowed = int(line["allowed"])
    assert line.level == "warning"
    assert line["max_flows"] == "5000"
    assert line["listener"] == "dns"
    assert 75 <= allowed < 200
    assert mmproxy.wait_for_log("listener: listening")["max_flows"] == str(allowed)
    live = Live(host, udp_upstream, 10)
    attackers = [Balancer(host) for _ in range(4)]
    for number in range(8):
        flood(attackers[number % 4], crowd(500, 500 * number))
        live.round_trips()
        assert mmproxy.descriptors() <= 200
    live.assert_none_has_ended(mmproxy)
    assert flows(mmproxy) <= allowed
    assert not mmproxy.log_lines("session: failed")


def test_flows_leave_tcp_its_share_of_the_descriptors(host, start_daemon, udp_upstream, upstream):
    mmproxy = start_daemon(
        host,
        config=configuration(listener(), udp_listener(), drain_timeout=0, log=QUIET, workers=1),
        launch={"prefix": ["prlimit", "--nofile=200:200"]},
    )
    flood(Balancer(host), crowd(1000))
    mmproxy.wait_for_counter("sessions_closed_flow_evicted", 800)
    connections = []
    for client in crowd(20):
        connection = host.connect(("127.0.0.1", 8443))
        connection.sendall(headers.v2(client))
        assert upstream.accept()[1] == client
        connections.append(connection)
    assert round_trip_beside_a_flood(host, udp_upstream) == CLIENT4


def round_trip_beside_a_flood(host, upstream):
    balancer = Balancer(host)
    balancer.send(CLIENT4, b"question")
    payload, peer = skip_flood(upstream)
    assert payload == b"question"
    answer(balancer, upstream, peer, CLIENT4)
    return peer


# What is lost is counted.


def test_datagrams_that_the_listeners_queue_has_no_room_for_are_counted(
    host, start_udp, udp_upstream
):
    mmproxy = start_udp(host, top={"workers": 1})
    balancer = Balancer(host)
    round_trip(balancer, udp_upstream, CLIENT4)
    with mmproxy.halted():
        for _ in range(20000):
            balancer.send(CLIENT4, bytes(1000))
    mmproxy.wait_until_idle()
    # The kernel tells with the next datagram that it takes.
    balancer.send(CLIENT4, b"the last")
    mmproxy.wait_for_counter("datagrams_dropped_queue")
    mmproxy.wait_until_idle()  # and has sent what that datagram said
    counters = mmproxy.counters()
    assert counters["datagrams_dropped_queue"] + counters["datagrams_from_client"] == 20002
    # Some milliseconds at full speed find room.
    assert counters["datagrams_from_client"] > 2000


def test_answers_that_a_flows_queue_has_no_room_for_are_counted_at_its_end(
    host, start_udp, udp_upstream
):
    mmproxy = start_udp(host, idle_timeout=60, top={"workers": 1})
    balancer = Balancer(host)
    question(balancer, udp_upstream, CLIENT4)
    with mmproxy.halted():
        for _ in range(5000):
            udp_upstream.send(bytes(1000), CLIENT4)
    set_idle_timeout(mmproxy, 0.3)
    assert wait_until_closed(mmproxy, CLIENT4)["reason"] == "idle-timeout"
    counters = mmproxy.wait_for_counter("replies_dropped_queue")
    assert counters["replies_dropped_queue"] + counters["datagrams_from_upstream"] == 5000
    assert counters["datagrams_from_upstream"] > 200


# Nothing is left behind.


@headed_framings
def test_flows_that_have_ended_leave_nothing_behind(framing, host, start_udp, udp_upstream):
    mmproxy = start_udp(host, framing, idle_timeout=60, top={"log": QUIET})
    balancer = Balancer(host, framing)
    descriptors, memory = mmproxy.descriptors(), 0
    for number in range(8):
        clients = crowd(400)
        for client in clients:
            balancer.send(client, text(client).encode())
        for _ in clients:
            payload, peer = udp_upstream.receive()
            assert payload == text(peer).encode()
            udp_upstream.send(payload, peer)
        for _ in clients:
            balancer.receive_bare()
        set_idle_timeout(mmproxy, 0.05)
        wait_until(lambda: mmproxy.descriptors() == descriptors, 10, "the descriptors are back")
        set_idle_timeout(mmproxy, 60)
        if number == 2:
            memory = mmproxy.memory("RssAnon")
    mmproxy.assert_memory_grew_less(memory, 128 * 1024, "RssAnon")
    assert flows(mmproxy) == 0


def test_datagrams_that_are_refused_leave_nothing_behind(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, port_conflict="refuse")
    balancer = Balancer(host)
    round_trip(balancer, udp_upstream, CLIENT4)
    refused = [
        lambda: balancer.send_bare(b"GET / HTTP/1.1\r\n\r\n"),
        lambda: balancer.send(("224.0.0.1", 1), b"x"),
        lambda: balancer.send((CLIENT4[0], 53), b"x"),
        lambda: balancer.send(CLIENT4, b"x", ("192.0.2.99", 1)),
    ]
    reasons = "header-missing", "source-multicast", "client-port-privileged", "port-conflict"
    burst = 128

    def send_all(count):
        for _ in range(500):
            for send in refused:
                send()
        for reason in reasons:
            mmproxy.assert_closed(reason, count + (burst if reason == "header-missing" else 0))

    # The deepest batch that there can be, so that every slot has been used before memory is measured.
    with mmproxy.halted():
        for _ in range(burst):
            balancer.send_bare(b"GET / HTTP/1.1\r\n\r\n")
    mmproxy.wait_for_counter("sessions_closed_header_missing", burst)
    send_all(500)
    descriptors = mmproxy.descriptors()
    grown = []
    # What is left behind is left each time; a page may be touched for the first time once.
    while len(grown) < 3 and (not grown or grown[-1] >= 128 * 1024):
        before = mmproxy.memory("RssAnon")
        send_all(1000 + 500 * len(grown))
        grown.append(mmproxy.memory("RssAnon") - before)
        assert mmproxy.descriptors() == descriptors
    assert grown[-1] < 128 * 1024 or mmproxy.built_with_sanitizer(), grown
    assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4


def test_a_quiet_daemon_with_flows_uses_no_time(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, top={"log": QUIET})
    balancer = Balancer(host)
    for client in crowd(200):
        assert question(balancer, udp_upstream, client) == client
    mmproxy.wait_until_idle()

    def used():
        before = mmproxy.cpu_seconds()
        time.sleep(0.5)  # the window the time is measured over
        return mmproxy.cpu_seconds() - before

    # Who is not quiet uses time in each window. A sanitizer has threads of its own.
    assert any(used() <= 0.02 for _ in range(3)) or mmproxy.built_with_sanitizer()
