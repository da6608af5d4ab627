# SPDX-License-Identifier: MIT
"""Keepalive for sessions that the kernel carries: nobody has a socket that would ask."""

import pytest

from offload_hosts import PORT, UPSTREAM_PORT, Behind
from offload_life import closed, hand_over, open_through, shown
from sessions import assert_alive
from traffic import RESET, wait_until_ended
from upstreams import Listener

pytest_plugins = ["offload_hosts"]

# Seconds: keepalive, the time between two looks, three probes, and some more for a busy machine.
NOTICED = 1 + 5 + 30 + 15


@pytest.mark.deadline(120)
def test_a_balancer_that_vanishes_is_noticed_and_a_silent_one_left_alone(place, start_offload):
    """Also by a mmproxy that has only taken the sessions over."""
    behind = place(Behind)
    upstream = Listener(behind.host, ("127.0.0.1", UPSTREAM_PORT))
    first = start_offload(behind.host, **behind.listener(keepalive=1.0))
    to = (behind.to[4], PORT)
    doomed = open_through(behind.balancer, upstream, to=to)
    silent = open_through(behind.host, upstream, to=to)
    hand_over(behind.host, first, doomed, silent)
    first.stop()
    second = start_offload(behind.host, **behind.listener(keepalive=1.0))
    numbers = {found["client"]: found["id"] for found in shown(second)}
    number = numbers["%s:%d" % doomed[1].getpeername()]
    behind.balancer.ip("link set wire0 down\n")
    assert wait_until_ended(doomed[1], NOTICED) == RESET
    assert closed(second, number)["reason"] == "client-unresponsive"
    assert [found["id"] for found in shown(second)] == sorted(set(numbers.values()) - {number})
    assert shown(second)[0]["idle"] > 25
    assert_alive(*silent)
