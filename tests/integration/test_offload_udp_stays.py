# SPDX-License-Identifier: MIT
"""When in doubt a UDP flow stays a relay: a counter for each reason, and every datagram passes."""

import socket
import time

import pytest

import headers
from headers import CLIENT4, CLIENT6
from offload_udp import EXCHANGES, OUTSIDE4, assert_none_pinned, connected, flow
from udp import MMPROXY4, MMPROXY6, Balancer, framings, round_trip
from upstreams import UPSTREAM4, UPSTREAM6, Datagrams
from waiting import wait_until

pytest_plugins = ["offload_udp"]


def assert_stays(mmproxy, reason, balancer, upstream, client=CLIENT4, count=1, **options):
    """It goes on and on as a relay."""
    for number in range(EXCHANGES * 2):
        round_trip(balancer, upstream, client, b"%d" % number, **options)
    mmproxy.assert_counter(f"offload_udp_stayed_{reason}", count)
    assert flow(mmproxy, client)["state"] == "relay"
    for number in range(EXCHANGES):
        round_trip(balancer, upstream, client, b"%d" % number, **options)


def assert_never_moved(mmproxy):
    assert mmproxy.counters()["offload_udp_moved"] == 0


def test_a_balancers_own_flow_stays(host, start_offloaded, udp_upstream):
    mmproxy = start_offloaded(host)
    balancer = Balancer(host)
    balancer.header = lambda *_: headers.local()
    assert_stays(mmproxy, "local", balancer, udp_upstream, balancer.address)
    assert_never_moved(mmproxy)


@pytest.mark.parametrize(
    "client, to, upstream_at",
    [(CLIENT6, MMPROXY4, UPSTREAM6), (CLIENT4, MMPROXY6, UPSTREAM4)],
    ids=["ipv6_over_ipv4", "ipv4_over_ipv6"],
)
def test_what_changes_its_family_stays(client, to, upstream_at, host, start_offloaded):
    mmproxy = start_offloaded(host)
    balancer, upstream = Balancer(host, to=to), Datagrams(host, upstream_at)
    assert_stays(mmproxy, "family", balancer, upstream, client)
    assert_never_moved(mmproxy)


def test_who_has_another_port_stays(host, start_offloaded, udp_upstream):
    mmproxy = start_offloaded(host)
    taken = host.socket(kind=socket.SOCK_DGRAM)
    taken.bind(("0.0.0.0", CLIENT4[1]))
    assert_stays(mmproxy, "port", Balancer(host), udp_upstream)
    assert_never_moved(mmproxy)


def test_an_upstream_on_another_host_stays(path, start_outside):
    """Its answers come back by the rule for what arrives, as they do without offload."""
    at = (path.BALANCER4, 443)
    path.balancer.ip(f"route add {CLIENT4[0]}/32 via {path.SERVER4}\n")
    path.server.ip("rule add from 198.51.100.1 iif outside sport 443 table 123\n")
    mmproxy = start_outside(forward={"ipv4": "%s:%d" % at})
    upstream, balancer = Datagrams(path.balancer, at), Balancer(path.balancer, to=OUTSIDE4)
    assert_stays(mmproxy, "upstream", balancer, upstream)
    assert_never_moved(mmproxy)


def test_where_lo_cuts_replies_into_pieces_it_stays(host, start_offloaded, udp_upstream):
    host.ip("link set lo mtu 16000\n")
    mmproxy = start_offloaded(host)
    assert_stays(mmproxy, "mtu", Balancer(host), udp_upstream)
    assert_never_moved(mmproxy)


@pytest.mark.parametrize("tlv", [bytes(120), b"x"], ids=["long", "odd"])
def test_a_header_that_the_kernel_does_not_compare_stays(tlv, host, start_offloaded, udp_upstream):
    mmproxy = start_offloaded(host)
    balancer = Balancer(host)
    header = headers.v2_udp(CLIENT4, tlvs=headers.tlv(0xF0, tlv + (b"" if len(tlv) > 1 else b"y")))
    balancer.header = lambda *_: header
    assert len(header) > 126 or len(header) % 2 == 1
    assert_stays(mmproxy, "header", balancer, udp_upstream)
    assert_never_moved(mmproxy)


def test_a_balancer_without_a_way_back_by_its_interface_stays(path, start_outside):
    """What it sends comes by one interface, what it gets goes by another."""
    path.server.ip(
        f"link add back type veth peer name backs netns {path.balancer.name}\n"
        "link set back up\n"
        "route del default\n"
        "route del 198.51.100.0/24 dev outside\n"
        f"route add {path.BALANCER4} dev back src {path.SERVER4}\n"
    )
    path.balancer.ip("link set backs up\n")
    mmproxy = start_outside()
    upstream, balancer = Datagrams(path.server), Balancer(path.balancer, to=OUTSIDE4)
    assert_stays(mmproxy, "way", balancer, upstream)
    assert_never_moved(mmproxy)


@pytest.mark.parametrize("lacks", ["route_localnet", "accept_local"])
def test_where_lo_does_not_take_what_comes_from_outside_it_stays(lacks, path, start_outside):
    mmproxy = start_outside()
    path.server.sysctl(f"net.ipv4.conf.lo.{lacks}", 0)  # as it was before mmproxy saw to it
    upstream, balancer = Datagrams(path.server), Balancer(path.balancer, to=OUTSIDE4)
    assert_stays(mmproxy, "route", balancer, upstream)
    assert_never_moved(mmproxy)


# What did not leave this host by a socket.
DROPS = """\
table inet drops {
    chain sent {
        type filter hook output priority 0;
        udp dport 443 meta mark set 7
    }
    chain received {
        type filter hook input priority 0;
        udp dport 443 meta mark != 7 drop
    }
}
"""


@pytest.mark.parametrize("pause", [0, 0.3], ids=["at_once", "after_a_while"])
def test_where_somebody_drops_what_the_kernel_passes_it_is_taken_back(
    pause, host, start_offloaded, udp_upstream
):
    host.nft(DROPS)
    mmproxy = start_offloaded(host)
    balancer = Balancer(host)
    for number in range(5):
        round_trip(balancer, udp_upstream, CLIENT4, b"%d" % number)
    mmproxy.assert_counter("offload_udp_moved")
    time.sleep(pause)  # longer than the socket stays
    wait_until(lambda: asked_in_vain(mmproxy, balancer), 10, "it is taken back", interval=0.05)
    mmproxy.wait_until_idle()
    while udp_upstream.has_datagram():
        udp_upstream.receive()
    for number in range(EXCHANGES):
        round_trip(balancer, udp_upstream, CLIENT4, b"%d" % number)
    assert flow(mmproxy)["state"] == "relay"
    mmproxy.assert_counter("offload_udp_stayed_unanswered")


def asked_in_vain(mmproxy, balancer):
    balancer.send(CLIENT4, b"is there anybody?")
    return mmproxy.counters()["offload_udp_stayed_unanswered"]


def test_where_the_program_is_missing_it_is_taken_back(path, start_outside):
    mmproxy = start_outside()
    done = path.server.run(["tc", "qdisc", "delete", "dev", "outside", "clsact"])
    assert done.returncode == 0, done.stderr
    upstream, balancer = Datagrams(path.server), Balancer(path.balancer, to=OUTSIDE4)
    while mmproxy.counters()["offload_udp_stayed_unseen"] == 0:
        round_trip(balancer, upstream, CLIENT4)
    assert flow(mmproxy)["state"] == "relay"
    for number in range(EXCHANGES):
        round_trip(balancer, upstream, CLIENT4, b"%d" % number)
    mmproxy.assert_counter("offload_udp_stayed_unseen")


# The kernel's tables. A flow gets another chance later.


def test_where_the_kernels_tables_are_full_it_stays_for_now(
    host, start_offloaded, udp_upstream, pins
):
    mmproxy = start_offloaded(host)
    filled = pins.fill("udp_flows", 1 << 17)
    balancer = Balancer(host)
    assert_stays(mmproxy, "full", balancer, udp_upstream)
    assert_never_moved(mmproxy)
    pins.empty("udp_flows", filled)
    hand_over_after(mmproxy, balancer, udp_upstream)


def test_where_the_kernel_refuses_it_stays_for_now(host, start_offloaded, udp_upstream, pins):
    mmproxy = start_offloaded(host)
    pins.freeze("udp_records")
    balancer = Balancer(host)
    assert_stays(mmproxy, "error", balancer, udp_upstream)
    assert_never_moved(mmproxy)


def hand_over_after(mmproxy, balancer, upstream):
    """It is tried again, after eight times as many datagrams."""
    for number in range(80):
        round_trip(balancer, upstream, CLIENT4, b"%d" % number)
    mmproxy.assert_counter("offload_udp_moved")


# What is not meant to be offloaded.


@framings
def test_few_datagrams_are_not_worth_it(framing, host, start_offloaded, udp_upstream, pins):
    mmproxy = start_offloaded(host, framing)
    balancer = Balancer(host, framing)
    for number in range(4):
        round_trip(balancer, udp_upstream, CLIENT4, b"%d" % number)
    assert_never_moved(mmproxy)
    assert_none_pinned(pins)


def test_without_the_setting_nothing_is_offloaded(host, start_udp, udp_upstream):
    mmproxy = start_udp(host)
    balancer = Balancer(host)
    for number in range(EXCHANGES * 2):
        round_trip(balancer, udp_upstream, CLIENT4, b"%d" % number)
    assert_never_moved(mmproxy)
    assert len(connected(host, CLIENT4)) == 1
