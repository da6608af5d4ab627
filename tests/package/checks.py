# SPDX-License-Identifier: MIT
"""Checks that are counted and told, a line each, and a closing line "N passed, N failed"."""

import contextlib
import time
import traceback

passed = failed = 0
_started = time.monotonic()


def check(what, holds, seen=""):
    """`seen`: what there is instead, told when it does not hold."""
    global passed, failed
    if holds:
        passed += 1
        print(f"ok      {what}", flush=True)
    else:
        failed += 1
        print(f"FAILED  {what}\n{_shortened(str(seen))}", flush=True)
    return holds


def _shortened(text, head=60, tail=160):
    lines = text.splitlines()
    if len(lines) <= head + tail:
        return text
    return "\n".join([*lines[:head], "[...]", *lines[-tail:]])


def same(what, wanted, seen):
    return check(what, wanted == seen, f"wanted {wanted!r}\nseen   {seen!r}")


@contextlib.contextmanager
def step(what):
    """A part whose end, by an exception, fails it and leaves the parts behind it to go on."""
    print(f"== {what} ({time.monotonic() - _started:.0f} s)", flush=True)
    try:
        yield
    except Exception as error:
        expected = type(error).__name__ in ("Failed", "AssertionError")
        check(what, False, str(error) if expected else traceback.format_exc())


def close():
    """The closing line; returns the exit status."""
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0
