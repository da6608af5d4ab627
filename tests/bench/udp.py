#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The UDP bench: datagrams a second that an echo server gets and answers, with and without a proxy.

Usage: udp.py [--rounds N] [--seconds S] [--workers N] [--framing every|first|spp]
              [--no-plain] [--proxy NAME=COMMAND]... [--strace]

Everything runs in one network namespace that it makes, so it needs root. A round measures each row
first straight at the echo server, then through each proxy; one proxy is alive at a time, and
nothing starts before everything else rests. The table has the medians over the rounds; a ratio is
the median of the rounds' own ratios, for a machine changes from one minute to the next. All
processes share this machine's cores: a ratio compares proxies on one machine, in one run.

"plain" is the yardstick, udp_plain: a transparent relay that makes the system calls of mmproxy-rs,
one datagram a call, and does hardly anything else. What is ahead of it by some factor, the last
column, is ahead of mmproxy-rs by more. A round measures it with one thread, as mmproxy has by
default, and with replies on a second one, as mmproxy-rs has them, and takes the better. That is a
bound as long as the proxy has no more than two cores. Plain reads a v2 header on every datagram and
no other framing: with another, or with --no-plain, it is left out.

--proxy measures another program in the same run: a command line with {listen} and {upstream} in it,
which stand for addresses with ports. --strace counts, in a short run of its own, mmproxy's system
calls a datagram; a traced process is slow, so that more datagrams wait for it and its batches are
longer than otherwise. A window of one has no batches: that is the most it can take.

The programs: $MMPROXY, $UDP_BENCH and $UDP_PLAIN, or what the build left at its usual places.
"""

import argparse
import collections
import contextlib
import functools
import itertools
import os
import pathlib
import platform
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

_TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_TOP / "tests" / "integration"))

from daemon import Daemon  # noqa: E402
from network import Namespace, remove_leftovers  # noqa: E402
from waiting import wait_until  # noqa: E402

LISTEN = "127.0.0.1:8443"
UPSTREAM = "127.0.0.1:5300"
CONFIG = """\
workers = {workers};
listeners = ( {{
	name = "bench";
	protocol = "udp";
	listen = "{listen}";
	forward = {{ ipv4 = "{upstream}"; }};
	subnets = [ "127.0.0.0/8" ];
	udp = {{ framing = "{framing}"; }};
}} );
log = {{ level = "warning"; }};
"""

Row = collections.namedtuple("Row", "size clients window")
ROWS = (Row(64, 1, 64), Row(64, 50, 16), Row(1200, 1, 64), Row(1200, 50, 16))

# Waiting for a process to start or end.
PATIENCE = 10

# No two runs have a client in common: the kernel or the proxy may remember one.
_client_ports = itertools.cycle(range(20000, 60000, 100))


class Bench:
    """The namespace with its echo server, and one load after the other."""

    def __init__(self, options, stack):
        self.options = options
        self.program = bench_program("udp_bench")
        self.busiest = 0.0
        self.namespace = Namespace("bench")
        stack.callback(self.namespace.destroy)
        self.namespace.add_return_path()
        self.echo = self.namespace.popen([self.program, "echo", "--listen", UPSTREAM])
        stack.callback(end, self.echo)
        self.wait_for_port(UPSTREAM, self.echo)

    def wait_for_port(self, endpoint, process=None):
        """Waits until a process has bound the port; without one, until the port is free."""
        port = int(endpoint.rpartition(":")[2])

        def reached():
            assert process is None or process.poll() is None, f"{process.args[0]} has ended"
            # Columns: slot, local address, ... in hexadecimal.
            with self.namespace.entered():
                table = pathlib.Path("/proc/thread-self/net/udp").read_text()
                table += pathlib.Path("/proc/thread-self/net/udp6").read_text()
            return bool(re.search(rf"^ *\d+: \w+:{port:04X} ", table, re.M)) == bool(process)

        wait_until(reached, PATIENCE, f"{endpoint} is {'bound' if process else 'free'}")

    def wait_until_idle(self):
        """The echo server rests, and the machine is as idle as it gets; how idle is remembered."""

        def rests():
            before = cpu_ticks(self.echo.pid)
            busy = busy_share(0.1)
            if cpu_ticks(self.echo.pid) != before:
                return None
            return [busy]

        busy = wait_until(rests, PATIENCE, "the echo server rests", interval=0)[0]
        self.busiest = max(self.busiest, busy)

    def load(self, row, target, framing, seconds=None, **more):
        """What one run says of itself, as {name: number}."""
        self.wait_until_idle()
        seconds = self.options.seconds if seconds is None else seconds
        values = {
            "to": target,
            "framing": framing,
            "size": row.size,
            "clients": row.clients,
            "window": row.window,
            "seconds": seconds,
            "client-net": "203.0.113.0/24",
            "client-port": next(_client_ports),
            **{name.replace("_", "-"): value for name, value in more.items()},
        }
        arguments = [f"--{name}={value}" for name, value in values.items()]
        done = self.namespace.run([self.program, "load", *arguments], timeout=seconds + 30)
        fields = dict(re.findall(r"(\w+)=([\d.]+)", done.stdout))
        assert fields, f"no result: {done.stderr}"
        result = {name: float(value) for name, value in fields.items()}
        assert result["total"] > 0, "nothing came back"
        assert result["wrong"] == 0, f"wrong replies: {done.stdout}"
        return result

    @contextlib.contextmanager
    def mmproxy(self):
        """mmproxy, ready for datagrams."""
        config = CONFIG.format(
            workers=self.options.workers,
            framing=self.options.framing,
            listen=LISTEN,
            upstream=UPSTREAM,
        )
        daemon = Daemon(self.namespace, config)
        try:
            self.wait_for_port(LISTEN, daemon.process)
            yield daemon
            daemon.stop()
            self.wait_for_port(LISTEN)
        except BaseException:
            print(f"mmproxy's log:\n{daemon.log()}", file=sys.stderr)
            raise
        finally:
            daemon.discard()

    @contextlib.contextmanager
    def other_proxy(self, words):
        """Another program, with what it prints kept for when it fails."""
        with tempfile.TemporaryFile("w+") as log:
            process = self.namespace.popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                self.wait_for_port(LISTEN, process)
                yield process
            except BaseException:
                log.seek(0)
                print(f"what {words[0]} printed:\n{log.read()}", file=sys.stderr)
                raise
            finally:
                end(process)
            self.wait_for_port(LISTEN)


def other_words(command):
    """The words of a command line in which {listen} and {upstream} stand for addresses."""
    return [
        word.replace("{listen}", LISTEN).replace("{upstream}", UPSTREAM)
        for word in shlex.split(command)
    ]


def end(process):
    """SIGTERM, and SIGKILL for what does not listen."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def bench_program(name):
    candidates = [
        _TOP / "tests" / "bench" / name,
        _TOP / "build" / "tests" / "bench" / name,
    ]
    if os.environ.get(name.upper()):
        candidates = [pathlib.Path(os.environ[name.upper()]).resolve()]
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and candidate.is_file():
            return str(candidate)
    sys.exit(f"udp.py: no {name} at {' or '.join(map(str, candidates))}: make check builds it")


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:13]))


def busy_share(seconds):
    """The share of the machine's time that is used, by whomever."""

    def read():
        with open("/proc/stat") as file:
            fields = list(map(int, file.readline().split()[1:9]))
        return sum(fields), fields[3] + fields[4]  # idle, and idle while something is read

    total, idle = read()
    time.sleep(seconds)
    later_total, later_idle = read()
    return 1 - (later_idle - idle) / max(later_total - total, 1)


# The table.


def measure(bench, proxies):
    """{(row, name): [result of each round]}; the name of what goes without a proxy is "direct".

    `proxies` is {name: [ways to start it]}: the best of the ways counts.
    """
    results = collections.defaultdict(list)
    for number in range(bench.options.rounds):
        for row in ROWS:
            progress(f"round {number + 1}: {title(row)}")
            results[row, "direct"].append(bench.load(row, UPSTREAM, "none"))
            for name, starts in proxies.items():
                runs = []
                for start in starts:
                    with start():
                        runs.append(bench.load(row, LISTEN, bench.options.framing))
                results[row, name].append(max(runs, key=lambda run: run["echoed_per_second"]))
    progress("")
    return results


def progress(text):
    if sys.stderr.isatty():
        print(f"\r{text:<30}\r", end="", file=sys.stderr, flush=True)


def title(row):
    return f"{row.size:>4} B x {row.clients:>2}"


def print_table(results, proxies):
    def median_ratio(row, name, base):
        rounds = zip(rates(row, name), rates(row, base))
        return statistics.median(rate / base_rate for rate, base_rate in rounds)

    def rates(row, name):
        return [result["echoed_per_second"] for result in results[row, name]]

    widths = [max(10, len(name)) for name in proxies]
    heads = [f"{name:>{width}}  ratio" for name, width in zip(proxies, widths)]
    if "plain" in proxies:
        heads.append("mmproxy/plain")
    print(f"{'echoed a second':<16}{'direct':>10}  {'  '.join(heads)}")
    for row in ROWS:
        line = f"{title(row):<16}{statistics.median(rates(row, 'direct')):>10.0f}"
        for name, width in zip(proxies, widths):
            line += f"  {statistics.median(rates(row, name)):>{width}.0f}"
            line += f"  {median_ratio(row, name, 'direct'):>5.2f}"
        if "plain" in proxies:
            line += f"  {median_ratio(row, 'mmproxy', 'plain'):>13.2f}"
        print(line)
    for (row, name), rounds in results.items():
        lost = sum(result["lost"] for result in rounds)
        if lost:
            print(f"lost: {lost:.0f} in all rounds of {title(row).strip()}, {name}")


# System calls.


@contextlib.contextmanager
def traced(daemon):
    """Counts the system calls of all threads meanwhile: {name: calls}, filled in at the end."""
    calls = {}
    with tempfile.NamedTemporaryFile("r") as summary:
        tracer = subprocess.Popen(
            ["strace", "-c", "-f", "-o", summary.name, "-p", str(daemon.pid)],
            stderr=subprocess.DEVNULL,
        )
        try:

            def attached():
                assert tracer.poll() is None, "strace has ended"
                return all(daemon.status("TracerPid", task) != "0" for task in daemon.tasks())

            wait_until(attached, PATIENCE, "strace has attached")
            yield calls
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(PATIENCE)
        # Columns: share of time, seconds, microseconds a call, calls, errors if any, name.
        for line in summary.read().splitlines():
            match = re.fullmatch(r" *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)", line)
            if match and match[2] != "total":
                calls[match[2]] = int(match[1])


def print_system_calls(bench):
    """A datagram that goes there and comes back is two that are relayed."""
    for window in (1, 64):
        row = Row(64, 1, window)
        with bench.mmproxy() as daemon:
            with traced(daemon) as calls:
                result = bench.load(row, LISTEN, bench.options.framing, seconds=1, warm_up=0)
        relayed = 2 * result["total"]
        print(
            f"window {window:>2}: {sum(calls.values()) / relayed:.3f} system calls a datagram, "
            f"{relayed:.0f} datagrams relayed, {result['lost']:.0f} lost"
        )
        for name, count in sorted(calls.items(), key=lambda item: -item[1]):
            print(f"  {name:<16}{count / relayed:>8.3f}  ({count})")


def read_options():
    parser = argparse.ArgumentParser(
        usage=argparse.SUPPRESS,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--framing", choices=("every", "first", "spp"), default="every")
    parser.add_argument("--no-plain", action="store_false", dest="plain")
    parser.add_argument("--proxy", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--strace", action="store_true")
    options = parser.parse_args()
    for proxy in options.proxy:
        name, _, command = proxy.partition("=")
        if not name or not command or name in ("direct", "mmproxy", "plain"):
            parser.error(f"--proxy: not NAME=COMMAND: {proxy}")
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("nothing to measure")
    if os.geteuid() != 0:
        parser.error("needs root")
    if options.strace and not shutil.which("strace"):
        parser.error("--strace: strace is missing")
    return options


def main():
    options = read_options()
    remove_leftovers()
    print(
        f"{os.cpu_count()} cores, Linux {platform.release()}; framing {options.framing}, "
        f"workers {options.workers}"
        + ("" if options.strace else f", {options.rounds} rounds of {options.seconds:g} s"),
        flush=True,
    )
    with contextlib.ExitStack() as stack:
        bench = Bench(options, stack)
        if options.strace:
            print_system_calls(bench)
            return
        proxies = {"mmproxy": [bench.mmproxy]}
        if options.plain and options.framing == "every":
            plain = bench_program("udp_plain")
            proxies["plain"] = [
                functools.partial(bench.other_proxy, [plain, LISTEN, UPSTREAM]),
                functools.partial(bench.other_proxy, [plain, "--two-threads", LISTEN, UPSTREAM]),
            ]
        for proxy in options.proxy:
            name, _, command = proxy.partition("=")
            proxies[name] = [functools.partial(bench.other_proxy, other_words(command))]
        print_table(measure(bench, proxies), proxies)
        print(f"the machine was up to {bench.busiest:.0%} busy with other things before a run")


if __name__ == "__main__":
    main()
