# SPDX-License-Identifier: MIT
"""The long run of tests/integration/test_offload_traffic.py: tests/soak/offload starts it.

A round is some thousand sessions on a host of its own. Rounds differ in the host, the family, the link's
faults, what is negotiated, and the seed, which each of them prints: with it, the round can be repeated.
"""

import contextlib
import os
import sys
import time

from long_run import Checks, answers, counters, live

import churn
import offload_hosts as hosts
from daemon import Daemon
from network import remove_leftovers
from offload_pins import Pins
from settings import configuration, listener
from waiting import wait_until

COUNT = 100000

# Sessions of a round.
ROUND = 4000
ROUND_BAD = 1000

# A session is over after half a minute without progress; a round, after this.
PATIENCE = 600


def _bad(**faults):
    return lambda host: host.link.set(**faults)


def _sysctls(**values):
    def change(host):
        for namespace in host.each():
            for name, value in values.items():
                namespace.sysctl(f"net.ipv4.{name}", value)

    return change


def _at_balancer(**values):
    def change(host):
        for name, value in values.items():
            host.balancer.sysctl(f"net.ipv4.{name}", value)

    return change


def _nothing(host):
    pass


# What a round is: its name, the host, what is changed there, tcp_churn's mix.
ROUNDS = [
    ("one host", hosts.Loopback, _nothing, "lasting"),
    ("behind an interface", hosts.Behind, _nothing, "lasting"),
    ("loss", hosts.BehindBadLink, _bad(loss=2), "sound"),
    (
        "loss, reordering, duplicates, delay",
        hosts.BehindBadLink,
        _bad(loss=2, reorder=5, hold=3, duplicate=5, delay=1, jitter=3),
        "sound",
    ),
    ("no SACK", hosts.Behind, _sysctls(tcp_sack=0), "lasting"),
    ("no timestamps", hosts.Behind, _sysctls(tcp_timestamps=0), "lasting"),
    ("no window scaling at the balancer", hosts.Behind, _at_balancer(tcp_window_scaling=0), "lasting"),
    ("small windows", hosts.Behind, _sysctls(tcp_rmem="4096 16384 65536"), "lasting"),
    ("ECN", hosts.Behind, _sysctls(tcp_ecn=1), "lasting"),
]


@contextlib.contextmanager
def _mmproxy(host, pins):
    top = {"workers": 2, "log": {"level": "warning"}, **pins.settings}
    made = Daemon(host.host, configuration(listener(**host.listener()), **top))
    try:
        wait_until(lambda: answers(made), 15, lambda: f"mmproxy is ready: {made.log()}")
        yield made
        made.stop()
    finally:
        made.discard()


def round_of(number, seed, check):
    """Runs one; returns how many sessions were handed over."""
    name, kind, change, mix = ROUNDS[number % len(ROUNDS)]
    family = 4 if number // len(ROUNDS) % 2 == 0 else 6
    count = ROUND_BAD if kind is hosts.BehindBadLink else ROUND
    host, pins = kind(), Pins()
    try:
        change(host)
        with _mmproxy(host, pins) as mmproxy:
            began = time.monotonic()
            load = churn.Churn(
                host.host, **host.churn(family, count=count, seed=seed, mix=mix, at_a_time=200)
            )
            try:
                counts, complaint = load.finish(PATIENCE)
            finally:
                load.kill()
            wait_until(lambda: live(mmproxy) == 0, 30, "no session is left")
            seen = counters(mmproxy)
            check(
                counts["faults"] == 0 and seen["sessions_closed_system_error"] == 0,
                f"seed {seed}: {name}, IPv{family}: {seen['offloaded']} of {count} handed over,"
                f" {counts['faults']:.0f} faults, {time.monotonic() - began:.0f} s",
            )
            print(complaint, end="", flush=True)
            return seen["offloaded"]
    finally:
        host.destroy()
        pins.destroy()


def main(count=COUNT, seed=1):
    if os.geteuid() != 0:
        sys.exit("network namespaces are made: run this as root")
    remove_leftovers()
    hosts.skip_unless_built()
    check, moved, number = Checks(), 0, 0
    while moved < int(count):
        moved += round_of(number, int(seed) + number, check)
        number += 1
        print(f"        {moved} hand-overs so far", flush=True)
    return check.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
