# SPDX-License-Identifier: MIT
"""What many live and silent sessions cost mmproxy when the kernel carries them.

The crowd is small, unless CROWD says how many; 19,900 is what one upstream process holds under a
limit of 20,000 descriptors. With CROWD_REPORT set, the figures are written to that file.
"""

import os
import resource
import time

import metrics
from crowd import Crowd
from sessions import MMPROXY
from upstreams import UPSTREAM4
from waiting import steady, wait_until

pytest_plugins = ["offload_hosts"]

CROWD = int(os.environ.get("CROWD", 1000))

MEMORY, DESCRIPTORS = 32 << 20, 64

# Seconds in which they are silent, and of the processor's time in that: 1 %.
SILENCE, BUSY = 6, 0.06


def test_a_silent_crowd_costs_no_descriptor_and_little_memory(host, start_offload):
    host.sysctl("net.ipv4.ip_local_port_range", "1024 65000")
    resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
    mmproxy = start_offload(host, keepalive=0, top={"metrics": {"listen": metrics.LISTEN_TEXT}})
    before = mmproxy.memory()
    crowd = Crowd(host, CROWD, MMPROXY, UPSTREAM4)
    try:

        def all_carried():
            crowd.exchange()
            return mmproxy.counters()["offloaded"] == CROWD

        wait_until(all_carried, 120, lambda: f"all go over: {mmproxy.counters()}")
        steady(mmproxy.descriptors, 0.3, 20, "no socket is left")
        used = mmproxy.cpu_seconds()
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > SILENCE, SILENCE + 1, "it was silent")
        used = mmproxy.cpu_seconds() - used
        memory, descriptors = mmproxy.memory(), mmproxy.descriptors()
        if os.environ.get("CROWD_REPORT"):
            with open(os.environ["CROWD_REPORT"], "w") as report:
                report.write(
                    f"sessions {CROWD}, resident {memory >> 10} KiB, without them"
                    f" {before >> 10} KiB, {(memory - before) / CROWD:.0f} bytes each,"
                    f" {descriptors} descriptors, {used / SILENCE:.1%} of a processor\n"
                )
        assert memory < MEMORY or mmproxy.built_with_sanitizer()
        assert descriptors < DESCRIPTORS
        # A sanitizer has threads of its own.
        assert used < BUSY * max(1, CROWD / 5000) or mmproxy.built_with_sanitizer()
        assert metrics.scrape(host).value("mmproxy_sessions", listener="web", protocol="tcp") == CROWD
        crowd.exchange()
    finally:
        crowd.close()
    wait_until(
        lambda: mmproxy.counters()["sessions_closed_finished"] == CROWD, 60, "all have finished"
    )
