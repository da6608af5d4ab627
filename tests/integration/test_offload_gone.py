# SPDX-License-Identifier: MIT
"""Interfaces that go while mmproxyctl offload is at work, as those of containers do, and what the
kernel does not tell about others."""

import contextlib
import json
import os
import signal
import subprocess

import pytest

import ctl
import faults
import offload
import settings
from waiting import wait_until

pytestmark = offload.needs_bpf()


@pytest.fixture
def directory(host):
    made = offload.Directory(host)
    web = settings.listener(listen="*:8443", subnets="any", offload="auto")
    made.write_config(settings.configuration(web, offload_directory=str(made.path)))
    yield made
    made.destroy()


@contextlib.contextmanager
def begun(directory, action, injection, *words):
    """mmproxyctl offload ACTION, which meets this, as strace's `inject` has it. It has ended at the
    end of the `with`: while it runs, its directory cannot be unmounted."""
    launch = faults.tampered(injection)
    command = [ctl.binary(), "offload", action, "--config", str(directory.config), *words]
    process = directory.namespace.popen(
        [*launch["prefix"], *command],
        env={**os.environ, **launch["environment"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def run(*arguments):
    with begun(*arguments) as process:
        stdout, stderr = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


# Messages to the kernel: the first is for the list, then an interface takes three, of which the
# second makes clsact. So before lo's last one there is time, in microseconds, or until
# leave_alone().
HELD_UP = "sendto:delay_enter=20000000:when=4"


def leave_alone(process):
    """Ends the strace it meets: it goes on at once."""
    with open(f"/proc/{process.pid}/status") as file:
        (tracer,) = [line.split()[1] for line in file if line.startswith("TracerPid:")]
    assert tracer != "0"
    os.kill(int(tracer), signal.SIGKILL)


@pytest.mark.deadline(120)
def test_load_does_without_an_interface_that_has_gone_since_it_was_listed(directory):
    namespace = directory.namespace
    namespace.ip("link add gone type veth peer name gone-too\n")

    def has_clsact(name):
        return "clsact" in namespace.run(["tc", "qdisc", "show", "dev", name]).stdout

    # lo is the first of those that were listed, and these are the last.
    with begun(directory, "load", HELD_UP) as process:
        wait_until(lambda: has_clsact("lo"), 40, "the program is put at interfaces")
        assert not has_clsact("gone") and not has_clsact("gone-too")
        namespace.ip("link del gone\n")
        assert process.poll() is None
        leave_alone(process)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (0, "")
    assert stdout == f"loaded: layout 1 in {directory.path}\n"
    assert directory.ctl("status").returncode == 0


def statuses(directory, error):
    """What `status` comes to where one message cannot be sent to the kernel, each in its turn."""
    sound, told = directory.ctl("status", "--json").stdout, 0
    for at in range(1, 100):
        done = run(directory, "status", f"sendto:error={error}:when={at}", "--json")
        # The first ones ask what it does without.
        if done.stdout != sound:
            told += 1
            yield done
        elif told > 0:
            return
    assert False, "there is no end of messages"


def test_status_says_what_it_cannot_look_at(directory):
    directory.done("load")
    for done in statuses(directory, "ENOBUFS"):
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.endswith(" cannot be looked at: No buffer space available\n")


def test_status_leaves_out_an_interface_that_has_gone_since_it_was_listed(directory):
    directory.done("load")
    left_out = []
    for done in statuses(directory, "ENODEV"):
        if done.returncode == 1:  # the list itself
            assert done.stderr.endswith(" cannot be looked at: No such device\n")
            continue
        assert done.stderr == ""
        shown = json.loads(done.stdout)
        assert shown["ok"]
        left_out += set(offload.interfaces(directory.namespace)) - {
            one["name"] for one in shown["interfaces"]
        }
    assert sorted(left_out) == sorted(offload.interfaces(directory.namespace))
