# SPDX-License-Identifier: MIT
"""Plugins that take their time over a UDP flow: its datagrams wait in a short queue, it has no
socket yet, and it may end before its verdict."""

import struct
import time

import pytest

import plugins
from headers import CLIENT4
from hooks import DENY, PASS, RESET
from udp import (
    IPPROTO_UDP,
    UDP_SEGMENT,
    Balancer,
    answer,
    assert_nothing_reaches,
    crowd,
    framings,
    headed_framings,
    question,
    round_trip,
    text,
)

pytest_plugins = ["hooks"]

ESTALE = -116

OTHER = (CLIENT4[0], 41001)

# Datagrams of one flow that wait, and their bytes: mmproxy.conf(5).
QUEUED = 16

slowly = {"timeout": 30.0}
both_versions = pytest.mark.parametrize("version", ["", "_1_0"], ids=["now", "abi_1_0"])


# The verdict.


def announce(balancer, framing, payloads):
    """Sends these; where only the first has a header, that stands alone."""
    if framing == "first":
        balancer.send(CLIENT4, b"")
    for payload in payloads:
        balancer.send(CLIENT4, payload)


@framings
@both_versions
def test_datagrams_wait_for_the_verdict_and_arrive_in_order(
    version, framing, host, start_udp, udp_upstream, record
):
    slow = record.puppet("slow", f"puppet{version}", **slowly)
    mmproxy = start_udp(host, framing, plugins=[slow.entry])
    balancer = Balancer(host, framing)
    waiting = [b"%d" % number for number in range(QUEUED)]
    announce(balancer, framing, waiting)
    ticket = slow.wait_for_ticket()
    assert_nothing_reaches(udp_upstream, balancer, mmproxy)
    assert slow.complete(ticket, PASS) == 0
    assert [udp_upstream.receive() for _ in waiting] == [(one, CLIENT4) for one in waiting]
    assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
    assert record.hooks() == ["slow filter", "slow connected"]
    counters = mmproxy.counters()
    assert counters["datagrams_dropped_waiting"] == 0
    assert counters["datagrams_from_client"] == QUEUED + 1
    assert counters["sessions_relayed"] == 1


@framings
def test_more_datagrams_than_the_queue_holds_are_dropped_and_counted(
    framing, host, start_udp, udp_upstream, record
):
    slow = record.puppet("slow", **slowly)
    mmproxy = start_udp(host, framing, plugins=[slow.entry])
    balancer = Balancer(host, framing)
    sent = [b"%d" % number for number in range(100)]
    announce(balancer, framing, sent)
    mmproxy.assert_counter("datagrams_dropped_waiting", 100 - QUEUED)
    slow.complete(slow.wait_for_ticket(), PASS)
    assert [udp_upstream.receive()[0] for _ in range(QUEUED)] == sent[:QUEUED]
    assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
    assert len(record.calls("filter")) == 1


def test_the_queue_is_bounded_in_bytes_as_well(host, start_udp, udp_upstream, record):
    slow = record.puppet("slow", **slowly)
    mmproxy = start_udp(host, plugins=[slow.entry])
    balancer = Balancer(host)
    for number in range(5):
        balancer.send(CLIENT4, b"%d" % number + bytes(29999))
    mmproxy.assert_counter("datagrams_dropped_waiting", 3)
    balancer.send(CLIENT4, b"a small one")
    mmproxy.wait_until_idle()
    slow.complete(slow.wait_for_ticket(), PASS)
    seen = [udp_upstream.receive()[0] for _ in range(3)]
    assert [(one[:1], len(one)) for one in seen] == [(b"0", 30000), (b"1", 30000), (b"a", 11)]


def test_the_largest_datagram_waits_and_so_does_an_empty_one(
    host, start_udp, udp_upstream, record
):
    slow = record.puppet("slow", **slowly)
    mmproxy = start_udp(host, plugins=[slow.entry])
    balancer = Balancer(host)
    largest = bytes(65507 - len(balancer.header(CLIENT4)))
    for payload in b"", largest, b"":
        balancer.send(CLIENT4, payload)
    mmproxy.wait_until_idle()
    slow.complete(slow.wait_for_ticket(), PASS)
    assert [len(udp_upstream.receive()[0]) for _ in range(3)] == [0, len(largest), 0]


@framings
@pytest.mark.parametrize("verdict", [DENY, RESET], ids=["deny", "reset"])
def test_a_late_refusal_drops_what_waits_and_is_remembered(
    verdict, framing, host, start_udp, udp_upstream, record
):
    slow = record.puppet("slow", **slowly)
    mmproxy = start_udp(host, framing, plugins=[record.entry("before"), slow.entry])
    balancer = Balancer(host, framing)
    announce(balancer, framing, [b"%d" % number for number in range(10)])
    assert slow.complete(slow.wait_for_ticket(), verdict, "no") == 0
    for closed in record.wait_for_calls(2, "closed"):
        assert (closed["plugin"], closed["why"], closed["end_flags"]) == ("slow", "no", 0)
    for number in range(10):
        balancer.send(CLIENT4, b"%d" % number)
    mmproxy.assert_counter("datagrams_dropped_denied", 10)
    assert_nothing_reaches(udp_upstream, balancer, mmproxy)
    mmproxy.assert_closed("plugin-denied" if verdict == DENY else "plugin-reset")
    assert len(slow.tickets()) == 1


@framings
@pytest.mark.parametrize("on_error", ["deny", "pass"])
def test_a_verdict_that_does_not_come_in_time_is_cancelled_and_answered_by_on_error(
    on_error, framing, host, start_udp, udp_upstream, record
):
    slow = record.puppet("slow", timeout=0.4, on_error=on_error)
    mmproxy = start_udp(host, framing, plugins=[slow.entry])
    balancer, began = Balancer(host, framing), time.monotonic()
    announce(balancer, framing, [b"one", b"two"])
    record.wait_for("cancel")
    assert time.monotonic() - began > 0.3
    if on_error == "pass":
        assert [udp_upstream.receive()[0] for _ in range(2)] == [b"one", b"two"]
        assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
        assert record.hooks() == ["slow filter", "slow cancel", "slow connected"]
    else:
        mmproxy.assert_closed("plugin-timeout")
        assert_nothing_reaches(udp_upstream, balancer, mmproxy)
        assert record.hooks() == ["slow filter", "slow cancel", "slow closed"]
        assert record.calls("closed")[0]["reason"] == "plugin-timeout"
    assert slow.complete(slow.wait_for_ticket(), DENY) == ESTALE


@framings
def test_nobody_else_waits(framing, host, start_udp, udp_upstream, record):
    slow = record.puppet("slow", port=CLIENT4[1], **slowly)
    start_udp(host, framing, plugins=[slow.entry], top={"workers": 1})
    waiting, other = Balancer(host, framing), Balancer(host, framing)
    waiting.send(CLIENT4, b"waits")
    ticket = slow.wait_for_ticket()
    for _ in range(20):
        assert round_trip(other, udp_upstream, OTHER) == OTHER
    slow.complete(ticket, PASS)
    assert udp_upstream.receive() == (b"waits", CLIENT4)


@framings
def test_a_verdict_given_before_filter_returns_counts(
    framing, host, start_udp, udp_upstream, record
):
    quick = record.puppet("quick", completes=[str(PASS), str(DENY)], by_thread=True, **slowly)
    start_udp(host, framing, plugins=[quick.entry])
    balancer = Balancer(host, framing)
    for _ in range(3):
        assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
    assert [call["result"] for call in record.calls("complete")] == [0, ESTALE]


def test_many_clients_in_one_burst_are_each_waited_for(host, start_udp, udp_upstream, record):
    """Which the kernel hands over as one."""
    slow = record.puppet("slow", **slowly)
    start_udp(host, plugins=[slow.entry], top={"workers": 1})
    balancer, clients = Balancer(host), crowd(60)
    whole = [balancer.header(client) + b"in a burst" for client in clients]
    control = [(IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", len(whole[0])))]
    balancer.socket.sendmsg([b"".join(whole)], control)
    tickets = slow.wait_for_tickets(60)
    balancer.socket.sendmsg([b"".join(whole)], control)
    for number, ticket in enumerate(reversed(tickets)):
        slow.give(ticket, PASS if number % 3 else DENY)
    record.wait_for_calls(60, "complete")
    refused = {call["client"] for call in record.wait_for_calls(20, "closed")}
    served = [client for client in clients if text(client) not in refused]
    seen = [udp_upstream.receive() for _ in range(2 * len(served))]
    assert sorted(seen) == sorted(2 * [(b"in a burst", client) for client in served])
    assert len(served) == 40


# Flows that end before their verdict.


def assert_cancelled(slow, record, ticket, reason):
    closed = record.wait_for("closed", client=text(CLIENT4))
    assert closed["reason"] == reason
    assert (closed["plugin"], closed["end_flags"]) == (None, 0)
    hooks = [call.hook for call in record.calls("filter", "cancel", "connected", "closed",
                                                session=closed["session"])]
    assert hooks == ["filter", "cancel", "closed"]
    assert slow.complete(ticket, PASS) == ESTALE


@headed_framings
def test_a_flow_may_be_evicted_while_it_waits(framing, host, start_udp, udp_upstream, record):
    slow = record.puppet("slow", port=CLIENT4[1], **slowly)
    mmproxy = start_udp(
        host, framing, plugins=[slow.entry], max_flows=2, top={"workers": 1},
        listen="127.0.0.1:8443",
    )
    balancer = Balancer(host, framing)
    balancer.send(CLIENT4, b"waits")
    ticket = slow.wait_for_ticket()
    for client in crowd(10):
        question(balancer, udp_upstream, client)
    assert_cancelled(slow, record, ticket, "flow-evicted")
    assert_nothing_reaches(udp_upstream, balancer, mmproxy)


@framings
def test_a_flow_may_be_idle_while_it_waits(framing, host, start_udp, udp_upstream, record):
    slow = record.puppet("slow", **slowly)
    mmproxy = start_udp(host, framing, plugins=[slow.entry], idle_timeout=0.3)
    balancer = Balancer(host, framing)
    balancer.send(CLIENT4, b"waits")
    assert_cancelled(slow, record, slow.wait_for_ticket(), "idle-timeout")
    assert_nothing_reaches(udp_upstream, balancer, mmproxy)


def test_a_flow_may_be_replaced_while_it_waits(host, start_udp, udp_upstream, record):
    slow = record.puppet("slow", port=CLIENT4[1], **slowly)
    start_udp(host, "first", plugins=[slow.entry])
    balancer = Balancer(host, "first")
    balancer.send(CLIENT4, b"waits")
    ticket = slow.wait_for_ticket()
    assert round_trip(balancer, udp_upstream, OTHER) == OTHER
    assert_cancelled(slow, record, ticket, "flow-replaced")


@headed_framings
def test_a_flow_that_waits_answers_to_where_its_client_came_by_last(
    framing, host, start_udp, udp_upstream, record
):
    slow = record.puppet("slow", **slowly)
    mmproxy = start_udp(host, framing, plugins=[slow.entry], top={"workers": 1})
    first, second = Balancer(host, framing), Balancer(host, framing)
    first.send(CLIENT4, b"by one")
    ticket = slow.wait_for_ticket()
    second.send(CLIENT4, b"by another")
    mmproxy.wait_until_idle()
    slow.complete(ticket, PASS)
    assert [udp_upstream.receive()[0] for _ in range(2)] == [b"by one", b"by another"]
    answer(second, udp_upstream, CLIENT4, CLIENT4)
    assert not first.has_answer()
    # As of the first datagram.
    assert record.calls("connected")[0]["balancer"] == text(first.address)


@headed_framings
def test_a_client_that_comes_by_many_balancers_meanwhile_keeps_its_port(
    framing, host, start_udp, udp_upstream
):
    """Another worker's socket may get it: then its plugins are asked, too."""
    entry = plugins.entry("crowd", {"delay": 100}, timeout=30.0)
    mmproxy = start_udp(host, framing, plugins=[entry], top={"workers": 4})
    balancers = [Balancer(host, framing, source=f"127.0.0.{1 + n}") for n in range(8)]
    # Many, since all workers get their verdicts at the same moment and race for the claims.
    clients = [("203.0.113.9", port) for port in range(21000, 21050)]
    sent = [b"%d" % number for number in range(len(balancers))]
    for client in clients:
        for balancer, payload in zip(balancers, sent):
            balancer.send(client, payload)
    seen = [udp_upstream.receive() for _ in clients for _ in sent]
    assert sorted(seen) == sorted((payload, client) for client in clients for payload in sent)
    for balancer in balancers:
        assert round_trip(balancer, udp_upstream, clients[0]) == clients[0]
    counters = mmproxy.counters()
    asked = counters["plugin_crowd_asked"]
    assert len(clients) <= asked <= len(clients) * len(sent) + len(balancers)
    assert counters["port_conflicts"] == 0


@framings
@pytest.mark.parametrize("drain", [0, 0.5])
def test_flows_that_wait_to_the_end_of_mmproxy_are_cancelled(
    drain, framing, host, start_udp, udp_upstream, record
):
    slow = record.puppet("slow", **slowly)
    mmproxy = start_udp(host, framing, plugins=[slow.entry], top={"drain_timeout": drain})
    Balancer(host, framing).send(CLIENT4, b"waits")
    slow.wait_for_ticket()
    mmproxy.terminate()
    assert mmproxy.wait_until_ended() == 0
    assert record.hooks() == ["slow filter", "slow cancel", "slow closed"]
    assert record.calls("closed")[0]["reason"] in ("shutdown", "idle-timeout")
    assert record.calls()[-1].hook == "close"
    udp_upstream.assert_untouched()


def test_sigterm_lets_a_flow_that_waits_be_served(host, start_udp, udp_upstream, record):
    slow = record.puppet("slow", **slowly)
    mmproxy = start_udp(host, plugins=[slow.entry], top={"drain_timeout": 30.0})
    balancer = Balancer(host)
    balancer.send(CLIENT4, b"waits")
    ticket = slow.wait_for_ticket()
    mmproxy.terminate()
    mmproxy.wait_for_log("daemon: stopping")
    assert slow.complete(ticket, PASS) == 0
    assert udp_upstream.receive() == (b"waits", CLIENT4)
    answer(balancer, udp_upstream, CLIENT4, CLIENT4)
    assert mmproxy.wait_until_ended() == 0
    record.assert_each_session_was_closed_once()


@pytest.mark.deadline(120)
@pytest.mark.parametrize("on_error", ["deny", "pass"])
def test_there_are_tickets_for_so_many_flows_and_memory_is_bounded(
    on_error, host, start_udp, udp_upstream, record
):
    slow = record.puppet("slow", timeout=60.0, on_error=on_error)
    mmproxy = start_udp(
        host, plugins=[slow.entry], top={"workers": 1, "log": {"level": "info"}}
    )
    descriptors = mmproxy.descriptors()
    balancer, clients = Balancer(host), crowd(3000)
    for first in range(0, len(clients), 100):
        for client in clients[first : first + 100]:
            balancer.send(client, b"question")
        record.wait_for_calls(first + 100, "filter")
    tickets = slow.tickets()
    refused = tickets.count(0)
    assert 0 < refused < 3000
    if on_error == "deny":
        mmproxy.assert_closed("plugin-error", refused)
        assert_nothing_reaches(udp_upstream, balancer, mmproxy)
        assert mmproxy.descriptors() <= descriptors + 2
    else:
        seen = {udp_upstream.receive()[1] for _ in range(refused)}
        assert len(seen) == refused
    # Nothing that waits has a socket, and its datagrams are bounded.
    memory = mmproxy.memory("RssAnon")
    waiting = [client for client, ticket in zip(clients, tickets) if ticket != 0]
    for client in waiting[:100]:
        for _ in range(2 * QUEUED):
            balancer.send(client, bytes(1000))
    mmproxy.wait_for_counter("datagrams_dropped_waiting", 100 * QUEUED)
    mmproxy.assert_memory_grew_less(memory, 100 * 40000, "RssAnon")
