# SPDX-License-Identifier: MIT
"""tests/tools/tcp_churn: connections with all that can happen to them, each of them judged."""

import os
import re
import select
import subprocess

import daemon
from settings import configuration, listener

# In front of a port at which nobody listens.
DEAD_END = "127.0.0.1:8444"

# What a connection can be; more than these no run has.
KINDS = [
    "served",
    "client_resets",
    "upstream_resets",
    "client_leaves",
    "upstream_leaves",
    "half_header",
    "bad_header",
    "empty",
    "dead_end",
]


def listeners(**changes):
    """What tcp_churn expects of mmproxy."""
    nobody = {"ipv4": "127.0.0.1:1", "ipv6": "[::1]:1"}
    return [
        listener("web", **changes),
        listener("dead-end", **{"listen": DEAD_END, "forward": nobody, **changes}),
    ]


def churn_configuration(**top):
    return configuration(*listeners(), **{"log": {"level": "info"}, **top})


def prepare(namespace):
    """So that a million closed connections do not fill the machine's memory."""
    namespace.sysctl("net.ipv4.tcp_max_tw_buckets", 20000)


def shrink_buffers(namespace):
    """So that writes are often taken in part; then nothing is large enough to be spliced."""
    namespace.sysctl("net.ipv4.tcp_rmem", "4096 16384 32768")
    namespace.sysctl("net.ipv4.tcp_wmem", "4096 8192 16384")


class Churn:
    """Runs from the moment it is made: through the mmproxy at port 8443, to upstreams of its own."""

    def __init__(self, namespace, **options):
        program = os.path.join(os.path.dirname(daemon.binary()), "tests/tools/tcp_churn")
        assert os.access(program, os.X_OK), f"no tcp_churn at {program}: make check builds it"
        options = {
            "to": "127.0.0.1:8443",
            "dead_end": DEAD_END,
            "upstream": "127.0.0.1:443",
            "upstream6": "[::1]:443",
            **options,
        }
        command = [program]
        command += [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        pipe = subprocess.PIPE
        self._process = namespace.popen(command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)

    def running(self):
        return self._process.poll() is None

    def counts(self):
        """What has become of the connections so far."""
        self._process.stdin.write(b"\n")
        ready, _, _ = select.select([self._process.stdout], [], [], 60)
        assert ready, "tcp_churn says nothing"
        return _numbers(self._process.stdout.readline().decode())

    def finish(self, timeout=None):
        """Without a count, it opens no more. Waits for those that are open: the last counts, and what
        it said about faults."""
        said, complaint = self._process.communicate(timeout=timeout)
        return _numbers(said.decode().splitlines()[-1]), complaint.decode()

    def kill(self):
        self._process.kill()
        self._process.wait()
        for pipe in self._process.stdin, self._process.stdout, self._process.stderr:
            pipe.close()


def _numbers(line):
    return {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", line)}


def assert_sound(counts, complaint):
    """No fault, and some of every kind."""
    assert counts["faults"] == 0, complaint
    assert counts["open"] == 0
    assert sum(counts[kind] for kind in KINDS) == counts["opened"]
    for name in [*KINDS, "v1", "v2", "ipv6", "cut_headers"]:
        assert counts[name] > 0, f"{name}: {counts}"
