# SPDX-License-Identifier: MIT
"""Every call that mmproxy makes for its sessions, its flows, its control socket and a reload fails:
the first, the second, and so on until there is none left.

What arrives through it meanwhile is never a lie (conversations.py). Afterwards nothing is left
open, a session that was lost has its cause in the log, and the next ones go through.

One failure again: FAULT_AT=17 pytest -k "splice-ENOMEM", which fails the 17th call and no other.
tests/tools/fail_call.c says how without a test.
"""

import collections
import contextlib
import itertools
import os
import re
import subprocess

import pytest

import control
import daemon
import settings
import udp
from conversations import converse, exchange
from fail_call import FailCall, each, numbers
from headers import CLIENT4, CLIENT6
from plugins import entry
from sessions import assert_alive, close, open_session
from udp import Balancer
from waiting import wait_until

# Ends of pipes: two a stream, and two sessions at once at most.
PIPES_MAX = 8

# The name of an errno, or how small a count gets.
#
# After these nothing is missing.
HARMLESS = {
    "accept4": "EMFILE ENFILE ENOBUFS ENOMEM ECONNABORTED EINTR EAGAIN EPERM",
    "recv": "EINTR EAGAIN 1",
    "send": "EINTR EAGAIN 1",
    "splice": "EINTR EAGAIN 1",
    "epoll_wait": "EINTR 1",
    "eventfd_read": "EAGAIN",
    "recvmmsg": "EINTR EAGAIN ENOMEM ECONNREFUSED 1",
    "sendmmsg": "EINTR 1",
    "bind": "EADDRINUSE EACCES",
    "getsockname": "ENOBUFS",
    "sendto": "ENOBUFS EINTR",
    "recvmsg": "ENOBUFS EINTR",
    "poll": "EINTR ENOMEM",
    "close": "EINTR EIO",
    "open": "EMFILE EACCES",
    "read": "EIO EINTR 1",
    "write": "ENOSPC EINTR EAGAIN 1",
    "fstat": "EIO",
    "stat": "EACCES",
    "sched_getaffinity": "EINVAL",
}

# After these a session or a datagram may be, and somebody is told why.
COSTLY = {
    "socket": "EMFILE ENFILE ENOBUFS EACCES",
    "bind": "ENOMEM",
    "connect": "EADDRNOTAVAIL ENETUNREACH EPERM ENOBUFS",
    "setsockopt": "ENOPROTOOPT EPERM ENOMEM",
    "getsockopt": "ENOPROTOOPT ENOBUFS",
    "recv": "ENOMEM ETIMEDOUT",
    "send": "ENOBUFS ENOMEM EPIPE",
    "splice": "ECONNRESET ENOMEM EINVAL",
    "ioctl": "EINVAL",
    "shutdown": "ENOTCONN",
    "epoll_ctl": "ENOMEM ENOSPC",
    "sendmmsg": "EAGAIN ENOBUFS ENOMEM EPERM ECONNREFUSED EINVAL EIO",
    "malloc": "ENOMEM",
    "calloc": "ENOMEM",
    "realloc": "ENOMEM",
}

# Counters that say that something is missing, and why.
TOLD = re.compile("dropped|no_memory|failed|error|reset|unresponsive|conflict")


class Rounds:
    """One mmproxy, and rounds of all that it does."""

    def __init__(self, host, mmproxy, shim, upstreams):
        self.host, self.mmproxy, self.shim = host, mmproxy, shim
        self.upstream4, self.upstream6, self.datagrams = upstreams
        self.balancer = Balancer(host)
        self._ports = itertools.count(20000)
        self._rounds = itertools.count()
        for _ in range(2):
            assert self.run() == []
        self.mmproxy.wait_until_idle()
        self.descriptors, _ = self.count_descriptors()

    def count_descriptors(self):
        """All but pipes, and pipes: the worker keeps as many of these as were in use at once."""
        folder = f"/proc/{self.mmproxy.pid}/fd"
        counts = collections.Counter()
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                counts["pipe:" in os.readlink(f"{folder}/{name}")] += 1
        return counts[False], counts[True]

    def _client(self, like):
        return (like[0], 20000 + next(self._ports) % 40000)

    def run(self):
        """A conversation of each kind. Returns what was lost: clients, and None for a datagram."""
        self.log_before = self.mmproxy.log_size()
        sessions = [
            converse(self.host, self.upstream4, self._client(CLIENT4)),
            converse(self.host, self.upstream6, self._client(CLIENT6)),
        ]
        converse(self.host, self.upstream4, self._client(CLIENT4), breaks_off=True)
        lost = [session.client_address for session in sessions if not session.whole]
        missing = exchange(
            self.balancer,
            self.datagrams,
            self._client(CLIENT4),
            next(self._rounds),
            self.mmproxy.wait_until_idle,
        )
        lost += [None] * missing
        self.ask("reload")
        return lost

    def told(self):
        """The counters that speak of something that is missing."""
        counters = self.ask("counters")["result"]["counters"]
        return {name: value for name, value in counters.items() if TOLD.search(name)}

    def names_cause(self, client):
        """Whether the round's log says why a session was lost; before its header it has no name."""
        return any(
            line.level in ("warning", "error")
            or (udp.text(client) in line.text and line.fields.get("reason") != "finished")
            for line in self.mmproxy.log_lines(after=self.log_before)
        )

    def ask(self, request):
        """An answer, or none: never half of one, nor waiting for ever."""
        with control.Client(self.mmproxy) as client:
            try:
                client.send(request + "\n")
            except BrokenPipeError:
                return None
            return client.answer()

    def check_service(self):
        """Nothing is armed: whatever went wrong before, this works."""
        session = open_session(self.host, self.upstream4, self._client(CLIENT4))
        assert_alive(*session)
        close(*session)
        assert self.ask("status")["ok"]

    def assert_nothing_is_left(self):
        def nothing_left():
            others, pipes = self.count_descriptors()
            return others == self.descriptors and pipes <= PIPES_MAX

        wait_until(
            nothing_left,
            10,
            lambda: f"{self.descriptors} descriptors: {self.count_descriptors()}",
        )


@pytest.fixture
def rounds(host, start_daemon, upstream, upstream6, udp_upstream):
    shim = FailCall()
    # Full long before all is said, though not before a stream is spliced; packets of which a buffer
    # holds many.
    host.shrink_buffers(200_000)
    host.ip("link set lo mtu 9000")
    config = settings.configuration(
        settings.listener(plugins=[entry("acl", config={"default": "allow"})]),
        settings.udp_listener(listen="127.0.0.1:8443", max_flows=1),
        workers=1,
        drain_timeout=0,
    )
    mmproxy = start_daemon(host, config=config, launch={"environment": shim.environment})
    yield Rounds(host, mmproxy, shim, (upstream, upstream6, udp_upstream))
    shim.disarm()
    shim.close()


def fail_each(rounds, call, fault, judge):
    """A round for each call that there is to fail; `judge` gets what that one lost."""
    failed = 0
    for at in numbers():
        told = rounds.told()
        rounds.shim.arm_fault(call, fault, at)
        try:
            lost = rounds.run()
            hits = rounds.shim.disarm()
            rounds.check_service()
            rounds.assert_nothing_is_left()
            judge(lost, told)
        except BaseException:
            print(f"FAULT_AT={at}")
            raise
        finally:
            rounds.shim.disarm()
        if not hits:
            break
        failed += hits
    print(f"{call} {fault}: {failed} failures")
    assert failed > 0, f"no {call} was called"


@pytest.mark.deadline(600)
@each(HARMLESS)
def test_a_call_that_fails_costs_nothing(call, fault, rounds):
    def judge(lost, _):
        assert not lost

    fail_each(rounds, call, fault, judge)


@pytest.mark.deadline(600)
@each(COSTLY)
def test_what_a_call_that_fails_costs_is_told(call, fault, rounds):
    def judge(lost, told):
        assert not lost or rounds.told() != told, "something is missing, and nobody counts it"
        for client in filter(None, lost):
            assert rounds.names_cause(client), f"the log does not say why {client} was lost"

    fail_each(rounds, call, fault, judge)


def undefined(path):
    """The names that a program or an archive wants of others, each with the file that wants it."""
    listed = subprocess.run(["nm", "-A", "-u", path], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        file, _, name = line.rpartition(" ")
        yield name.partition("@")[0], file


def test_no_call_of_the_program_goes_past_the_shim():
    """Neither a fortified name of a function, nor a system call without one, but for Landlock's and
    seccomp's, which have none: test_lockdown_absent.py has those fail."""
    folder = os.path.dirname(daemon.binary())
    names = set(undefined(daemon.binary()))
    for archive in "libmmproxy.a", "libpure.a":
        names |= set(undefined(os.path.join(folder, archive)))
    past = re.compile(r"syscall|__(recv|recvfrom|read|pread|poll|realpath)_chk|__open(at)?(64)?_2")
    # A sanitizer's runtime has those for itself.
    if not daemon.is_sanitized():
        assert {"recv", "send", "epoll_wait"} <= {name for name, _ in names}
        found = {(name, file) for name, file in names if past.fullmatch(name)}
        nameless = re.compile(r"[-_](landlock|seccomp)\.o:|/mmproxy:")
        assert not {file for name, file in found if name != "syscall" or not nameless.search(file)}
