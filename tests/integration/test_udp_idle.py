# SPDX-License-Identifier: MIT
"""UDP: when a flow ends by itself."""

import time

import pytest

from headers import CLIENT4
from settings import configuration, udp_listener
from udp import Balancer, answer, crowd, flows, question, round_trip, wait_until_closed


def test_a_silent_flow_ends_after_idle_timeout(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, idle_timeout=0.5)
    began = time.monotonic()
    round_trip(Balancer(host), udp_upstream, CLIENT4)
    line = wait_until_closed(mmproxy, CLIENT4)
    assert line["reason"] == "idle-timeout"
    assert 0.5 <= time.monotonic() - began < 0.8
    mmproxy.assert_closed("idle-timeout")


def speak_for(seconds, say):
    """Says something again and again, for so long: the window idle_timeout is held to."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        say()
        time.sleep(0.05)


@pytest.mark.parametrize(
    "direction, framing", [("client", "spp"), ("client", "first"), ("upstream", "every")]
)
def test_traffic_in_either_direction_keeps_a_flow(
    direction, framing, host, start_udp, udp_upstream
):
    mmproxy = start_udp(host, framing, idle_timeout=0.2)
    balancer = Balancer(host, framing)
    round_trip(balancer, udp_upstream, CLIENT4)
    if direction == "client":
        speak_for(0.5, lambda: question(balancer, udp_upstream, CLIENT4))
    else:
        speak_for(0.5, lambda: answer(balancer, udp_upstream, CLIENT4, CLIENT4))
    assert mmproxy.counters()["sessions_closed_idle_timeout"] == 0
    assert wait_until_closed(mmproxy, CLIENT4)["reason"] == "idle-timeout"
    assert mmproxy.counters()["sessions_accepted"] == 1


def test_each_flow_has_an_end_of_its_own(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, idle_timeout=0.3)
    balancer = Balancer(host)
    early, late = crowd(2)
    for client in early, late:
        round_trip(balancer, udp_upstream, client)
    speak_for(0.5, lambda: question(balancer, udp_upstream, late))
    assert wait_until_closed(mmproxy, early)["reason"] == "idle-timeout"
    assert mmproxy.counters()["sessions_closed_idle_timeout"] == 1
    assert wait_until_closed(mmproxy, late)["reason"] == "idle-timeout"


def reload_with(mmproxy, **changes):
    mmproxy.write_config(configuration(udp_listener(**changes), drain_timeout=0))
    assert mmproxy.reload().event == "config: reloaded"


@pytest.mark.parametrize("before", [60, 0], ids=["long", "never"])
def test_a_shorter_idle_timeout_holds_for_live_flows_once_reloaded(
    before, host, start_udp, udp_upstream
):
    mmproxy = start_udp(host, idle_timeout=before)
    round_trip(Balancer(host), udp_upstream, CLIENT4)
    reload_with(mmproxy, idle_timeout=0.2)
    began = time.monotonic()
    assert wait_until_closed(mmproxy, CLIENT4)["reason"] == "idle-timeout"
    assert time.monotonic() - began < 0.6


@pytest.mark.parametrize("after", [60, 0], ids=["long", "never"])
def test_a_longer_idle_timeout_holds_for_live_flows_once_reloaded(
    after, host, start_udp, udp_upstream
):
    mmproxy = start_udp(host, idle_timeout=0.3)
    balancer = Balancer(host)
    round_trip(balancer, udp_upstream, CLIENT4)
    reload_with(mmproxy, idle_timeout=after)
    time.sleep(0.5)  # the window in which it would have ended
    assert flows(mmproxy) == 1
    assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
    assert mmproxy.counters()["sessions_accepted"] == 1


def test_a_client_that_comes_back_has_a_new_flow_from_the_same_port(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, idle_timeout=0.05)
    balancer = Balancer(host)
    for number in range(5):
        assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
        mmproxy.assert_closed("idle-timeout", number + 1)
    assert mmproxy.counters()["port_conflicts"] == 0
