# SPDX-License-Identifier: MIT
"""UDP flows that the kernel carries: every datagram passes as it is, and what the kernel cannot
pass mmproxy does."""

import json
import socket
import struct

import pytest

import headers
from headers import CLIENT4, CLIENT6, SERVICE4
from network import family_of
from offload_udp import (
    EXCHANGES,
    OUTSIDE4,
    OUTSIDE6,
    connected,
    flow,
    hand_over,
)
from peers import Dnsdist, Dnsmasq
from test_udp_balancers import dns_query
from udp import (
    IPPROTO_UDP,
    MMPROXY4,
    MMPROXY6,
    UDP_SEGMENT,
    Balancer,
    answer,
    crowd,
    framings,
    headed_framings,
    question,
    round_trip,
)
from upstreams import UPSTREAM4, UPSTREAM6, Datagrams
from waiting import wait_until

pytest_plugins = ["offload_udp"]

# The last is the largest that the kernel moves for a header.
SIZES = [0, 1, 2, 3, 7, 8, 27, 63, 64, 575, 1199, 1433, 1472, 8191, 14999, 15000]

SPP_LENGTH = len(headers.spp(CLIENT4))

on_loopback = pytest.mark.parametrize(
    "client, to, upstream_at",
    [(CLIENT4, MMPROXY4, UPSTREAM4), (CLIENT6, MMPROXY6, UPSTREAM6)],
    ids=["ipv4", "ipv6"],
)
outside = pytest.mark.parametrize(
    "client, to, upstream_at",
    [(CLIENT4, OUTSIDE4, UPSTREAM4), (CLIENT6, OUTSIDE6, UPSTREAM6)],
    ids=["ipv4", "ipv6"],
)
checksums = pytest.mark.parametrize("checksums", ["on", "off"])


def pattern(length):
    return bytes((number * 7 + length) % 251 for number in range(length))


def exchange(balancer, upstream, client, sizes):
    """A question of each size, with an answer of the same."""
    for size in sizes:
        sent = pattern(size)
        assert question(balancer, upstream, client, sent) == client
        answer(balancer, upstream, client, client, sent[::-1])


def assert_carried(namespace, mmproxy, client=CLIENT4, moved=1, returned=0):
    """By the kernel alone, since it got the flow."""
    assert not connected(namespace, client)
    assert flow(mmproxy, client)["state"] == "offloaded"
    counters = mmproxy.counters()
    assert counters["offload_udp_moved"] == moved
    assert counters["offload_udp_returned"] == returned


# On this host.


@framings
@on_loopback
def test_payloads_pass_as_they_are_without_a_socket(
    framing, client, to, upstream_at, host, start_offloaded
):
    mmproxy = start_offloaded(host, framing)
    upstream, balancer = Datagrams(host, upstream_at), Balancer(host, framing, to)
    hand_over(host, mmproxy, balancer, upstream, client)
    exchange(balancer, upstream, client, SIZES)
    assert_carried(host, mmproxy, client)


@on_loopback
def test_without_headers_the_largest_passes_that_is_in_one_piece(
    client, to, upstream_at, host, start_offloaded
):
    largest = 65507 if family_of(client[0]) == socket.AF_INET else 65488
    mmproxy = start_offloaded(host, "first")
    upstream, balancer = Datagrams(host, upstream_at), Balancer(host, "first", to)
    hand_over(host, mmproxy, balancer, upstream, client)
    exchange(balancer, upstream, client, [15001, 40000, largest])
    assert_carried(host, mmproxy, client)


@headed_framings
@on_loopback
def test_a_datagram_too_large_to_be_moved_is_relayed_and_so_are_others(
    framing, client, to, upstream_at, host, start_offloaded
):
    mmproxy = start_offloaded(host, framing)
    upstream, balancer = Datagrams(host, upstream_at), Balancer(host, framing, to)
    hand_over(host, mmproxy, balancer, upstream, client)
    largest = 65507 - len(balancer.header(client))
    for size in (15001, 40000, largest):
        exchange(balancer, upstream, client, [size, 100])
    mmproxy.assert_counter("offload_udp_returned")
    assert len(connected(host, client)) == 1
    # After some time it gets another chance.
    for number in range(40):
        round_trip(balancer, upstream, client, b"%d" % number)
    mmproxy.assert_counter("offload_udp_moved", 2)


@on_loopback
def test_a_reply_too_large_to_be_moved_is_relayed_without_the_flows_return(
    client, to, upstream_at, host, start_offloaded
):
    mmproxy = start_offloaded(host, "spp")
    upstream, balancer = Datagrams(host, upstream_at), Balancer(host, "spp", to)
    hand_over(host, mmproxy, balancer, upstream, client)
    for size in (15001, 40000, 65507 - SPP_LENGTH):
        answer(balancer, upstream, client, client, pattern(size))
        round_trip(balancer, upstream, client)
    assert_carried(host, mmproxy, client)


def test_a_reply_that_has_no_room_for_its_header_is_dropped_and_counted(
    host, start_offloaded, udp_upstream
):
    mmproxy = start_offloaded(host, "spp")
    balancer = Balancer(host, "spp")
    hand_over(host, mmproxy, balancer, udp_upstream)
    udp_upstream.send(pattern(65507 - SPP_LENGTH + 1), CLIENT4)
    mmproxy.assert_counter("replies_dropped_too_large")
    round_trip(balancer, udp_upstream, CLIENT4)
    assert_carried(host, mmproxy)


def send_joined(made, payloads, *to):
    """Equally long datagrams in one packet, as the kernel passes them within a host."""
    control = [(IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", len(payloads[0])))]
    made.sendmsg([b"".join(payloads)], control, 0, *to)


@framings
def test_joined_datagrams_pass_one_by_one(framing, host, start_offloaded, udp_upstream):
    mmproxy = start_offloaded(host, framing)
    balancer = Balancer(host, framing)
    hand_over(host, mmproxy, balancer, udp_upstream)
    answers = [b"answer %d" % number for number in range(5)]
    send_joined(udp_upstream.socket, answers, CLIENT4)
    assert [balancer.receive(CLIENT4) for _ in answers] == answers
    assert_carried(host, mmproxy)
    header = b"" if framing == "first" else balancer.header(CLIENT4)
    questions = [b"question %d" % number for number in range(5)]
    send_joined(balancer.socket, [header + asked for asked in questions])
    assert [udp_upstream.receive() for _ in questions] == [(asked, CLIENT4) for asked in questions]
    round_trip(balancer, udp_upstream, CLIENT4)
    mmproxy.assert_counter("offload_udp_returned")


@pytest.mark.parametrize("framing", ["every", "first"])
def test_a_reply_that_looks_like_a_header_passes(framing, host, start_offloaded, udp_upstream):
    mmproxy = start_offloaded(host, framing)
    balancer = Balancer(host, framing)
    hand_over(host, mmproxy, balancer, udp_upstream)
    for made in headers.v2_udp, headers.spp:
        for client in CLIENT4, CLIENT6:
            answer(balancer, udp_upstream, CLIENT4, CLIENT4, made(client) + b"payload")
            answer(balancer, udp_upstream, CLIENT4, CLIENT4, made(client)[:20])
    assert_carried(host, mmproxy)


def test_a_question_that_looks_like_spp_passes_where_only_the_first_has_a_header(
    host, start_offloaded, udp_upstream
):
    mmproxy = start_offloaded(host, "first")
    balancer = Balancer(host, "first")
    hand_over(host, mmproxy, balancer, udp_upstream)
    for payload in headers.spp(CLIENT4), headers.spp(CLIENT4)[:20], headers.SPP_MAGIC:
        question(balancer, udp_upstream, CLIENT4, payload)
    assert_carried(host, mmproxy)


# Headers.


def test_clients_behind_one_socket_of_the_balancer_are_not_mixed_up(
    host, start_offloaded, udp_upstream
):
    mmproxy = start_offloaded(host)
    balancer = Balancer(host)
    clients = crowd(20)
    for client in clients:
        hand_over(host, mmproxy, balancer, udp_upstream, client)
    for client in clients * 3:
        round_trip(balancer, udp_upstream, client)
    counters = mmproxy.counters()
    assert (counters["offload_udp_moved"], counters["offload_udp_returned"]) == (20, 0)
    assert counters["sessions_accepted"] == 20


def test_a_header_with_tlvs_is_compared_to_its_end(host, start_offloaded, udp_upstream):
    mmproxy = start_offloaded(host)
    balancer = Balancer(host)
    with_tlv = headers.v2_udp(CLIENT4, tlvs=headers.tlv(headers.UNIQUE_ID, b"one"))
    other_tlv = headers.v2_udp(CLIENT4, tlvs=headers.tlv(headers.UNIQUE_ID, b"two"))
    balancer.header = lambda *_: with_tlv
    hand_over(host, mmproxy, balancer, udp_upstream)
    assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
    assert_carried(host, mmproxy)
    balancer.header = lambda *_: other_tlv
    assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
    mmproxy.assert_counter("offload_udp_returned")


def test_a_checksum_in_the_header_is_not_taken_on_trust(host, start_offloaded, udp_upstream):
    mmproxy = start_offloaded(host)
    balancer = Balancer(host)
    even = headers.tlv(headers.NOOP, b"")
    good = headers.v2_udp(CLIENT4, tlvs=even, crc=True)
    balancer.header = lambda *_: good
    hand_over(host, mmproxy, balancer, udp_upstream)
    round_trip(balancer, udp_upstream, CLIENT4)
    assert_carried(host, mmproxy)
    balancer.send_bare(good[:-1] + bytes([good[-1] ^ 1]) + b"payload")
    mmproxy.assert_closed("v2-crc32c")
    udp_upstream.assert_untouched()
    assert_carried(host, mmproxy)


def test_another_client_of_the_same_port_replaces_the_flow(host, start_offloaded, udp_upstream):
    mmproxy = start_offloaded(host, "first")
    balancer = Balancer(host, "first")
    hand_over(host, mmproxy, balancer, udp_upstream)
    other = (CLIENT4[0], CLIENT4[1] + 1)
    assert round_trip(balancer, udp_upstream, other) == other
    mmproxy.assert_closed("flow-replaced")
    # A header alone announces nobody new.
    hand_over(host, mmproxy, balancer, udp_upstream, other)
    balancer.send(other, b"", header=True)
    round_trip(balancer, udp_upstream, other)
    assert mmproxy.counters()["offload_udp_returned"] == 0


def test_the_same_client_on_its_way_to_another_destination_is_another_flow(
    host, start_offloaded, udp_upstream
):
    mmproxy = start_offloaded(host)
    balancer = Balancer(host)
    hand_over(host, mmproxy, balancer, udp_upstream)
    other = (SERVICE4[0], SERVICE4[1] + 1)
    peer = round_trip(balancer, udp_upstream, CLIENT4, service=other)
    assert peer[0] == CLIENT4[0] and peer[1] != CLIENT4[1]
    assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
    assert mmproxy.counters()["offload_udp_returned"] == 0


def test_a_port_that_the_kernel_picks_is_none_of_a_flow_that_it_carries(
    host, start_offloaded, udp_upstream
):
    first = (CLIENT4[0], 41000)
    mmproxy = start_offloaded(host)
    balancer = Balancer(host)
    hand_over(host, mmproxy, balancer, udp_upstream, first)
    host.sysctl("net.ipv4.ip_local_port_range", "41000 41001")
    # The client's own port is another flow's.
    other = (SERVICE4[0], SERVICE4[1] + 1)
    for number in range(5):
        peer = round_trip(balancer, udp_upstream, first, b"%d" % number, service=other)
        assert peer == (CLIENT4[0], 41001)
    assert round_trip(balancer, udp_upstream, first) == first


# Across an interface.


@checksums
@framings
@outside
def test_payloads_pass_as_they_are_across_an_interface(
    framing, client, to, upstream_at, checksums, path, start_outside
):
    mmproxy = start_outside(framing, checksums)
    upstream, balancer = Datagrams(path.server, upstream_at), Balancer(path.balancer, framing, to)
    hand_over(path.server, mmproxy, balancer, upstream, client)
    exchange(balancer, upstream, client, [0, 1, 2, 3, 27, 64, 575, 1199, 1300, 1390])
    assert_carried(path.server, mmproxy, client)


def forged_reply(path, client, payload):
    """A frame for this host from its neighbour, as if the upstream had answered the client."""
    shown = path.server.run(["ip", "-json", "link", "show", "outside"]).stdout
    mac = bytes.fromhex(json.loads(shown)[0]["address"].replace(":", ""))
    length = 8 + len(payload)
    ends = [socket.inet_aton(address) for address in (UPSTREAM4[0], client[0])]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + length, 0, 0, 64, IPPROTO_UDP, 0, *ends)
    total = sum(struct.unpack("!10H", ip))
    total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    ip = ip[:10] + struct.pack("!H", total) + ip[12:]
    udp_header = struct.pack("!HHHH", UPSTREAM4[1], client[1], length, 0)
    return mac + bytes(6) + b"\x08\x00" + ip + udp_header + payload


def test_who_answers_for_the_upstream_from_elsewhere_is_not_heard(path, start_outside):
    mmproxy = start_outside()
    upstream = Datagrams(path.server, UPSTREAM4)
    balancer = Balancer(path.balancer, to=OUTSIDE4)
    hand_over(path.server, mmproxy, balancer, upstream, CLIENT4)
    neighbour = path.balancer.socket(socket.AF_PACKET, socket.SOCK_RAW)
    neighbour.bind(("servers", 0))
    neighbour.send(forged_reply(path, CLIENT4, b"forged"))
    answer(balancer, upstream, CLIENT4, CLIENT4, b"the upstream's")
    assert_carried(path.server, mmproxy)


@framings
@outside
def test_what_does_not_fit_the_interface_is_relayed_in_pieces(
    framing, client, to, upstream_at, path, start_outside
):
    mmproxy = start_outside(framing)
    upstream, balancer = Datagrams(path.server, upstream_at), Balancer(path.balancer, framing, to)
    hand_over(path.server, mmproxy, balancer, upstream, client)
    heads = (28 if family_of(client[0]) == socket.AF_INET else 48) + (
        SPP_LENGTH if framing == "spp" else 0
    )
    fits = 1500 - heads
    for size in (fits - 1, fits, fits + 1, 3000, 20000):
        answer(balancer, upstream, client, client, pattern(size))
    assert_carried(path.server, mmproxy, client)
    for size in (3000, 20000):
        question(balancer, upstream, client, pattern(size))
    mmproxy.assert_counter("offload_udp_returned")


@outside
def test_a_strict_reverse_path_filter_lets_it_pass(
    client, to, upstream_at, path, start_outside
):
    for device in "all", "lo", "outside":
        path.server.sysctl(f"net.ipv4.conf.{device}.rp_filter", 1)
    mmproxy = start_outside()
    upstream, balancer = Datagrams(path.server, upstream_at), Balancer(path.balancer, to=to)
    hand_over(path.server, mmproxy, balancer, upstream, client)
    exchange(balancer, upstream, client, [0, 100])
    assert_carried(path.server, mmproxy, client)


@checksums
def test_an_upstream_that_is_not_on_loopback(checksums, path, start_outside):
    at = ("198.51.100.77", 443)
    path.server.ip(f"addr add {at[0]}/32 dev outside\nrule add from {at[0]} iif lo table 123\n")
    path.server.sysctl("net.ipv4.conf.lo.accept_local", 1)  # as its return path needs
    mmproxy = start_outside("every", checksums, forward={"ipv4": "%s:%d" % at})
    upstream, balancer = Datagrams(path.server, at), Balancer(path.balancer, "every", OUTSIDE4)
    hand_over(path.server, mmproxy, balancer, upstream)
    exchange(balancer, upstream, CLIENT4, [0, 1, 64, 1399])
    assert_carried(path.server, mmproxy)


FIREWALL = """\
table inet firewall {
    chain received {
        type filter hook input priority 0; policy drop;
        ct state invalid drop
        ct state established,related accept
        iif lo accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
        udp dport 8443 accept
    }
}
"""


@framings
@outside
def test_a_firewall_that_tracks_connections_lets_it_pass(
    framing, client, to, upstream_at, path, start_outside
):
    path.server.nft(FIREWALL)
    mmproxy = start_outside(framing)
    upstream, balancer = Datagrams(path.server, upstream_at), Balancer(path.balancer, framing, to)
    hand_over(path.server, mmproxy, balancer, upstream, client)
    exchange(balancer, upstream, client, [0, 1, 100, 1300, 2000])


def test_a_return_path_by_marks_leads_no_reply_astray(path, start_outside):
    """Replies carry the mark that keeps them on this host, and leave it all the same."""
    at = ("198.51.100.77", 443)
    path.server.ip(f"addr add {at[0]}/32 dev outside\nrule add fwmark 7 table 123\n")
    path.server.sysctl("net.ipv4.conf.lo.accept_local", 1)  # as its return path needs
    path.server.nft(
        "table inet back { chain sent { type route hook output priority mangle;"
        " udp sport 443 meta mark set 7; }; }"
    )
    mmproxy = start_outside(forward={"ipv4": "%s:%d" % at})
    upstream, balancer = Datagrams(path.server, at), Balancer(path.balancer, to=OUTSIDE4)
    hand_over(path.server, mmproxy, balancer, upstream)
    exchange(balancer, upstream, CLIENT4, [0, 1, 100, 1300])
    assert_carried(path.server, mmproxy)


# A real balancer.


def test_dnsdist_asks_a_server_to_which_the_kernel_brings_it(path, start, start_outside):
    mmproxy = start_outside("every", forward={"ipv4": "127.0.0.1:53"})
    server = start(Dnsmasq(path.server))
    start(Dnsdist(path.balancer, [path.FRONT4], "%s:%d" % OUTSIDE4))
    asking = path.client.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asking.settimeout(10)
    asking.bind((path.CLIENT4, 0))
    asking.connect((path.FRONT4, 53))
    client = asking.getsockname()

    def is_offloaded():
        return flow(mmproxy, client)["state"] == "offloaded" and not connected(path.server, client)

    for number in range(EXCHANGES):
        ask(asking, number)
    wait_until(is_offloaded, 5, "the client's flow is offloaded")
    for number in range(100, 150):
        ask(asking, number)
    assert is_offloaded()
    assert server.output().count(f" {client[0]}/{client[1]} query") == EXCHANGES + 50
    assert flow(mmproxy, client)["datagrams_from_upstream"] == EXCHANGES + 50


def ask(asking, number):
    """A question for an address, and its answer, by their number."""
    asking.send(dns_query(Dnsmasq.NAME, number))
    assert struct.unpack("!H", asking.recv(1000)[:2]) == (number,)
