# SPDX-License-Identifier: MIT
"""routing.mode = "manage": what the return path needs is there, and gone when it is not needed."""

import re
import time

import pytest

import ctl
import network
import rules
from headers import CLIENT4, CLIENT6, v2
from sessions import assert_alive, close, send, unused_client
from settings import configuration, listener, udp_listener
from traffic import Background
from udp import Balancer, both_families, round_trip
from upstreams import UPSTREAM4, UPSTREAM6, Datagrams, Listener, Server, echo

MANAGE = {"mode": "manage"}


@pytest.fixture
def managed(bare, start_daemon):
    """mmproxy in `bare`, which manages the return path of a TCP and a UDP listener."""
    listeners = listener(), udp_listener()
    return start_daemon(bare, config=configuration(*listeners, drain_timeout=0, routing=MANAGE))


def family_of(client):
    return 6 if ":" in client[0] else 4


def assert_serves(namespace, client, upstream):
    """A new session; it may come from any port."""
    connection = send(namespace, v2(client))
    accepted, peer = upstream.accept()
    assert peer[0] == client[0]
    assert_alive(connection, accepted)
    close(connection, accepted)


def assert_gone(namespace, table=rules.TABLE):
    assert rules.is_empty(namespace, table), rules.everything(namespace)


# From nothing.


@both_families
def test_from_nothing_a_tcp_client_is_served(client, bare, managed):
    upstream = Listener(bare, UPSTREAM6 if ":" in client[0] else UPSTREAM4)
    assert_serves(bare, client, upstream)
    assert rules.loopback_is_managed(bare), rules.everything(bare)


@both_families
def test_from_nothing_a_udp_client_is_answered(client, bare, managed):
    upstream = Datagrams(bare, UPSTREAM6 if ":" in client[0] else UPSTREAM4)
    assert round_trip(Balancer(bare), upstream, client) == client


def test_the_return_path_is_there_before_a_client_is_accepted(bare, start_daemon):
    for _ in range(3):
        mmproxy = start_daemon(bare, top={"routing": MANAGE}, ready=False)
        mmproxy.wait_for_log("listener: listening")
        assert rules.loopback_is_managed(bare)
        mmproxy.stop()
        assert_gone(bare)


def test_another_table_is_used_when_told_to(bare, start_daemon):
    mmproxy = start_daemon(bare, top={"routing": {**MANAGE, "table": 70123}})
    upstream = Listener(bare)
    assert_serves(bare, CLIENT4, upstream)
    assert rules.rules(bare, 4) == [("127.0.0.0/8", None, 70123, rules.PROTOCOL)]
    assert rules.routes(bare, 4) == []
    mmproxy.stop()
    assert_gone(bare, 70123)


# Wiped, and put back.


def flush_rules(bare):
    rules.flush_rules(bare, 4)
    rules.flush_rules(bare, 6)


def flush_routes(bare):
    bare.ip("route flush table 123")
    bare.ip("route flush table 123", "-6")


def delete_ours(bare):
    bare.ip("rule del from 127.0.0.0/8 iif lo table 123\nroute del local default dev lo table 123")


def flush_all(bare):
    flush_rules(bare)
    flush_routes(bare)


WIPES = [flush_rules, flush_routes, delete_ours, flush_all]


@pytest.mark.parametrize("wipe", WIPES)
def test_what_is_wiped_under_traffic_is_put_back(wipe, bare, managed):
    Server(bare, echo)
    upstream6 = Listener(bare, UPSTREAM6)
    connection = send(bare, v2(unused_client()))
    connection.settimeout(30)
    stop = []

    def talk():
        count = 0
        while not stop:
            connection.sendall(b"x" * 1000)
            received = 0
            while received < 1000:
                received += len(connection.recv(1000 - received))
            count += 1
        return count

    talking = Background(talk)
    for _ in range(3):
        wipe(bare)
        rules.wait_until_put_back(bare)
    another = send(bare, v2(unused_client()))
    another.sendall(b"ping")
    assert another.recv(4) == b"ping"
    assert_serves(bare, CLIENT6, upstream6)
    stop.append(True)
    assert talking.result() > 0
    line = managed.wait_for_log("routing: put back")
    assert "table 123" in line["what"] and line.level == "warning"


def test_a_wipe_is_told_once_and_counted(bare, start_daemon):
    mmproxy = start_daemon(bare, top={"routing": MANAGE, "control": {}})
    # It sees all of it at once, however long that takes.
    with mmproxy.halted():
        flush_all(bare)
    rules.wait_until_put_back(bare)
    line = mmproxy.wait_for_log("routing: put back")
    assert line["what"].split("; ") == [
        "ip route local default dev lo table 123",
        "ip -6 route local default dev lo table 123",
        "ip rule from 127.0.0.0/8 iif lo table 123",
        "ip -6 rule from ::1/128 iif lo table 123",
    ]
    status = ctl.ask(mmproxy.control_socket, "status")
    assert status["routing"] == {"mode": "manage", "managed": 4, "missing": 0, "put_back": 1}
    assert len(mmproxy.log_lines("routing: put back")) == 1


def test_a_quarrel_about_a_rule_stays_small(bare, managed):
    """Something that removes it as soon as it is there: a try each 300 ms, and few lines."""
    delete = "rule del from 127.0.0.0/8 iif lo table 123\n"
    began, deleted = time.monotonic(), 0
    while time.monotonic() - began < 8:
        if rules.rules(bare, 4):
            bare.ip(delete)
            deleted += 1
    assert 8 <= deleted <= 8 / 0.3 + 2
    assert 1 <= len(managed.log_lines("routing: put back")) <= 6
    rules.wait_until_put_back(bare)


def test_others_changes_cost_nothing(bare, managed):
    """A feed of routes and rules that are not ours is not a reason to look."""
    bare.add_interface("192.0.2.1/24", "2001:db8:2::1/64")
    managed.wait_until_idle()
    before = managed.cpu_seconds()
    for _ in range(3):
        prefixes = [f"10.{a}.{b}.0/24" for a in range(40) for b in range(100)]
        bare.ip("".join(f"route add {prefix} dev outside\n" for prefix in prefixes))
        bare.ip("route flush dev outside\n")
    managed.wait_until_idle()
    assert managed.cpu_seconds() - before < 1.0
    assert not managed.log_lines("routing: put back")


def test_a_route_that_takes_the_place_of_ours_is_told(bare, managed):
    """It is somebody's: it stays, and there is a line about it until it has gone."""
    bare.ip("route replace blackhole default table 123")
    line = managed.wait_for_log("routing: cannot be put in place")
    assert "table 123 has another default route" in line["why"] and line.level == "error"
    bare.ip("route del blackhole default table 123")
    rules.wait_until_put_back(bare)
    managed.wait_for_log("routing: in place now")
    assert len(managed.log_lines("routing: cannot be put in place")) == 1


# The end.


def test_nothing_is_left_at_the_end(bare, managed):
    assert rules.loopback_is_managed(bare)
    added = managed.wait_for_log("routing: put in place")["what"].split("; ")
    managed.stop()
    assert_gone(bare)
    removed = managed.log_lines("routing: removed")[0]["what"].split("; ")
    assert len(added) == 4 and sorted(removed) == sorted(added)


def test_a_start_that_fails_later_leaves_nothing(bare, start_daemon):
    broken = listener(plugins=[{"name": "nosuch"}])
    config = configuration(broken, routing=MANAGE)
    mmproxy = start_daemon(bare, config=config, ready=False)
    assert mmproxy.wait_until_ended() == 2
    assert mmproxy.log_lines("routing: put in place") and mmproxy.log_lines("routing: removed")
    assert_gone(bare)


def test_a_drain_keeps_it_until_the_last_session_has_ended(bare, start_daemon):
    mmproxy = start_daemon(bare, top={"routing": MANAGE, "drain_timeout": 60})
    upstream = Listener(bare)
    connection = send(bare, v2(CLIENT4))
    accepted, _ = upstream.accept()
    mmproxy.terminate()
    mmproxy.wait_for_log("daemon: stopping")
    assert_alive(connection, accepted)
    flush_all(bare)
    rules.wait_until_put_back(bare)
    assert_alive(connection, accepted)
    close(connection, accepted)
    assert mmproxy.wait_until_ended() == 0
    assert_gone(bare)


def test_what_somebody_else_has_put_there_stays(host, start_daemon, upstream):
    """`host` has the return path, set by hand as the manual says."""
    before = rules.everything(host)
    mmproxy = start_daemon(host, top={"routing": MANAGE})
    assert_serves(host, CLIENT4, upstream)
    assert rules.everything(host) == before
    mmproxy.stop()
    assert rules.everything(host) == before


def test_what_somebody_adds_meanwhile_stays_and_ours_goes(bare, managed):
    bare.ip("rule add from 127.0.0.0/8 iif lo table 123\n")
    managed.stop()
    assert rules.rules(bare, 4) == [("127.0.0.0/8", None, 123, None)]
    assert not rules.routes(bare, 4) and not rules.rules(bare, 6)


# What cannot be.


def test_a_table_that_has_another_default_route_refuses_the_start(bare, start_daemon):
    bare.add_interface("192.0.2.1/24", "2001:db8:2::1/64")
    bare.ip("route add default dev outside table 123\n")
    mmproxy = start_daemon(bare, top={"routing": MANAGE}, ready=False)
    assert mmproxy.wait_until_ended() == 1
    [line] = mmproxy.log_lines(" error ")
    assert line.event == "config: cannot be put in place"
    assert "table 123 has another default route, dev outside" in line["text"]
    assert "`routing.table`" in line["text"]
    assert rules.rules(bare, 4) == [] and rules.rules(bare, 6) == []
    assert rules.routes(bare, 6) == []
    assert [route[1] for route in rules.routes(bare, 4)] == ["default"]


def test_a_stranger_at_the_lock_delays_the_start_and_no_more(bare, start_daemon):
    stranger = bare.socket(network.socket.AF_UNIX)
    stranger.bind("\0mmproxy/routing/lock")
    stranger.listen()
    mmproxy = start_daemon(bare, top={"routing": MANAGE})
    assert mmproxy.wait_for_log("routing: the lock between instances").level == "warning"
    flush_all(bare)
    rules.wait_until_put_back(bare)
    mmproxy.stop()
    assert len(mmproxy.log_lines("routing: the lock between instances")) == 1
    assert_gone(bare)


def test_a_host_without_ipv6_is_managed_for_ipv4(bare, start_daemon):
    bare.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
    mmproxy = start_daemon(bare, top={"routing": MANAGE, "control": {}})
    assert_serves(bare, CLIENT4, Listener(bare))
    assert rules.loopback_is_managed(bare, families=[4])
    [line] = mmproxy.log_lines("routing: left out")
    assert line.level == "info" and "no IPv6" in line["why"]
    assert not mmproxy.log_lines(" (warning|error) routing")
    flush_all(bare)
    rules.wait_until_put_back(bare, lambda bare: rules.loopback_is_managed(bare, families=[4]))
    assert ctl.ask(mmproxy.control_socket, "status")["routing"]["missing"] == 1
    mmproxy.stop()
    assert_gone(bare)


def test_ipv6_that_is_switched_on_later_is_managed_from_then_on(bare, start_daemon):
    bare.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
    mmproxy = start_daemon(bare, top={"routing": MANAGE})
    bare.sysctl("net.ipv6.conf.all.disable_ipv6", 0)
    rules.wait_until_put_back(bare)
    mmproxy.wait_for_log("routing: in place now")
    assert_serves(bare, CLIENT6, Listener(bare, UPSTREAM6))


def test_lo_that_goes_down_and_comes_up_has_it_again(bare, managed):
    bare.ip("link set lo down\n")
    bare.ip("link set lo up\n")
    rules.wait_until_put_back(bare)
    assert_serves(bare, CLIENT6, Listener(bare, UPSTREAM6))


def test_off_changes_and_says_nothing(bare, start_daemon):
    mmproxy = start_daemon(bare, top={"routing": {"mode": "off"}})
    assert_gone(bare)
    assert not mmproxy.log_lines("routing: ")


# Those who ask.


def test_status_and_metrics_say_how_it_stands(bare, start_daemon):
    top = {"routing": MANAGE, "control": {}}
    mmproxy = start_daemon(bare, top=top)

    def shown():
        return re.search(r"^routing +(.*)$", ctl.run(mmproxy.control_socket, "status").stdout, re.M)

    assert shown()[1] == "managed, all is in place"
    bare.ip("route replace blackhole default table 123")
    mmproxy.wait_for_log("routing: cannot be put in place")
    assert shown()[1] == "managed, 1 of 4 rules and routes are missing; the log says why"
    metrics = ctl.run(mmproxy.control_socket, "metrics").stdout
    assert "\nmmproxy_routing_managed 4\n" in metrics
    assert "\nmmproxy_routing_missing 1\n" in metrics
    mmproxy.write_config(configuration(listener(), routing={"mode": "check"}, control={}))
    assert mmproxy.reload().event == "config: reloaded"
    assert shown()[1] == "check"
