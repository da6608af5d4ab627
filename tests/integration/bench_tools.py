# SPDX-License-Identifier: MIT
"""The loads of tests/bench, as programs to be tested."""

import os
import pathlib
import re
import subprocess

from waiting import wait_until

_TOP = pathlib.Path(__file__).resolve().parents[2]


def program(name):
    """$NAME, or what the build left at its usual places."""
    candidates = [_TOP / "tests/bench" / name, _TOP / "build/tests/bench" / name]
    if os.environ.get(name.upper()):
        candidates = [pathlib.Path(os.environ[name.upper()]).resolve()]
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and candidate.is_file():
            return str(candidate)
    raise AssertionError(f"no {name} at {' or '.join(map(str, candidates))}")


def start_load(namespace, name, load, to, **options):
    """A load of the program `name` toward (address, port)."""
    values = {"to": "%s:%d" % to, **options}
    arguments = [
        f"--{option.replace('_', '-')}" + ("" if value is True else f"={value}")
        for option, value in values.items()
    ]
    pipe = subprocess.PIPE
    return namespace.popen(
        [program(name), load, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


# Seconds that a load counts for which was told to wait.
BRIEF = 0.02


def go_on_warming_up(process):
    """A load that waits says that it is warm, and goes on, for longer than BRIEF. Then it is told to
    count."""
    assert process.stdout.readline() == "warm\n"
    statistics = pathlib.Path(f"/proc/{process.pid}/schedstat")

    def nanoseconds():
        return int(statistics.read_text().split()[0])

    before = nanoseconds()
    wait_until(lambda: nanoseconds() - before > 2e9 * BRIEF, 10, "the load goes on")
    assert process.poll() is None
    process.stdin.write("\n")
    process.stdin.flush()


def result_of(process, status=0):
    """What a run says of itself, as {name: number}."""
    said, complaint = process.communicate(timeout=30)
    assert process.returncode == status, said + complaint
    return {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", said)}
