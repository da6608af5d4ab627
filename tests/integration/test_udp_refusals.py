# SPDX-License-Identifier: MIT
"""UDP: datagrams that are no good, and clients that no honest header names: refused, counted, and
nobody else's business."""

import random

import pytest

import headers
from headers import CLIENT4, CLIENT6, spp, v1, v2, v2_udp
from test_source_policy import NEVER, OWN4, OWN6, SPECIAL
from udp import Balancer, assert_nothing_reaches, framings, headed_framings, round_trip, text

WHOLE = v2_udp(CLIENT4)
TLV = headers.tlv(headers.AUTHORITY, b"example.com")

# What is wrong with a header that every datagram must have, or the first.
BAD_V2 = {
    "one_byte": (WHOLE[:1], "header-truncated"),
    "half_a_signature": (WHOLE[:6], "header-truncated"),
    "signature": (WHOLE[:12], "header-truncated"),
    "no_length": (WHOLE[:14], "header-truncated"),
    "no_addresses": (WHOLE[:16], "header-truncated"),
    "one_byte_short": (WHOLE[:-1], "header-truncated"),
    "ipv6_short": (v2_udp(CLIENT6)[:-1], "header-truncated"),
    "tlvs_short": (v2_udp(CLIENT4, tlvs=TLV)[:-1], "header-truncated"),
    "wrong_signature": (b"\r\n\r\n\0\r\nQUIT\r" + WHOLE[12:], "header-missing"),
    "v1": (v1(CLIENT4) + b"payload", "transport-mismatch"),
    "v1_unknown": (b"PROXY UNKNOWN\r\n", "transport-mismatch"),
    "spp": (spp(CLIENT4) + b"payload", "header-missing"),
    "dns": (bytes.fromhex("123401000001000000000000") + b"payload", "header-missing"),
    "tcp": (v2(CLIENT4) + b"payload", "transport-mismatch"),
    "tcp6": (v2(CLIENT6) + b"payload", "transport-mismatch"),
    "unknown_transport": (v2_udp(CLIENT4)[:13] + b"\x13" + WHOLE[14:], "v2-transport"),
    "unix": (headers.v2_raw(headers.PROXY, headers.UNIX_DATAGRAM, bytes(216)), "v2-unix"),
    "unknown_family": (headers.v2_raw(headers.PROXY, 0x42, bytes(216)), "v2-family"),
    "version_1": (headers.v2_raw(0x11, headers.UDP4, WHOLE[16:]), "v2-version"),
    "unknown_command": (headers.v2_raw(0x22, headers.UDP4, WHOLE[16:]), "v2-command"),
    "length_0": (headers.v2_raw(headers.PROXY, headers.UDP4, b""), "v2-length"),
    "length_of_ipv4": (headers.v2_raw(headers.PROXY, headers.UDP6, WHOLE[16:]), "v2-length"),
    "tlv_overrun": (v2_udp(CLIENT4, tlvs=b"\x04\xff\xff"), "v2-tlv"),
    "crc32c": (v2_udp(CLIENT4, crc=True)[:-1] + b"!", "v2-crc32c"),
    "too_long": (v2_udp(CLIENT4, tlvs=headers.tlv(headers.NOOP, bytes(5000))), "header-too-long"),
}

BAD_SPP = {
    "one_byte": (spp(CLIENT4)[:1], "header-truncated"),
    "magic": (spp(CLIENT4)[:2], "header-truncated"),
    "one_byte_short": (spp(CLIENT4)[:-1], "header-truncated"),
    "wrong_magic": (b"\x56\xed" + spp(CLIENT4)[2:], "header-missing"),
    "magic_turned_round": (b"\xec\x56" + spp(CLIENT4)[2:], "header-missing"),
    "v2": (WHOLE + b"payload", "header-missing"),
    "v1": (v1(CLIENT4), "header-missing"),
}

BAD = {
    **{f"every-{name}": ("every", *row) for name, row in BAD_V2.items()},
    # Without the signature it would be a bare datagram.
    **{
        f"first-{name}": ("first", *row)
        for name, row in BAD_V2.items()
        if row[0].startswith(headers.SIGNATURE)
    },
    **{f"spp-{name}": ("spp", *row) for name, row in BAD_SPP.items()},
    "every-empty": ("every", b"", "header-truncated"),
    "spp-empty": ("spp", b"", "header-truncated"),
    "first-empty": ("first", b"", "no-flow"),
    "first-spp": ("first", spp(CLIENT4) + b"payload", "no-flow"),
    "first-v1": ("first", v1(CLIENT4) + b"payload", "no-flow"),
}


@pytest.fixture
def guarded(host):
    """The host with an address of its own, on a subnet of its own."""
    host.add_interface(f"{OWN4}/24", f"{OWN6}/64")
    return host


@pytest.mark.parametrize("framing, datagram, reason", BAD.values(), ids=BAD.keys())
def test_a_bad_datagram_is_refused_by_its_reason(
    framing, datagram, reason, host, start_udp, udp_upstream
):
    mmproxy = start_udp(host, framing)
    live, balancer = Balancer(host, framing), Balancer(host, framing)
    round_trip(live, udp_upstream, CLIENT4)
    balancer.send_bare(datagram)
    mmproxy.assert_closed(reason)
    assert_nothing_reaches(udp_upstream, balancer, mmproxy)
    line = mmproxy.wait_for_log("session: refused")
    assert line["reason"] == reason
    assert line["balancer"] == text(balancer.address)
    assert line["hint"]
    # Its socket is as good as before, and so are the others'.
    assert round_trip(live, udp_upstream, CLIENT4) == CLIENT4
    assert round_trip(balancer, udp_upstream, (CLIENT4[0], 41001)) == (CLIENT4[0], 41001)
    assert mmproxy.counters()["sessions_accepted"] == 2


@framings
def test_a_bad_datagram_among_good_ones_is_the_only_one_that_is_lost(
    framing, host, start_udp, udp_upstream
):
    """In one batch, behind one another, from one socket."""
    mmproxy = start_udp(host, framing)
    balancer = Balancer(host, framing)
    round_trip(balancer, udp_upstream, CLIENT4)
    bad = spp(CLIENT4)[:20] if framing == "spp" else WHOLE[:20]
    for number in range(300):
        balancer.send_bare(bad)
        balancer.send(CLIENT4, b"%d" % number)
    assert [udp_upstream.receive()[0] for _ in range(300)] == [b"%d" % n for n in range(300)]
    mmproxy.assert_closed("header-truncated", 300)
    assert mmproxy.counters()["sessions_accepted"] == 1


def test_spp_to_a_listener_that_expects_v2_is_named_in_the_hint(host, start_udp):
    mmproxy = start_udp(host)
    Balancer(host, "spp").send(CLIENT4, b"payload")
    assert "Simple Proxy Protocol" in mmproxy.wait_for_log("session: refused")["hint"]


@framings
def test_random_datagrams_bring_nothing_down(framing, host, start_udp, udp_upstream):
    """Good headers with a few bytes changed, at every length."""
    mmproxy = start_udp(host, framing, top={"log": {"level": "info"}})
    balancer, live = Balancer(host, framing), Balancer(host, framing)
    chance = random.Random(framing)
    good = [live.header(client) + b"flood" for client in (CLIENT4, CLIENT6)]
    good += [v2_udp(CLIENT4, tlvs=TLV + headers.ssl_tlv(), crc=True), headers.local()]
    for number in range(3000):
        datagram = bytearray(chance.choice(good))
        for _ in range(chance.randint(0, 3)):
            datagram[chance.randrange(len(datagram))] = chance.randrange(256)
        balancer.send_bare(datagram[: chance.randint(0, 2 * len(datagram))])
        if number % 100 == 0:
            live.send(("192.0.2.50", 41000), b"%d" % number)
            seen = []
            while (b"%d" % number, ("192.0.2.50", 41000)) not in seen:
                seen.append(udp_upstream.receive())
    assert mmproxy.counters()["log_suppressed"] > 0


# Clients that no honest header names.


def service_for(address):
    return headers.SERVICE6 if ":" in address else headers.SERVICE4


def assert_refused(mmproxy, balancer, upstreams, address, reason):
    before = mmproxy.log_size()
    balancer.send((address, 41000), b"payload", service_for(address))
    line = mmproxy.wait_for_log("session: refused", after=before)
    assert line["reason"] == reason
    for upstream in upstreams:
        assert_nothing_reaches(upstream, balancer, mmproxy)
    return line


@framings
def test_a_special_address_never_reaches_the_upstream(
    framing, guarded, start_udp, udp_upstream, udp_upstream6
):
    mmproxy = start_udp(guarded, framing)
    for number, (address, reason) in enumerate(SPECIAL.items()):
        # Of one balancer the log would not show all.
        balancer = Balancer(guarded, framing, source=f"127.0.0.{10 + number}")
        line = assert_refused(mmproxy, balancer, (udp_upstream, udp_upstream6), address, reason)
        opens = reason not in ("source-unspecified", "source-multicast", "source-broadcast")
        assert ("permit_sources" in line.text) == opens
        client = (CLIENT4[0], 42000 + number)
        assert round_trip(balancer, udp_upstream, client) == client
    for reason in set(SPECIAL.values()):
        mmproxy.assert_closed(reason, list(SPECIAL.values()).count(reason))


@headed_framings
def test_no_setting_opens_what_the_kernel_would_show_as_another_address(
    framing, host, start_udp, udp_upstream, udp_upstream6
):
    mmproxy = start_udp(host, framing, permit_sources=["0.0.0.0/0", "::/0"])
    upstreams = udp_upstream, udp_upstream6
    for number, address in enumerate(NEVER):
        balancer = Balancer(host, framing, source=f"127.0.0.{10 + number}")
        assert_refused(mmproxy, balancer, upstreams, address, SPECIAL[address])


@headed_framings
def test_permit_sources_opens_what_it_names_and_no_more(
    framing, guarded, start_udp, udp_upstream, udp_upstream6
):
    mmproxy = start_udp(guarded, framing, permit_sources=["127.8.0.0/16", "::1", OWN4])
    balancer = Balancer(guarded, framing)
    for address, upstream in (
        ("127.8.8.8", udp_upstream),
        ("::1", udp_upstream6),
        (OWN4, udp_upstream),
    ):
        assert round_trip(balancer, upstream, (address, 41000)) == (address, 41000)
    upstreams = udp_upstream, udp_upstream6
    assert_refused(mmproxy, balancer, upstreams, "127.9.9.9", "source-loopback")
    assert_refused(mmproxy, balancer, upstreams, OWN6, "source-own")


def test_an_address_this_host_was_given_after_the_start_is_refused_as_well(
    host, start_udp, udp_upstream, udp_upstream6
):
    mmproxy = start_udp(host)
    host.add_interface(f"{OWN4}/24", f"{OWN6}/64")
    mmproxy.wait_until_idle()  # the kernel's notice has reached every worker
    balancer, upstreams = Balancer(host), (udp_upstream, udp_upstream6)
    for address in OWN4, OWN6:
        assert_refused(mmproxy, balancer, upstreams, address, "source-own")


@framings
def test_a_mapped_client_is_an_ipv4_client(framing, host, start_udp, udp_upstream):
    """As senders on sockets for both families write it."""
    start_udp(host, framing)
    balancer = Balancer(host, framing)
    mapped = (headers.mapped(CLIENT4[0]), CLIENT4[1])
    service = (headers.mapped(headers.SERVICE4[0]), 443)
    assert round_trip(balancer, udp_upstream, mapped, service=service) == CLIENT4


def test_refusals_of_one_peer_are_limited_in_the_log_and_counted(host, start_udp, udp_upstream):
    mmproxy = start_udp(host)
    balancer = Balancer(host)
    for _ in range(300):
        balancer.send_bare(b"GET / HTTP/1.1\r\n\r\n")
    mmproxy.wait_for_counter("sessions_closed_header_missing", 300)
    mmproxy.wait_until_idle()
    counters = mmproxy.counters()
    lines = mmproxy.log_lines("session: refused")
    assert 1 <= len(lines) <= 100
    assert counters["log_suppressed"] == 300 - len(lines)
    assert "HTTP" in lines[0]["hint"]
