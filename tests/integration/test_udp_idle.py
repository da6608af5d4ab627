# SPDX-License-Identifier: MIT
"""UDP: when a flow ends by itself."""

import time

import pytest

from headers import CLIENT4
from udp import Balancer, answer, crowd, flows, question, round_trip, wait_until_closed
from udp_alive import repeated, set_idle_timeout

# Seconds, of a flow that is to live: longer than a busy machine pauses.
PATIENT = 3.0


def test_a_silent_flow_ends_after_idle_timeout(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, idle_timeout=0.5)
    question(Balancer(host), udp_upstream, CLIENT4)
    line = wait_until_closed(mmproxy, CLIENT4)
    assert line["reason"] == "idle-timeout"
    assert float(line["duration"]) >= 0.5
    mmproxy.assert_closed("idle-timeout")


@pytest.mark.parametrize(
    "direction, framing", [("client", "spp"), ("client", "first"), ("upstream", "every")]
)
def test_traffic_in_either_direction_keeps_a_flow(
    direction, framing, host, start_udp, udp_upstream
):
    mmproxy = start_udp(host, framing, idle_timeout=PATIENT)
    balancer = Balancer(host, framing)
    round_trip(balancer, udp_upstream, CLIENT4)
    if direction == "client":
        speaking = repeated(lambda: question(balancer, udp_upstream, CLIENT4))
    else:
        speaking = repeated(lambda: answer(balancer, udp_upstream, CLIENT4, CLIENT4))
    with speaking:
        time.sleep(PATIENT + 0.5)  # the window idle_timeout is held to
    assert mmproxy.counters()["sessions_closed_idle_timeout"] == 0
    set_idle_timeout(mmproxy, 0.1)
    assert wait_until_closed(mmproxy, CLIENT4)["reason"] == "idle-timeout"
    assert mmproxy.counters()["sessions_accepted"] == 1


def test_each_flow_has_an_end_of_its_own(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, idle_timeout=PATIENT)
    balancer = Balancer(host)
    early, late = crowd(2)
    for client in early, late:
        question(balancer, udp_upstream, client)
    with repeated(lambda: question(balancer, udp_upstream, late)):
        assert wait_until_closed(mmproxy, early)["reason"] == "idle-timeout"
    mmproxy.assert_closed("idle-timeout")
    set_idle_timeout(mmproxy, 0.1)
    assert wait_until_closed(mmproxy, late)["reason"] == "idle-timeout"


@pytest.mark.parametrize("before", [60, 0], ids=["long", "never"])
def test_a_shorter_idle_timeout_holds_for_live_flows_once_reloaded(
    before, host, start_udp, udp_upstream
):
    mmproxy = start_udp(host, idle_timeout=before)
    round_trip(Balancer(host), udp_upstream, CLIENT4)
    set_idle_timeout(mmproxy, 0.2)
    assert wait_until_closed(mmproxy, CLIENT4)["reason"] == "idle-timeout"


@pytest.mark.parametrize("after", [60, 0], ids=["long", "never"])
def test_a_longer_idle_timeout_holds_for_live_flows_once_reloaded(
    after, host, start_udp, udp_upstream
):
    mmproxy = start_udp(host, idle_timeout=PATIENT)
    balancer = Balancer(host)
    round_trip(balancer, udp_upstream, CLIENT4)
    set_idle_timeout(mmproxy, after)
    time.sleep(PATIENT + 0.5)  # the window in which it would have ended
    assert flows(mmproxy) == 1
    assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
    assert mmproxy.counters()["sessions_accepted"] == 1


def test_a_client_that_comes_back_has_a_new_flow_from_the_same_port(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, idle_timeout=0.05)
    balancer = Balancer(host)
    for number in range(5):
        assert question(balancer, udp_upstream, CLIENT4) == CLIENT4
        mmproxy.assert_closed("idle-timeout", number + 1)
    # An answer, too, as long as the flow is there to take it.
    set_idle_timeout(mmproxy, 60)
    assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
    assert mmproxy.counters()["port_conflicts"] == 0
