# SPDX-License-Identifier: MIT
"""Where it is played: a namespace with the upstreams of all loads, and the addresses in it.

All processes share this machine's cores: a ratio compares proxies on one machine, in one run.
"""

import contextlib
import os
import pathlib
import re
import subprocess
import sys

from network import Namespace, Path
from waiting import wait_until

from . import TOP, machine

LISTEN = "127.0.0.1:8443"

# What a scenario's load talks to in the end.
ECHO = "127.0.0.1:7000"
SINK = "127.0.0.1:7001"
SOURCE = "127.0.0.1:7002"
UDP_ECHO = "127.0.0.1:5300"

# Waiting for a process to start or end.
PATIENCE = 20


def program(name):
    """A program of the build: $NAME, or what the build left at its usual places."""
    folders = [TOP, TOP / "build" / "gcc", TOP / "build"]
    candidates = [folder / place / name for folder in folders for place in ("", *_PLACES)]
    if os.environ.get(name.upper()):
        candidates = [pathlib.Path(os.environ[name.upper()]).resolve()]
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and candidate.is_file():
            return str(candidate)
    sys.exit(f"bench: no {name}: `make all check TESTS=` builds it")


_PLACES = ("tests/bench", "tests/tools", "plugin/acl", "plugin/ratelimit")


def end(process):
    """SIGTERM, and SIGKILL for what does not listen."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def port_of(endpoint):
    return int(endpoint.rpartition(":")[2])


def wait_for_port(namespace, endpoint, protocol, process=None):
    """Waits until a process has bound the port; without one, until the port is free."""
    # Columns: slot, local address, remote address, state (0A: listening, 07: bound), ...
    line = re.compile(rf"^ *\d+: \w+:{port_of(endpoint):04X} \w+:\w+ 0[A7] ", re.M)

    def reached():
        assert process is None or process.poll() is None, f"{process.args[0]} has ended"
        with namespace.entered():
            tables = (f"/proc/thread-self/net/{protocol}{version}" for version in ("", "6"))
            text = "".join(pathlib.Path(table).read_text() for table in tables)
        return bool(line.search(text)) == bool(process)

    wait_until(reached, PATIENCE, f"{endpoint} is {'bound' if process else 'free'}")


class Stage:
    """One namespace, in which the upstreams run from start to end."""

    def __init__(self, stack):
        self.busiest = 0.0
        self.namespace = Namespace("bench")
        stack.callback(self.namespace.destroy)
        self.namespace.add_return_path()
        # Balancers come from many addresses, clients are nobody's: ports do not run out.
        self.namespace.sysctl("net.ipv4.ip_local_port_range", "10000 65000")
        # A minute after the scenario of connections hundreds of thousands of them would leave
        # TIME_WAIT, and hold up whatever is measured then for tens of milliseconds.
        self.namespace.sysctl("net.ipv4.tcp_max_tw_buckets", 4096)
        tcp = [program("tcp_bench"), "serve"]
        udp = [program("udp_bench"), "echo"]
        self.upstreams = [
            self._start(stack, [*tcp, "--echo", ECHO, "--sink", SINK, "--source", SOURCE], ECHO),
            self._start(stack, [*udp, "--listen", UDP_ECHO], UDP_ECHO, "udp"),
        ]

    def _start(self, stack, command, endpoint, protocol="tcp"):
        process = self.namespace.popen(command, stdin=subprocess.DEVNULL)
        stack.callback(end, process)
        wait_for_port(self.namespace, endpoint, protocol, process)
        return process

    def wait_until_idle(self):
        """The upstreams rest, and the machine is as idle as it gets; how idle is remembered."""

        def used():
            return sum(machine.cpu_seconds(upstream.pid) for upstream in self.upstreams)

        def rests():
            before = used()
            busy = machine.busy_share(0.05)
            return [busy] if used() - before < 0.001 else None

        busy = wait_until(rests, PATIENCE, "the upstreams rest", interval=0)[0]
        self.busiest = max(self.busiest, busy)


class IperfStage:
    """Three machines in a row, for iperf's client must not be of the host that its server is on:
    client, balancer with the forwarder that adds headers, and the server with the proxy."""

    FRONT_PORT = 5001

    def __init__(self, stack):
        self.path = Path()
        stack.callback(self.path.destroy)
        self.path.balancer.sysctl("net.ipv4.ip_forward", 1)
        self.path.client.ip(f"route add default via {Path.FRONT4}")
        self.listen = f"{Path.SERVER4}:8443"
        # An upstream for the proxy; and one that clients reach without any.
        self.upstream = f"127.0.0.1:{self.FRONT_PORT}"
        self.direct = f"{Path.SERVER4}:{self.FRONT_PORT}"
        self.namespace = self.path.server

    @contextlib.contextmanager
    def server(self, address):
        host, _, port = address.rpartition(":")
        command = ["iperf", "-s", "-u", "-B", host, "-p", port]
        process = self.path.server.popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            wait_for_port(self.path.server, address, "udp", process)
            yield
        finally:
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def forwarder(self):
        listen = f"{Path.FRONT4}:{self.FRONT_PORT}"
        command = [program("udp_forwarder"), "--listen", listen, "--to", self.listen]
        process = self.path.balancer.popen(
            [*command, "--framing", "every"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            wait_for_port(self.path.balancer, listen, "udp", process)
            yield listen
        finally:
            end(process)
