# SPDX-License-Identifier: MIT
"""UDP: draining at the end, and what a reload changes for flows that live and those that come."""

import contextlib
import re
import signal
import time

import pytest

from headers import CLIENT4
from settings import configuration, udp_listener
from udp import (
    Balancer,
    answer,
    assert_nothing_reaches,
    both_families,
    framings,
    question,
    round_trip,
    text,
    wait_until_closed,
)
from udp_alive import repeated
from upstreams import Datagrams

OTHER = (CLIENT4[0], 41001)

# start_udp() would rather not wait for flows. This is longer than wait_until_ended() waits: who
# ends in time has not waited for it. How long exactly is the machine's affair.
DRAIN = {"drain_timeout": 30.0}

# For so long a drained flow may be silent.
DRAINED = 1.0


# The end.


def test_sigterm_without_flows_ends_at_once(host, start_udp):
    mmproxy = start_udp(host, top=DRAIN)
    mmproxy.terminate()
    assert mmproxy.wait_until_ended() == 0


def test_sigterm_lets_a_flow_finish_and_takes_no_new_clients(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, top=DRAIN)
    balancer, late = Balancer(host), Balancer(host)
    round_trip(balancer, udp_upstream, CLIENT4)
    exchanges = []

    def exchange():
        exchanges.append(time.time())
        # Of the other client the upstream gets nothing in between.
        assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4

    with repeated(exchange):
        mmproxy.terminate()
        mmproxy.wait_for_log("daemon: stopping")
        mmproxy.wait_until_idle()  # the line is the main thread's; the workers hear of it after
        end, number = time.monotonic() + 1.5 * DRAINED, 0
        while time.monotonic() < end:
            number += 1
            late.send(OTHER, b"too late")
            mmproxy.assert_counter("datagrams_dropped_draining", number)
            time.sleep(0.1)  # the window in which it is not silent
    assert mmproxy.wait_until_ended() == 0
    udp_upstream.assert_untouched()
    line = wait_until_closed(mmproxy, CLIENT4)
    assert line["reason"] == "shutdown"
    assert line.time() - exchanges[-1] > 0.7 * DRAINED
    count = str(1 + len(exchanges))
    assert line["datagrams_from_client"] == line["datagrams_from_upstream"] == count


def test_answers_alone_keep_a_drained_flow_too(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, top=DRAIN)
    balancer = Balancer(host)
    question(balancer, udp_upstream, CLIENT4)
    with repeated(lambda: answer(balancer, udp_upstream, CLIENT4, CLIENT4)):
        mmproxy.terminate()
        mmproxy.wait_for_log("daemon: stopping")
        time.sleep(1.5 * DRAINED)  # the window in which it would have ended
    assert mmproxy.wait_until_ended() == 0


@pytest.mark.parametrize("idle_timeout", [0.3, 60])
def test_a_drained_flow_that_is_silent_for_long_enough_ends(
    idle_timeout, host, start_udp, udp_upstream
):
    mmproxy = start_udp(host, idle_timeout=idle_timeout, top=DRAIN)
    question(Balancer(host), udp_upstream, CLIENT4)
    mmproxy.terminate()
    assert mmproxy.wait_until_ended() == 0
    line = wait_until_closed(mmproxy, CLIENT4)
    assert float(line["duration"]) >= min(idle_timeout, DRAINED)


def never_silent(balancer):
    """A flow that no silence ends inside the block."""

    def send():
        with contextlib.suppress(ConnectionRefusedError):  # mmproxy has ended
            balancer.send(CLIENT4, b"more")

    return repeated(send)


def test_sigterm_waits_for_drain_timeout_and_no_longer(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, top={"drain_timeout": 0.5})
    balancer = Balancer(host)
    round_trip(balancer, udp_upstream, CLIENT4)
    with never_silent(balancer):
        began = time.time()
        mmproxy.terminate()
        assert mmproxy.wait_until_ended() == 0
    line = wait_until_closed(mmproxy, CLIENT4)
    assert line["reason"] == "shutdown"
    assert line.time() - began >= 0.4


def test_a_second_sigterm_ends_at_once(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, top=DRAIN)
    balancer = Balancer(host)
    round_trip(balancer, udp_upstream, CLIENT4)
    with never_silent(balancer):
        mmproxy.terminate()
        mmproxy.wait_for_log("daemon: stopping")
        mmproxy.terminate()
        assert mmproxy.wait_until_ended() == 0


def test_the_number_of_flows_is_told_at_the_end(host, start_udp, udp_upstream):
    mmproxy = start_udp(host)
    balancer = Balancer(host)
    for client in CLIENT4, OTHER:
        round_trip(balancer, udp_upstream, client)
    mmproxy.terminate()
    assert mmproxy.wait_for_log("daemon: stopping")["sessions"] == "2"


# Reload.


def reload_with(mmproxy, **changes):
    mmproxy.write_config(configuration(udp_listener(**changes), drain_timeout=0))
    return mmproxy.reload()


@framings
def test_a_reload_changes_the_upstream_of_new_flows(framing, host, start_udp, udp_upstream):
    other = Datagrams(host, ("127.0.0.1", 53))
    mmproxy = start_udp(host, framing)
    before, after = Balancer(host, framing), Balancer(host, framing)
    round_trip(before, udp_upstream, CLIENT4)
    line = reload_with(mmproxy, framing=framing, forward={"ipv4": "127.0.0.1:53"})
    assert line.event == "config: reloaded"
    assert round_trip(before, udp_upstream, CLIENT4) == CLIENT4
    assert round_trip(after, other, OTHER) == OTHER
    assert mmproxy.counters()["sessions_accepted"] == 2


@framings
def test_a_reload_changes_the_sources_of_new_flows(framing, host, start_udp, udp_upstream):
    mmproxy = start_udp(host, framing, permit_sources=["127.8.0.0/16"])
    live, late = ("127.8.0.1", 41000), ("127.8.0.2", 41000)
    balancers = Balancer(host, framing), Balancer(host, framing)
    round_trip(balancers[0], udp_upstream, live)
    assert reload_with(mmproxy, framing=framing).event == "config: reloaded"
    balancers[1].send(late, b"question")
    mmproxy.assert_closed("source-loopback")
    assert_nothing_reaches(udp_upstream, balancers[1], mmproxy)
    assert round_trip(balancers[0], udp_upstream, live) == live
    line = reload_with(mmproxy, framing=framing, permit_sources=["127.8.0.2"])
    assert line.event == "config: reloaded"
    assert round_trip(balancers[1], udp_upstream, late, header=True) == late


def test_a_reload_changes_the_allow_list(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, subnets=["127.0.0.1"])
    first, second = Balancer(host), Balancer(host, source="127.0.0.2")
    round_trip(first, udp_upstream, CLIENT4)
    second.send(OTHER, b"question")
    mmproxy.assert_closed("balancer-not-allowed")
    assert reload_with(mmproxy, subnets=["127.0.0.0/8"]).event == "config: reloaded"
    assert round_trip(second, udp_upstream, OTHER) == OTHER
    assert round_trip(first, udp_upstream, CLIENT4) == CLIENT4
    assert mmproxy.counters()["sessions_accepted"] == 2
    # Datagrams are judged one by one: a balancer that has been struck out is heard no more.
    assert reload_with(mmproxy, subnets=["127.0.0.2"]).event == "config: reloaded"
    first.send(CLIENT4, b"question")
    mmproxy.assert_closed("balancer-not-allowed", 2)
    assert_nothing_reaches(udp_upstream, first, mmproxy)
    assert round_trip(second, udp_upstream, OTHER) == OTHER


def test_a_reload_changes_the_mark_of_new_flows(host, start_udp, udp_upstream):
    host.nft("add table inet t\nadd chain inet t out { type filter hook output priority 0; }\n"
             "add rule inet t out meta mark 7 udp dport 443 counter\n")

    def marked():
        listed = host.run(["nft", "list", "table", "inet", "t"]).stdout
        return int(re.search(r"counter packets (\d+)", listed).group(1))

    mmproxy = start_udp(host)
    balancer = Balancer(host)
    round_trip(balancer, udp_upstream, CLIENT4)
    assert reload_with(mmproxy, mark=7).event == "config: reloaded"
    round_trip(balancer, udp_upstream, CLIENT4)
    assert marked() == 0
    round_trip(balancer, udp_upstream, OTHER)
    assert marked() == 1


@framings
@both_families
def test_a_reload_leaves_flows_alone(
    client, framing, host, start_udp, udp_upstream, udp_upstream6
):
    upstream = udp_upstream6 if ":" in client[0] else udp_upstream
    mmproxy = start_udp(host, framing)
    balancer = Balancer(host, framing)
    for _ in range(5):
        assert round_trip(balancer, upstream, client) == client
        mmproxy.write_config("nonsense")
        assert "nothing changed" in mmproxy.reload().text
        assert reload_with(mmproxy, framing=framing).event == "config: reloaded"
    assert mmproxy.counters()["sessions_accepted"] == 1
    mmproxy.terminate()
    assert wait_until_closed(mmproxy, client)["datagrams_from_client"] == "5"


def test_a_flow_fails_over_after_a_reload_as_before(host, start_udp, udp_upstream):
    """Its claim on the client's port is that of the listener, not of one reading of the file."""
    mmproxy = start_udp(host, top={"workers": 4})
    balancers = [Balancer(host, source=f"127.0.0.{1 + number}") for number in range(8)]
    for _ in range(3):
        for balancer in balancers:
            assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
        mmproxy.write_config(configuration(udp_listener(), workers=4, drain_timeout=0))
        assert mmproxy.reload().event == "config: reloaded"
    counters = mmproxy.counters()
    assert counters["sessions_closed_flow_moved"] > 0
    assert counters["port_conflicts"] == 0


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"framing": "spp"}, "udp.framing"),
        ({"framing": "first"}, "udp.framing"),
        ({"max_flows": 5}, "udp.max_flows"),
        ({"listen": "127.0.0.1:8443"}, "listen"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_a_reload_that_cannot_be_asks_for_a_restart_by_name(
    changes, named, host, start_udp, udp_upstream
):
    mmproxy = start_udp(host)
    balancer = Balancer(host)
    round_trip(balancer, udp_upstream, CLIENT4)
    line = reload_with(mmproxy, **changes)
    assert line.level == "error"
    assert "nothing changed" in line.text
    assert mmproxy.log_lines(rf"{re.escape(named)}: changed, and this change needs a restart")
    assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
    assert round_trip(Balancer(host), udp_upstream, OTHER) == OTHER
    assert mmproxy.counters()["sessions_accepted"] == 2


def test_a_reload_storm_under_traffic_costs_no_datagram(host, start_udp, udp_upstream):
    mmproxy = start_udp(host)
    good = configuration(udp_listener(), drain_timeout=0)
    balancer = Balancer(host)
    for number in range(100):
        mmproxy.write_config("nonsense" if number % 7 == 0 else good)
        mmproxy.process.send_signal(signal.SIGHUP)
        assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
        fresh = (CLIENT4[0], 42000 + number)
        assert round_trip(balancer, udp_upstream, fresh) == fresh
    assert mmproxy.counters()["sessions_accepted"] == 101


def test_the_log_names_the_listener_as_it_is_called(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, name="name-server")
    round_trip(Balancer(host), udp_upstream, CLIENT4)
    mmproxy.terminate()
    line = wait_until_closed(mmproxy, CLIENT4)
    assert line["listener"] == "name-server"
    assert line["client"] == text(CLIENT4)
