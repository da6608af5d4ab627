# SPDX-License-Identifier: MIT
"""UDP: the client's address and port toward the upstream: what is kept and what gives way."""

import re
import socket

import pytest

from headers import CLIENT4, CLIENT6
from udp import (
    Balancer,
    answer,
    assert_nothing_reaches,
    both_families,
    framings,
    question,
    round_trip,
    text,
)
from waiting import wait_until


@pytest.fixture
def upstreams(udp_upstream, udp_upstream6):
    """By a client, the upstream of its family."""
    return lambda client: udp_upstream6 if ":" in client[0] else udp_upstream


def service_on(host, client, shared=False):
    """A local service on the client's port, on all addresses."""
    family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
    made = host.socket(family, socket.SOCK_DGRAM)
    made.settimeout(10)
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("::" if ":" in client[0] else "0.0.0.0", client[1]))
    return made


def can_serve_on(host, client):
    try:
        service_on(host, client).close()
    except OSError:
        return False
    return True


# Ports that are taken.


@framings
@both_families
def test_a_port_that_a_local_service_holds_is_replaced(client, framing, host, start_udp, upstreams):
    service = service_on(host, client)
    mmproxy = start_udp(host, framing)
    balancer = Balancer(host, framing)
    seen = round_trip(balancer, upstreams(client), client)
    assert seen[0] == client[0]
    assert seen[1] != client[1]
    assert seen[1] >= 1024
    for _ in range(3):
        assert round_trip(balancer, upstreams(client), client) == seen
    mmproxy.assert_counter("port_conflicts")
    mmproxy.terminate()
    line = mmproxy.wait_for_log("session: closed")
    assert line["client"] == text(client)
    assert line["upstream_sees"] == text(seen)
    service.setblocking(False)
    with pytest.raises(BlockingIOError):
        service.recv(1)


@both_families
def test_a_port_that_is_taken_is_refused_where_port_conflict_says_so(
    client, host, start_udp, upstreams
):
    service = service_on(host, client)
    mmproxy = start_udp(host, port_conflict="refuse")
    balancer = Balancer(host)
    balancer.send(client, b"question")
    mmproxy.assert_closed("port-conflict")
    mmproxy.assert_counter("port_conflicts")
    assert_nothing_reaches(upstreams(client), balancer, mmproxy)
    line = mmproxy.wait_for_log("session: failed")
    assert line["reason"] == "port-conflict"
    assert line["client"] == text(client)
    # Once the service has gone, the next datagram passes.
    service.close()
    assert round_trip(balancer, upstreams(client), client) == client


@both_families
def test_a_service_that_shares_its_port_leaves_it_to_the_client(client, host, start_udp, upstreams):
    service_on(host, client, shared=True)
    start_udp(host, port_conflict="refuse")
    assert round_trip(Balancer(host), upstreams(client), client) == client


@both_families
def test_a_service_that_shares_can_start_on_the_port_of_a_live_client(
    client, host, start_udp, upstreams
):
    start_udp(host)
    balancer = Balancer(host)
    round_trip(balancer, upstreams(client), client)
    service = service_on(host, client, shared=True)
    visitor = host.socket(service.family, socket.SOCK_DGRAM)
    visitor.sendto(b"hello", ("::1" if ":" in client[0] else "127.0.0.1", client[1]))
    assert service.recv(100) == b"hello"
    assert round_trip(balancer, upstreams(client), client) == client


@both_families
def test_a_port_is_free_again_after_the_flow(client, host, start_udp, upstreams):
    mmproxy = start_udp(host, idle_timeout=0.1)
    for number in range(3):
        assert question(Balancer(host), upstreams(client), client) == client
        mmproxy.assert_closed("idle-timeout", number + 1)
        # The flow is counted as ended before its socket is closed.
        wait_until(lambda: can_serve_on(host, client), 10, "the port is free")


# Ports below 1024, and no port.


@pytest.mark.parametrize("address", [CLIENT4[0], CLIENT6[0]], ids=["ipv4", "ipv6"])
def test_a_client_on_port_53_gets_another_port_and_is_counted(address, host, start_udp, upstreams):
    mmproxy = start_udp(host)
    client = (address, 53)
    seen = round_trip(Balancer(host), upstreams(client), client)
    assert seen[0] == address
    assert seen[1] >= 1024
    assert mmproxy.wait_for_counter("client_port_privileged")["port_conflicts"] == 0
    mmproxy.terminate()
    line = mmproxy.wait_for_log("session: closed")
    assert line["client"] == text(client)
    assert line["upstream_sees"] == text(seen)


def test_a_client_on_port_53_is_refused_where_port_conflict_says_so(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, port_conflict="refuse")
    balancer = Balancer(host)
    balancer.send((CLIENT4[0], 53), b"question")
    mmproxy.assert_closed("client-port-privileged")
    assert_nothing_reaches(udp_upstream, balancer, mmproxy)
    assert mmproxy.wait_for_log("session: failed")["reason"] == "client-port-privileged"
    mmproxy.assert_counter("client_port_privileged")


def test_a_client_on_port_53_keeps_it_where_the_sysctl_allows_it(host, start_udp, udp_upstream):
    host.sysctl("net.ipv4.ip_unprivileged_port_start", 0)
    mmproxy = start_udp(host)
    assert round_trip(Balancer(host), udp_upstream, (CLIENT4[0], 53)) == (CLIENT4[0], 53)
    assert mmproxy.counters()["client_port_privileged"] == 0


@framings
@pytest.mark.parametrize("address", [CLIENT4[0], CLIENT6[0]], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("port_conflict", ["any-port", "refuse"])
def test_port_0_means_any_port(port_conflict, address, framing, host, start_udp, upstreams):
    mmproxy = start_udp(host, framing, port_conflict=port_conflict)
    client = (address, 0)
    balancer = Balancer(host, framing)
    seen = round_trip(balancer, upstreams(client), client)
    assert seen[0] == address
    assert seen[1] > 0
    assert round_trip(balancer, upstreams(client), client) == seen
    assert mmproxy.wait_for_counter("client_port_zero")["port_conflicts"] == 0
    mmproxy.terminate()
    line = mmproxy.wait_for_log("session: closed")
    assert line["client"] == text(client)
    assert line["upstream_sees"] == text(seen)


def test_many_flows_of_any_port_have_ports_of_their_own(host, start_udp, udp_upstream):
    """Port 0, from one address, for many destinations: the answers must not be mixed."""
    host.sysctl("net.ipv4.ip_local_port_range", "30000 30299")
    start_udp(host, "spp")
    balancer = Balancer(host, "spp")
    client = (CLIENT4[0], 0)
    services = [("192.0.2.80", port) for port in range(1, 201)]
    seen = {
        service: question(balancer, udp_upstream, client, service=service) for service in services
    }
    assert len(set(seen.values())) == len(services)
    for service in reversed(services):
        answer(balancer, udp_upstream, seen[service], client, text(service).encode(), service)


# Upstreams.


@pytest.mark.parametrize(
    "forward, client, reason",
    [
        ({"ipv4": "127.0.0.1:443"}, CLIENT6, "no-forward-ipv6"),
        ({"ipv6": "[::1]:443"}, CLIENT4, "no-forward-ipv4"),
    ],
    ids=["ipv6", "ipv4"],
)
def test_a_family_without_an_upstream_is_refused(
    forward, client, reason, host, start_udp, udp_upstream, udp_upstream6
):
    mmproxy = start_udp(host, forward=forward)
    balancer = Balancer(host)
    balancer.send(client, b"question")
    mmproxy.assert_closed(reason)
    assert mmproxy.wait_for_log("session: failed")["reason"] == reason
    assert_nothing_reaches(udp_upstream, balancer, mmproxy)
    assert_nothing_reaches(udp_upstream6, balancer, mmproxy)


@both_families
def test_the_mark_is_on_what_is_sent_to_the_upstream(client, host, start_udp, upstreams):
    start_udp(host, mark=0x7B)
    host.nft("add table inet t\nadd chain inet t out { type filter hook output priority 0; }\n"
             "add rule inet t out meta mark 0x7b udp dport 443 counter\n")
    assert round_trip(Balancer(host), upstreams(client), client) == client
    listed = host.run(["nft", "list", "table", "inet", "t"]).stdout
    assert int(re.search(r"counter packets (\d+)", listed).group(1)) == 1


def test_an_upstream_that_drops_everything_costs_nobody_else(host, start_udp, udp_upstream):
    """A firewall that says no is told to the sender: the datagram is lost, the flow goes on."""
    mmproxy = start_udp(host)
    one, other = Balancer(host), Balancer(host)
    blocked = (CLIENT4[0], 41001)
    host.nft("add table inet t\nadd chain inet t out { type filter hook output priority 0; }\n"
             "add rule inet t out udp sport 41001 udp dport 443 drop\n")
    for _ in range(10):
        one.send(blocked, b"blocked")
        assert round_trip(other, udp_upstream, CLIENT4) == CLIENT4
    mmproxy.assert_counter("datagrams_dropped_error", 10)
    host.nft("delete table inet t\n")
    assert round_trip(one, udp_upstream, blocked) == blocked
    assert mmproxy.counters()["sessions_accepted"] == 2
