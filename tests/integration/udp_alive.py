# SPDX-License-Identifier: MIT
"""UDP flows that live for as long as the test wants, however slow the machine is."""

import contextlib
import re
import threading

from traffic import Background


def set_idle_timeout(mmproxy, seconds):
    """Puts another idle_timeout in place of the one in its file; flows that live take it, too."""
    text = mmproxy.config_file.read_text()
    text, count = re.subn(r"idle_timeout = [^;]*;", f"idle_timeout = {seconds};", text)
    assert count == 1, text
    mmproxy.write_config(text)
    assert mmproxy.reload().event == "config: reloaded", mmproxy.log()


@contextlib.contextmanager
def repeated(say, interval=0.05):
    """say() is called again and again inside the block, whatever the test waits for meanwhile."""
    over = threading.Event()

    def speak():
        while not over.is_set():
            say()
            over.wait(interval)

    speaking = Background(speak)
    try:
        yield
    finally:
        over.set()
        speaking.result()
