# SPDX-License-Identifier: MIT
"""UDP: a balancer fails over to another address, an upstream restarts, a client asks for two
destinations: what stays one flow, and whose answers go where."""

import random

import pytest

from headers import CLIENT4, CLIENT6
from sessions import clients
from udp import (
    MMPROXY4,
    MMPROXY6,
    Balancer,
    answer,
    assert_nothing_reaches,
    both_families,
    framings,
    headed_framings,
    question,
    round_trip,
    text,
    wait_until_closed,
)
from udp_alive import set_idle_timeout
from upstreams import UPSTREAM4, UPSTREAM6, Datagrams
from waiting import wait_until

OTHER_SERVICE = ("192.0.2.81", 53)


@pytest.fixture
def upstreams(udp_upstream, udp_upstream6):
    """By a client, the upstream of its family."""
    return lambda client: udp_upstream6 if ":" in client[0] else udp_upstream


def assert_others_hear_nothing(balancers, speaker):
    for balancer in balancers:
        assert balancer is speaker or not balancer.has_answer()


# Fail-over.


@pytest.mark.parametrize("workers", [1, 4])
@framings
@both_families
def test_a_client_stays_itself_while_its_balancer_fails_over(
    client, framing, workers, host, start_udp, upstreams
):
    """There and back again, from A to B and from B to A, whichever worker either belongs to."""
    mmproxy = start_udp(host, framing, top={"workers": workers})
    upstream = upstreams(client)
    balancers = [Balancer(host, framing, source=f"127.0.0.{1 + number}") for number in range(12)]
    order = balancers * 3
    random.Random(framing).shuffle(order)
    for balancer in order:
        assert round_trip(balancer, upstream, client, header=True) == client
        # What follows takes the same way, and so does what nobody has asked for.
        assert round_trip(balancer, upstream, client) == client
        answer(balancer, upstream, client, client, b"by the way")
        assert_others_hear_nothing(balancers, balancer)
    counters = mmproxy.counters()
    assert counters["port_conflicts"] == 0
    assert counters["sessions_closed_flow_replaced"] == 0
    # The kernel spreads the balancers' sockets over the workers. Where only the first datagram has
    # a header, each socket has a flow of its own anyway.
    alone = workers == 1 and framing != "first"
    assert (counters["sessions_closed_flow_moved"] == 0) == alone
    assert (counters["sessions_accepted"] == 1) == alone


@headed_framings
@pytest.mark.parametrize("workers", [1, 4])
def test_a_balancer_may_fail_over_to_the_other_address_family(
    workers, framing, host, start_udp, udp_upstream
):
    start_udp(host, framing, top={"workers": workers})
    pair = [Balancer(host, framing, to) for to in (MMPROXY4, MMPROXY6)]
    for balancer in pair * 3:
        assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
        assert_others_hear_nothing(pair, balancer)


@headed_framings
@pytest.mark.parametrize("workers", [1, 4])
def test_many_clients_fail_over_at_once(workers, framing, host, start_udp, udp_upstream):
    """None of them waits for another, and each of them is seen as before."""
    mmproxy = start_udp(host, framing, top={"workers": workers})
    balancers = [Balancer(host, framing, source=f"127.0.0.{1 + number}") for number in range(4)]
    everybody = clients(100)
    for balancer in balancers * 2:
        for client in everybody:
            balancer.send(client, text(client).encode())
        for _ in everybody:
            payload, peer = udp_upstream.receive()
            assert payload == text(peer).encode()
            udp_upstream.send(payload, peer)
        answers = {balancer.receive_bare()[38 if framing == "spp" else 0 :] for _ in everybody}
        assert answers == {text(client).encode() for client in everybody}
        assert_others_hear_nothing(balancers, balancer)
    assert mmproxy.counters()["port_conflicts"] == 0


def test_answers_follow_the_last_datagram_not_the_first(host, start_udp, udp_upstream):
    start_udp(host)
    one, other = Balancer(host), Balancer(host, source="127.0.0.2")
    question(one, udp_upstream, CLIENT4)
    question(other, udp_upstream, CLIENT4)
    question(one, udp_upstream, CLIENT4)
    for _ in range(3):
        answer(one, udp_upstream, CLIENT4, CLIENT4)
    assert not other.has_answer()


def test_whoever_is_not_allowed_moves_no_flow(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, subnets=["127.0.0.1"])
    balancer, stranger = Balancer(host), Balancer(host, source="127.0.0.9")
    round_trip(balancer, udp_upstream, CLIENT4)
    stranger.send(CLIENT4, b"to me, please")
    mmproxy.assert_closed("balancer-not-allowed")
    assert_nothing_reaches(udp_upstream, stranger, mmproxy)
    answer(balancer, udp_upstream, CLIENT4, CLIENT4)
    assert not stranger.has_answer()


@pytest.mark.parametrize("workers", [1, 4])
def test_first_a_flow_taken_over_comes_back_by_a_bare_datagram(
    workers, host, start_udp, udp_upstream
):
    """A balancer that was thought dead, and still has its client, is believed again."""
    start_udp(host, "first", top={"workers": workers})
    pair = [Balancer(host, "first", source=f"127.0.0.{1 + number}") for number in range(2)]
    for balancer in pair * 3:
        assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
        assert_others_hear_nothing(pair, balancer)


# Two destinations.


@headed_framings
@pytest.mark.parametrize("workers", [1, 4])
def test_two_destinations_of_one_client_are_two_flows(
    workers, framing, host, start_udp, udp_upstream
):
    """The upstream could not tell them apart by the client's port, so the second has another."""
    mmproxy = start_udp(host, framing, top={"workers": workers})
    one, other = Balancer(host, framing), Balancer(host, framing)
    assert round_trip(one, udp_upstream, CLIENT4) == CLIENT4
    seen = round_trip(other, udp_upstream, CLIENT4, service=OTHER_SERVICE)
    assert seen[0] == CLIENT4[0]
    assert seen[1] != CLIENT4[1]
    for _ in range(3):
        assert question(one, udp_upstream, CLIENT4) == CLIENT4
        assert question(other, udp_upstream, CLIENT4, service=OTHER_SERVICE) == seen
        answer(other, udp_upstream, seen, CLIENT4, b"other", OTHER_SERVICE)
        answer(one, udp_upstream, CLIENT4, CLIENT4, b"one")
    assert not one.has_answer() and not other.has_answer()
    mmproxy.assert_counter("port_conflicts")
    mmproxy.terminate()
    line = mmproxy.wait_for_log(rf"session: closed .*destination={OTHER_SERVICE[0]}:53")
    assert line["client"] == text(CLIENT4)
    assert line["upstream_sees"] == text(seen)
    assert "upstream_sees" not in mmproxy.wait_for_log(r"destination=192\.0\.2\.80").fields


@headed_framings
def test_two_destinations_behind_one_socket_of_the_balancer(framing, host, start_udp, udp_upstream):
    start_udp(host, framing)
    balancer = Balancer(host, framing)
    assert question(balancer, udp_upstream, CLIENT4) == CLIENT4
    seen = question(balancer, udp_upstream, CLIENT4, service=OTHER_SERVICE)
    answer(balancer, udp_upstream, seen, CLIENT4, b"other", OTHER_SERVICE)
    answer(balancer, udp_upstream, CLIENT4, CLIENT4, b"one")


@headed_framings
def test_a_second_destination_is_refused_where_port_conflict_says_so(
    framing, host, start_udp, udp_upstream
):
    mmproxy = start_udp(host, framing, port_conflict="refuse")
    balancer = Balancer(host, framing)
    round_trip(balancer, udp_upstream, CLIENT4)
    balancer.send(CLIENT4, b"question", OTHER_SERVICE)
    mmproxy.assert_closed("port-conflict")
    mmproxy.assert_counter("port_conflicts")
    assert_nothing_reaches(udp_upstream, balancer, mmproxy)
    line = mmproxy.wait_for_log("session: failed")
    assert line["reason"] == "port-conflict"
    assert line["destination"] == text(OTHER_SERVICE)
    assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4


def test_the_port_is_free_for_the_second_destination_once_the_first_has_ended(
    host, start_udp, udp_upstream
):
    mmproxy = start_udp(host, idle_timeout=60)
    balancer = Balancer(host)
    assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
    set_idle_timeout(mmproxy, 0.05)
    wait_until_closed(mmproxy, CLIENT4)
    set_idle_timeout(mmproxy, 60)
    assert round_trip(balancer, udp_upstream, CLIENT4, service=OTHER_SERVICE) == CLIENT4


# The upstream restarts.


@framings
@both_families
def test_a_flow_outlives_a_restart_of_the_upstream(client, framing, host, start_udp):
    address = UPSTREAM6 if client == CLIENT6 else UPSTREAM4
    mmproxy = start_udp(host, framing)
    balancer = Balancer(host, framing)
    upstream = Datagrams(host, address)
    for number in range(3):
        assert round_trip(balancer, upstream, client) == client
        upstream.close()
        before = mmproxy.counters()["upstream_icmp_errors"]
        for _ in range(5):
            balancer.send(client, b"is anybody there?")
        mmproxy.wait_for_counter("upstream_icmp_errors", before + 1)
        mmproxy.wait_until_idle()
        upstream = Datagrams(host, address)
        for again in range(20):
            balancer.send(client, b"%d" % again)
        for again in range(20):
            assert upstream.receive() == (b"%d" % again, client)
        answer(balancer, upstream, client, client)
    assert mmproxy.counters()["sessions_accepted"] == 1


@both_families
def test_no_datagram_is_lost_to_an_error_that_is_still_to_be_told(client, host, start_udp):
    """The error of a datagram before it may come in the place of any datagram, at any time."""
    address = UPSTREAM6 if client == CLIENT6 else UPSTREAM4
    mmproxy = start_udp(host, top={"workers": 1})
    balancer = Balancer(host)
    balancer.send(client, b"lost")
    mmproxy.wait_for_counter("upstream_icmp_errors")
    for number in range(200):
        for _ in range(number % 4):
            balancer.send(client, b"lost")
        upstream = Datagrams(host, address)
        balancer.send(client, b"%d" % number)
        wait_until(
            lambda: upstream.receive() == (b"%d" % number, client), 10, "it is there", interval=0
        )
        upstream.close()
    assert mmproxy.counters()["sessions_accepted"] == 1


@framings
def test_one_clients_silence_is_not_anothers(framing, host, start_udp, upstreams):
    """The upstream of one family is away; clients of the other do not notice."""
    mmproxy = start_udp(host, framing)
    upstreams(CLIENT6).close()
    away, here = Balancer(host, framing), Balancer(host, framing)
    for _ in range(50):
        away.send(CLIENT6, b"is anybody there?")
        assert round_trip(here, upstreams(CLIENT4), CLIENT4) == CLIENT4
    assert mmproxy.wait_for_counter("upstream_icmp_errors")["sessions_accepted"] == 2
