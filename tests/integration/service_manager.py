# SPDX-License-Identifier: MIT
"""A service manager of the test's own, at the other end of NOTIFY_SOCKET."""

import contextlib
import functools
import pathlib
import shutil
import socket
import tempfile
import threading
import time

import daemon
from waiting import wait_until


def supported():
    return "+libsystemd" in daemon.version_text()


def needs_libsystemd(test):
    """Built without it mmproxy tells nobody anything; test_notify.py has what it says then."""

    @functools.wraps(test)
    def run(*arguments, **named):
        if supported():
            test(*arguments, **named)

    return run


class ServiceManager:
    """Everything it was told, in order: dictionaries, with the time of arrival as "at"."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mmp-notify-"))
        self.folder.chmod(0o755)
        self.path = self.folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.path.chmod(0o666)
        self.socket.settimeout(0.02)
        self.notices = []
        self._begin()

    def _begin(self):
        self._ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _end(self):
        self._ended = True
        self._thread.join()

    def close(self):
        self._end()
        self.socket.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self):
        while not self._ended:
            with contextlib.suppress(TimeoutError):
                lines = self.socket.recv(65536).decode().splitlines()
                notice = dict(line.split("=", 1) for line in lines)
                self.notices.append({"at": time.monotonic(), **notice})

    @contextlib.contextmanager
    def stuck(self):
        """It reads nothing, and its socket is full."""
        self._end()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    other.sendto(b"FULL=1", str(self.path))
            yield
        self._begin()

    def launch(self, watchdog=None):
        """What start_daemon() takes. `watchdog` is its period in seconds."""
        environment = {"NOTIFY_SOCKET": str(self.path)}
        if watchdog is None:
            return {"environment": environment}
        environment["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
        # It is for the process with this number alone, which exec keeps.
        prefix = ["sh", "-c", 'export WATCHDOG_PID=$$; exec "$@"', "sh"]
        return {"environment": environment, "prefix": prefix}

    def told(self, key, after=0):
        """The notices with this key, behind the first `after` of all."""
        return [notice for notice in self.notices[after:] if key in notice]

    def wait_for(self, key, after=0, seconds=15):
        """The first of told()."""
        return wait_until(
            lambda: next(iter(self.told(key, after)), None),
            seconds,
            lambda: f"{key} is told: {self.notices}",
        )

    def wait_for_status(self, text, after=0, seconds=15):
        """A status that has this in it."""
        wait_until(
            lambda: any(text in notice["STATUS"] for notice in self.told("STATUS", after)),
            seconds,
            lambda: f"the status has {text!r}: {self.notices}",
        )
