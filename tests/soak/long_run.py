# SPDX-License-Identifier: MIT
"""What both long runs have: a host, a mmproxy that says little, checks that are told one a line."""

import collections
import contextlib
import os
import pathlib
import sys

_TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_TESTS / "integration"))

import churn  # noqa: E402
from control import request  # noqa: E402
from daemon import Daemon, binary  # noqa: E402
from network import Namespace, remove_leftovers  # noqa: E402
from waiting import steady, wait_until  # noqa: E402


def _use_what_is_built_with(program):
    """Plugins and tools, where nobody has said otherwise."""
    build = pathlib.Path(program).parent
    os.environ.setdefault("PLUGINS", f"{build}/plugin")
    for bench in "tcp_bench", "udp_bench":
        os.environ.setdefault(bench.upper(), f"{build}/tests/bench/{bench}")


_use_what_is_built_with(binary())


class Checks:
    def __init__(self):
        self.failed = self.passed = 0

    def __call__(self, holds, text):
        print(f"{'ok     ' if holds else 'FAILED '} {text}", flush=True)
        self.passed += bool(holds)
        self.failed += not holds

    def close(self):
        """The last line; returns the exit status."""
        print(f"{self.passed} passed, {self.failed} failed")
        return self.failed != 0


@contextlib.contextmanager
def host():
    """A namespace with a return path, for as long as the block lasts."""
    if os.geteuid() != 0:
        sys.exit("network namespaces are made: run this as root")
    remove_leftovers()
    made = Namespace("host")
    try:
        made.add_return_path()
        churn.prepare(made)
        yield made
    finally:
        made.destroy()


# What is freed goes back to the system, so that what has grown is what is held. Without that, how much
# the allocator has kept at a moment says more about the last reload than about the hours before.
FRUGAL = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


@contextlib.contextmanager
def mmproxy(namespace, config):
    """With a configuration that logs warnings alone: `ready` would not be seen. Must end in order."""
    made = Daemon(namespace, config, environment=FRUGAL)
    try:
        wait_until(lambda: answers(made), 15, lambda: f"mmproxy is ready: {made.log()}")
        yield made
        made.stop()
    finally:
        made.discard()


def answers(made):
    assert made.process.poll() is None, made.log()
    with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
        return request(made, "status")["state"] == "running"
    return False


def live(made):
    """TCP sessions and UDP flows."""
    return request(made, "status")["sessions"]


def counters(made):
    return request(made, "counters")["counters"]


def descriptors(made):
    """How many there are of each kind, without spare pipes and whoever asks at the moment."""
    asking = steady(lambda: _kinds(made), 0.3, 15, "descriptors stay as they are")
    return {kind: count for kind, count in asking.items() if kind != "pipe"}


def spare_pipes(made):
    """Pipes are kept for the next stream; each has two descriptors."""
    return _kinds(made)["pipe"] // 2


def _kinds(made):
    kinds = collections.Counter()
    for number in os.listdir(f"/proc/{made.pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            kinds[os.readlink(f"/proc/{made.pid}/fd/{number}").partition(":")[0]] += 1
    return kinds


def text_of(kinds):
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def mib(size):
    return f"{size / (1 << 20):.2f} MiB"
