# SPDX-License-Identifier: MIT
"""System calls a message, in runs of their own: a traced process is slow, so that more waits for it
and its batches are longer than otherwise. One message at a time has no batches: that is the most."""

import contextlib
import os
import re
import signal
import subprocess
import tempfile

from waiting import wait_until

from . import machine
from . import stage as stages


def count(load, scenario, proxy):
    """{"total": calls a message, "calls": {name: calls a message}}"""
    with (
        proxy.running(load.stage.namespace, scenario, stages.LISTEN, scenario.upstream) as running,
        _traced(running.pid) as calls,
    ):
        load.stage.wait_until_idle()
        fields = load.fields(scenario, stages.LISTEN, seconds=1)
    each = {name: number / fields["total"] for name, number in calls.items()}
    kept = {name: round(number, 3) for name, number in each.items() if number >= 0.01}
    return {"total": round(sum(each.values()), 3), "calls": kept}


@contextlib.contextmanager
def _traced(pid):
    """Counts the calls of a process and its family meanwhile: {name: calls}, complete at the end."""
    calls = {}
    with tempfile.NamedTemporaryFile("r") as summary:
        family = machine.family(pid)
        attach = [word for one in family for word in ("-p", str(one))]
        tracer = subprocess.Popen(
            ["strace", "-c", "-f", "-o", summary.name, *attach], stderr=subprocess.DEVNULL
        )
        try:

            def attached():
                assert tracer.poll() is None, "strace has ended"
                tasks = [
                    f"/proc/{one}/task/{task}/status"
                    for one in family
                    for task in os.listdir(f"/proc/{one}/task")
                ]
                return all(_tracer_of(task) != "0" for task in tasks)

            wait_until(attached, stages.PATIENCE, "strace has attached")
            yield calls
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(stages.PATIENCE)
        # Columns: share of time, seconds, microseconds a call, calls, errors if any, name.
        for line in summary.read().splitlines():
            match = re.fullmatch(r" *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)", line)
            if match and match[2] != "total":
                calls[match[2]] = int(match[1])


def _tracer_of(path):
    with open(path) as file:
        return re.search(r"^TracerPid:\s+(\d+)", file.read(), re.M)[1]
