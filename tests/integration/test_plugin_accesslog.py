# SPDX-License-Identifier: MIT
"""The plugin accesslog: one line for each session, and what it says, whatever clients put into
their TLVs."""

import json
import re

import pytest

import headers
import plugins
from accesslog import assert_is_now, finish, formats, log  # noqa: F401
from headers import CLIENT4, CLIENT6, SERVICE4, local, ssl_tlv, tlv, v1, v2
from sessions import clients, open_session, send
from settings import listener
from test_plugin_reload import udp_reload
from traffic import wait_until_ended
from udp import Balancer, round_trip, text


# What a line says.


@formats
def test_a_finished_session_has_a_line_with_every_field(form, host, start_daemon, upstream, log):
    mmproxy = start_daemon(host, plugins=[log.entry(format=form)])
    session = open_session(host, upstream)
    balancer = session[0].getsockname()
    finish(session)
    line = log.wait_for_one()
    own = mmproxy.wait_for_log("session: closed")
    assert_is_now(line.pop("time"))
    assert 0 <= float(line["duration"]) < 20
    assert line == {
        "id": own["id"],
        "listener": "web",
        "protocol": "tcp",
        "header": "v2",
        "client": text(CLIENT4),
        "balancer": text(balancer),
        "destination": text(SERVICE4),
        "upstream": "127.0.0.1:443",
        "worker": line["worker"],
        "reason": "finished",
        "code": "1",
        "connected": "yes",
        "bytes_from_client": "8",
        "bytes_from_upstream": "10",
        "duration": own["duration"],
    }


def test_json_has_numbers_where_they_are_numbers(host, start_daemon, upstream, log):
    start_daemon(host, plugins=[log.entry(format="json")])
    finish(open_session(host, upstream))
    log.wait_for_one()
    line = json.loads(log.text())
    kinds = {key: type(value) for key, value in line.items() if not isinstance(value, str)}
    assert kinds == {
        "id": int,
        "worker": int,
        "code": int,
        "connected": bool,
        "bytes_from_client": int,
        "bytes_from_upstream": int,
        "duration": float,
    }


@formats
def test_addresses_are_written_as_in_the_log_of_mmproxy(
    form, host, start_daemon, upstream6, log
):
    mmproxy = start_daemon(host, plugins=[log.entry(format=form)])
    finish(open_session(host, upstream6, CLIENT6))
    line, own = log.wait_for_one(), mmproxy.wait_for_log("session: closed")
    for name in "client", "balancer", "destination", "upstream":
        assert line[name] == own[name]
    assert line["client"] == text(CLIENT6)


@pytest.mark.parametrize("header, name", [(v1(CLIENT4), "v1"), (local(), "local")])
def test_the_header_is_named(header, name, host, start_daemon, upstream, log):
    start_daemon(host, plugins=[log.entry()])
    connection = send(host, header)
    accepted, peer = upstream.accept()
    balancer = connection.getsockname()
    finish((connection, accepted))
    line = log.wait_for_one()
    assert line["header"] == name
    assert line["client"] == text(balancer if name == "local" else CLIENT4)
    assert ("destination" in line) == (name != "local")


def test_the_port_that_the_upstream_sees_instead_is_named(host, start_daemon, upstream, log):
    start_daemon(host, plugins=[log.entry()])
    session = send(host, v2((CLIENT4[0], 0))), upstream.accept()
    finish((session[0], session[1][0]))
    line = log.wait_for_one()
    assert line["client"] == f"{CLIENT4[0]}:0"
    assert line["upstream_sees"] == text(session[1][1])


@formats
def test_a_session_that_reaches_no_upstream_says_why(form, host, start_daemon, log):
    start_daemon(host, plugins=[log.entry(format=form)])
    wait_until_ended(send(host, v2(CLIENT4)))
    line = log.wait_for_one()
    assert line["reason"] == "connect-refused"
    assert 200 <= int(line["code"]) < 300
    assert line["error"] == "Connection refused"
    assert line["connected"] == "no"
    assert line["bytes_from_client"] == "0"


@formats
@pytest.mark.parametrize("framing, header", [("every", "v2"), ("spp", "spp")])
def test_a_flow_has_a_line_with_its_datagrams(
    framing, header, form, host, start_udp, udp_upstream, log
):
    entry = log.entry(format=form)
    mmproxy = start_udp(host, framing, idle_timeout=60.0, plugins=[entry])
    balancer = Balancer(host, framing)
    round_trip(balancer, udp_upstream, CLIENT4, b"one")
    round_trip(balancer, udp_upstream, CLIENT4, b"three")
    udp_reload(mmproxy, [entry], framing=framing, idle_timeout=0.3)
    line, own = log.wait_for_one(), mmproxy.wait_for_log("session: closed")
    assert line["protocol"] == "udp"
    assert line["header"] == header
    assert line["listener"] == "dns"
    assert line["reason"] == "idle-timeout"
    assert line["connected"] == "yes"
    assert line["balancer"] == text(balancer.address)
    assert (line["datagrams_from_client"], line["datagrams_from_upstream"]) == ("2", "2")
    for name in "id", "client", "bytes_from_client", "bytes_from_upstream", "duration":
        assert line[name] == own[name]


def test_tcp_has_no_datagrams(host, start_daemon, upstream, log):
    start_daemon(host, plugins=[log.entry()])
    finish(open_session(host, upstream))
    assert "datagrams_from_client" not in log.wait_for_one()


@formats
def test_a_session_that_another_plugin_refuses_says_which_and_why(form, host, start_daemon, log):
    # First in the list: who is behind the plugin that refuses is not asked, and hears nothing.
    chain = [log.entry(format=form), plugins.entry("acl", {"default": "deny"})]
    mmproxy = start_daemon(host, plugins=chain)
    wait_until_ended(send(host, v2(CLIENT4)))
    line, own = log.wait_for_one(), mmproxy.wait_for_log("session: refused")
    assert line["reason"] == "plugin-denied"
    assert 100 <= int(line["code"]) < 200
    assert line["plugin"] == "acl"
    assert line["why"] == own["why"]
    assert line["connected"] == "no"


def test_a_connection_without_a_header_has_no_line(host, start_daemon, upstream, log):
    """It is no session yet: nobody knows the client."""
    mmproxy = start_daemon(host, plugins=[log.entry()])
    wait_until_ended(send(host, b"GET / HTTP/1.1\r\n\r\n"))
    mmproxy.wait_for_counter("sessions_closed_header_missing")
    finish(open_session(host, upstream))
    assert log.wait_for_one()["reason"] == "finished"


@formats
def test_sessions_that_end_with_mmproxy_have_their_lines(form, host, start_daemon, upstream, log):
    mmproxy = start_daemon(host, plugins=[log.entry(format=form)], top={"drain_timeout": 0})
    for client in clients(200):
        open_session(host, upstream, client)
    mmproxy.stop()
    lines = log.wait_for(200)
    assert {line["reason"] for line in lines} == {"shutdown"}
    assert {line["client"] for line in lines} == {text(client) for client in clients(200)}
    assert not mmproxy.log_lines("plugin: message")


# TLVs.


def unescaped(value):
    """The bytes behind a text, by the rule in the plugin's README.md."""

    def byte(escape):
        return escape[1] if len(escape[1]) == 1 else bytes([int(escape[1][1:], 16)])

    return re.sub(rb'\\(\\|"|x[0-9a-f]{2})', byte, value.encode())


def tlv_session(host, upstream, tlvs):
    connection = send(host, v2(CLIENT4, tlvs=tlvs))
    accepted, _ = upstream.accept()
    finish((connection, accepted))


@formats
def test_chosen_tlvs_are_in_the_line_in_this_order(form, host, start_daemon, upstream, log):
    chosen = ["authority", "ssl_version", "ssl_cn", "alpn", "unique_id", "netns", "0xEA", "0x05"]
    start_daemon(host, plugins=[log.entry(format=form, tlvs=chosen)])
    tlv_session(
        host,
        upstream,
        tlv(headers.ALPN, b"h2")
        + tlv(headers.AUTHORITY, b"www.example.com")
        + tlv(headers.UNIQUE_ID, b"7f3b")
        + ssl_tlv()
        + tlv(headers.AWS, b"\x01vpce-08d2bf15fac5001c9"),
    )
    line = log.wait_for_one()
    assert [(key, value) for key, value in line.items() if key.startswith("tlv_")] == [
        ("tlv_authority", "www.example.com"),
        ("tlv_ssl_version", "TLSv1.3"),
        ("tlv_ssl_cn", "client.example"),
        ("tlv_alpn", "h2"),
        ("tlv_unique_id", "7f3b"),
        ("tlv_0xea", r"\x01vpce-08d2bf15fac5001c9"),
        ("tlv_0x05", "7f3b"),
    ]


def test_no_tlv_is_in_the_line_that_was_not_chosen(host, start_daemon, upstream, log):
    start_daemon(host, plugins=[log.entry()])
    tlv_session(host, upstream, tlv(headers.AUTHORITY, b"www.example.com"))
    assert not [key for key in log.wait_for_one() if key.startswith("tlv_")]


def test_the_first_of_several_is_shown(host, start_daemon, upstream, log):
    start_daemon(host, plugins=[log.entry(tlvs=["authority"])])
    tlv_session(host, upstream, tlv(headers.AUTHORITY, b"one") + tlv(headers.AUTHORITY, b"two"))
    assert log.wait_for_one()["tlv_authority"] == "one"


HOSTILE = {
    "empty": b"",
    "another_line": b"x\ntime=2000-01-01T00:00:00.000Z id=1 client=192.0.2.1:1\n",
    "another_field": b'x" client="192.0.2.1:1',
    "another_member": b'x","client":"192.0.2.1:1',
    "an_escape": rb"\x41\u0041\\",
    "a_backslash_at_the_end": b"x\\",
    "a_terminal_sequence": b"\x1b[2J\x9b31m",
    "not_utf8": b"\xff\xfe\xc0\xaf\xed\xa0\x80",
    "utf8": "Jürgen \u2028 \u202e".encode(),
    "every_byte": bytes(range(256)),
}


@formats
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_value_forges_nothing_and_can_be_told_to_the_byte(
    value, form, host, start_daemon, upstream, log
):
    start_daemon(host, plugins=[log.entry(format=form, tlvs=["authority", "0xEA"])])
    tlv_session(host, upstream, tlv(headers.AUTHORITY, value) + tlv(headers.AWS, value))
    line = log.wait_for_one()
    assert line["client"] == text(CLIENT4)
    assert unescaped(line["tlv_authority"]) == value
    assert unescaped(line["tlv_0xea"]) == value
    shown = log.text()
    assert shown.count("\n") == 1 and len(shown.splitlines()) == 1
    assert shown[:-1].isprintable()
    assert form == "json" or shown.isascii()


@formats
def test_a_long_value_is_cut_and_says_so(form, host, start_daemon, upstream, log):
    start_daemon(host, plugins=[log.entry(format=form, tlvs=["0xE0", "0xE1"])])
    tlv_session(host, upstream, tlv(0xE0, b"a" * 257) + tlv(0xE1, b"b" * 256))
    line = log.wait_for_one()
    assert line["tlv_0xe0"] == "a" * 256 + "\\..."
    assert line["tlv_0xe1"] == "b" * 256
