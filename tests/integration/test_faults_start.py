# SPDX-License-Identifier: MIT
"""Every call of the start fails, one after the other. Either mmproxy starts without, and serves,
with no more rights than ever; or it says in one line why it does not, and leaves nothing behind.

One failure again: FAULT_AT=17 pytest -k "start_in_which and socket-EMFILE", or by hand, as
tests/tools/fail_call.c says.
"""

import itertools

import pytest

import control
import daemon
import rules
import settings
from fail_call import FailCall, each, numbers
from headers import CLIENT4
from plugins import entry
from sessions import assert_alive, close, open_session
from upstreams import UPSTREAM4, Listener
from waiting import wait_until

FAULTS = {
    "aligned_alloc": "ENOMEM",
    "bind": "EPERM",
    "calloc": "ENOMEM",
    "cap_drop_bound": "EPERM",
    "cap_get_proc": "ENOMEM",
    "cap_set_proc": "EPERM",
    "cap_set_secbits": "EPERM",
    "epoll_create1": "EMFILE",
    "epoll_ctl": "ENOSPC",
    "eventfd": "EMFILE",
    "fchmod": "EPERM",
    "flock": "ENOLCK",
    "fopen": "EMFILE",
    "fstat": "EIO",
    "getifaddrs": "ENOBUFS",
    "getpwnam": "EIO",
    "getrandom": "ENOSYS",
    "getrlimit": "EPERM",
    "getsockname": "ENOBUFS",
    "lchown": "EPERM",
    "listen": "EADDRINUSE",
    "lstat": "EACCES",
    "malloc": "ENOMEM",
    "mmap": "ENOMEM",
    "open": "EMFILE",
    "poll": "EINTR ENOMEM",
    "prctl": "EPERM",
    "pthread_create": "EAGAIN",
    "read": "EIO 1",
    "realloc": "ENOMEM",
    "realpath": "ENOMEM",
    "recvmsg": "ENOBUFS",
    "sched_getaffinity": "EPERM",
    "sched_setscheduler": "EPERM",
    "sendto": "ENOBUFS",
    "setgroups": "EPERM",
    "setresgid": "EPERM",
    "setresuid": "EAGAIN",
    "setrlimit": "EPERM",
    "setsockopt": "ENOPROTOOPT",
    "signalfd": "EMFILE",
    "socket": "EMFILE",
    "stat": "EACCES",
    "unlink": "EACCES",
    "write": "ENOSPC 1",
}

CONFIG = settings.configuration(
    settings.listener(plugins=[entry("acl", config={"deny": "192.0.2.0/24"})]),
    settings.udp_listener(),
    workers=2,
    drain_timeout=0,
    routing={"mode": "manage"},
    metrics={"listen": "127.0.0.1:9464"},
)

# A token of the return path takes one of 64 sockets (src/routing/token.c), and each is looked at.
TOKENS = {"bind", "socket"}

# What was not started says so with one of these. With the second nothing starts it again, so memory
# and descriptors that have run out must not end with it.
REFUSED = (1, 2)
MAY_PASS = ("ENOMEM", "EMFILE", "EAGAIN")


class Starts:
    def __init__(self, host):
        self.host, self.upstream, self.shim = host, Listener(host, UPSTREAM4), FailCall()
        self._ports = itertools.count(20000)

    def attempt(self, fault):
        """A start, and an end if it came to that. Returns whether it did."""
        mmproxy = daemon.Daemon(self.host, CONFIG, environment=self.shim.environment)
        try:
            wait_until(
                lambda: mmproxy.process.poll() is not None or self._is_ready(mmproxy),
                15,
                lambda: f"it is ready, or has ended:\n{mmproxy.log()}",
            )
            started = mmproxy.process.poll() is None
            if started:
                self._judge_start(mmproxy)
            else:
                self._judge_refusal(mmproxy, fault)
            mmproxy.assert_no_sanitizer_report()
            assert not mmproxy.control_socket.exists(), mmproxy.log()
            return started
        except BaseException:
            print(mmproxy.log())
            raise
        finally:
            mmproxy.discard()

    def _is_ready(self, mmproxy):
        if "daemon: ready" in mmproxy.log():
            return True
        # That line may be what got lost.
        return self.shim.hits and control.is_answered(mmproxy)

    def _judge_start(self, mmproxy):
        self.shim.disarm()
        assert int(mmproxy.status("CapEff"), 16) == 1 << 12
        assert int(mmproxy.status("CapBnd"), 16) == 1 << 12
        assert mmproxy.status("NoNewPrivs") == "1"
        assert "0" not in mmproxy.status("Uid").split() + mmproxy.status("Gid").split()
        assert mmproxy.status("Groups") == ""
        client = (CLIENT4[0], 20000 + next(self._ports) % 40000)
        session = open_session(self.host, self.upstream, client)
        assert_alive(*session)
        close(*session)
        mmproxy.stop()

    def _judge_refusal(self, mmproxy, fault):
        status, log = mmproxy.process.returncode, mmproxy.log()
        # The loader of shared objects says that a file is missing or bad when memory is out.
        certain = fault in MAY_PASS and "cannot be loaded: " not in log
        refused = REFUSED[:1] if certain else REFUSED
        assert status in refused, f"exit status {status}:\n{log}"
        # A mistake in what it was told has no time and no level in front. A worker that does not
        # start has a line of its own.
        said = [line for line in mmproxy.log_lines() if line.level in ("", "error")]
        workers = [line for line in said if line.event == "daemon: cannot start a worker"]
        assert 1 <= len(said) <= 1 + len(workers), f"{len(said)} lines say why:\n{log}"


@pytest.fixture
def starts(bare):
    made = Starts(bare)
    yield made
    made.shim.close()


@pytest.mark.deadline(600)
@each(FAULTS)
def test_a_start_in_which_a_call_fails_works_or_says_why_not(call, fault, starts):
    outcomes = {True: 0, False: 0}
    for at in numbers():
        if call in TOKENS and at > 20 and at % 9:
            continue
        starts.shim.arm_fault(call, fault, at)
        try:
            started = starts.attempt(fault)
            assert rules.is_empty(starts.host), rules.everything(starts.host)
        except BaseException:
            print(f"FAULT_AT={at}")
            raise
        if not starts.shim.disarm():
            break
        outcomes[started] += 1
    print(f"{call} {fault}: {outcomes[True]} starts, {outcomes[False]} refusals")
    assert sum(outcomes.values()) > 0, f"no {call} was called"
