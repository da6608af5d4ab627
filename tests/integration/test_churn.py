# SPDX-License-Identifier: MIT
"""Thousands of connections of random sizes, with half-closes in any order, resets from either side at
any moment, and headers that are cut, broken off or bad: none loses, doubles or mixes up a byte, and
none sees an end that was not sent.

tests/soak/churn does the same a million times.
"""

import pytest

import churn
from waiting import wait_until

COUNT = 20000
# With sanitizers.
SLOW_COUNT = 4000


@pytest.fixture
def start_churn(host):
    started = []

    def run(**options):
        started.append(churn.Churn(host, **options))
        return started[-1]

    yield run
    for each in started:
        each.kill()


@pytest.mark.deadline(180)
def test_twenty_thousand_connections(host, start_daemon, start_churn, capsys):
    churn.prepare(host)
    churn.shrink_buffers(host)
    mmproxy = start_daemon(host, config=churn.churn_configuration(workers=2))
    count = SLOW_COUNT if mmproxy.built_with_sanitizer() else COUNT
    descriptors = mmproxy.descriptors()
    counts, complaint = start_churn(count=count, seed=1).finish(150)
    with capsys.disabled():
        print(f"\n{count} connections in {counts['seconds']} s, {counts['served']:.0f} served")
    churn.assert_sound(counts, complaint)

    # mmproxy has seen the same, and nothing is left of it.
    mmproxy.wait_for_counter("sessions_closed_connect_refused", counts["dead_end"])
    wait_until(lambda: open_sessions(mmproxy) == 0, 15, "all have ended", interval=0.05)
    assert mmproxy.counters()["sessions_closed_system_error"] == 0
    wait_until(lambda: mmproxy.descriptors() == descriptors, 15, "all is given back")


def open_sessions(mmproxy):
    counters = mmproxy.counters()
    ends = {name for name in counters if name.startswith("sessions_closed_")}
    return counters["sessions_accepted"] - sum(counters[name] for name in ends)
