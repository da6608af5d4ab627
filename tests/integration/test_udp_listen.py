# SPDX-License-Identifier: MIT
"""UDP: where mmproxy listens, from where it answers, and how it is started and ended."""

import re
import socket
import time

import pytest

import headers
from headers import CLIENT4, CLIENT6
from sessions import MMPROXY, send
from settings import configuration, listener, udp_listener
from traffic import read_exactly
from udp import (
    MMPROXY4,
    MMPROXY6,
    Balancer,
    answer,
    assert_nothing_reaches,
    flows,
    framings,
    question,
    round_trip,
    text,
    wait_until_closed,
)
from upstreams import Datagrams

SHORT = ["-l", "127.0.0.1:8443", "-4", "127.0.0.1:443", "-6", "[::1]:443", "-p", "udp"]

# Beside those that the server has anyway.
SECOND4, SECOND6 = "198.51.100.3", "2001:db8:5::3"


# From which address the answers come.


@pytest.fixture
def server(path):
    """The server's machine with a second address of each family."""
    path.server.ip(
        f"addr add {SECOND4}/24 dev outside\naddr add {SECOND6}/64 dev outside nodad\n"
    )
    return path.server


@framings
@pytest.mark.parametrize(
    "listen, families", [("*:8443", "46"), ("0.0.0.0:8443", "4"), ("[::]:8443", "6")]
)
def test_an_answer_comes_from_the_address_that_was_asked(
    listen, families, framing, path, server, start_udp
):
    upstream = Datagrams(server)
    start_udp(server, framing, listen=listen, subnets=[path.BALANCER4, path.BALANCER6])
    addresses = {"4": [path.SERVER4, SECOND4], "6": [path.SERVER6, SECOND6]}
    clients = iter(range(41000, 42000))
    for family in families:
        for address in addresses[family] * 2:
            # Connected: an answer from elsewhere would not reach it.
            balancer = Balancer(path.balancer, framing, (address, 8443))
            client = (CLIENT4[0], next(clients))
            for _ in range(2):
                assert round_trip(balancer, upstream, client) == client


def test_an_answer_comes_from_the_address_that_was_asked_last(path, server, start_udp):
    """One balancer, one client, one flow; the balancer now asks here, now there."""
    upstream = Datagrams(server)
    mmproxy = start_udp(server, listen="*:8443", subnets="any", top={"workers": 1})
    balancer = path.balancer.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    balancer.settimeout(10)
    for address in (path.SERVER6, SECOND6) * 3:
        balancer.sendto(headers.v2_udp(CLIENT4) + b"question", (address, 8443))
        assert upstream.receive() == (b"question", CLIENT4)
        for _ in range(2):
            upstream.send(b"answer", CLIENT4)
            data, sender = balancer.recvfrom(100)
            assert (data, sender[0]) == (b"answer", address)
    assert mmproxy.counters()["sessions_accepted"] == 1


def test_datagrams_in_one_piece_are_answered_from_the_address_that_was_asked(
    path, server, start_udp
):
    upstream = Datagrams(server)
    start_udp(server, listen="*:8443", subnets="any")
    for address in SECOND4, SECOND6:
        balancer = Balancer(path.balancer, to=(address, 8443))
        question(balancer, upstream, CLIENT4)
        datagrams = [b"%4d" % number for number in range(200)]
        for datagram in datagrams:
            upstream.send(datagram, CLIENT4)
        assert [balancer.receive(CLIENT4) for _ in datagrams] == datagrams


# Who may send.


def test_a_balancer_in_no_subnet_is_refused(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, subnets=["127.0.0.2", "192.0.2.0/24"])
    stranger = Balancer(host)
    stranger.send(CLIENT4, b"question")
    mmproxy.assert_closed("balancer-not-allowed")
    line = mmproxy.wait_for_log("session: refused")
    assert line["reason"] == "balancer-not-allowed"
    assert line["balancer"] == text(stranger.address)
    assert "subnets" in line["hint"]
    assert_nothing_reaches(udp_upstream, stranger, mmproxy)
    allowed = Balancer(host, source="127.0.0.2")
    assert round_trip(allowed, udp_upstream, CLIENT4) == CLIENT4
    assert mmproxy.counters()["sessions_accepted"] == 1


@pytest.mark.parametrize("listen", ["*:8443", "0.0.0.0:8443"])
def test_an_ipv4_balancer_is_judged_as_ipv4_wherever_it_comes_in(
    listen, host, start_udp, udp_upstream
):
    mmproxy = start_udp(host, listen=listen, subnets=["127.0.0.1"])
    balancer = Balancer(host)
    assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
    stranger = Balancer(host, source="127.0.0.2")
    stranger.send(CLIENT4, b"question")
    mmproxy.assert_closed("balancer-not-allowed")
    mmproxy.terminate()
    assert wait_until_closed(mmproxy, CLIENT4)["balancer"] == text(balancer.address)


def test_a_mapped_prefix_is_no_way_around_the_allow_list(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, listen="*:8443", subnets=["::1"])
    stranger = Balancer(host)
    stranger.send(CLIENT4, b"question")
    mmproxy.assert_closed("balancer-not-allowed")
    assert_nothing_reaches(udp_upstream, stranger, mmproxy)
    assert round_trip(Balancer(host, to=MMPROXY6), udp_upstream, CLIENT4) == CLIENT4


# Several listeners.


@pytest.mark.parametrize("workers", [1, 2])
def test_tcp_and_udp_on_one_port_live_side_by_side(
    workers, host, start_daemon, upstream, udp_upstream
):
    mmproxy = start_daemon(
        host,
        config=configuration(
            listener("tcp"), udp_listener("udp"), workers=workers, drain_timeout=0
        ),
    )
    connection = send(host, headers.v2(CLIENT4) + b"payload")
    session, peer = upstream.accept()
    assert peer == CLIENT4
    assert read_exactly(session, 7) == b"payload"
    assert round_trip(Balancer(host), udp_upstream, CLIENT4) == CLIENT4
    session.sendall(b"answer")
    assert read_exactly(connection, 6) == b"answer"
    lines = mmproxy.log_lines("listener: listening")
    seen = {(line["listener"], line["protocol"], line["listen"]) for line in lines}
    assert seen == {
        ("tcp", "tcp", "127.0.0.1:8443"),
        ("udp", "udp", "127.0.0.1:8443"),
        ("udp", "udp", "[::1]:8443"),
    }


def test_listeners_of_every_framing_live_side_by_side(host, start_daemon, udp_upstream):
    ports = {"every": 8001, "first": 8002, "spp": 8003}
    start_daemon(
        host,
        config=configuration(
            *[
                udp_listener(framing, framing=framing, listen=f"127.0.0.1:{port}")
                for framing, port in ports.items()
            ],
            drain_timeout=0,
        ),
    )
    for _ in range(2):
        for number, (framing, port) in enumerate(ports.items()):
            client = (CLIENT4[0], 41000 + number)
            balancer = Balancer(host, framing, ("127.0.0.1", port))
            assert round_trip(balancer, udp_upstream, client, header=True) == client


@pytest.mark.parametrize("workers", [1, 4])
def test_one_client_by_two_listeners_has_two_flows(workers, host, start_daemon, udp_upstream):
    """Before one upstream, they are told apart by another port."""
    start_daemon(
        host,
        config=configuration(
            udp_listener("one", listen="127.0.0.1:8001"),
            udp_listener("two", listen="127.0.0.1:8002"),
            workers=workers,
            drain_timeout=0,
        ),
    )
    one, two = (Balancer(host, to=("127.0.0.1", port)) for port in (8001, 8002))
    assert round_trip(one, udp_upstream, CLIENT4) == CLIENT4
    seen = round_trip(two, udp_upstream, CLIENT4)
    assert seen != CLIENT4
    assert seen[0] == CLIENT4[0]
    answer(one, udp_upstream, CLIENT4, CLIENT4)
    answer(two, udp_upstream, seen, CLIENT4)
    assert not one.has_answer() and not two.has_answer()


def test_one_client_by_two_listeners_to_two_upstreams_keeps_its_port(
    host, start_daemon, udp_upstream
):
    other = Datagrams(host, ("127.0.0.1", 53))
    start_daemon(
        host,
        config=configuration(
            udp_listener("one", listen="127.0.0.1:8001"),
            udp_listener("two", listen="127.0.0.1:8002", forward={"ipv4": "127.0.0.1:53"}),
            drain_timeout=0,
        ),
    )
    one, two = (Balancer(host, to=("127.0.0.1", port)) for port in (8001, 8002))
    for _ in range(3):
        assert question(one, udp_upstream, CLIENT4) == CLIENT4
        assert question(two, other, CLIENT4) == CLIENT4
        answer(two, other, CLIENT4, CLIENT4, b"two")
        answer(one, udp_upstream, CLIENT4, CLIENT4, b"one")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_instance_is_refused_the_port(workers, host, start_udp, udp_upstream):
    """Not handed half of the datagrams, as a port that is shared between workers would allow."""
    start_udp(host, top={"workers": workers})
    second = start_udp(host, top={"workers": workers}, ready=False)
    assert second.wait_until_ended() == 1
    line = second.log_lines("cannot listen")[0]
    assert line.level == "error"
    assert "Address already in use" in line.text
    assert "udp 127.0.0.1:8443" in line.text
    assert round_trip(Balancer(host), udp_upstream, CLIENT4) == CLIENT4


@pytest.mark.parametrize(
    "workers, option",
    # Workers share the port, and the kernel lets the same user join them.
    [(1, socket.SO_REUSEADDR), (1, socket.SO_REUSEPORT), (2, socket.SO_REUSEADDR)],
    ids=["alone", "alone_reuseport", "workers"],
)
def test_no_socket_beside_it_can_take_the_port(workers, option, host, start_udp):
    start_udp(host, top={"workers": workers})
    thief = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
    thief.setsockopt(socket.SOL_SOCKET, option, 1)
    with pytest.raises(OSError, match="in use"):
        thief.bind(MMPROXY4)


# The short form.


def test_the_short_form_serves_both_families(host, start_daemon, udp_upstream, udp_upstream6):
    mmproxy = start_daemon(host, arguments=[*SHORT, "-c", "1"])
    line = mmproxy.wait_for_log("listener: listening")
    assert (line["protocol"], line["framing"]) == ("udp", "every")
    balancer = Balancer(host)
    for client, upstream in (CLIENT4, udp_upstream), (CLIENT6, udp_upstream6):
        for _ in range(2):
            assert round_trip(balancer, upstream, client) == client
    began = time.monotonic()
    for client in CLIENT4, CLIENT6:
        assert wait_until_closed(mmproxy, client)["reason"] == "idle-timeout"
    assert 0.9 <= time.monotonic() - began < 1.5


def test_the_short_form_knows_permit_source_and_mark(host, start_daemon, udp_upstream):
    mmproxy = start_daemon(
        host, arguments=[*SHORT, "--permit-source", "127.8.0.0/16", "-m", "123", "-c", "0"]
    )
    host.nft("add table inet t\nadd chain inet t out { type filter hook output priority 0; }\n"
             "add rule inet t out meta mark 123 udp dport 443 counter\n")
    balancer = Balancer(host)
    client = ("127.8.8.8", 41000)
    assert round_trip(balancer, udp_upstream, client) == client
    listed = host.run(["nft", "list", "table", "inet", "t"]).stdout
    assert int(re.search(r"counter packets (\d+)", listed).group(1)) == 1
    balancer.send(("127.9.9.9", 41000), b"question")
    mmproxy.assert_closed("source-loopback")
    # 0 ends none; and so the end has one to end.
    assert flows(mmproxy) == 1
    mmproxy.stop()
    assert wait_until_closed(mmproxy, client)["reason"] == "shutdown"


def test_the_short_form_without_an_allow_list_warns(host, start_daemon, udp_upstream):
    mmproxy = start_daemon(host, arguments=SHORT)
    warnings = [line for line in mmproxy.log_lines(" warning ") if "subnets" in line.text]
    assert len(warnings) == 1


def test_the_short_forms_default_address_is_the_one_its_users_know(
    host, start_daemon, udp_upstream
):
    mmproxy = start_daemon(host, arguments=["-p", "udp", "-v"])
    assert mmproxy.wait_for_log("listener: listening")["listen"] == "0.0.0.0:8443"
    host.add_interface("192.0.2.1/24", "2001:db8:5::1/64")
    for address in "127.0.0.1", "192.0.2.1":
        client = (CLIENT4[0], 41000 + len(address))
        balancer = Balancer(host, to=(address, MMPROXY[1]))
        assert round_trip(balancer, udp_upstream, client) == client
