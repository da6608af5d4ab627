# SPDX-License-Identifier: MIT
"""Mixed traffic for a long time, with a reload every second, and what is left of it: tests/soak/run
starts it.

First a warm-up, which makes everything that is made once: buffers, pipes, the allocator's arenas. When
it is over and nothing is open any more, memory, descriptors and threads are looked at; then the same
traffic comes for the time that was asked for; then they are looked at again.
"""

import contextlib
import os
import pathlib
import shutil
import sys
import tempfile
import time

import long_run
from files import Files
from loads import (
    Connections,
    Datagrams,
    Questions,
    Refused,
    Reloads,
    Rotation,
    Steady,
    Streams,
)
from long_run import Checks, counters, descriptors, live, mib, spare_pipes, text_of

import accesslog
from control import request
from waiting import steady, wait_until

MINUTES = 30

# The warm-up, in seconds, is a part of the whole, within these bounds.
WARM_UP_PART, WARM_UP_LEAST, WARM_UP_MOST = 0.2, 40, 120

# By how much resident memory may have grown after all.
RESIDENT_SHARE = 0.01

ERRORS_TOLD = 20


class State:
    """What must be again as it was."""

    def __init__(self, mmproxy):
        self.descriptors = descriptors(mmproxy)
        self.threads = len(mmproxy.tasks())
        self.resident = steady(mmproxy.memory, 0.5, 15, "memory stays as it is")
        with open(f"/proc/{mmproxy.pid}/maps") as file:
            fields = [line.split() for line in file]
        # Plugins of generations that are gone are not mapped any more.
        self.mapped = sorted({line[5] for line in fields if len(line) > 5 and "/" in line[5]})


class TimeLine:
    """A line every so often: what has come since the last one."""

    def __init__(self, mmproxy, errors, loads, interval):
        self._mmproxy, self._errors, self._loads = mmproxy, errors, loads
        self._interval = interval
        self._before, self._time = counters(mmproxy), time.monotonic()

    def follow(self, seconds):
        began = time.monotonic()
        print("      s   resident  descriptors  sessions  accepted/s    MB/s  datagrams/s  errors")
        while (passed := time.monotonic() - began) < seconds - 0.5:
            time.sleep(min(self._interval, seconds - passed))
            self._line(time.monotonic() - began)

    def _line(self, at):
        now, moment = counters(self._mmproxy), time.monotonic()
        span = moment - self._time

        def rate(*names):
            return sum(now[name] - self._before[name] for name in names) / span

        print(
            f"{at:7.0f} {mib(self._mmproxy.memory()):>10} {self._mmproxy.descriptors():12}"
            f" {live(self._mmproxy):9} {rate('sessions_accepted'):11.0f}"
            f" {rate('bytes_from_client', 'bytes_from_upstream') / 1e6:7.1f}"
            f" {rate('datagrams_from_client'):12.0f} {len(self._errors):7}",
            flush=True,
        )
        self._before, self._time = now, moment


def main(minutes=MINUTES):
    seconds = float(minutes) * 60
    warm_up = min(max(WARM_UP_PART * seconds, WARM_UP_LEAST), WARM_UP_MOST)
    interval = 60 if seconds >= 300 else 10
    check, errors = Checks(), []
    with access_log() as log, long_run.host() as host:
        files = Files(log)
        with long_run.mmproxy(host, files.first()) as mmproxy:
            loads = make_loads(host, mmproxy, errors, files, log)
            print(f"warm-up: {warm_up:.0f} s")
            run(mmproxy, errors, loads, warm_up, interval)
            settle(mmproxy, files)
            before, counted = State(mmproxy), counters(mmproxy)
            print(f"soak: {seconds:.0f} s")
            run(mmproxy, errors, loads, seconds, interval)
            settle(mmproxy, files)
            since, after = before, State(mmproxy)
            if has_grown(since, after):
                # A page may be touched for the first time once; what leaks does so each time.
                print(f"again, for resident memory has grown to {mib(after.resident)}")
                run(mmproxy, errors, loads, seconds, interval)
                settle(mmproxy, files)
                since, after = after, State(mmproxy)
            now = counters(mmproxy)
            judge_work(check, errors, loads, {name: now[name] - counted[name] for name in now})
            judge_state(check, mmproxy, before, after)
            judge_memory(check, since, after)
    return check.close()


@contextlib.contextmanager
def access_log():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mmp-soak-"))
    folder.chmod(0o755)
    os.chown(folder, accesslog.NOBODY, accesslog.NOBODY)
    try:
        yield accesslog.Log(folder)
    finally:
        shutil.rmtree(folder)


def make_loads(host, mmproxy, errors, files, log):
    plain = [Connections, Streams, Datagrams, Steady, Refused, Questions]
    loads = [kind(host, mmproxy, errors) for kind in plain]
    loads.append(Reloads(host, mmproxy, errors, files))
    loads.append(Rotation(host, mmproxy, errors, log))
    return loads


def run(mmproxy, errors, loads, seconds, interval):
    for load in loads:
        load.start()
    TimeLine(mmproxy, errors, loads, interval).follow(seconds)
    for load in loads:
        load.ask_to_stop()
    for load in loads:
        load.stop()


def settle(mmproxy, files):
    """The first configuration again, and nothing open."""
    mmproxy.write_config(files.first())
    request(mmproxy, "reload")
    wait_until(lambda: live(mmproxy) == 0, 60, lambda: f"nothing is open: {live(mmproxy)}")


def judge_work(check, errors, loads, counted):
    for error in errors[:ERRORS_TOLD]:
        print(error)
    check(not errors, f"{len(errors)} errors")
    done = {load.name: load.done for load in loads}
    for name in "opened", "served", "client_resets", "upstream_resets", "half_header", "dead_end":
        amount = done["connections"][name]
        check(amount > 0, f"short connections: {amount:.0f} {name}")
    for load, name in [
        ("streams", "runs"),
        ("datagrams", "sent"),
        ("steady", "messages"),
        ("refused", "sessions"),
        ("questions", "requests"),
        ("questions", "scrapes"),
        ("reloads", "good"),
        ("reloads", "broken"),
        ("rotation", "files"),
    ]:
        check(done[load][name] > 0, f"{load}: {done[load][name]:.0f} {name}")
    dropped = sum(value for name, value in counted.items() if "_dropped_" in name)
    lost = done["datagrams"]["lost"]
    check(lost <= dropped, f"{lost:.0f} datagrams lost, {dropped} counted as dropped")
    for name in "system_error", "no_memory", "connect_timeout", "header_timeout", "plugin_error":
        check(counted[f"sessions_closed_{name}"] == 0, f"none was closed for {name}")
    judge_access_log(check, loads[-1], counted)


def judge_access_log(check, rotation, counted):
    lines, lost = rotation.count_all(), counted["plugin_accesslog_lines_dropped"]
    check(lines > 0 and lost == 0, f"{lines} lines in the access log, {lost} dropped")


def judge_state(check, mmproxy, before, after):
    check(live(mmproxy) == 0, "no session and no flow is left")
    check(
        after.descriptors == before.descriptors,
        f"descriptors: {text_of(before.descriptors)}; now {text_of(after.descriptors)}",
    )
    check(after.threads == before.threads, f"threads: {before.threads}, now {after.threads}")
    check(after.mapped == before.mapped, f"{len(before.mapped)} files mapped, as before")
    pipes = spare_pipes(mmproxy)
    check(pipes > 0, f"streams were spliced: {pipes} spare pipes")


def has_grown(before, after):
    return after.resident - before.resident > RESIDENT_SHARE * before.resident


def judge_memory(check, before, after):
    grown = after.resident - before.resident
    check(
        not has_grown(before, after),
        f"resident: {mib(before.resident)}, now {mib(after.resident)}"
        f" ({100 * grown / before.resident:+.1f} %)",
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
