# SPDX-License-Identifier: MIT
"""UDP: whose datagram it is, by the header in front of each, of the first, or of each and each
answer; and that the upstream sees the client's own address and port."""

import os

import pytest

import headers
from headers import CLIENT4, CLIENT6, SERVICE4, SERVICE6
from settings import configuration, udp_listener
from udp import (
    MMPROXY4,
    MMPROXY6,
    Balancer,
    answer,
    both_families,
    framings,
    headed_framings,
    hops,
    question,
    round_trip,
    text,
)
from udp_alive import set_idle_timeout
from upstreams import UPSTREAM4, UPSTREAM6, Datagrams

OTHER4, OTHER6 = ("203.0.113.10", 41000), ("2001:db8:c::10", 41006)

HEADERS = {"every": "v2", "first": "v2", "spp": "spp"}


@pytest.fixture
def upstreams(udp_upstream, udp_upstream6):
    """By a client, the upstream of its family."""
    return lambda client: udp_upstream6 if ":" in client[0] else udp_upstream


# Every framing.


@framings
@both_families
@hops
def test_the_upstream_sees_the_client_and_its_answers_reach_the_balancer(
    to, client, framing, host, start_udp, upstreams
):
    mmproxy = start_udp(host, framing)
    balancer = Balancer(host, framing, to)
    for number in range(5):
        assert round_trip(balancer, upstreams(client), client, b"%d" % number) == client
    mmproxy.wait_until_idle()
    counters = mmproxy.counters()
    assert counters["sessions_accepted"] == counters["sessions_relayed"] == 1
    assert counters["datagrams_from_client"] == counters["datagrams_from_upstream"] == 5
    assert counters["bytes_from_client"] == counters["bytes_from_upstream"] == 5 * len(b"of 0")
    assert counters["headers_spp" if framing == "spp" else "headers_v2"] == 1


@framings
@both_families
def test_the_upstream_may_speak_more_often_than_it_is_asked(
    client, framing, host, start_udp, upstreams
):
    start_udp(host, framing)
    balancer = Balancer(host, framing)
    peer = question(balancer, upstreams(client), client)
    for number in range(20):
        answer(balancer, upstreams(client), peer, client, b"%d" % number)


@framings
@both_families
def test_a_flow_has_one_line_at_its_end(client, framing, host, start_udp, upstreams):
    mmproxy = start_udp(host, framing, idle_timeout=60, top={"log": {"level": "info"}})
    balancer = Balancer(host, framing)
    peer = question(balancer, upstreams(client), client, b"question")
    question(balancer, upstreams(client), client, b"")
    answer(balancer, upstreams(client), peer, client, b"the answer")
    set_idle_timeout(mmproxy, 0.2)
    line = mmproxy.wait_for_log("session:")
    assert line.level == "info"
    assert line.event == "session: closed"
    fields = dict(line.fields)
    assert int(fields.pop("id")) > 0
    assert 0.2 <= float(fields.pop("duration")) < 10
    assert fields == {
        "listener": "dns",
        "reason": "idle-timeout",
        "client": text(client),
        "balancer": text(balancer.address),
        "destination": text(SERVICE6 if client == CLIENT6 else SERVICE4),
        "upstream": "[::1]:443" if client == CLIENT6 else "127.0.0.1:443",
        "header": HEADERS[framing],
        "datagrams_from_client": "2",
        "datagrams_from_upstream": "1",
        "bytes_from_client": "8",
        "bytes_from_upstream": "10",
    }
    assert len(mmproxy.log_lines("session:")) == 1


@framings
def test_an_empty_answer_reaches_the_balancer(framing, host, start_udp, udp_upstream):
    mmproxy = start_udp(host, framing)
    balancer = Balancer(host, framing)
    peer = question(balancer, udp_upstream, CLIENT4)
    answer(balancer, udp_upstream, peer, CLIENT4, b"")
    answer(balancer, udp_upstream, peer, CLIENT4, b"and more")
    mmproxy.assert_counter("datagrams_from_upstream", 2)
    mmproxy.assert_counter("bytes_from_upstream", 8)


@framings
def test_one_balancer_socket_for_each_client(framing, host, start_udp, upstreams):
    start_udp(host, framing)
    clients = [CLIENT4, OTHER4, CLIENT6, OTHER6]
    balancers = {client: Balancer(host, framing) for client in clients}
    for client, balancer in balancers.items():
        assert question(balancer, upstreams(client), client) == client
    for client in reversed(clients):
        answer(balancers[client], upstreams(client), client, client, text(client).encode())
    for client, balancer in balancers.items():
        assert round_trip(balancer, upstreams(client), client) == client


# Several clients behind one socket of the balancer.


@headed_framings
@hops
@pytest.mark.parametrize(
    "pair",
    [(CLIENT4, OTHER4), (CLIENT6, OTHER6), (CLIENT4, (CLIENT4[0], 41001)), (CLIENT4, CLIENT6)],
    ids=["ipv4", "ipv6", "same_address", "both"],
)
def test_two_clients_behind_one_socket_are_told_apart(
    pair, to, framing, host, start_udp, upstreams
):
    start_udp(host, framing)
    balancer = Balancer(host, framing, to)
    one, other = pair
    for client in one, other, one, other:
        assert question(balancer, upstreams(client), client) == client
    for client in other, one, one, other:
        answer(balancer, upstreams(client), client, client, text(client).encode())
    for client in one, other:
        assert round_trip(balancer, upstreams(client), client) == client


@headed_framings
def test_a_hundred_clients_behind_one_socket_are_told_apart(
    framing, host, start_udp, udp_upstream
):
    mmproxy = start_udp(host, framing)
    balancer = Balancer(host, framing)
    clients = [("203.0.113.%d" % (number // 10 + 1), 20000 + number) for number in range(100)]
    for _ in range(3):
        for client in clients:
            balancer.send(client, text(client).encode())
        for _ in clients:
            payload, peer = udp_upstream.receive()
            assert payload == text(peer).encode()
        for client in reversed(clients):
            udp_upstream.send(text(client).encode(), client)
        for _ in clients:
            data = balancer.receive_bare()
            if framing == "spp":
                owner = next(client for client in clients if data.startswith(headers.spp(client)))
                assert data[38:] == text(owner).encode()
    assert mmproxy.counters()["sessions_accepted"] == 100


def test_the_spp_header_of_an_answer_is_that_of_the_question_byte_for_byte(
    host, start_udp, udp_upstream6
):
    """Both addresses, of whatever kind they are; a proxy that made them anew could differ."""
    start_udp(host, "spp")
    balancer = Balancer(host, "spp")
    for service in (
        ("::", 0),
        ("::1.2.3.4", 65535),
        ("64:ff9b::c000:201", 53),
        ("::ffff:192.0.2.80", 443),
        ("ff02::1", 1),
        (":".join(["ffff"] * 8), 2),
    ):
        # Another client each time: its port is not to be asked for twice.
        client = (CLIENT6[0], 42000 + service[1] % 7)
        header = headers.spp(client, service)
        balancer.send_bare(header + b"question")
        payload, peer = udp_upstream6.receive()
        assert payload == b"question"
        udp_upstream6.send(b"answer", peer)
        assert balancer.receive_bare() == header + b"answer"


# Headers and nothing else.


@both_families
def test_first_a_header_alone_opens_the_flow_and_is_not_forwarded(
    client, host, start_udp, upstreams
):
    mmproxy = start_udp(host, "first")
    balancer = Balancer(host, "first")
    balancer.send(client, b"")
    mmproxy.wait_for_counter("sessions_relayed")
    upstreams(client).assert_untouched()
    for payload in b"bare", b"", b"and more":
        balancer.send_bare(payload)
        assert upstreams(client).receive() == (payload, client)
    answer(balancer, upstreams(client), client, client)
    assert mmproxy.counters()["datagrams_from_client"] == 3


@headed_framings
@both_families
def test_a_header_alone_is_an_empty_datagram_where_each_has_one(
    client, framing, host, start_udp, upstreams
):
    mmproxy = start_udp(host, framing)
    balancer = Balancer(host, framing)
    for payload in b"", b"x", b"", b"":
        question(balancer, upstreams(client), client, payload)
    answer(balancer, upstreams(client), client, client)
    assert mmproxy.counters()["sessions_accepted"] == 1


@headed_framings
def test_a_burst_of_empty_datagrams_keeps_its_number(framing, host, start_udp, udp_upstream):
    start_udp(host, framing)
    balancer = Balancer(host, framing)
    sizes = [0, 0, 5, 0, 5, 5, 0, 3, 0]
    for size in sizes:
        balancer.send(CLIENT4, bytes(size))
    assert [len(udp_upstream.receive()[0]) for _ in sizes] == sizes


@pytest.mark.parametrize("framing", ["every", "first"])
@both_families
def test_tlvs_behind_the_addresses_belong_to_the_header(
    client, framing, host, start_udp, upstreams
):
    start_udp(host, framing)
    balancer = Balancer(host, framing)
    tlvs = headers.tlv(headers.AUTHORITY, b"example.com") + headers.ssl_tlv()
    for crc in False, True:
        balancer.send_bare(headers.v2_udp(client, tlvs=tlvs, crc=crc) + b"payload")
        assert upstreams(client).receive() == (b"payload", client)
    answer(balancer, upstreams(client), client, client)


# The header on the first datagram alone.


def test_first_a_header_repeated_on_a_live_flow_changes_nothing(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, "first")
    balancer = Balancer(host, "first")
    for header in True, True, False, True, False:
        assert round_trip(balancer, udp_upstream, CLIENT4, header=header) == CLIENT4
    balancer.send(CLIENT4, b"", header=True)
    assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
    assert mmproxy.counters()["sessions_accepted"] == 1


@pytest.mark.parametrize(
    "client, service",
    [(OTHER4, None), (OTHER6, None), (CLIENT4, ("192.0.2.81", 53))],
    ids=["another_client", "another_family", "another_destination"],
)
def test_first_another_clients_header_ends_the_flow_and_opens_one(
    client, service, host, start_udp, upstreams
):
    mmproxy = start_udp(host, "first")
    balancer = Balancer(host, "first")
    round_trip(balancer, upstreams(CLIENT4), CLIENT4)
    assert round_trip(balancer, upstreams(client), client, service=service) == client
    balancer.send_bare(b"bare")
    assert upstreams(client).receive() == (b"bare", client)
    mmproxy.assert_closed("flow-replaced")
    assert mmproxy.wait_for_log("reason=flow-replaced")["client"] == text(CLIENT4)
    # And back again.
    assert round_trip(balancer, upstreams(CLIENT4), CLIENT4) == CLIENT4
    mmproxy.assert_closed("flow-replaced", 2)


def assert_no_flow(mmproxy, balancer, upstream, count=1):
    """A bare datagram is dropped, counted and explained; and a header mends it."""
    balancer.send_bare(b"bare")
    mmproxy.assert_closed("no-flow", count)
    line = mmproxy.wait_for_log("session: refused")
    assert line["reason"] == "no-flow"
    assert line["balancer"] == text(balancer.address)
    assert "header" in line["hint"]
    upstream.assert_untouched()
    assert round_trip(balancer, upstream, CLIENT4, header=True) == CLIENT4
    balancer.send_bare(b"bare")
    assert upstream.receive() == (b"bare", CLIENT4)


def test_first_a_bare_datagram_of_nobody_is_counted_and_explained(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, "first")
    assert_no_flow(mmproxy, Balancer(host, "first"), udp_upstream)


def test_first_a_bare_datagram_after_an_eviction_has_no_flow(host, start_udp, udp_upstream):
    mmproxy = start_udp(
        host, "first", max_flows=1, listen="127.0.0.1:8443", top={"workers": 1}
    )
    balancer = Balancer(host, "first")
    round_trip(balancer, udp_upstream, CLIENT4)
    round_trip(Balancer(host, "first"), udp_upstream, OTHER4)
    mmproxy.assert_closed("flow-evicted")
    assert_no_flow(mmproxy, balancer, udp_upstream)


def test_first_a_bare_datagram_after_a_restart_has_no_flow(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, "first")
    balancer = Balancer(host, "first")
    round_trip(balancer, udp_upstream, CLIENT4)
    mmproxy.stop()
    assert_no_flow(start_udp(host, "first"), balancer, udp_upstream)


def test_first_a_bare_datagram_after_idle_timeout_has_no_flow(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, "first", idle_timeout=60)
    balancer = Balancer(host, "first")
    round_trip(balancer, udp_upstream, CLIENT4)
    set_idle_timeout(mmproxy, 0.05)
    mmproxy.assert_closed("idle-timeout")
    set_idle_timeout(mmproxy, 60)
    assert_no_flow(mmproxy, balancer, udp_upstream)


def test_every_and_spp_survive_a_restart_without_anybodys_help(host, start_daemon, udp_upstream):
    for framing in "every", "spp":
        balancer = Balancer(host, framing)
        for _ in range(2):
            config = configuration(udp_listener(framing=framing), drain_timeout=0)
            mmproxy = start_daemon(host, config=config)
            assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
            mmproxy.stop()


# Headers that name no client.

NAMELESS = {
    "local": headers.local(),
    "local_with_tlvs": headers.local(headers.tlv(headers.NOOP, bytes(40))),
    "local_with_addresses": headers.v2_udp(CLIENT4, command=headers.LOCAL),
    "nlb_health_check": headers.nlb_health_check(),
    "unspecified": headers.v2_raw(headers.PROXY, headers.UNSPEC, b""),
}


@pytest.mark.parametrize("header", NAMELESS.values(), ids=NAMELESS.keys())
@pytest.mark.parametrize(
    "framing, to", [("every", MMPROXY4), ("first", MMPROXY6)], ids=["every_ipv4", "first_ipv6"]
)
def test_a_header_that_names_no_client_stands_for_the_balancer(
    framing, to, header, path, start_udp
):
    own, server, there = path.BALANCER4, path.SERVER4, UPSTREAM4
    if to == MMPROXY6:
        own, server, there = path.BALANCER6, path.SERVER6, UPSTREAM6
    upstream = Datagrams(path.server, there)
    mmproxy = start_udp(path.server, framing, listen="*:8443", subnets=[own])
    balancer = Balancer(path.balancer, framing, (server, 8443))
    balancer.send_bare(header + b"are you well?")
    payload, peer = upstream.receive()
    assert payload == b"are you well?"
    assert peer == balancer.address
    assert peer[0] == own
    upstream.send(b"I am", peer)
    assert balancer.receive_bare() == b"I am"
    mmproxy.assert_counter("headers_local")
    mmproxy.terminate()
    line = mmproxy.wait_for_log("session: closed")
    assert line["header"] == "local"
    assert line["client"] == line["balancer"] == text(balancer.address)
    assert "destination" not in line.fields


def test_a_balancers_own_check_beside_its_clients(path, start_udp):
    """Its own flow and those of the clients are different flows of one socket."""
    upstream = Datagrams(path.server)
    start_udp(path.server, listen="0.0.0.0:8443", subnets=[path.BALANCER4])
    balancer = Balancer(path.balancer, to=(path.SERVER4, 8443))
    for _ in range(3):
        assert round_trip(balancer, upstream, CLIENT4) == CLIENT4
        check = os.urandom(8)
        balancer.send_bare(headers.local() + check)
        assert upstream.receive() == (check, balancer.address)
