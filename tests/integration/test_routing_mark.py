# SPDX-License-Identifier: MIT
"""Upstreams that are not on loopback: their answers are told by a mark, which mmproxy sees to."""

import pytest

import network
import rules
from headers import CLIENT4, CLIENT6, v2
from sessions import assert_alive, close, send
from settings import configuration, listener, udp_listener
from udp import Balancer, both_families, round_trip
from upstreams import Datagrams, Listener
from waiting import wait_until

HOST4, HOST6 = "192.0.2.1", "2001:db8:2::1"
CONTAINER4, CONTAINER6 = "192.0.2.2", "2001:db8:2::2"

MARK = {"mode": "manage", "method": "mark"}


class Site:
    """A host with an address besides loopback, and a container behind a veth."""

    def __init__(self):
        self.host = network.Namespace("host")
        self.container = network.Namespace("container")
        self.host.ip(f"link add bridge type veth peer name eth0 netns {self.container.name}")
        for namespace, device, four, six in (
            (self.host, "bridge", HOST4, HOST6),
            (self.container, "eth0", CONTAINER4, CONTAINER6),
        ):
            namespace.ip(
                f"addr add {four}/24 dev {device}\naddr add {six}/64 dev {device} nodad\n"
                f"link set {device} up\n"
            )
        # The container's answers to the client go by the host, as a container's do; the host has a
        # way to the clients as hosts have.
        self.container.ip(f"route add default via {HOST4}")
        self.container.ip(f"route add default via {HOST6}", "-6")
        self.host.ip("route add default via 192.0.2.254")
        self.host.ip("route add default via 2001:db8:2::fe", "-6")

    def destroy(self):
        self.host.destroy()
        self.container.destroy()


@pytest.fixture
def site():
    made = Site()
    yield made
    made.destroy()


@pytest.fixture
def start(site, start_daemon):
    """Forwards to these addresses, TCP and UDP."""

    def run(four, six, ready=True, **top):
        forward = {"ipv4": f"{four}:443", "ipv6": f"[{six}]:443"}
        config = configuration(
            listener(forward=forward),
            udp_listener(forward=forward),
            **{"drain_timeout": 0, "routing": MARK, **top},
        )
        return start_daemon(site.host, config=config, ready=ready)

    return run


PLACES = {"own": (HOST4, HOST6), "container": (CONTAINER4, CONTAINER6)}
places = pytest.mark.parametrize("place", PLACES)


def upstream_of(site, place, client, kind):
    four, six = PLACES[place]
    namespace = site.host if place == "own" else site.container
    return kind(namespace, (six if ":" in client[0] else four, 443))


def assert_serves(namespace, upstream, client):
    connection = send(namespace, v2(client))
    accepted, peer = upstream.accept()
    assert peer == client
    assert_alive(connection, accepted)
    close(connection, accepted)


@places
@both_families
def test_tcp_is_served(client, place, site, start):
    mmproxy, upstream = start(*PLACES[place]), upstream_of(site, place, client, Listener)
    assert_serves(site.host, upstream, client)
    assert not mmproxy.log_lines(" (warning|error) routing")


@places
@both_families
def test_udp_is_served(client, place, site, start):
    start(*PLACES[place])
    upstream = upstream_of(site, place, client, Datagrams)
    assert round_trip(Balancer(site.host), upstream, client) == client


def test_other_traffic_of_the_address_goes_its_way(site, start):
    """The container asks the host for something of its own, and is asked."""
    start(CONTAINER4, CONTAINER6)
    for one, other, address in (
        (site.host, site.container, CONTAINER4),
        (site.container, site.host, HOST4),
    ):
        upstream = Listener(other, (address, 8080))
        connection = one.connect((address, 8080))
        accepted, _ = upstream.accept()
        assert_alive(connection, accepted)


def test_what_it_takes_is_there_once_and_goes(site, start):
    mmproxy = start(CONTAINER4, CONTAINER6)
    assert rules.rules(site.host, 4) == [(f"{CONTAINER4}/32", 123, 123, rules.PROTOCOL)]
    assert rules.rules(site.host, 6) == [(f"{CONTAINER6}/128", 123, 123, rules.PROTOCOL)]
    assert rules.tables(site.host) == ["mmproxy_123"]
    mmproxy.stop()
    assert rules.is_empty(site.host), rules.everything(site.host)


WIPES = [
    "flush ruleset",
    "delete table inet mmproxy_123",
    "flush chain inet mmproxy_123 output",
    "flush chain inet mmproxy_123 prerouting\ndelete chain inet mmproxy_123 prerouting",
]


@pytest.mark.parametrize("wipe", WIPES)
def test_a_table_that_is_wiped_is_put_back(wipe, site, start):
    mmproxy, upstream = start(HOST4, HOST6), Listener(site.host, (HOST4, 443))

    def ruleset():
        return site.host.run(["nft", "list", "ruleset"]).stdout

    before = ruleset()
    for _ in range(2):
        site.host.nft(wipe)
        wait_until(lambda: ruleset() == before, 15, lambda: f"it is put back: {ruleset()}")
        assert_serves(site.host, upstream, CLIENT4)
    line = mmproxy.wait_for_log("routing: put back")
    assert line["what"] == "nft table inet mmproxy_123"


def test_a_table_of_that_name_that_is_not_ours_stays(site, start):
    site.host.nft("table inet mmproxy_123 { chain c { }; }")
    mmproxy = start(HOST4, HOST6)
    mmproxy.stop()
    assert rules.tables(site.host) == ["mmproxy_123"]


def test_two_instances_share_the_table(site, start, start_daemon):
    one = start(CONTAINER4, CONTAINER6)
    forward = {"ipv4": f"{CONTAINER4}:443"}
    config = configuration(listener(listen="127.0.0.1:8444", forward=forward), routing=MARK)
    other = start_daemon(site.host, config=config)
    one.stop()
    assert rules.tables(site.host) == ["mmproxy_123"]
    upstream = Listener(site.container, (CONTAINER4, 443))
    connection = site.host.connect(("127.0.0.1", 8444))
    connection.sendall(v2(CLIENT4))
    assert_alive(connection, upstream.accept()[0])
    connection.close()
    other.stop()
    assert rules.is_empty(site.host), rules.everything(site.host)


def test_what_a_crash_has_left_of_a_table_is_mended(site, start):
    crashed = start(HOST4, HOST6, ready=False)
    crashed.wait_until_ready()
    crashed.process.kill()
    crashed.wait_until_ended()
    site.host.nft("flush chain inet mmproxy_123 output")
    again = start(HOST4, HOST6)
    assert_serves(site.host, Listener(site.host, (HOST6, 443)), CLIENT6)
    again.stop()
    assert rules.is_empty(site.host), rules.everything(site.host)
