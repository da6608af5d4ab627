# SPDX-License-Identifier: MIT
"""mmproxyctl, and a daemon's side of the control socket that says what a test wants it to say."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import threading
import time

import daemon


def binary():
    """The mmproxyctl under test: $MMPROXYCTL, or the one beside mmproxy."""
    path = os.environ.get("MMPROXYCTL") or pathlib.Path(daemon.binary()).parent / "mmproxyctl"
    assert os.access(path, os.X_OK), f"no mmproxyctl at {path}"
    return str(path)


def command(path, *words):
    return [binary(), "--socket", str(path), *map(str, words)]


def run(path, *words, timeout=30, **options):
    options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, **options}
    done = subprocess.run(command(path, *words), timeout=timeout, **options)
    assert "Sanitizer" not in (done.stderr or "") and "runtime error" not in (done.stderr or "")
    return done


def ask(path, *words):
    """The result of a command that must work, by --json."""
    done = run(path, "--json", *words)
    assert done.returncode == 0 and done.stderr == "", done
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


class FakeControl:
    """Listens on a Unix socket and answers each request by a table.

    `answers` maps a command to a result, to a whole reply (a dict with "ok"), to bytes that are
    sent as they are, or to a function of the request's words that returns one of these. What has
    no answer gets none. `requests` is every line that came.
    """

    def __init__(self, answers):
        self.answers = answers
        self.requests = []
        self._directory = tempfile.TemporaryDirectory(prefix="mmp-ctl-")
        self.path = pathlib.Path(self._directory.name) / "control.sock"
        self._connections = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(self.path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection.makefile("r") as lines:
            for line in lines:
                self.requests.append(line.rstrip("\n"))
                for piece in self._replies(line.split()):
                    connection.sendall(piece)

    def _replies(self, words):
        answer = self.answers.get(words[0])
        if callable(answer):
            answer = answer(words)
        for one in answer if isinstance(answer, list) else [answer]:
            if isinstance(one, bytes):
                yield one
            elif one is not None:
                reply = one if "ok" in one else {"ok": True, "result": one}
                yield json.dumps(reply).encode() + b"\n"

    def disconnect(self):
        """The daemon goes away."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.disconnect()
        self._thread.join(10)
        self._directory.cleanup()


STATUS = {
    "version": "0.1.0",
    "pid": 4711,
    "uptime": 7980.5,
    "state": "running",
    "generation": 3,
    "loaded": 1700000000,
    "last_reload": None,
    "workers": [{"worker": 0, "alive": True, "sessions": 7}, {"worker": 1, "alive": False}],
    "sessions": 12,
    "max_sessions": 10000,
    "log_level": "info",
    "descriptors": {"open": 57, "limit": 1048576},
}


class Busy:
    """Answers for `top`: figures that grow by the clock, at so many a second. `clock` is another
    one than this machine's."""

    def __init__(self, clients=3, listeners=2, clock=time.monotonic, **rates):
        self.rates = {
            "sessions_accepted": 40,
            "sessions_relayed": 39,
            "bytes_from_client": 64 * 1024,
            "bytes_from_upstream": 1024 * 1024,
            "sessions_closed_header_timeout": 5,
            **rates,
        }
        self.clients, self.listeners = clients, listeners
        self._clock = clock
        self._began = clock()

    def _grown(self, rate):
        return int((self._clock() - self._began + 100) * rate)

    def answers(self):
        return {
            "status": lambda _: STATUS,
            "listeners": lambda _: {"listeners": list(map(self._listener, range(self.listeners)))},
            "clients": lambda _: {"clients": list(map(self._client, range(self.clients)))},
            "counters": lambda _: {
                "counters": {name: self._grown(rate) for name, rate in self.rates.items()}
            },
        }

    def _listener(self, number):
        return {
            "name": f"listener-{number}",
            "protocol": "tcp",
            "state": "listening",
            "sessions": 6,
            "sessions_total": self._grown(20),
            "max_sessions": 1000,
        }

    def _client(self, number):
        return {
            "client": f"203.0.113.{number}",
            "sessions": 2,
            "bytes_from_client": self._grown(1024),
            "bytes_from_upstream": self._grown(512 * 1024),
        }
