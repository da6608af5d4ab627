# SPDX-License-Identifier: MIT
"""UDP: the largest datagrams that a framing leaves room for, and their order in bursts."""

import os
import random
import struct

import pytest

from headers import CLIENT4, CLIENT6, spp
from udp import (
    IPPROTO_UDP,
    MMPROXY4,
    MMPROXY6,
    UDP_SEGMENT,
    Balancer,
    answer,
    assert_every_datagram_arrived,
    assert_nothing_reaches,
    both_families,
    framings,
    headed_framings,
    question,
    round_trip,
    text,
)
from upstreams import UPSTREAM4, UPSTREAM6, Datagrams

# What IPv4 and IPv6 leave for a UDP datagram, without options.
MAX4, MAX6 = 65535 - 20 - 8, 65535 - 8
V2_IPV4, V2_IPV6, SPP = 16 + 12, 16 + 36, 38

# Framing, client, the balancer's hop: the largest payload to the upstream, and back.
LARGEST = {
    "every_ipv4": ("every", CLIENT4, MMPROXY4, MAX4 - V2_IPV4, MAX4),
    "every_ipv6": ("every", CLIENT6, MMPROXY6, MAX6 - V2_IPV6, MAX6),
    "every_ipv6_over_ipv4": ("every", CLIENT6, MMPROXY4, MAX4 - V2_IPV6, MAX4),
    "every_ipv4_over_ipv6": ("every", CLIENT4, MMPROXY6, MAX6 - V2_IPV4, MAX4),
    "first_ipv4": ("first", CLIENT4, MMPROXY4, MAX4, MAX4),
    "first_ipv6": ("first", CLIENT6, MMPROXY6, MAX6, MAX6),
    "spp_ipv4": ("spp", CLIENT4, MMPROXY4, MAX4 - SPP, MAX4 - SPP),
    "spp_ipv6": ("spp", CLIENT6, MMPROXY6, MAX6 - SPP, MAX6 - SPP),
    "spp_ipv6_over_ipv4": ("spp", CLIENT6, MMPROXY4, MAX4 - SPP, MAX4 - SPP),
}
largest = pytest.mark.parametrize(
    "framing, client, to, question_size, answer_size", LARGEST.values(), ids=LARGEST.keys()
)

ways = pytest.mark.parametrize(
    "client, to", [(CLIENT4, MMPROXY4), (CLIENT4, MMPROXY6), (CLIENT6, MMPROXY6)],
    ids=["ipv4", "ipv4_over_ipv6", "ipv6"],
)

# Around what one packet of an Ethernet holds, and what is a fragment's.
SIZES = [1, 500, 1398, 1419, 1420, 1424, 1432, 1434, 1444, 1452, 1453, 1472, 1473, 2000, 20000]


@pytest.fixture
def upstreams(udp_upstream, udp_upstream6):
    """By a client, the upstream of its family."""
    return lambda client: udp_upstream6 if ":" in client[0] else udp_upstream


@pytest.fixture
def distant(path, start_udp):
    """mmproxy on a machine of its own, on an Ethernet: (mmproxy, balancer, upstream)."""

    def start(framing, client, to):
        mmproxy = start_udp(
            path.server, framing, listen="*:8443", subnets=[path.BALANCER4, path.BALANCER6]
        )
        server = path.SERVER6 if ":" in to[0] else path.SERVER4
        upstream = Datagrams(path.server, UPSTREAM6 if ":" in client[0] else UPSTREAM4)
        return mmproxy, Balancer(path.balancer, framing, (server, 8443)), upstream

    return start


def assert_exact(balancer, upstream, client, question_size, answer_size):
    """Random bytes of these sizes arrive as they were sent."""
    asked, answered = os.urandom(question_size), os.urandom(answer_size)
    assert question(balancer, upstream, client, asked) == client
    answer(balancer, upstream, client, client, answered)


# The largest.


@largest
def test_the_largest_datagrams_arrive_exactly(
    framing, client, to, question_size, answer_size, host, start_udp, upstreams
):
    mmproxy = start_udp(host, framing)
    balancer, upstream = Balancer(host, framing, to), upstreams(client)
    if framing == "first":
        question(balancer, upstream, client)
    for less in 0, 1, 0, 1000:
        assert_exact(balancer, upstream, client, question_size - less, answer_size - less)
    assert_every_datagram_arrived(mmproxy)
    # There is no larger one: the kernel, or the next test, says no.
    if question_size < MAX4:
        with pytest.raises(OSError):
            balancer.send(client, bytes(question_size + 1))


@largest
def test_the_largest_datagrams_arrive_exactly_over_an_ethernet(
    framing, client, to, question_size, answer_size, distant
):
    mmproxy, balancer, upstream = distant(framing, client, to)
    if framing == "first":
        question(balancer, upstream, client)
    for less in 0, 1:
        assert_exact(balancer, upstream, client, question_size - less, answer_size - less)
    assert_every_datagram_arrived(mmproxy)


@framings
@ways
def test_sizes_around_a_packets_arrive_exactly_over_an_ethernet(client, to, framing, distant):
    mmproxy, balancer, upstream = distant(framing, client, to)
    for size in SIZES:
        assert_exact(balancer, upstream, client, size, size)
    assert_every_datagram_arrived(mmproxy)


@pytest.mark.parametrize(
    "framing, client, size",
    [
        ("spp", CLIENT4, MAX4 - SPP + 1),
        ("spp", CLIENT4, MAX4),
        ("spp", CLIENT6, MAX6),
        ("every", CLIENT6, MAX4 + 1),
        ("first", CLIENT6, MAX6),
    ],
    ids=["spp", "spp_largest", "spp_ipv6", "every_ipv6_over_ipv4", "first_ipv6_over_ipv4"],
)
def test_an_answer_too_large_is_dropped_and_counted(
    framing, client, size, host, start_udp, upstreams
):
    mmproxy = start_udp(host, framing)
    balancer = Balancer(host, framing)
    upstream = upstreams(client)
    round_trip(balancer, upstream, client)
    upstream.send(bytes(size), client)
    upstream.send(b"the next", client)
    assert balancer.receive(client) == b"the next"
    mmproxy.assert_counter("replies_dropped_too_large")
    assert round_trip(balancer, upstream, client) == client
    assert mmproxy.counters()["sessions_accepted"] == 1
    assert mmproxy.wait_for_log("datagrams dropped")["client"] == text(client)


def test_a_datagram_too_large_for_the_way_to_the_upstream_is_dropped_and_counted(
    host, start_udp, udp_upstream
):
    """IPv6 leaves more room than IPv4, and a bare datagram can use all of it."""
    mmproxy = start_udp(host, "first")
    balancer = Balancer(host, "first", MMPROXY6)
    round_trip(balancer, udp_upstream, CLIENT4)
    balancer.send_bare(bytes(MAX6))
    mmproxy.assert_counter("datagrams_dropped_too_large")
    assert_nothing_reaches(udp_upstream, balancer, mmproxy)
    assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4


# Order.


def numbered(numbers, sizes):
    """Datagrams that begin with their number."""
    return [
        struct.pack("!I", number) + bytes(sizes[number % len(sizes)] - 4) for number in numbers
    ]


def bursts(count, least=20, most=200):
    """Ranges of numbers, in order, that make up `count`."""
    numbers, first = random.Random(1), 0
    while first < count:
        length = min(numbers.randint(least, most), count - first)
        yield range(first, first + length)
        first += length


# Equal, changing with each, in runs, and all that can happen at the end of a run.
MIXTURES = {
    "equal": [100],
    "alternating": [100, 101],
    "runs": [300] * 9 + [40] + [300] * 3 + [1200] * 7,
    "rising": list(range(4, 1204, 37)),
    "falling": list(range(1204, 4, -37)),
}


@pytest.mark.parametrize("sizes", MIXTURES.values(), ids=MIXTURES.keys())
@framings
def test_datagrams_of_a_flow_keep_their_order(framing, sizes, host, start_udp, udp_upstream):
    """4,000 each way, with each mixture of sizes; a burst is answered before the next one comes."""
    mmproxy = start_udp(host, framing)
    balancer = Balancer(host, framing)
    for burst in bursts(4000):
        datagrams = numbered(burst, sizes)
        for datagram in datagrams:
            balancer.send(CLIENT4, datagram)
        assert [udp_upstream.receive()[0] for _ in burst] == datagrams
        for datagram in datagrams:
            udp_upstream.send(datagram, CLIENT4)
        assert [balancer.receive(CLIENT4) for _ in burst] == datagrams
    assert_every_datagram_arrived(mmproxy)
    mmproxy.wait_until_idle()
    counters = mmproxy.counters()
    assert counters["datagrams_from_client"] == counters["datagrams_from_upstream"] == 4000


def answers_of(client, answers, sent, framing):
    """A client's own among the answers; without a header, by what was sent."""
    if framing != "spp":
        return [each for each in answers if each in sent]
    header = spp(client)
    return [each[len(header) :] for each in answers if each.startswith(header)]


@headed_framings
def test_each_of_several_interleaved_clients_keeps_its_order(
    framing, host, start_udp, udp_upstream
):
    mmproxy = start_udp(host, framing)
    balancer = Balancer(host, framing)
    chance = random.Random(2)
    clients = [(CLIENT4[0], 41000 + number) for number in range(3)]
    for burst in bursts(6000):
        sent = {client: [] for client in clients}
        for datagram in numbered(burst, [100] * 5 + [60]):
            client = chance.choice(clients)
            balancer.send(client, datagram)
            sent[client].append(datagram)
        seen = {client: [] for client in clients}
        for _ in burst:
            datagram, peer = udp_upstream.receive()
            seen[peer].append(datagram)
            udp_upstream.send(datagram, peer)
        assert seen == sent
        answers = [balancer.receive_bare() for _ in burst]
        for client in clients:
            assert answers_of(client, answers, sent[client], framing) == sent[client]
    assert_every_datagram_arrived(mmproxy)


def send_cut_up(sender, whole, size, peer=None):
    """One send that the kernel makes datagrams of `size` bytes of."""
    control = [(IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", size))]
    sender.sendmsg([whole], control, 0, *([peer] if peer else []))


@framings
@both_families
@pytest.mark.parametrize("size", [60, 1200], ids=["small", "large"])
def test_datagrams_that_are_sent_in_one_piece_arrive_one_by_one(
    size, client, framing, host, start_udp, upstreams
):
    """A sender that leaves the cutting up to the kernel (UDP_SEGMENT), on either side."""
    mmproxy = start_udp(host, framing)
    balancer, upstream = Balancer(host, framing), upstreams(client)
    header = b"" if framing == "first" else balancer.header(client)
    question(balancer, upstream, client)
    count = 50 * 1200 // (len(header) + max(size, 1000))
    for number in range(50):
        datagrams = numbered(range(number * count, (number + 1) * count), [size])
        datagrams[-1] = datagrams[-1][: 4 + number]
        send_cut_up(
            balancer.socket,
            b"".join(header + datagram for datagram in datagrams),
            len(header) + size,
        )
        assert [upstream.receive() for _ in datagrams] == [(each, client) for each in datagrams]
        send_cut_up(upstream.socket, b"".join(datagrams), size, client)
        assert [balancer.receive(client) for _ in datagrams] == datagrams
    assert_every_datagram_arrived(mmproxy)


def test_datagrams_of_two_clients_that_are_sent_in_one_piece_are_told_apart(
    host, start_udp, udp_upstream
):
    start_udp(host)
    balancer = Balancer(host)
    other = (CLIENT4[0], CLIENT4[1] + 1)
    order = [CLIENT4, CLIENT4, other, CLIENT4, other, other] * 5
    datagrams = numbered(range(len(order)), [100])
    whole = b"".join(balancer.header(who) + each for who, each in zip(order, datagrams))
    send_cut_up(balancer.socket, whole, len(balancer.header(CLIENT4)) + 100)
    seen = [udp_upstream.receive() for _ in order]
    for client in CLIENT4, other:
        assert [each for each, peer in seen if peer == client] == [
            each for who, each in zip(order, datagrams) if who == client
        ]


@framings
@ways
@pytest.mark.parametrize("size", [1000, 3000], ids=["packets", "fragments"])
def test_bursts_over_an_ethernet_keep_their_order(size, client, to, framing, distant):
    """Answers of one size are sent in one piece where that works; fragments are where not."""
    mmproxy, balancer, upstream = distant(framing, client, to)
    assert round_trip(balancer, upstream, client) == client
    for burst in bursts(300):
        datagrams = numbered(burst, [size])
        for datagram in datagrams:
            balancer.send(client, datagram)
        assert [upstream.receive() for _ in burst] == [(each, client) for each in datagrams]
        for datagram in datagrams:
            upstream.send(datagram, client)
        assert [balancer.receive(client) for _ in burst] == datagrams
    assert_every_datagram_arrived(mmproxy)


def test_an_upstream_behind_an_ethernet_gets_bursts_of_any_size(path, start_udp):
    """The way to the upstream is an Ethernet, too: mmproxy runs on the balancer's machine."""
    client = (path.CLIENT4, 41000)
    upstream = Datagrams(path.server, (path.SERVER4, 443))
    path.balancer.ip(
        f"rule add iif servers table 123\nroute add local {client[0]} dev lo table 123\n"
    )
    mmproxy = start_udp(
        path.balancer,
        listen=f"{path.FRONT4}:8443",
        subnets=[path.CLIENT4],
        forward={"ipv4": f"{path.SERVER4}:443"},
    )
    balancer = Balancer(path.client, to=(path.FRONT4, 8443))
    for size in 100, 1472, 1473, 3000, 20000:
        datagrams = numbered(range(20), [size])
        for datagram in datagrams:
            balancer.send(client, datagram)
        assert [upstream.receive() for _ in datagrams] == [(each, client) for each in datagrams]
        answer(balancer, upstream, client, client)
    assert_every_datagram_arrived(mmproxy)


def test_a_burst_of_64_kib_answers_is_not_lost(host, start_udp, udp_upstream):
    """Slots and buffers are large enough for a few of the largest at once."""
    mmproxy = start_udp(host)
    balancer = Balancer(host)
    question(balancer, udp_upstream, CLIENT4)
    for number in range(20):
        whole = [os.urandom(MAX4) for _ in range(4)]
        for payload in whole:
            udp_upstream.send(payload, CLIENT4)
        assert [balancer.receive(CLIENT4) for _ in whole] == whole
    assert_every_datagram_arrived(mmproxy)
