# SPDX-License-Identifier: MIT
"""Waiting for a condition, with a deadline."""

import time


def wait_until(condition, seconds, what, interval=0.005):
    """Polls until condition() is true and returns what it returned; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= deadline:
            text = what() if callable(what) else what
            raise AssertionError(f"waited {seconds} s in vain until {text}")
        time.sleep(interval)


def steady(measure, window, seconds, what):
    """Waits until measure() has not changed for `window` seconds, and returns it."""
    state = {"value": measure(), "since": time.monotonic()}

    def unchanged():
        value = measure()
        if value != state["value"]:
            state.update(value=value, since=time.monotonic())
        return time.monotonic() - state["since"] >= window

    wait_until(unchanged, seconds, what, interval=0.02)
    return state["value"]
