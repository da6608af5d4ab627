# SPDX-License-Identifier: MIT
"""Dialling the upstream from the client's address and port: what is kept, what gives way, and what
the client hears when the upstream can't be reached."""

import hashlib
import re
import socket
import time

import pytest

import network
from headers import CLIENT4, CLIENT6, v1, v2
from sessions import MMPROXY, assert_alive, open_session, send, unused_client
from settings import configuration, listener
from traffic import (
    EOF,
    RESET,
    fill_until_throttled,
    hash_to_end,
    read_exactly,
    reset,
    wait_until_ended,
)
from upstreams import UPSTREAM4, Listener

both_families = pytest.mark.parametrize("client", [CLIENT4, CLIENT6], ids=["ipv4", "ipv6"])


def wildcard(client):
    return "::" if ":" in client[0] else "0.0.0.0"


@both_families
def test_an_upstream_that_is_down_is_passed_on_as_a_reset(client, host, mmproxy):
    connection = send(host, v2(client) + b"payload")
    assert wait_until_ended(connection) == RESET
    line = mmproxy.wait_for_log("session: failed")
    assert line["reason"] == "connect-refused"
    assert line["client"].replace("[", "").replace("]", "") == "%s:%d" % client
    assert line["upstream"] in ("127.0.0.1:443", "[::1]:443")
    mmproxy.assert_closed("connect-refused")


def test_an_upstream_that_comes_back_is_reached_again(host, mmproxy):
    wait_until_ended(send(host, v2(CLIENT4)))
    upstream = Listener(host)
    send(host, v2(CLIENT4))
    assert upstream.accept()[1] == CLIENT4


def assert_given_up(mmproxy):
    """After the test's connect_timeout, and not the one that there is without, of 5 s."""
    line = mmproxy.wait_for_log("session: failed")
    assert line["reason"] == "connect-timeout"
    assert float(line["duration"]) < 4.5


def test_a_black_hole_is_given_up_after_connect_timeout(host, start_daemon, upstream):
    mmproxy = start_daemon(host, connect_timeout=1.0)
    host.nft("add table inet t\nadd chain inet t in { type filter hook input priority 0; }\n"
             "add rule inet t in tcp dport 443 drop\n")
    began = time.monotonic()
    connection = send(host, v2(CLIENT4) + b"payload")
    wait_until_ended(connection)
    assert time.monotonic() - began >= 0.9
    assert_given_up(mmproxy)
    mmproxy.assert_closed("connect-timeout")


def test_an_upstream_whose_queue_is_full_is_given_up_after_connect_timeout(host, start_daemon):
    Listener(host, backlog=0)
    filler = host.connect(UPSTREAM4)
    mmproxy = start_daemon(host, connect_timeout=0.7)
    began = time.monotonic()
    wait_until_ended(send(host, v2(CLIENT4)))
    assert time.monotonic() - began >= 0.6
    assert_given_up(mmproxy)
    filler.close()


def test_a_client_that_returns_from_the_same_port_is_served(host, mmproxy, upstream):
    """Its earlier session is over, but the kernel remembers the tuple for a while."""
    for number in range(3):
        connection = send(host, v2(CLIENT4) + b"again")
        session, (address, _) = upstream.accept()
        assert address == CLIENT4[0]
        assert read_exactly(session, 5) == b"again"
        connection.close()
        wait_until_ended(session)
        session.close()
        mmproxy.assert_closed("finished", number + 1)


def test_a_client_that_leaves_during_the_dial_is_noticed(host, start_daemon, upstream):
    mmproxy = start_daemon(host, connect_timeout=30.0)
    host.nft("add table inet t\nadd chain inet t in { type filter hook input priority 0; }\n"
             "add rule inet t in tcp dport 443 drop\n")
    connection = send(host, v2(CLIENT4))
    mmproxy.wait_until_idle()
    reset(connection)  # the end of what it sends would not do: it may still want an answer
    assert mmproxy.wait_for_log("session: failed|session: closed")["reason"] == "client-left"


def test_an_upstream_that_accepts_and_stalls_throttles_the_client(host, mmproxy, upstream):
    host.shrink_buffers()
    before = mmproxy.memory()
    connection = send(host, v2(CLIENT4))
    sent = hashlib.sha256()
    taken = fill_until_throttled(connection, digest=sent)
    assert taken < 4 << 20
    mmproxy.assert_memory_grew_less(before, 2 << 20)
    # Once it does accept, everything is there.
    connection.shutdown(socket.SHUT_WR)
    session, _ = upstream.accept()
    assert hash_to_end(session) == (sent.hexdigest(), taken, EOF)


@both_families
def test_a_port_that_a_wildcard_listener_holds_is_kept(client, host, mmproxy, upstream, upstream6):
    listener = upstream6 if ":" in client[0] else upstream
    Listener(host, (wildcard(client), client[1]))
    connection = send(host, v2(client) + b"payload")
    session, peer = listener.accept()
    assert peer == client
    assert read_exactly(session, 7) == b"payload"
    session.sendall(b"answer")
    assert read_exactly(connection, 6) == b"answer"
    mmproxy.assert_counter("dial_repair_binds")
    assert mmproxy.counters()["port_conflicts"] == 0


def test_a_port_that_a_listener_for_both_families_holds_is_kept(host, mmproxy, upstream):
    both = host.socket(socket.AF_INET6)
    both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    both.bind(("::", CLIENT4[1]))
    both.listen()
    send(host, v2(CLIENT4))
    assert upstream.accept()[1] == CLIENT4


def test_mmproxys_own_port_is_kept_as_a_clients_port(host, mmproxy, upstream):
    client = (CLIENT4[0], 8443)
    send(host, v2(client))
    assert upstream.accept()[1] == client


def test_a_client_on_this_host_keeps_its_port(host, start_daemon, upstream):
    """Its own socket holds the address and the port that mmproxy dials from."""
    host.add_interface("192.0.2.1/24", "2001:db8:5::1/64")
    start_daemon(host, subnets="any", permit_sources=["192.0.2.1"])
    connection = host.connect(MMPROXY, source=("192.0.2.1", 0))
    connection.sendall(v1(connection.getsockname()))
    assert upstream.accept()[1] == connection.getsockname()


@both_families
@pytest.mark.parametrize("taken", [False, True], ids=["plain_bind", "repair_bind"])
def test_a_service_can_start_on_the_port_of_a_live_client(
    taken, client, host, mmproxy, upstream, upstream6
):
    listener = upstream6 if ":" in client[0] else upstream
    if taken:
        service = Listener(host, (wildcard(client), client[1]))
    connection = send(host, v2(client))
    session, peer = listener.accept()
    assert peer == client
    if taken:
        service.close()
    service = Listener(host, (wildcard(client), client[1]))
    own = "::1" if ":" in client[0] else "127.0.0.1"
    visitor = host.connect((own, client[1]))
    assert service.accept()[1] == visitor.getsockname()[:2]
    connection.sendall(b"still here")
    assert read_exactly(session, 10) == b"still here"


def test_port_conflict_refuse_ends_the_second_session_of_a_live_tuple(host, start_daemon, upstream):
    mmproxy = start_daemon(host, port_conflict="refuse")
    connection = send(host, v2(CLIENT4))
    session, _ = upstream.accept()
    second = send(host, v2(CLIENT4) + b"second")
    wait_until_ended(second)
    assert mmproxy.wait_for_log("session: failed")["reason"] == "port-conflict"
    upstream.assert_untouched()
    connection.sendall(b"first")
    assert read_exactly(session, 5) == b"first"
    mmproxy.assert_closed("port-conflict")


def test_port_conflict_refuse_keeps_a_port_that_a_listener_holds(host, start_daemon, upstream):
    start_daemon(host, port_conflict="refuse")
    Listener(host, ("0.0.0.0", CLIENT4[1]))
    send(host, v2(CLIENT4))
    assert upstream.accept()[1] == CLIENT4


@pytest.mark.parametrize("address", [CLIENT4[0], CLIENT6[0]], ids=["ipv4", "ipv6"])
def test_a_client_on_port_53_gets_another_port_and_is_counted(
    address, host, mmproxy, upstream, upstream6
):
    send(host, v2((address, 53)))
    _, peer = (upstream6 if ":" in address else upstream).accept()
    assert peer[0] == address
    assert peer[1] >= 1024
    mmproxy.assert_counter("client_port_privileged")
    assert mmproxy.counters()["port_conflicts"] == 0


def test_a_client_on_port_53_is_refused_where_port_conflict_says_so(host, start_daemon, upstream):
    mmproxy = start_daemon(host, port_conflict="refuse")
    wait_until_ended(send(host, v2((CLIENT4[0], 53))))
    assert mmproxy.wait_for_log("session: failed")["reason"] == "client-port-privileged"
    upstream.assert_untouched()
    mmproxy.assert_counter("client_port_privileged")


def test_a_client_on_port_53_keeps_it_where_the_sysctl_allows_it(host, mmproxy, upstream):
    host.sysctl("net.ipv4.ip_unprivileged_port_start", 0)
    send(host, v2((CLIENT4[0], 53)))
    assert upstream.accept()[1] == (CLIENT4[0], 53)
    assert mmproxy.counters()["client_port_privileged"] == 0


@pytest.mark.parametrize(
    "forward, client, reason",
    [
        ({"ipv4": "127.0.0.1:443"}, CLIENT6, "no-forward-ipv6"),
        ({"ipv6": "[::1]:443"}, CLIENT4, "no-forward-ipv4"),
    ],
    ids=["ipv6", "ipv4"],
)
def test_a_family_without_an_upstream_is_refused(
    forward, client, reason, host, start_daemon, upstream, upstream6
):
    mmproxy = start_daemon(host, forward=forward)
    wait_until_ended(send(host, v2(client)))
    assert mmproxy.wait_for_log("session: failed")["reason"] == reason
    mmproxy.assert_closed(reason)
    upstream.assert_untouched()
    upstream6.assert_untouched()


def test_the_mark_is_on_the_dialled_connection(host, start_daemon, upstream):
    start_daemon(host, mark=0x7B)
    host.nft("add table inet t\nadd chain inet t out { type filter hook output priority 0; }\n"
             "add rule inet t out meta mark 0x7b tcp dport 443 counter\n")
    send(host, v2(CLIENT4))
    assert upstream.accept()[1] == CLIENT4
    listed = host.run(["nft", "list", "table", "inet", "t"]).stdout
    assert int(re.search(r"counter packets (\d+)", listed).group(1)) > 0


def test_a_reload_changes_the_mark_of_new_connections(host, start_daemon, upstream):
    mmproxy = start_daemon(host, mark=0x7B)
    host.nft("add table inet t\nadd chain inet t out { type filter hook output priority 0; }\n"
             "add rule inet t out meta mark 0x7b tcp dport 443 counter\n"
             "add rule inet t out meta mark 0x7c tcp dport 443 counter\n")

    def packets(mark):
        listed = host.run(["nft", "list", "table", "inet", "t"]).stdout
        return int(re.search(rf"mark 0x0*{mark:x} .*counter packets (\d+)", listed).group(1))

    old = open_session(host, upstream)
    assert packets(0x7B) > 0 and packets(0x7C) == 0
    mmproxy.write_config(configuration(listener(mark=0x7C)))
    assert mmproxy.reload().event == "config: reloaded"
    # The live one keeps its own.
    assert_alive(*old)
    before = packets(0x7B)
    assert packets(0x7C) == 0
    assert_alive(*open_session(host, upstream, unused_client()))
    assert packets(0x7B) == before and packets(0x7C) > 0


def test_a_mark_of_32_bits_is_taken(host, start_daemon, upstream):
    config = """
        log = { level = "debug"; };
        listeners = ( {
            name = "web"; listen = "127.0.0.1:8443"; forward = { ipv4 = "127.0.0.1:443"; };
            subnets = "any"; mark = 4294967295L;
        } );
    """
    start_daemon(host, config=config)
    host.nft("add table inet t\nadd chain inet t out { type filter hook output priority 0; }\n"
             "add rule inet t out meta mark 0xffffffff tcp dport 443 counter\n")
    send(host, v2(CLIENT4))
    upstream.accept()
    listed = host.run(["nft", "list", "table", "inet", "t"]).stdout
    assert int(re.search(r"counter packets (\d+)", listed).group(1)) > 0


@pytest.mark.parametrize("client", [CLIENT4, CLIENT6], ids=["ipv4", "ipv6"])
def test_the_fwmark_form_of_the_return_path_works(client, start_daemon):
    made = network.Namespace("fwmark")
    try:
        made.sysctl("net.ipv4.tcp_fwmark_accept", 1)
        made.ip("rule add fwmark 123 table 123\nroute add local 0.0.0.0/0 dev lo table 123\n")
        made.ip("rule add fwmark 123 table 123\nroute add local ::/0 dev lo table 123\n", "-6")
        upstream = Listener(made, ("::1", 443) if ":" in client[0] else UPSTREAM4)
        mmproxy = start_daemon(made, mark=123)
        connection = send(made, v2(client) + b"payload")
        session, peer = upstream.accept()
        assert peer == client
        assert read_exactly(session, 7) == b"payload"
        session.sendall(b"answer")
        assert read_exactly(connection, 6) == b"answer"
        mmproxy.stop()
    finally:
        made.destroy()


@pytest.mark.parametrize("port", [0, 53])
def test_the_log_names_the_port_that_the_upstream_sees_instead(port, host, mmproxy, upstream):
    connection = send(host, v2((CLIENT4[0], port)) + b"x")
    _, peer = upstream.accept()
    host.close_sockets()
    upstream.close()
    line = mmproxy.wait_for_log("session: closed")
    assert line["client"] == f"{CLIENT4[0]}:{port}"
    assert line["upstream_sees"] == f"{peer[0]}:{peer[1]}"
    connection.close()


@pytest.mark.parametrize("client", [CLIENT4, CLIENT6], ids=["ipv4", "ipv6"])
def test_marks_that_connection_tracking_brings_back_make_a_return_path(client, start_daemon):
    """doc/routing.md, without tcp_fwmark_accept: an upstream on an address that others use as well.

    An answer reaches the hook only where the host has a route to the client, whichever.
    """
    own = "2001:db8:9::1" if ":" in client[0] else "192.0.2.1"
    made = network.Namespace("connmark")
    try:
        made.add_interface("192.0.2.1/24", "2001:db8:9::1/64")
        for family, router, all_of_it in (
            ("-4", "192.0.2.2", "0.0.0.0/0"),
            ("-6", "2001:db8:9::2", "::/0"),
        ):
            made.ip(
                f"route add default via {router}\n"
                "rule add fwmark 123 table 123\n"
                f"route add local {all_of_it} dev lo table 123\n",
                family,
            )
        made.nft(
            "table inet mmproxy {\n"
            "  chain output {\n"
            "    type route hook output priority mangle;\n"
            "    meta mark 123 ct mark set meta mark\n"
            "    ct direction reply ct mark 123 meta mark set ct mark\n"
            "  }\n"
            "}\n"
        )
        upstream = Listener(made, (own, 443))
        mmproxy = start_daemon(
            made, mark=123, forward={"ipv4": "192.0.2.1:443", "ipv6": "[2001:db8:9::1]:443"}
        )
        connection = send(made, v2(client) + b"payload")
        session, peer = upstream.accept()
        assert peer == client
        assert read_exactly(session, 7) == b"payload"
        session.sendall(b"answer")
        assert read_exactly(connection, 6) == b"answer"
        mmproxy.stop()
    finally:
        made.destroy()
