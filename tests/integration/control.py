# SPDX-License-Identifier: MIT
"""A client of mmproxy's control socket, in this process or as another user.

    request(mmproxy, "sessions limit=1")    the result of a request that is granted
    refusal(mmproxy, "kill 0")              the error of one that is not
    Client(mmproxy)                         a connection, for more than one request
"""

import json
import socket
import subprocess
import sys

from waiting import wait_until

_AS_ANOTHER_USER = """
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.settimeout(20)
client.sendall(sys.argv[2].encode() + b"\\n")
print(client.makefile().readline(), end="")
"""


class Client:
    def __init__(self, mmproxy, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX)
        # Blocking: with a timeout, connect() fails where it would have to wait for its turn.
        self.socket.connect(str(mmproxy.control_socket))
        self.socket.settimeout(timeout)
        self._received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def answer(self):
        """The next line, parsed; None when mmproxy has closed the connection."""
        while b"\n" not in self._received:
            try:
                piece = self.socket.recv(1 << 20)
            except ConnectionResetError:
                piece = b""
            if not piece:
                assert not self._received, f"an answer was cut off: {self._received[-80:]}"
                return None
            self._received += piece
        line, _, self._received = self._received.partition(b"\n")
        assert line.isascii()
        return json.loads(line)

    def ask(self, request):
        self.send(request + "\n")
        return self.answer()

    def request(self, text):
        return granted(text, self.ask(text))


def granted(text, answer):
    assert answer["ok"] is True, f"{text}: {answer}"
    assert answer.keys() == {"ok", "result"}
    return answer["result"]


def request(mmproxy, text):
    with Client(mmproxy) as client:
        return client.request(text)


def refusal(mmproxy, text):
    with Client(mmproxy) as client:
        answer = client.ask(text)
    assert answer["ok"] is False, f"{text}: {answer}"
    assert "\n" not in answer["error"]
    return answer["error"]


def ask_as(mmproxy, text, uid, gid, groups=()):
    """The whole answer to another user's request; None when that user could not connect."""
    done = subprocess.run(
        [sys.executable, "-c", _AS_ANOTHER_USER, str(mmproxy.control_socket), text],
        user=uid,
        group=gid,
        extra_groups=list(groups),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=30,
    )
    if done.returncode != 0:
        assert "PermissionError" in done.stderr, done.stderr
        return None
    return json.loads(done.stdout)


def is_answered(mmproxy):
    """Whether anybody serves the control socket."""
    try:
        with Client(mmproxy) as client:
            return client.ask("status") is not None
    except (FileNotFoundError, ConnectionRefusedError, BrokenPipeError):
        return False


def wait_for_sessions(mmproxy, count, filters=""):
    """The sessions that match, as soon as there are so many of them."""
    seen = {}

    def there():
        seen.update(request(mmproxy, f"sessions {filters}"))
        return seen["matched"] == count

    wait_until(there, 15, lambda: f"there are {count} sessions: {seen}", interval=0.02)
    return seen["sessions"]
