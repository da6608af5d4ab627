# SPDX-License-Identifier: MIT
"""Plugins and UDP: asked once a flow, never for a datagram; and who is refused is remembered for a
moment."""

import time

import pytest

import headers
from headers import CLIENT4, SERVICE4, SERVICE6
from hooks import CONNECTED, DENY, LOCAL, RESET, SPP, TCP, UDP, V2
from sessions import open_session
from settings import configuration, listener, udp_listener
from test_plugin_reload import udp_reload
from udp import (
    Balancer,
    assert_nothing_reaches,
    both_families,
    framings,
    question,
    round_trip,
    text,
    wait_until_closed,
)
from upstreams import Datagrams
from waiting import wait_until

pytest_plugins = ["hooks"]

OTHER = (CLIENT4[0], 41001)

both_versions = pytest.mark.parametrize("version", ["", "_1_0"], ids=["now", "abi_1_0"])


# Once a flow.


@framings
@both_families
@both_versions
def test_a_flow_is_filtered_connected_and_closed_once(
    version, client, framing, host, start_udp, udp_upstream, udp_upstream6, record
):
    six = ":" in client[0]
    upstream = udp_upstream6 if six else udp_upstream
    entry = record.entry("first", f"recorder{version}")
    mmproxy = start_udp(host, framing, plugins=[entry], idle_timeout=60.0)
    began, balancer = int(time.monotonic() * 1000), Balancer(host, framing)
    for number in range(5):
        assert round_trip(balancer, upstream, client, b"%d" % number) == client
    assert record.hooks() == ["first filter", "first connected"]
    udp_reload(mmproxy, [entry], framing=framing, idle_timeout=0.4)
    closed = record.wait_for("closed")
    assert record.hooks() == ["first filter", "first connected", "first closed"]
    for call in record.calls("filter", "connected", "closed"):
        assert call["protocol"] == UDP
        assert call["header"] == (SPP if framing == "spp" else V2)
        assert (call["flags"], call["listener"]) == (0, "dns")
        assert call["client"] == text(client)
        assert call["destination"] == text(SERVICE6 if six else SERVICE4)
        assert call["balancer"] == text(balancer.address)
        assert call["upstream"] == ("[::1]:443" if six else "127.0.0.1:443")
        assert str(call["session"]) == wait_until_closed(mmproxy, client)["id"]
        assert began <= call["started"] <= call["now"] <= call["read_clock"]
    assert record.calls("connected")[0]["error"] == 0
    assert [call["slot"] for call in record.calls("filter", "connected", "closed")] == [
        "empty",
        "own",
        "own",
    ]
    assert (closed["reason"], closed["plugin"], closed["why"]) == ("idle-timeout", None, None)
    assert closed["end_flags"] == CONNECTED
    assert closed["datagrams_from_client"] == closed["datagrams_from_upstream"] == 5
    assert closed["bytes_from_client"] == closed["bytes_from_upstream"] == 5 * len(b"of 0")
    assert closed["duration"] >= 400
    record.assert_each_session_was_closed_once()


@pytest.mark.parametrize("framing", ["every", "first"])
def test_the_tlvs_are_those_of_the_first_datagram(framing, host, start_udp, udp_upstream, record):
    start_udp(host, framing, plugins=[record.entry("first")])
    balancer = Balancer(host, framing)
    for name in b"one", b"two":
        header = headers.v2_udp(CLIENT4, tlvs=headers.tlv(headers.AUTHORITY, name))
        balancer.send_bare(header + b"payload")
        assert udp_upstream.receive() == (b"payload", CLIENT4)
    for call in record.calls("filter", "connected"):
        assert call["tlvs"] == f"02/3:{b'one'.hex()},"
    assert len(record.calls("filter")) == 1


def test_spp_has_no_tlvs(host, start_udp, udp_upstream, record):
    start_udp(host, "spp", plugins=[record.entry("first")])
    question(Balancer(host, "spp"), udp_upstream, CLIENT4)
    call = record.wait_for("connected")
    assert (call["tlvs"], call["tlv_end"], call["ssl_end"]) == ("", -2, -2)


def test_a_local_datagram_shows_the_balancer_as_the_client(host, start_udp, udp_upstream, record):
    start_udp(host, plugins=[record.entry("first")])
    balancer = Balancer(host)
    balancer.send_bare(headers.local() + b"check")
    assert udp_upstream.receive()[0] == b"check"
    call = record.wait_for("filter")
    assert call["flags"] == LOCAL
    assert call["client"] == call["balancer"] == text(balancer.address)
    assert call["destination"] is None


def test_a_port_that_is_refused_is_told_to_connected_and_closed(host, start_udp, record):
    entries = [record.entry("first")]
    mmproxy = start_udp(host, plugins=entries, port_conflict="refuse")
    Balancer(host).send((CLIENT4[0], 53), b"from a port that is privileged here")
    closed = record.wait_for("closed")
    mmproxy.assert_closed("client-port-privileged")
    (connected,) = record.calls("connected")
    assert connected["error"] < 0
    assert closed["reason"] == "client-port-privileged"
    assert 200 <= closed["code"] < 300
    assert record.hooks() == ["first filter", "first connected", "first closed"]


@framings
def test_no_plugin_is_asked_about_a_datagram_that_is_no_good(
    framing, host, start_udp, udp_upstream, record
):
    mmproxy = start_udp(host, framing, plugins=[record.entry("first")])
    balancer = Balancer(host, framing)
    balancer.send_bare(b"GET / HTTP/1.1\r\n\r\n")
    balancer.send(("127.0.0.9", 41000), b"from loopback", ("192.0.2.80", 443))
    mmproxy.wait_for_counter("sessions_closed_source_loopback")
    assert_nothing_reaches(udp_upstream, balancer, mmproxy)
    assert record.hooks() == []


def test_an_entry_at_the_top_is_one_instance_for_both_protocols(
    host, start_daemon, upstream, record
):
    dns = Datagrams(host)
    config = configuration(
        listener("web"), udp_listener("dns"), plugins=[record.entry("top")], drain_timeout=0
    )
    start_daemon(host, config=config)
    open_session(host, upstream)
    round_trip(Balancer(host), dns, CLIENT4)
    calls = record.wait_for_calls(2, "connected")
    assert {call["protocol"] for call in calls} == {TCP, UDP}
    assert len({call["instance"] for call in record.calls()}) == 1


# Refused.


@framings
@pytest.mark.parametrize("verdict", [DENY, RESET], ids=["deny", "reset"])
def test_a_refused_client_is_asked_about_once_for_many_datagrams(
    verdict, framing, host, start_udp, udp_upstream, record
):
    entry = record.entry("first", verdict=verdict, why="not today", port=CLIENT4[1])
    mmproxy = start_udp(host, framing, plugins=[entry])
    balancer, other = Balancer(host, framing), Balancer(host, framing)
    for number in range(50):
        balancer.send(CLIENT4, b"%d" % number)
    mmproxy.assert_counter("datagrams_dropped_denied", 49)
    assert len(record.calls("filter")) == 1
    assert_nothing_reaches(udp_upstream, balancer, mmproxy)
    reason = "plugin-denied" if verdict == DENY else "plugin-reset"
    mmproxy.assert_closed(reason)
    (closed,) = record.calls("closed")
    assert (closed["reason"], closed["plugin"], closed["why"]) == (reason, "first", "not today")
    assert closed["datagrams_from_client"] == closed["end_flags"] == 0
    (line,) = mmproxy.log_lines("session: refused")
    assert (line["listener"], line["reason"]) == ("dns", reason)
    assert (line["plugin"], line["why"]) == ("first", "not today")
    assert (line["client"], line["balancer"]) == (text(CLIENT4), text(balancer.address))
    # Others are none the worse for it.
    assert round_trip(other, udp_upstream, OTHER) == OTHER
    assert not balancer.has_answer()


def test_a_refused_client_is_asked_about_again_after_a_while(host, start_udp, record):
    mmproxy = start_udp(host, plugins=[record.entry("first", verdict=DENY)])
    balancer = Balancer(host)
    balancer.send(CLIENT4, b"first")
    record.wait_for("closed")
    asked = time.monotonic()

    def asked_again():
        balancer.send(CLIENT4, b"again")
        return len(record.calls("filter")) > 1

    wait_until(asked_again, 20, "the client is asked about again", interval=0.1)
    # However often it sends.
    assert 2 < time.monotonic() - asked < 12
    record.wait_for_calls(2, "closed")
    assert mmproxy.counters()["datagrams_dropped_denied"] > 10


def test_in_a_listener_for_first_headers_who_comes_next_by_the_same_port_is_judged_anew(
    host, start_udp, udp_upstream, record
):
    entry = record.entry("first", verdict=DENY, port=CLIENT4[1])
    mmproxy = start_udp(host, "first", plugins=[entry])
    balancer = Balancer(host, "first")
    balancer.send(CLIENT4, b"refused")
    record.wait_for("closed")
    for _ in range(3):
        assert round_trip(balancer, udp_upstream, OTHER) == OTHER
    balancer.send(CLIENT4, b"refused")
    balancer.send(CLIENT4, b"refused, without a header")
    mmproxy.assert_counter("datagrams_dropped_denied", 2)
    assert len(record.calls("filter")) == 2
    assert record.calls("closed")[-1]["reason"] == "flow-replaced"


@pytest.mark.parametrize("on_error", ["deny", "pass"])
@pytest.mark.parametrize("verdict", [3, 99, -5])
def test_a_plugin_that_fails_is_answered_by_on_error(
    verdict, on_error, host, start_udp, udp_upstream, record
):
    entry = record.entry("bad", verdict=verdict, on_error=on_error)
    mmproxy = start_udp(host, plugins=[entry, record.entry("next")])
    balancer = Balancer(host)
    if on_error == "pass":
        assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
        assert record.hooks()[:2] == ["bad filter", "next filter"]
        return
    balancer.send(CLIENT4, b"question")
    mmproxy.assert_closed("plugin-error")
    assert_nothing_reaches(udp_upstream, balancer, mmproxy)
    closed = record.wait_for("closed")
    assert (closed["reason"], closed["plugin"]) == ("plugin-error", "bad")
    assert record.hooks() == ["bad filter", "bad closed"]
