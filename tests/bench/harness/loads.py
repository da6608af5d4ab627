# SPDX-License-Identifier: MIT
"""One run of a scenario, straight at its upstream or through one proxy."""

import contextlib
import itertools
import re
import subprocess
import time

from . import machine
from . import stage as stages

# A run that takes longer hangs.
SLACK = 60

# At this share of what is measured the proxy is looked at: it is still at it.
LOOK_AT = 0.8

# No two runs have a client in common: the kernel or a proxy may remember one.
_tcp_clients = itertools.cycle(range(0, 4_000_000_000, 2_000_000))
_udp_ports = itertools.cycle(range(20000, 60000, 100))


class Failed(Exception):
    """A run came to nothing: its proxy lost, changed or refused something."""


class Loads:
    """The runs of one bench."""

    def __init__(self, stage, iperf, seconds):
        self.stage = stage
        self.iperf = iperf
        self.seconds = seconds

    def run(self, scenario, proxy):
        """What one run came to. `proxy` is None for the run without any."""
        if scenario.load == "iperf":
            return self._iperf(scenario, proxy)
        if proxy is None:
            return self._load(scenario, scenario.upstream, None)
        with proxy.running(
            self.stage.namespace, scenario, stages.LISTEN, scenario.upstream
        ) as running:
            if scenario.load == "idle":
                return self._idle(scenario, running.pid)
            return self._load(scenario, stages.LISTEN, running)

    def command(self, scenario, target, seconds=None, **more):
        """The load's command line. Without a proxy there is nobody to read a header."""
        bare = target != stages.LISTEN
        values = {"to": target, **scenario.options, **more}
        if scenario.protocol == "udp":
            words = [stages.program("udp_bench"), "load"]
            values["framing"] = "none" if bare else scenario.framing
            values["client-net"] = "203.0.113.0/24"
            values["client-port"] = next(_udp_ports)
        else:
            words = [stages.program("tcp_bench"), scenario.load]
            values["header"] = "none" if bare else scenario.header
            values["client"] = next(_tcp_clients)
            if scenario.text:
                values["text"] = scenario.text
        if scenario.load != "idle":
            seconds = seconds or self.seconds_of(scenario)
            values["seconds"] = seconds
            values["warm-up"] = min(0.5, seconds / 4)
        return words + [f"--{name}={value}" for name, value in values.items()]

    def seconds_of(self, scenario):
        return scenario.seconds or self.seconds

    def _load(self, scenario, target, running):
        self.stage.wait_until_idle()
        look = _Look(scenario, running) if running else None
        with _processor_time(running) as used:
            fields = self.fields(scenario, target, look)
        noted = look.noted if look else {}
        return {**_result(scenario, fields, used.get("seconds")), **noted}

    def fields(self, scenario, target, look=None, seconds=None):
        """What the load says of itself, as {name: number}; the proxy is looked at meanwhile."""
        seconds = seconds or self.seconds_of(scenario)
        pipe = subprocess.PIPE
        process = self.stage.namespace.popen(
            [*self.command(scenario, target, seconds), "--wait"],
            **{"stdin": pipe, "stdout": pipe, "stderr": pipe, "text": True},
        )
        try:
            if process.stdout.readline() == "warm\n":
                if look:
                    look.begin()
                process.stdin.write("\n")
                process.stdin.flush()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.communicate(timeout=LOOK_AT * seconds)
                if look and process.poll() is None:
                    look.end()
            said, complaint = process.communicate(timeout=seconds + SLACK)
        finally:
            process.kill()
            process.wait()
        fields = {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", said)}
        if process.returncode != 0 or not fields.get("total"):
            raise Failed(f"{scenario.name}: {said.strip()} {complaint.strip()}")
        return fields

    def _idle(self, scenario, pid):
        """Connections that have been of use once: what they cost the proxy while they rest."""
        warm = self.command(scenario, stages.LISTEN, connections=10)
        self.stage.namespace.run(warm, stdin=subprocess.DEVNULL, timeout=SLACK, check=True)
        memory, descriptors = machine.anonymous_kib(pid), machine.descriptors(pid)
        count = scenario.options["connections"]
        process = self.stage.namespace.popen(
            self.command(scenario, stages.LISTEN), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            if not process.stdout.readline():
                raise Failed(f"{scenario.name}: not all connections were made")
            self.stage.wait_until_idle()
            memory = machine.anonymous_kib(pid) - memory
            descriptors = machine.descriptors(pid) - descriptors
        finally:
            process.communicate(timeout=SLACK)
        if process.returncode != 0:
            raise Failed(f"{scenario.name}: a connection was of no use any more")
        return {
            "rate": memory / count,
            "descriptors": descriptors / count,
            "connections": count,
        }

    def _iperf(self, scenario, proxy):
        """As in the seeds: iperf's server sends, its client behind the forwarder receives."""
        iperf = self.iperf
        with contextlib.ExitStack() as stack:
            if proxy is None:
                stack.enter_context(iperf.server(iperf.direct))
                target, running = iperf.direct, None
            else:
                stack.enter_context(iperf.server(iperf.upstream))
                running = stack.enter_context(
                    proxy.running(iperf.namespace, scenario, iperf.listen, iperf.upstream)
                )
                target = stack.enter_context(iperf.forwarder())
            host, _, port = target.rpartition(":")
            seconds = self.seconds_of(scenario)
            command = ["iperf", "-c", host, "-p", port, "-u", "-R", "-b", "100g", "-y", "C"]
            command += ["-t", str(seconds), "-l", str(scenario.options["size"])]
            self.stage.wait_until_idle()
            with _processor_time(running) as used:
                done = iperf.path.client.run(command, timeout=seconds + SLACK)
            fields = _iperf_fields(done.stdout)
            if not fields:
                raise Failed(f"{scenario.name}: {done.stdout} {done.stderr}")
            # It is over: what the kernel does not have by now it has not had.
            noted = running.settle(scenario, patience=0) if running else {}
            return {**_result(scenario, fields, used.get("seconds")), **noted}


class _Look:
    """What a proxy takes while it is measured, as fields of results.Run."""

    def __init__(self, scenario, running):
        self.noted = {}
        self._scenario = scenario
        self._running = running
        self._descriptors = machine.descriptors(running.pid)

    def begin(self):
        self.noted.update(self._running.settle(self._scenario))
        self._cpu, self._began = machine.cpu_seconds(self._running.pid), time.monotonic()

    def end(self):
        used = machine.cpu_seconds(self._running.pid) - self._cpu
        self.noted["cpu_share"] = used / (time.monotonic() - self._began)
        self.noted["descriptors"] = machine.descriptors(self._running.pid) - self._descriptors


def _iperf_fields(text):
    """From what iperf writes with -y C: ..., interval, bytes, bits a second[, jitter, lost, sent,
    share, out of order]."""
    for line in text.splitlines():
        columns = line.split(",")
        if len(columns) >= 9 and int(columns[7]) > 0:
            begin, end = columns[6].split("-")
            fields = {"bytes": float(columns[7]), "seconds": float(end) - float(begin)}
            if len(columns) >= 14:
                fields["lost"] = float(columns[10])
                fields["reordered"] = float(columns[13])
            return {**fields, "total": fields["bytes"]}
    return None


@contextlib.contextmanager
def _processor_time(running):
    """What a proxy has used meanwhile; nothing, when there is none."""
    used = {}
    before = machine.cpu_seconds(running.pid) if running else None
    yield used
    if running:
        used["seconds"] = machine.cpu_seconds(running.pid) - before


_COUNTED = {
    "stream": "bytes",
    "ping": "messages",
    "connect": "completed",
    "udp": "echoed_per_second",
    "iperf": "bytes",
}


def _result(scenario, fields, cpu_seconds):
    counted = fields[_COUNTED[scenario.load]]
    rate = counted if scenario.load == "udp" else counted / fields["seconds"]
    total = fields["total"]
    if scenario.counts == "messages" and scenario.load in ("stream", "iperf"):
        # They tell bytes. Of datagrams, and of the shortest writes, it is the number that costs.
        rate /= scenario.options["size"]
        total /= scenario.options["size"]
    shares = ("p50", "p99", "p999", "max")
    latency = {share: fields[f"{share}_us"] for share in shares if f"{share}_us" in fields}
    return {
        "rate": rate / 1e6 if scenario.counts == "bytes" else rate,
        scenario.counts: total,
        **{name: fields[name] for name in ("lost", "reordered") if name in fields},
        "seconds": fields["seconds"],
        "cpu_seconds": cpu_seconds,
        "latency_us": latency or None,
    }
