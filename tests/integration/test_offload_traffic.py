# SPDX-License-Identifier: MIT
"""Sessions that the kernel carries are carried bit by bit as they were sent: handed over at random
instants, in messages that wait for each other, in streams, in one direction alone, in pauses; wherever
the balancer and the upstream are, and whatever the two connections have negotiated.

Each test says how many the kernel has carried: what had stayed with mmproxy would prove nothing here.
tests/soak/offload does the same a hundred thousand times.
"""

import pytest

from offload_hosts import HOST4, HOST6, Behind, BehindBadLink, Loopback, run_churn, set_segmentation

pytest_plugins = ["offload_hosts"]

# run_churn() may take several rounds.
pytestmark = pytest.mark.deadline(300)

families = pytest.mark.parametrize("family", [4, 6])


@families
@pytest.mark.parametrize("kind", [Loopback, Behind])
def test_sessions_are_handed_over_at_random_instants(kind, family, place, start_offload):
    host = place(kind)
    mmproxy = start_offload(host.host, **host.listener())
    run_churn(host, mmproxy, family, count=600, seed=11 + family, share=0.5)


@families
@pytest.mark.parametrize("kind", [Loopback, Behind])
def test_the_upstream_is_at_another_address_of_the_host(kind, family, place, start_offload):
    host = place(kind)
    mmproxy = start_offload(host.host, **host.listener(upstream4=HOST4, upstream6=HOST6))
    upstream = HOST4 if family == 4 else HOST6
    run_churn(host, mmproxy, family, count=300, seed=21, share=0.5, upstream=upstream)


# The link's faults, and what shows that they have happened.
FAULTS = {
    "loss": ({"loss": 2}, "lost"),
    "reorder": ({"reorder": 10, "hold": 3}, "reordered"),
    "delay": ({"delay": 5, "jitter": 10}, "forwarded"),
    "duplicate": ({"duplicate": 10}, "duplicated"),
    "all": (
        {"loss": 2, "reorder": 5, "hold": 3, "duplicate": 5, "delay": 1, "jitter": 3},
        "lost",
    ),
}


@families
@pytest.mark.parametrize("fault", FAULTS)
def test_the_link_to_the_balancer_is_bad(fault, family, place, start_offload):
    """Resets are left out: one that is lost is not repeated, and nobody would learn of it."""
    host = place(BehindBadLink)
    mmproxy = start_offload(host.host, **host.listener())
    changes, count = FAULTS[fault]
    host.link.set(**changes)
    run_churn(host, mmproxy, family, count=100, seed=31, mix="sound")
    seen = host.link.counts()
    assert seen[f"left_{count}"] > 0 and seen[f"right_{count}"] > 0


# What a host may negotiate otherwise.
ODD = {
    "without_window_scaling": {"tcp_window_scaling": 0},
    "with_small_windows": {"tcp_rmem": "4096 16384 65536", "tcp_wmem": "4096 16384 65536"},
    "with_large_windows": {"tcp_rmem": "4096 1048576 33554432"},
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("side", ["balancer", "host"])
def test_windows_differ(side, odd, place, start_offload):
    host = place(Behind)
    for name, value in ODD[odd].items():
        getattr(host, side).sysctl(f"net.ipv4.{name}", value)
    mmproxy = start_offload(host.host, **host.listener())
    run_churn(host, mmproxy, 4, count=200, seed=41)


# What both connections must have negotiated alike.
ALIKE = {"sack": ("tcp_sack", 0), "timestamps": ("tcp_timestamps", 0)}


@pytest.mark.parametrize("name", ALIKE)
@pytest.mark.parametrize("side", ["balancer", "both"])
def test_options_are_not_negotiated(side, name, place, start_offload):
    """At both ends, it is all the same. At one end, sessions stay, and it is counted why."""
    host = place(Behind)
    sysctl, value = ALIKE[name]
    host.balancer.sysctl(f"net.ipv4.{sysctl}", value)
    if side == "both":
        host.host.sysctl(f"net.ipv4.{sysctl}", value)
    mmproxy = start_offload(host.host, **host.listener())
    of = "offloaded" if side == "both" else f"offload_stayed_{name}"
    counters = run_churn(host, mmproxy, 4, count=200, seed=51, share=0.4, of=of)
    if side == "balancer":
        assert counters["offloaded"] == 0


@pytest.mark.parametrize("side", ["balancer", "both"])
def test_ecn_is_negotiated(side, place, start_offload):
    host = place(Behind)
    host.balancer.sysctl("net.ipv4.tcp_ecn", 1)
    host.host.sysctl("net.ipv4.tcp_ecn", 1 if side == "both" else 0)
    mmproxy = start_offload(host.host, **host.listener())
    run_churn(host, mmproxy, 4, count=200, seed=61, share=0.4)


@families
@pytest.mark.parametrize("mtu", [1280, 9000])
def test_the_link_takes_packets_of_another_size(mtu, family, place, start_offload):
    host = place(Behind)
    for namespace in host.host, host.balancer:
        namespace.ip(f"link set wire0 mtu {mtu}")
    mmproxy = start_offload(host.host, **host.listener())
    run_churn(host, mmproxy, family, count=200, seed=71, share=0.4)


def test_the_link_neither_joins_nor_cuts_packets(place, start_offload):
    host = place(Behind)
    for namespace in host.host, host.balancer:
        set_segmentation(namespace, "wire0", False)
    mmproxy = start_offload(host.host, **host.listener())
    run_churn(host, mmproxy, 4, count=200, seed=81, share=0.4)


def test_routes_change_meanwhile(place, start_offload):
    """Sockets remember the way of what they receive, until a route changes: whichever."""
    host = place(Behind)
    mmproxy = start_offload(host.host, **host.listener())
    before = mmproxy.counters()
    for number in range(3):
        host.host.ip(f"route add 192.0.3.{number}/32 dev lo\n")
        run_churn(host, mmproxy, 4, count=100, seed=91 + number)
    assert mmproxy.counters()["offloaded"] > before["offloaded"]
