# SPDX-License-Identifier: MIT
"""Making a function that mmproxy calls fail: tests/tools/fail_call.so between it and libc.

    shim = FailCall()
    mmproxy = start_daemon(host, launch={"environment": shim.environment})
    shim.arm("accept4", "EMFILE", at=3)     the third one from now on fails
    shim.disarm()                           says how many have failed

Any build will do. With gcc's address sanitizer all calls fail as they do without it, but for
realloc() at the start, which its threads need; with clang's thread sanitizer all but allocations
and fstat(). Those tests are skipped there, and so is memcheck with either (test_valgrind.py).

The shim is in the process from its start, so it may be armed before. strace does without
(faults.py), but counts each thread for itself, slows all calls down, and sees no allocation.
"""

import ctypes
import errno
import functools
import itertools
import mmap
import os
import pathlib
import re
import subprocess
import tempfile

import pytest

import daemon

# fail_call.h
_NAME, _MAX, _WANTED = 32, 96, 3


class _Control(ctypes.Structure):
    _fields_ = [
        ("call", ctypes.c_char * _NAME),
        ("armed", ctypes.c_uint32),
        ("error", ctypes.c_uint32),
        ("limit", ctypes.c_uint32),
        ("at", ctypes.c_uint32),
        ("times", ctypes.c_uint32),
        ("wanted_mask", ctypes.c_uint32),
        ("reached", ctypes.c_uint32),
        ("hits", ctypes.c_uint32),
        ("wanted", ctypes.c_int32 * (_WANTED + 1)),
        ("seen", ctypes.c_uint64 * _MAX),
        ("names", ctypes.c_char * _NAME * _MAX),
    ]


def _library():
    path = pathlib.Path(daemon.binary()).parent / "tests" / "tools" / "fail_call.so"
    assert path.is_file(), f"no {path}: make check builds it"
    return str(path)


@functools.cache
def _libraries():
    return subprocess.run(["ldd", daemon.binary()], capture_output=True, text=True).stdout


# What a sanitizer that is linked in (clang's) does by itself: neither libc is asked nor the shim.
_SANITIZERS_OWN = {"malloc", "calloc", "realloc", "aligned_alloc", "fstat"}


@functools.cache
def _has_linked_in_sanitizer():
    """It is where malloc() comes from."""
    symbols = subprocess.run(["nm", "-D", "--defined-only", daemon.binary()], capture_output=True)
    return re.search(rb" malloc$", symbols.stdout, re.MULTILINE) is not None


class FailCall:
    def __init__(self):
        with tempfile.TemporaryFile() as file:
            file.truncate(ctypes.sizeof(_Control))
            self._path = f"/proc/{os.getpid()}/fd/{os.dup(file.fileno())}"
            self._map = mmap.mmap(file.fileno(), ctypes.sizeof(_Control))
        self._control = _Control.from_buffer(self._map)
        self.environment = {"LD_PRELOAD": _library(), "FAIL_CALL_FILE": self._path}
        # gcc's is a library, which wants to come first.
        if "libasan" in _libraries():
            options = filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"])
            self.environment["ASAN_OPTIONS"] = ":".join(options)

    def close(self):
        os.close(int(self._path.rpartition("/")[2]))

    def arm(self, call, error=None, limit=1, at=1, times=1, wanted=()):
        """The call fails with this error, by name; without one it is made, with a count of `limit`
        at most. `wanted`: only calls with these first arguments (None: any)."""
        control = self._control
        control.armed = 0
        control.call = call.encode()
        control.error = getattr(errno, error) if error else 0
        control.limit, control.at, control.times = limit, at, times
        control.wanted_mask = 0
        for number, value in enumerate(wanted):
            if value is not None:
                control.wanted_mask |= 1 << number
                control.wanted[number] = value
        control.reached = control.hits = 0
        control.armed = 1

    def disarm(self):
        """Nothing fails from now on. Returns how many calls have."""
        self._control.armed = 0
        return self._control.hits

    @property
    def hits(self):
        return self._control.hits

    def seen(self):
        """How often each function has been called since the start, those that were."""
        names = [bytes(name).split(b"\0")[0].decode() for name in self._control.names]
        return {name: count for name, count in zip(names, self._control.seen) if count}

    def arm_fault(self, call, fault, at):
        """A fault of each(): the name of an errno, or how small a count gets. Skips the test where
        the call is out of reach."""
        if call in _SANITIZERS_OWN and _has_linked_in_sanitizer():
            pytest.skip("what a linked-in sanitizer does by itself does not reach the shim")
        if fault.isdigit():
            self.arm(call, limit=int(fault), at=at)
        else:
            self.arm(call, fault, at=at)


def each(faults):
    """A test for each call and fault of {call: "FAULT FAULT ..."}."""
    pairs = [(call, fault) for call, listed in faults.items() for fault in listed.split()]
    return pytest.mark.parametrize("call,fault", pairs, ids=["-".join(pair) for pair in pairs])


def numbers():
    """The first call, the second, and so on; or the one that FAULT_AT names, and no other."""
    at = os.environ.get("FAULT_AT")
    return [int(at)] if at else itertools.count(1)
