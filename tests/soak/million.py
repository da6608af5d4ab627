# SPDX-License-Identifier: MIT
"""The long run of tests/integration/test_churn.py: tests/soak/churn starts it."""

import sys
import time

import long_run
from long_run import Checks, counters, descriptors, live, mib, spare_pipes, text_of

import churn
from waiting import wait_until

COUNT = 1000000

# Seconds between two lines.
INTERVAL = 10


def main(count=COUNT, seed=1):
    check = Checks()
    # Each connection would be a line or two.
    config = churn.churn_configuration(log={"level": "warning"})
    with long_run.host() as host, long_run.mmproxy(host, config) as mmproxy:
        churn.shrink_buffers(host)
        before, memory = counters(mmproxy), mmproxy.memory()
        kinds = descriptors(mmproxy)
        load = churn.Churn(host, count=int(count), seed=int(seed))
        try:
            follow(load, mmproxy)
            judge(check, *load.finish())
        finally:
            load.kill()
        wait_until(lambda: live(mmproxy) == 0, 30, "no session is left")
        judge_counters(check, before, counters(mmproxy))
        now = descriptors(mmproxy)
        check(now == kinds, f"descriptors are those of before: {text_of(kinds)}; {text_of(now)}")
        print(
            f"        {spare_pipes(mmproxy)} spare pipes;"
            f" resident {mib(memory)} before, {mib(mmproxy.memory())} now"
        )
    return check.close()


def follow(load, mmproxy):
    """A line now and then, until it is over."""
    began, goal = time.monotonic(), INTERVAL
    while load.running():
        time.sleep(0.2)
        if time.monotonic() - began < goal or not load.running():
            continue
        counts = load.counts()
        goal += INTERVAL
        print(
            f"{counts['seconds']:7.0f} s  {counts['opened']:9.0f} connections"
            f"  {counts['opened'] / counts['seconds']:6.0f}/s  faults {counts['faults']:.0f}"
            f"  open {counts['open']:.0f}  resident {mib(mmproxy.memory())}"
            f"  descriptors {mmproxy.descriptors()}",
            flush=True,
        )


def judge(check, counts, complaint):
    print(complaint, end="")
    for name in [*churn.KINDS, "v1", "v2", "ipv6", "cut_headers"]:
        check(counts[name] > 0, f"{counts[name]:.0f} connections: {name}")
    check(counts["faults"] == 0, f"{counts['faults']:.0f} faults in {counts['opened']:.0f}")
    payload = counts["bytes_to_client"] + counts["bytes_to_upstream"]
    print(
        f"        {counts['seconds']} s, {counts['opened'] / counts['seconds']:.0f} connections/s,"
        f" {payload / 1e9:.2f} GB, each byte of them compared"
    )


def judge_counters(check, before, after):
    grown = {name: after[name] - before[name] for name in after}
    closed = sum(value for name, value in grown.items() if name.startswith("sessions_closed_"))
    check(
        closed == grown["sessions_accepted"],
        f"mmproxy has accepted {grown['sessions_accepted']} sessions and closed {closed}",
    )
    for name in "system_error", "no_memory", "connect_timeout", "header_timeout":
        check(grown[f"sessions_closed_{name}"] == 0, f"none was closed for {name}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
