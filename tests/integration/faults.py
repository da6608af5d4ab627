# SPDX-License-Identifier: MIT
"""Making system calls of a running mmproxy fail, and taking from it what it may have.

strace sits between the process and the kernel, so any build can be tested: nothing is loaded into
it. It leaves again at the end of the `with`, before mmproxy itself ends.
"""

import contextlib
import os
import re
import signal
import subprocess
import tempfile

from waiting import wait_until

# As prlimit(1) and /proc/PID/limits have it.
_LIMITS = {"nofile": "Max open files", "data": "Max data size"}


def failing(mmproxy, call, error, when="1+"):
    """Inside the `with`, this system call fails with this error: each time, or as strace's `when`
    says. Each thread has a count of its own: with one worker it is that worker's."""
    return tampering(mmproxy, f"{call}:error={error}:when={when}")


@contextlib.contextmanager
def tampering(mmproxy, injection):
    """Inside the `with`, it meets this, as strace's `inject` has it."""
    call = injection.partition(":")[0]
    with tempfile.TemporaryFile() as said:
        command = ["strace", "-f", "-p", str(mmproxy.pid), "-o", "/dev/null"]
        command += ["-e", f"trace={call}", "-e", f"inject={injection}"]
        strace = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=said)

        def text():
            return os.pread(said.fileno(), 65536, 0).decode()

        def attached():
            assert strace.poll() is None, text()
            tracers = {mmproxy.status("TracerPid", task) for task in mmproxy.tasks()}
            return tracers == {str(strace.pid)} and "attached" in text()

        try:
            wait_until(attached, 10, lambda: f"strace is attached: {text()}")
            yield
        finally:
            strace.send_signal(signal.SIGINT)
            strace.wait(10)


def slow_to_reload(mmproxy, seconds=2.5):
    """Its next reload takes longer than the two seconds that any worker has for an answer. Whether
    it did, the test has to see: another file may be the first that is opened."""
    return tampering(mmproxy, f"openat:delay_enter={seconds * 1e6:.0f}:when=1")


def tampered(injection):
    """How to launch an mmproxy that meets this from its start on, as strace's `inject` has it."""
    call = injection.partition(":")[0]
    strace = ["strace", "-D", "-f", "-o", "/dev/null", "-e", f"trace={call}"]
    # The leak check traces as well, and there can be one tracer only.
    environment = {"ASAN_OPTIONS": "detect_leaks=0"}
    return {"prefix": [*strace, "-e", f"inject={injection}"], "environment": environment}


def assert_does_not_start(mmproxy, words):
    """It has ended with one error, of which these are the words."""
    assert mmproxy.wait_until_ended() == 1
    (line,) = mmproxy.log_lines("^[^ ]* error ")
    assert line.event == words
    assert not mmproxy.log_lines("daemon: ready")


@contextlib.contextmanager
def limited(mmproxy, resource, limit):
    """Inside the `with`, the process may have no more of this than `limit`."""
    user, group = (mmproxy.status(field).split()[0] for field in ("Uid", "Gid"))

    def set_limit(value):
        # Who is not that user would need CAP_SYS_RESOURCE, which a container's root has not.
        command = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
        command += ["prlimit", f"--pid={mmproxy.pid}", f"--{resource}={value}:"]
        subprocess.run(command, check=True)

    with open(f"/proc/{mmproxy.pid}/limits") as file:
        before = re.search(rf"^{_LIMITS[resource]} +(\w+)", file.read(), re.MULTILINE)[1]
    set_limit(limit)
    try:
        yield
    finally:
        set_limit(before)


def without_descriptors(mmproxy):
    """Inside the `with`, no descriptor can be opened: there is none free below the limit."""
    used = {int(name) for name in os.listdir(f"/proc/{mmproxy.pid}/fd")}
    return limited(mmproxy, "nofile", min(set(range(len(used) + 1)) - used))


def without_memory(mmproxy):
    """Inside the `with`, the process gets no more memory than it has."""
    return limited(mmproxy, "data", int(mmproxy.status("VmData").split()[0]) * 1024)
