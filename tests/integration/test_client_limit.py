# SPDX-License-Identifier: MIT
"""max_sessions_per_client: what one client may have at a listener, whichever worker serves it."""

import pytest

import headers
import plugins
from control import wait_for_sessions
from headers import CLIENT4, CLIENT6, mapped, v1, v2
from sessions import MMPROXY, assert_alive
from settings import configuration, listener, udp_listener
from traffic import EOF, read_to_end
from udp import Balancer, question, round_trip

LIMIT = "client-limit"


def served(host, upstream, header, to=MMPROXY):
    connection = host.connect(to)
    connection.sendall(header)
    accepted, _ = upstream.accept()
    assert_alive(connection, accepted)
    return connection, accepted


def assert_refused(host, header, to=MMPROXY):
    """An orderly end, and no byte of the upstream's."""
    connection = host.connect(to)
    connection.sendall(header)
    assert read_to_end(connection) == (b"", EOF)
    connection.close()


def port(number, address=CLIENT4[0]):
    return (address, 41000 + number)


@pytest.mark.parametrize("workers", [1, 2])
def test_one_session_more_is_refused_whichever_worker_has_the_others(
    workers, host, start_daemon, upstream
):
    mmproxy = start_daemon(host, max_sessions_per_client=8, top={"workers": workers})
    sessions = [served(host, upstream, v2(port(number))) for number in range(8)]
    for number in range(8, 12):
        assert_refused(host, v2(port(number)))
    upstream.assert_untouched()
    line = mmproxy.wait_for_log("session: refused")
    assert line["reason"] == LIMIT
    assert line["client"] == f"{CLIENT4[0]}:41008"
    mmproxy.assert_closed(LIMIT, 4)
    # Nobody else is concerned.
    served(host, upstream, v2(port(0, "203.0.113.10")))
    for session in sessions:
        assert_alive(*session)


def test_a_session_that_ends_makes_way_for_the_next(host, start_daemon, upstream):
    mmproxy = start_daemon(host, max_sessions_per_client=1)
    for number in range(5):
        connection, accepted = served(host, upstream, v2(port(number)))
        assert_refused(host, v2(port(100 + number)))
        connection.close()
        assert read_to_end(accepted) == (b"", EOF)
        accepted.close()
        wait_for_sessions(mmproxy, 0)
    mmproxy.assert_closed(LIMIT, 5)


def test_it_is_one_client_however_its_address_is_written(host, start_daemon, upstream, upstream6):
    mmproxy = start_daemon(host, max_sessions_per_client=1)
    served(host, upstream, v1(port(0)))
    assert_refused(host, v1(port(1, mapped(CLIENT4[0])), headers.SERVICE6))
    assert_refused(host, v2(port(2, mapped(CLIENT4[0])), headers.SERVICE6))
    # And a /64 of IPv6 is one, too.
    served(host, upstream6, v2(CLIENT6))
    assert_refused(host, v2(("2001:db8:c::ffff", 1000)))
    served(host, upstream6, v2(("2001:db8:c:1::9", 1000)))
    mmproxy.assert_closed(LIMIT, 3)


def test_health_checks_are_no_clients(host, start_daemon, upstream):
    mmproxy = start_daemon(host, max_sessions_per_client=1)
    for header in headers.local(), b"PROXY UNKNOWN\r\n", headers.nlb_health_check():
        for _ in range(3):
            served(host, upstream, header)
    assert mmproxy.counters()["sessions_closed_client_limit"] == 0


def test_each_listener_counts_for_itself(host, start_daemon, upstream):
    second = ("127.0.0.1", 8444)
    both = [
        listener(max_sessions_per_client=1),
        listener("mail", listen="127.0.0.1:8444", max_sessions_per_client=1),
    ]
    start_daemon(host, config=configuration(*both))
    served(host, upstream, v2(port(0)))
    served(host, upstream, v2(port(1)), to=second)
    assert_refused(host, v2(port(2)))
    assert_refused(host, v2(port(3)), to=second)


def test_a_client_that_has_too_many_is_not_shown_to_plugins(host, start_daemon, upstream):
    passing, denying = (
        plugins.entry("acl", {"deny": address}) for address in ("192.0.2.99", CLIENT4[0])
    )
    mmproxy = start_daemon(host, max_sessions_per_client=1, plugins=[passing])
    served(host, upstream, v2(port(0)))
    mmproxy.write_config(configuration(listener(max_sessions_per_client=1, plugins=[denying])))
    assert mmproxy.reload().event == "config: reloaded"
    assert_refused(host, v2(port(1)))
    mmproxy.assert_closed(LIMIT)
    assert mmproxy.counters()["sessions_closed_plugin_denied"] == 0


def test_the_count_outlives_a_reload_and_a_new_name(host, start_daemon, upstream):
    mmproxy = start_daemon(host, max_sessions_per_client=2)
    sessions = [served(host, upstream, v2(port(number))) for number in range(2)]

    def reload(name="web", **settings):
        mmproxy.write_config(configuration(listener(name, **settings)))
        assert mmproxy.reload().event == "config: reloaded"

    reload(max_sessions_per_client=2, mark=7)
    assert_refused(host, v2(port(2)))
    reload("renamed", max_sessions_per_client=2)
    assert_refused(host, v2(port(3)))
    # A higher limit lets one more in, a lower one ends nobody.
    reload("renamed", max_sessions_per_client=3)
    sessions.append(served(host, upstream, v2(port(4))))
    reload("renamed", max_sessions_per_client=1)
    assert_refused(host, v2(port(5)))
    for session in sessions:
        assert_alive(*session)
    reload("renamed")
    served(host, upstream, v2(port(6)))
    mmproxy.assert_closed(LIMIT, 3)


# UDP.


@pytest.mark.parametrize("framing", ["every", "first", "spp"])
def test_one_flow_more_is_dropped_and_remembered(framing, host, start_udp, udp_upstream):
    mmproxy = start_udp(host, framing, max_sessions_per_client=2)
    balancers = [Balancer(host, framing) for _ in range(4)]
    for number in range(2):
        round_trip(balancers[number], udp_upstream, port(number))
    for _ in range(10):
        balancers[2].send(port(2), b"lost", header=True)
    mmproxy.wait_for_counter("datagrams_dropped_denied", 9)
    udp_upstream.assert_untouched()
    mmproxy.assert_closed(LIMIT, 1)
    mmproxy.assert_counter("datagrams_dropped_denied", 9)
    assert mmproxy.wait_for_log("session: refused")["reason"] == LIMIT
    round_trip(balancers[3], udp_upstream, port(0, "203.0.113.10"))
    for number in range(2):
        round_trip(balancers[number], udp_upstream, port(number))


def test_a_flow_that_has_ended_makes_way(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, idle_timeout=0.3, max_sessions_per_client=1)
    balancer = Balancer(host)
    # An answer might come when the flow has ended again.
    question(balancer, udp_upstream, port(0))
    mmproxy.wait_for_counter("sessions_closed_idle_timeout")
    question(balancer, udp_upstream, port(1))
    assert mmproxy.counters()["sessions_closed_client_limit"] == 0


def test_a_balancer_that_fails_over_takes_the_clients_only_flow_along(
    host, start_udp, udp_upstream
):
    mmproxy = start_udp(host, max_sessions_per_client=1, top={"workers": 2})
    # Each has a port of its own, so that some of them are another worker's.
    for number in range(16):
        balancer = Balancer(host, source=f"127.0.0.{1 + number}")
        assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
    assert mmproxy.wait_for_counter("sessions_closed_client_limit", 0)["port_conflicts"] == 0
    assert mmproxy.counters()["sessions_closed_client_limit"] == 0
    assert mmproxy.counters()["sessions_closed_flow_moved"] >= 1


def test_tcp_and_udp_count_apart(host, start_daemon, upstream, udp_upstream):
    both = [listener(max_sessions_per_client=1), udp_listener(max_sessions_per_client=1)]
    start_daemon(host, config=configuration(*both, drain_timeout=0))
    served(host, upstream, v2(port(0)))
    balancer = Balancer(host)
    round_trip(balancer, udp_upstream, port(1))
    assert_refused(host, v2(port(2)))
