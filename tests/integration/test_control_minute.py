# SPDX-License-Identifier: MIT
"""Control connections that have been silent for almost a minute, or for longer: mmproxy lets go of
those, and of nobody whose request it is working on."""

import subprocess
import time

import pytest

import ctl
from control import Client
from faults import slow_to_reload

pytestmark = pytest.mark.deadline(120)

# The seconds of src/daemon/control/connection.c.
PATIENCE = 60


def test_a_minute_of_silence_ends_no_request_and_no_top(host, start_daemon):
    mmproxy = start_daemon(host)
    if mmproxy.built_with_sanitizer():
        pytest.skip("it takes a minute, and the memory it uses other tests use as well")
    command = ctl.command(mmproxy.control_socket, "top", "--once", "--interval", str(PATIENCE + 1))
    top = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with Client(mmproxy) as silent, Client(mmproxy, timeout=40) as asking:
        began = time.monotonic()
        time.sleep(PATIENCE - 15)
        # The request comes before the minute is over, however long strace takes, and ends after it.
        with slow_to_reload(mmproxy, seconds=20):
            assert asking.request("reload") == {"generation": 2}
        assert time.monotonic() - began > PATIENCE
        assert silent.answer() is None
    said, trouble = top.communicate(timeout=30)
    assert (top.returncode, trouble) == (0, "")
    assert "generation 2" in said
