# SPDX-License-Identifier: MIT
"""PROXY headers over real sockets: what is taken, what is refused and why, however it is cut."""

import ipaddress
import socket
import struct

import pytest

import headers
from headers import CLIENT4, CLIENT6, tlv, v1, v2, v2_raw
from sessions import MMPROXY, send
from traffic import read_exactly, wait_until_ended

PAYLOAD = b"\x00payload \xff behind the header\r\n"

MAPPED4 = (headers.mapped(CLIENT4[0]), CLIENT4[1])
MAPPED_SERVICE = ("::ffff:192.0.2.80", 443)
ALL_TLVS = (
    tlv(headers.ALPN, b"h2")
    + tlv(headers.AUTHORITY, b"service.example")
    + tlv(headers.UNIQUE_ID, b"0123456789abcdef")
    + headers.ssl_tlv()
    + tlv(headers.NETNS, b"blue")
    + tlv(headers.AWS, b"\x01vpce-08d2bf15fac5001c9")
    + tlv(0xF7, b"\x00\x01\x02")
    + tlv(headers.NOOP, b"")
)

ACCEPTED = {
    "v1_tcp4": (v1(CLIENT4), CLIENT4),
    "v1_tcp6": (v1(CLIENT6), CLIENT6),
    "v1_tcp6_not_in_its_shortest_form": (
        b"PROXY TCP6 2001:0DB8:000c:0:0::9 2001:db8:5:0:0:0:0:80 41006 443\r\n",
        CLIENT6,
    ),
    "v1_tcp6_with_mapped_ipv4": (v1(MAPPED4, MAPPED_SERVICE), CLIENT4),
    "v1_destination_port_zero": (v1(CLIENT4, ("192.0.2.80", 0)), CLIENT4),
    "v1_highest_port": (v1((CLIENT4[0], 65535)), (CLIENT4[0], 65535)),
    "v2_tcp4": (v2(CLIENT4), CLIENT4),
    "v2_tcp6": (v2(CLIENT6), CLIENT6),
    "v2_tcp6_with_mapped_ipv4": (v2(MAPPED4, MAPPED_SERVICE), CLIENT4),
    "v2_with_every_kind_of_tlv": (v2(CLIENT4, tlvs=ALL_TLVS), CLIENT4),
    "v2_tcp6_with_every_kind_of_tlv": (v2(CLIENT6, tlvs=ALL_TLVS), CLIENT6),
    "v2_with_crc32c": (v2(CLIENT4, crc=True), CLIENT4),
    "v2_with_crc32c_behind_other_tlvs": (v2(CLIENT6, tlvs=ALL_TLVS, crc=True), CLIENT6),
    "v2_of_4096_bytes": (headers.padded(CLIENT4, 4096), CLIENT4),
}

HEX = bytes.fromhex
SIGNED = headers.SIGNATURE
BLOCK4 = v2(CLIENT4)[16:]
BLOCK6 = v2(CLIENT6)[16:]

REFUSED = {
    "http": (b"GET / HTTP/1.1\r\nHost: example\r\n\r\n", "header-missing"),
    "tls_hello": (HEX("16030100c8010000c40303") + bytes(64), "header-missing"),
    "ssh": (b"SSH-2.0-OpenSSH_9.2p1\r\n", "header-missing"),
    "lower_case": (b"proxy TCP4 203.0.113.9 192.0.2.80 41000 443\r\n", "header-missing"),
    "almost_a_signature": (SIGNED[:11] + b"X" + bytes(20), "header-missing"),
    "v1_without_an_end": (b"PROXY UNKNOWN " + b"x" * 200, "v1-too-long"),
    "v1_end_at_byte_108": (b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", "v1-too-long"),
    "v1_lone_lf": (b"PROXY TCP4 203.0.113.9 192.0.2.80 41000 443\n", "v1-line-end"),
    "v1_lone_cr": (b"PROXY TCP4 203.0.113.9 192.0.2.80 41000 443\rX", "v1-line-end"),
    "v1_udp4": (b"PROXY UDP4 203.0.113.9 192.0.2.80 41000 443\r\n", "v1-protocol"),
    "v1_tcp5": (b"PROXY TCP5 203.0.113.9 192.0.2.80 41000 443\r\n", "v1-protocol"),
    "v1_two_spaces": (b"PROXY TCP4  203.0.113.9 192.0.2.80 41000 443\r\n", "v1-fields"),
    "v1_trailing_space": (b"PROXY TCP4 203.0.113.9 192.0.2.80 41000 443 \r\n", "v1-fields"),
    "v1_field_missing": (b"PROXY TCP4 203.0.113.9 192.0.2.80 41000\r\n", "v1-fields"),
    "v1_field_too_many": (b"PROXY TCP4 203.0.113.9 192.0.2.80 41000 443 1\r\n", "v1-fields"),
    "v1_octet_256": (b"PROXY TCP4 256.0.113.9 192.0.2.80 41000 443\r\n", "v1-address"),
    "v1_octet_with_zero": (b"PROXY TCP4 203.000.113.9 192.0.2.80 41000 443\r\n", "v1-address"),
    "v1_three_octets": (b"PROXY TCP4 203.0.113 192.0.2.80 41000 443\r\n", "v1-address"),
    "v1_host_name": (b"PROXY TCP4 localhost 192.0.2.80 41000 443\r\n", "v1-address"),
    "v1_ipv6_as_tcp4": (b"PROXY TCP4 2001:db8::9 2001:db8::1 41000 443\r\n", "v1-address"),
    "v1_ipv4_as_tcp6": (b"PROXY TCP6 203.0.113.9 192.0.2.80 41000 443\r\n", "v1-address"),
    "v1_zone": (b"PROXY TCP6 fe80::1%eth0 2001:db8::1 41000 443\r\n", "v1-address"),
    "v1_bad_destination": (b"PROXY TCP4 203.0.113.9 192.0.2.x 41000 443\r\n", "v1-address"),
    "v1_port_65536": (b"PROXY TCP4 203.0.113.9 192.0.2.80 65536 443\r\n", "v1-port"),
    "v1_port_70000": (b"PROXY TCP4 203.0.113.9 192.0.2.80 70000 443\r\n", "v1-port"),
    "v1_port_4294967297": (b"PROXY TCP4 203.0.113.9 192.0.2.80 4294967297 443\r\n", "v1-port"),
    "v1_port_signed": (b"PROXY TCP4 203.0.113.9 192.0.2.80 +80 443\r\n", "v1-port"),
    "v1_port_negative": (b"PROXY TCP4 203.0.113.9 192.0.2.80 -1 443\r\n", "v1-port"),
    "v1_port_leading_zero": (b"PROXY TCP4 203.0.113.9 192.0.2.80 080 443\r\n", "v1-port"),
    "v1_port_hexadecimal": (b"PROXY TCP4 203.0.113.9 192.0.2.80 0x50 443\r\n", "v1-port"),
    "v1_bad_destination_port": (b"PROXY TCP4 203.0.113.9 192.0.2.80 41000 44E\r\n", "v1-port"),
    "v2_version_1": (v2_raw(0x11, headers.TCP4, BLOCK4), "v2-version"),
    "v2_version_3": (v2_raw(0x31, headers.TCP4, BLOCK4), "v2-version"),
    "v2_command_2": (v2_raw(0x22, headers.TCP4, BLOCK4), "v2-command"),
    "v2_family_4": (v2_raw(headers.PROXY, 0x41, BLOCK4), "v2-family"),
    "v2_unix": (v2_raw(headers.PROXY, headers.UNIX_STREAM, bytes(216)), "v2-unix"),
    "v2_transport_3": (v2_raw(headers.PROXY, 0x13, BLOCK4), "v2-transport"),
    "v2_udp4": (v2_raw(headers.PROXY, headers.UDP4, BLOCK4), "transport-mismatch"),
    "v2_udp6": (v2_raw(headers.PROXY, headers.UDP6, BLOCK6), "transport-mismatch"),
    "v2_length_0": (v2_raw(headers.PROXY, headers.TCP4, b""), "v2-length"),
    "v2_length_11": (v2_raw(headers.PROXY, headers.TCP4, BLOCK4[:11]), "v2-length"),
    "v2_tcp6_length_35": (v2_raw(headers.PROXY, headers.TCP6, BLOCK6[:35]), "v2-length"),
    "v2_tlv_cut_in_its_head": (v2(CLIENT4, tlvs=b"\x04\x00"), "v2-tlv"),
    "v2_tlv_overruns": (v2(CLIENT4, tlvs=b"\x04\x00\x05abcd"), "v2-tlv"),
    "v2_tlv_overruns_into_the_payload": (
        v2(CLIENT4, tlvs=b"\x04\x00\x08abcd") + b"efgh",
        "v2-tlv",
    ),
    "v2_crc32c_wrong": (v2(CLIENT4, tlvs=tlv(headers.CRC32C, b"\xde\xad\xbe\xef")), "v2-crc32c"),
    "v2_crc32c_of_zero": (v2(CLIENT4, tlvs=tlv(headers.CRC32C, bytes(4))), "v2-crc32c"),
    "v2_of_4097_bytes": (headers.padded(CLIENT4, 4097), "header-too-long"),
    "v2_of_65551_bytes": (headers.padded(CLIENT4, 65551), "header-too-long"),
}

LOCAL = {
    "v2_local": headers.local(),
    "v2_local_with_tlvs": headers.local(ALL_TLVS),
    "v2_local_of_a_load_balancers_health_check": headers.nlb_health_check(),
    "v2_local_with_a_foreign_address_block": v2(CLIENT4, command=headers.LOCAL),
    "v2_local_with_a_special_address": v2(("224.0.0.1", 1), command=headers.LOCAL),
    "v2_local_with_a_family_unheard_of": v2_raw(headers.LOCAL, 0xFF, b"anything"),
    "v2_unspecified_family": v2_raw(headers.PROXY, headers.UNSPEC, b""),
    "v2_unspecified_family_with_bytes": v2_raw(headers.PROXY, headers.UNSPEC, bytes(12)),
    "v1_unknown": b"PROXY UNKNOWN\r\n",
    "v1_unknown_with_addresses": b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
    "v1_unknown_of_107_bytes": b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n",
}


def table(cases):
    return pytest.mark.parametrize("case", cases.values(), ids=cases.keys())


def send_in_pieces(mmproxy, connection, pieces):
    """Each piece is a segment of its own, and is dealt with before the next one is sent."""
    for piece in pieces:
        connection.sendall(piece)
        mmproxy.wait_until_idle()


def listening_for(peer, upstream, upstream6):
    return upstream6 if ":" in peer[0] else upstream


@table(ACCEPTED)
def test_the_upstream_sees_the_client_and_the_payload(case, host, mmproxy, upstream, upstream6):
    header, client = case
    connection = send(host, header + PAYLOAD)
    session, peer = listening_for(client, upstream, upstream6).accept()
    assert peer == client
    assert read_exactly(session, len(PAYLOAD)) == PAYLOAD
    session.sendall(b"answer")
    assert read_exactly(connection, 6) == b"answer"


@table(ACCEPTED)
def test_a_header_in_two_segments_is_as_good_as_whole(case, host, mmproxy, upstream, upstream6):
    header, client = case
    cuts = {1, 2, 11, 12, 13, 16, 17, len(header) // 2, len(header) - 1, len(header)}
    for number, cut in enumerate(sorted(cut for cut in cuts if cut <= len(header))):
        stream = header + PAYLOAD
        connection = host.connect(MMPROXY)
        send_in_pieces(mmproxy, connection, [stream[:cut], stream[cut:]])
        session, peer = listening_for(client, upstream, upstream6).accept()
        assert peer == client, f"cut at {cut}"
        assert read_exactly(session, len(PAYLOAD)) == PAYLOAD, f"cut at {cut}"
        connection.close()
        assert wait_until_ended(session) == "eof"
        session.close()


@pytest.mark.parametrize(
    "name", ["v1_tcp4", "v1_tcp6", "v2_tcp6", "v2_with_crc32c_behind_other_tlvs"]
)
def test_a_header_byte_by_byte_is_as_good_as_whole(name, host, mmproxy, upstream, upstream6):
    header, client = ACCEPTED[name]
    connection = host.connect(MMPROXY)
    stream = header + PAYLOAD
    send_in_pieces(mmproxy, connection, [stream[i : i + 1] for i in range(len(stream))])
    session, peer = listening_for(client, upstream, upstream6).accept()
    assert peer == client
    assert read_exactly(session, len(PAYLOAD)) == PAYLOAD


def test_a_header_without_payload_connects_at_once(host, mmproxy, upstream):
    send(host, v2(CLIENT4))
    assert upstream.accept()[1] == CLIENT4


def test_client_port_zero_keeps_the_address(host, mmproxy, upstream):
    send(host, v2((CLIENT4[0], 0)))
    _, (address, port) = upstream.accept()
    assert address == CLIENT4[0]
    assert port != 0


def test_a_second_header_is_payload(host, mmproxy, upstream):
    second = v2(("203.0.113.77", 7))
    send(host, v2(CLIENT4) + second + PAYLOAD)
    session, peer = upstream.accept()
    assert peer == CLIENT4
    assert read_exactly(session, len(second + PAYLOAD)) == second + PAYLOAD


@table(REFUSED)
def test_a_bad_header_is_refused_with_its_own_reason(case, host, mmproxy, upstream, upstream6):
    header, reason = case
    connection = host.connect(MMPROXY)
    balancer = "%s:%d" % connection.getsockname()
    connection.sendall(header)
    wait_until_ended(connection)
    line = mmproxy.wait_for_log("session: refused")
    assert line["reason"] == reason
    assert line.level == "warning"
    assert line["listener"] == "web"
    assert line["balancer"] == balancer
    assert line["first_bytes"]
    mmproxy.assert_closed(reason)
    upstream.assert_untouched()
    upstream6.assert_untouched()


@pytest.mark.parametrize(
    "name", ["v1_port_65536", "v1_lone_lf", "v2_udp4", "v2_tlv_overruns", "v2_crc32c_wrong"]
)
def test_a_bad_header_byte_by_byte_has_the_same_reason(name, host, mmproxy, upstream):
    header, reason = REFUSED[name]
    connection = host.connect(MMPROXY)
    try:
        send_in_pieces(mmproxy, connection, [header[i : i + 1] for i in range(len(header))])
    except (ConnectionResetError, BrokenPipeError):
        pass  # it need not read on once it knows
    wait_until_ended(connection)
    assert mmproxy.wait_for_log("session: refused")["reason"] == reason
    upstream.assert_untouched()


@pytest.mark.parametrize("header", [b"PROXY TCP4 203.0.113.9", SIGNED[:5], v2(CLIENT4)[:-1]])
def test_a_balancer_that_closes_inside_the_header_is_refused(header, host, mmproxy, upstream):
    connection = send(host, header)
    connection.shutdown(socket.SHUT_WR)
    wait_until_ended(connection)
    assert mmproxy.wait_for_log("session: refused")["reason"] == "header-truncated"
    upstream.assert_untouched()


def test_a_refusal_shows_the_first_bytes_and_a_guess(host, mmproxy):
    send(host, HEX("16030100c8010000c40303") + bytes(64))
    line = mmproxy.wait_for_log("session: refused")
    assert line["first_bytes"].startswith(r"\x16\x03\x01")
    assert "TLS" in line["hint"]


def test_a_refusal_of_a_real_header_says_what_is_wrong_with_it(host, mmproxy):
    send(host, HEX("0d0a0d0a000d0a515549540a 21 11 0000"))
    assert mmproxy.wait_for_log("session: refused")["hint"].startswith("the binary header is shorter")


def test_what_a_peer_sends_is_escaped_in_the_log(host, mmproxy):
    evil = b'x"\n2026-01-01T00:00:00.000Z error daemon: forged\x1b[2J\r\n'
    connection = send(host, evil)
    wait_until_ended(connection)
    mmproxy.wait_for_log("session: refused")
    assert "\x1b" not in mmproxy.log()
    assert not mmproxy.log_lines("^2026-01-01T00:00:00.000Z")


@table(LOCAL)
def test_a_header_without_a_client_dials_from_the_balancers_own_address(
    case, host, mmproxy, upstream
):
    connection = send(host, case + PAYLOAD)
    session, peer = upstream.accept()
    assert peer == connection.getsockname()
    assert read_exactly(session, len(PAYLOAD)) == PAYLOAD


def test_local_from_an_ipv6_balancer_dials_the_ipv6_upstream(host, start_daemon, upstream6):
    start_daemon(host, listen="[::1]:8443")
    connection = host.connect(("::1", 8443))
    connection.sendall(headers.local())
    assert upstream6.accept()[1] == connection.getsockname()[:2]


def test_an_ipv4_balancer_of_a_listener_for_both_families_stays_ipv4(host, start_daemon, upstream):
    start_daemon(host, listen="*:8443", subnets=["127.0.0.0/8"])
    connection = send(host, headers.local())
    assert upstream.accept()[1] == connection.getsockname()


@pytest.mark.parametrize("size", [4097, 20000, 65550, 65551])
def test_tlvs_up_to_64_kib_pass_where_max_header_allows_them(size, host, start_daemon, upstream):
    mmproxy = start_daemon(host, max_header=65551)
    header = headers.padded(CLIENT4, size)
    assert len(header) == size
    send(host, header + PAYLOAD)
    session, peer = upstream.accept()
    assert peer == CLIENT4
    assert read_exactly(session, len(PAYLOAD)) == PAYLOAD

    client = (CLIENT4[0], CLIENT4[1] + 1)
    stream = headers.padded(client, size) + PAYLOAD
    pieces = host.connect(MMPROXY)
    send_in_pieces(mmproxy, pieces, [stream[i : i + 1447] for i in range(0, len(stream), 1447)])
    session, peer = upstream.accept()
    assert peer == client
    assert read_exactly(session, len(PAYLOAD)) == PAYLOAD


def test_a_header_longer_than_max_header_is_refused_before_it_is_whole(host, mmproxy, upstream):
    connection = send(host, headers.padded(CLIENT4, 65551)[:16])
    wait_until_ended(connection)
    assert mmproxy.wait_for_log("session: refused")["reason"] == "header-too-long"
    upstream.assert_untouched()


def test_the_crc32c_of_these_tests_is_the_standard_one():
    assert headers.crc32c(b"123456789") == 0xE3069283
    assert struct.unpack("!I", headers.nlb_health_check()[19:23])[0] != 0
    assert ipaddress.ip_address(MAPPED4[0]).ipv4_mapped == ipaddress.ip_address(CLIENT4[0])
