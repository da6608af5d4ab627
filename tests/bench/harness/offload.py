# SPDX-License-Identifier: MIT
"""mmproxy with the kernel offload, as a peer of its own: beside mmproxy, which relays all itself.

Each run has programs of its own, in a folder that is gone afterwards together with their filters:
else these would see the packets of whoever is measured next.
"""

import collections
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import control
from waiting import wait_until

from . import proxies
from . import stage as stages
from .loads import Failed
from .results import OFFLOAD

_SETTINGS = """\
offload = "auto";
offload_directory = "{directory}";
"""


class Mmproxy(proxies.Mmproxy):
    def __init__(self, folder, workers=0):
        """`folder` is on a BPF file system."""
        super().__init__(OFFLOAD, workers)
        self.directory = folder / "mmproxy"
        self.settings = _SETTINGS.format(directory=self.directory)

    def watched(self, process):
        # Its port is bound before the programs are there.
        wait_until(lambda: control.is_answered(process), stages.PATIENCE, "mmproxy has started")
        return _Running(process)

    def clear(self, namespace):
        listed = namespace.run(["tc", "qdisc", "show"], check=True).stdout
        for interface in re.findall(r"^qdisc clsact \S+ dev (\S+)", listed, re.M):
            namespace.run(["tc", "qdisc", "delete", "dev", interface, "clsact"], check=True)
        if self.directory.exists():
            shutil.rmtree(self.directory)


class _Running(proxies.Running):
    def __init__(self, process):
        super().__init__(process.pid)
        self._process = process

    def settle(self, scenario, patience=stages.PATIENCE):
        """A session that the relay still has would not be what is to be measured."""
        if not scenario.offloads:
            return {}
        found = {}

        def decided():
            answer = control.request(self._process, "counters")
            counters = collections.Counter(answer["counters"])
            found.update(carried=_carried(counters, scenario), stayed=_stayed(counters, scenario))
            return found["carried"] + sum(found["stayed"].values()) >= scenario.sessions

        with contextlib.suppress(AssertionError):
            wait_until(decided, patience, "each session is the kernel's, or stays")
            if found["carried"]:
                return {"offloaded": min(found["carried"] / scenario.sessions, 1)}
        stayed = " ".join(f"{name}={number}" for name, number in found["stayed"].items())
        raise Failed(
            f"{scenario.name}: the kernel has {found['carried']} of {scenario.sessions} sessions; "
            f"{stayed or 'of the others it is not known why'}"
        )

    def why_not(self):
        """Why the offload is not in use; "" where it is."""
        status = control.request(self._process, "status")["offload"]
        return "" if status["in_use"] else status["why"]


def _carried(counters, scenario):
    if scenario.protocol == "udp":
        return counters["offload_udp_moved"] - counters["offload_udp_returned"]
    return counters["offloaded"]


def _stayed(counters, scenario):
    """{counter: sessions}"""
    prefix = "offload_udp_stayed_" if scenario.protocol == "udp" else "offload_stayed_"
    return {name: number for name, number in counters.items() if name.startswith(prefix) and number}


def player(stack, stage, scenario, workers):
    """The peer, which is tried with the scenario; or None, after a line that says why."""
    try:
        folder = _mount(stack)
        mmproxy = Mmproxy(folder, workers)
        with mmproxy.running(
            stage.namespace, scenario, stages.LISTEN, scenario.upstream
        ) as running:
            why = running.why_not()
    except subprocess.CalledProcessError as failure:
        why = f"{' '.join(map(str, failure.cmd))}: {failure.stderr.strip()}"
    if why:
        print(f"bench: without {OFFLOAD}: {why}", file=sys.stderr)
        return None
    return mmproxy


def _mount(stack):
    """A BPF file system, for as long as the stack is there."""
    _remove_leftovers()
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"mmp-bench-bpf-{os.getpid()}-"))
    stack.callback(folder.rmdir)
    # The daemon is another user later on.
    folder.chmod(0o755)
    _run("mount", "-t", "bpf", "bpf", folder)
    stack.callback(_run, "umount", folder)
    return folder


def _remove_leftovers():
    """Of runs of the bench that were killed."""
    mounts = pathlib.Path("/proc/self/mounts").read_text()
    for folder, pid in re.findall(r"^\S+ (\S+/mmp-bench-bpf-(\d+)-\S+) bpf ", mounts, re.M):
        if not os.path.exists(f"/proc/{pid}"):
            _run("umount", folder)
            os.rmdir(folder)


def _run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)
