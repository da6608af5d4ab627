# SPDX-License-Identifier: MIT
"""Plugins and TCP: which hooks are called, when and on which thread, and what they are shown."""

import time

import pytest

import headers
import plugins
from headers import CLIENT4, CLIENT6, SERVICE4, SERVICE6, v1, v2
from hooks import CONNECTED, LOCAL, TCP, V1, V2, assert_category, finish
from sessions import clients, open_session, send
from settings import configuration, listener
from traffic import wait_until_ended
from udp import text

pytest_plugins = ["hooks"]

# As compiled against the current header, and against that of ABI 1.0.
every_version = pytest.mark.parametrize("plugin", ["recorder", "recorder_1_0"])


# The life of an instance.


@every_version
def test_an_instance_is_opened_used_by_each_worker_and_closed(
    plugin, host, start_daemon, upstream, record
):
    mmproxy = start_daemon(host, plugins=[record.entry("first", plugin)], top={"workers": 2})
    for client in clients(30):
        finish(*open_session(host, upstream, client))
    record.wait_for_calls(30, "closed")
    mmproxy.stop()
    calls = record.calls()
    assert len({call["instance"] for call in calls}) == 1
    assert [calls[0].hook, calls[-1].hook] == ["open", "close"]
    assert calls[0]["thread"] == calls[-1]["thread"] == mmproxy.pid
    for worker in 0, 1:
        own = record.calls(worker=worker)
        hooks = [call.hook for call in own]
        assert [hooks[0], hooks[-1]] == ["worker_start", "worker_stop"]
        assert set(hooks[1:-1]) == {"filter", "connected", "closed"}
        assert len({call["thread"] for call in own}) == 1
        assert own[0]["thread"] != mmproxy.pid
    assert len({call["thread"] for call in record.calls("worker_start")}) == 2
    record.assert_each_session_was_closed_once()


@every_version
def test_open_is_told_the_version_of_both_and_the_number_of_workers(
    plugin, host, start_daemon, record
):
    start_daemon(host, plugins=[record.entry("first", plugin)], top={"workers": 3})
    opened = record.wait_for("open")
    major, minor = opened["abi"].split(".")
    assert int(major) == 1 and int(minor) >= 0
    assert opened["size"] >= 168
    assert opened["workers"] == 3
    assert opened["version"]


@every_version
def test_a_session_is_filtered_connected_and_closed_in_this_order(
    plugin, host, start_daemon, upstream, record
):
    start_daemon(host, plugins=[record.entry("first", plugin)])
    session = open_session(host, upstream)
    record.wait_for("connected")
    assert record.hooks() == ["first filter", "first connected"]
    finish(*session)
    record.wait_for("closed")
    assert record.hooks() == ["first filter", "first connected", "first closed"]


def test_filter_comes_before_the_upstream_is_dialled(host, start_daemon, upstream, record):
    stuck = plugins.entry("stuck", {"while": "hold"})
    mmproxy = start_daemon(host, plugins=[record.entry("first"), stuck])
    hold = mmproxy.write_config("", "hold")
    send(host, v2(CLIENT4))
    record.wait_for("filter")
    upstream.assert_untouched()
    hold.unlink()
    upstream.accept()


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n\r\n", v2(("127.0.0.9", 1)), v2(CLIENT4)[:20], b""],
    ids=["no_header", "source_policy", "half_a_header", "nothing"],
)
def test_no_plugin_is_asked_about_what_is_refused_before(data, host, start_daemon, record):
    mmproxy = start_daemon(host, plugins=[record.entry("first")])
    connection = send(host, data)
    mmproxy.wait_for_counter("sessions_accepted")
    connection.close()
    mmproxy.wait_for_log("session: (refused|closed)")
    assert record.hooks() == []


def test_no_plugin_is_asked_about_a_balancer_that_is_not_allowed(host, start_daemon, record):
    mmproxy = start_daemon(host, plugins=[record.entry("first")], subnets=["192.0.2.0/24"])
    wait_until_ended(send(host, v2(CLIENT4)))
    mmproxy.wait_for_log("session: refused")
    assert record.hooks() == []


# What a session looks like.


@every_version
@pytest.mark.parametrize("client", [CLIENT4, CLIENT6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("header", [v1, v2])
def test_each_hook_is_shown_who_talks_to_whom(
    header, client, plugin, host, start_daemon, upstream, upstream6, record
):
    six = ":" in client[0]
    mmproxy = start_daemon(host, plugins=[record.entry("first", plugin)])
    began = int(time.monotonic() * 1000)
    connection = send(host, header(client))
    accepted, _ = (upstream6 if six else upstream).accept()
    finish(connection, accepted)
    closed = record.wait_for("closed")
    ended = time.monotonic() * 1000
    calls = record.calls("filter", "connected", "closed")
    assert len(calls) == 3
    for call in calls:
        assert call["client"] == text(client)
        assert call["destination"] == text(SERVICE6 if six else SERVICE4)
        assert call["upstream"] == ("[::1]:443" if six else "127.0.0.1:443")
        assert call["balancer"].startswith("127.0.0.1:")
        assert call["listener"] == "web"
        assert call["protocol"] == TCP
        assert call["header"] == (V1 if header is v1 else V2)
        assert call["flags"] == 0
        assert call["size"] >= 136
        assert str(call["session"]) == mmproxy.wait_for_log("session: closed")["id"]
        assert call["started"] == closed["started"]
        assert began <= call["started"] <= call["now"] <= call["read_clock"] <= ended
    assert not any("client_rest" in call or "balancer_rest" in call for call in calls)


def test_the_balancer_is_the_address_and_port_that_it_sends_from(
    host, start_daemon, upstream, record
):
    start_daemon(host, plugins=[record.entry("first")])
    connection, _ = open_session(host, upstream)
    assert record.calls("filter")[0]["balancer"] == text(connection.getsockname())


@pytest.mark.parametrize(
    "header, number",
    [(headers.local(), V2), (v2(CLIENT4, command=headers.LOCAL), V2), (b"PROXY UNKNOWN\r\n", V1)],
    ids=["v2_local", "v2_local_with_addresses", "v1_unknown"],
)
def test_a_header_without_a_client_shows_the_balancer_as_the_client(
    header, number, host, start_daemon, upstream, record
):
    # Which is a loopback address here.
    start_daemon(host, plugins=[record.entry("first")])
    connection = send(host, header)
    upstream.accept()
    call = record.wait_for("filter")
    assert call["flags"] == LOCAL
    assert call["client"] == call["balancer"] == text(connection.getsockname())
    assert call["destination"] is None
    assert call["header"] == number


def test_a_mapped_address_is_shown_as_ipv4(host, start_daemon, upstream, record):
    start_daemon(host, plugins=[record.entry("first")], listen="*:8443")
    mapped = (headers.mapped(CLIENT4[0]), CLIENT4[1])
    service = (headers.mapped(SERVICE4[0]), SERVICE4[1])
    connection = send(host, v2(mapped, service))
    upstream.accept()
    call = record.wait_for("connected")
    assert call["client"] == text(CLIENT4)
    assert call["destination"] == text(SERVICE4)
    assert call["upstream"] == "127.0.0.1:443"
    assert call["balancer"] == text(connection.getsockname())
    assert not any(f"{name}_rest" in call for name in ("client", "destination", "balancer"))


def test_the_listener_is_the_one_that_was_connected_to(host, start_daemon, upstream, record):
    entries = [record.entry("first")]
    other = listener("other", listen="127.0.0.1:8444")
    start_daemon(host, config=configuration(listener("web"), other, plugins=entries))
    host.connect(("127.0.0.1", 8444)).sendall(v2(CLIENT4))
    send(host, v2((CLIENT4[0], 41001)))
    upstream.accept_many(2)
    seen = {call["client"]: call["listener"] for call in record.wait_for_calls(2, "connected")}
    assert seen == {"203.0.113.9:41000": "other", "203.0.113.9:41001": "web"}


def shown(tlvs):
    return "".join(f"{kind:02x}/{len(value)}:{value[:64].hex()}," for kind, value in tlvs)


@every_version
def test_every_hook_can_read_the_tlvs(plugin, host, start_daemon, upstream, record):
    tlvs = [
        (headers.ALPN, b"h2"),
        (headers.AUTHORITY, b"example.com"),
        (0xE0, b"one"),
        (headers.NOOP, b""),
        (0xE0, b"two"),
        (headers.UNIQUE_ID, bytes(range(64))),
        (headers.AWS, b"\x01vpce-08d2bf15fac5001c9"),
    ]
    inner = [(headers.SSL_VERSION, b"TLSv1.3"), (headers.SSL_CN, b"client.example")]
    block = b"".join(headers.tlv(*one) for one in tlvs) + headers.ssl_tlv()
    start_daemon(host, plugins=[record.entry("first", plugin)])
    connection = send(host, v2(CLIENT4, tlvs=block))
    finish(connection, upstream.accept()[0])
    record.wait_for("closed")
    ssl = (headers.SSL, headers.ssl_tlv()[3:])
    for call in record.calls("filter", "connected", "closed"):
        assert call["tlvs"] == shown([*tlvs, ssl])
        assert call["ssl"] == shown(inner)
        assert call["tlv_differ"] == 0
        assert call["tlv_end"] == call["ssl_end"] == -2


@pytest.mark.parametrize("header", [v1(CLIENT4), v2(CLIENT4)], ids=["v1", "v2"])
def test_a_header_without_tlvs_has_none(header, host, start_daemon, upstream, record):
    start_daemon(host, plugins=[record.entry("first")])
    send(host, header)
    upstream.accept()
    call = record.wait_for("connected")
    assert call["tlvs"] == call["ssl"] == ""
    assert call["tlv_end"] == call["ssl_end"] == -2


def test_what_stands_behind_a_local_header_is_discarded(host, start_daemon, upstream, record):
    """As section 2.2 of the specification demands."""
    start_daemon(host, plugins=[record.entry("first")])
    send(host, headers.local(headers.tlv(headers.NOOP, b"check")))
    upstream.accept()
    assert record.wait_for("connected")["tlvs"] == ""


def test_a_slot_is_empty_at_first_and_each_plugins_own(host, start_daemon, upstream, record):
    start_daemon(host, plugins=[record.entry("first"), record.entry("second")])
    sessions = [open_session(host, upstream, client) for client in clients(10)]
    for session in sessions:
        finish(*session)
    record.wait_for_calls(20, "closed")
    assert {call["slot"] for call in record.calls("filter")} == {"empty"}
    assert {call["slot"] for call in record.calls("connected", "closed")} == {"own"}


# How a session ended.


@every_version
def test_closed_is_told_how_much_went_each_way_and_for_how_long(
    plugin, host, start_daemon, upstream, record
):
    start_daemon(host, plugins=[record.entry("first", plugin)])
    began = time.monotonic()
    session = open_session(host, upstream)
    time.sleep(0.2)  # which is to be seen
    finish(*session)
    call = record.wait_for("closed")
    longest = (time.monotonic() - began) * 1000 + 1  # mmproxy has whole milliseconds
    assert (call["reason"], call["error"]) == ("finished", 0)
    assert call["plugin"] is None and call["why"] is None
    assert_category(call, 1)
    assert call["end_flags"] == CONNECTED
    assert call["bytes_from_client"] == len(b"question")
    assert call["bytes_from_upstream"] == len(b"the answer")
    assert call["datagrams_from_client"] == call["datagrams_from_upstream"] == 0
    assert 200 <= call["duration"] <= longest
    assert call["duration"] == call["now"] - call["started"]
    assert call["upstream_sees"] is None
    assert call["end_size"] >= 104


def test_closed_is_told_the_port_that_the_upstream_sees_instead(
    host, start_daemon, upstream, record
):
    start_daemon(host, plugins=[record.entry("first")])
    connection = send(host, v2((CLIENT4[0], 0)))
    accepted, peer = upstream.accept()
    finish(connection, accepted)
    assert record.wait_for("closed")["upstream_sees"] == text(peer)


def test_an_upstream_that_refuses_is_told_to_connected_and_closed(host, start_daemon, record):
    start_daemon(host, plugins=[record.entry("first")])
    wait_until_ended(send(host, v2(CLIENT4)))
    closed = record.wait_for("closed")
    assert record.hooks() == ["first filter", "first connected", "first closed"]
    assert record.calls("connected")[0]["error"] == -111
    assert (closed["reason"], closed["error"]) == ("connect-refused", -111)
    assert_category(closed, 200)
    assert closed["end_flags"] == 0


def test_an_upstream_that_does_not_answer_is_told_to_connected_and_closed(
    host, start_daemon, upstream, record
):
    host.nft("add table inet t\nadd chain inet t in { type filter hook input priority 0; }\n"
             "add rule inet t in tcp dport 443 drop\n")
    start_daemon(host, plugins=[record.entry("first")], connect_timeout=0.3)
    wait_until_ended(send(host, v2(CLIENT4)))
    closed = record.wait_for("closed")
    assert record.calls("connected")[0]["error"] == -110
    assert closed["reason"] == "connect-timeout"
    assert_category(closed, 200)


def test_no_plugin_is_asked_about_a_client_without_an_upstream_of_its_family(
    host, start_daemon, upstream, record
):
    entries = [record.entry("first")]
    mmproxy = start_daemon(host, plugins=entries, forward={"ipv4": "127.0.0.1:443"})
    wait_until_ended(send(host, v2(CLIENT6)))
    mmproxy.assert_closed("no-forward-ipv6")
    assert record.hooks() == []


def test_sessions_that_end_with_mmproxy_are_closed_before_the_instance(
    host, start_daemon, upstream, record
):
    mmproxy = start_daemon(host, plugins=[record.entry("first")], top={"drain_timeout": 0})
    sessions = [open_session(host, upstream, client) for client in clients(5)]
    mmproxy.stop()
    assert [call["reason"] for call in record.calls("closed")] == ["shutdown"] * len(sessions)
    assert record.calls()[-1].hook == "close"
    record.assert_each_session_was_closed_once()


# Which plugins a listener has.


def test_a_listeners_list_replaces_that_of_the_top(host, start_daemon, upstream, record):
    config = configuration(
        listener("web"),
        listener("own", listen="127.0.0.1:8444", plugins=[record.entry("own")]),
        listener("none", listen="127.0.0.1:8445", plugins="EMPTY"),
        plugins=[record.entry("top")],
    ).replace('"EMPTY"', "( )")
    start_daemon(host, config=config)
    for number, port in enumerate([8443, 8444, 8445]):
        host.connect(("127.0.0.1", port)).sendall(v2((CLIENT4[0], 41000 + number)))
        upstream.accept()
    record.wait_for_calls(2, "connected")
    seen = [(call["label"], call["listener"]) for call in record.calls("filter")]
    assert seen == [("top", "web"), ("own", "own")]


def test_an_entry_at_the_top_is_one_instance_for_all_its_listeners(
    host, start_daemon, upstream, record
):
    other = listener("other", listen="127.0.0.1:8444")
    config = configuration(listener("web"), other, plugins=[record.entry("top")])
    mmproxy = start_daemon(host, config=config)
    for port in 8443, 8444:
        host.connect(("127.0.0.1", port)).sendall(v2((CLIENT4[0], port)))
        upstream.accept()
    record.wait_for_calls(2, "connected")
    mmproxy.stop()
    assert len(record.calls("open")) == len(record.calls("close")) == 1
