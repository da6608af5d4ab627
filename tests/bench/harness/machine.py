# SPDX-License-Identifier: MIT
"""What /proc says of processes and of this machine."""

import contextlib
import os
import pathlib
import platform
import re
import time


def family(pid):
    """A process and its descendants."""
    found = [pid]
    for one in found:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for task in os.listdir(f"/proc/{one}/task"):
                text = pathlib.Path(f"/proc/{one}/task/{task}/children").read_text()
                found += map(int, text.split())
    return found


def cpu_seconds(pid):
    """The processor time that a process and its descendants have used, to the nanosecond."""
    total = 0
    for one in family(pid):
        for task in os.listdir(f"/proc/{one}/task"):
            text = pathlib.Path(f"/proc/{one}/task/{task}/schedstat").read_text()
            total += int(text.split()[0])
    return total / 1e9


def anonymous_kib(pid):
    """The memory that is theirs alone: not what is mapped from files."""
    total = 0
    for one in family(pid):
        status = pathlib.Path(f"/proc/{one}/status").read_text()
        total += int(re.search(r"^RssAnon:\s+(\d+) kB", status, re.M)[1])
    return total


def descriptors(pid):
    return sum(len(os.listdir(f"/proc/{one}/fd")) for one in family(pid))


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


def facts():
    cpu = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M)
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": cpu[1].strip() if cpu else platform.machine(),
        "memory_gib": round(int(memory[1]) / 2**20, 1),
        "kernel": platform.release(),
    }
