# SPDX-License-Identifier: MIT
"""A journald of the test's own, at its usual place in a mount namespace of mmproxy's."""

import contextlib
import pathlib
import re
import select
import socket
import struct
import threading

import daemon
from waiting import wait_until


class Journal:
    """The socket of a journal, in a folder that a mount namespace may have at the right place."""

    def __init__(self, folder, namespace=None):
        """With a namespace, room for as many entries as systemd gives a journald."""
        self._namespace = namespace
        self.folder = folder / "journal"
        self.folder.mkdir()
        self.folder.chmod(0o755)
        self.entries = []
        self._following = None
        self.open()

    def open(self):
        """The socket alone: call receive(), or follow() it."""
        if self._namespace is None:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        else:
            with self._namespace.entered():
                pathlib.Path("/proc/sys/net/unix/max_dgram_qlen").write_text("512")
                self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.folder / "socket"))
        (self.folder / "socket").chmod(0o666)
        self.socket.settimeout(10)

    def close(self):
        """A journald that has ended: nobody is at the socket, and then there is none."""
        self.stop_following()
        self.socket.close()
        (self.folder / "socket").unlink(missing_ok=True)

    def launch(self, **environment):
        """What start_daemon() takes to have it where journald is."""
        launch = in_mount_namespace(
            "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && "
            f"mount --bind {self.folder} /run/systemd/journal"
        )
        return {**launch, **({"environment": environment} if environment else {})}

    def receive(self):
        """The next entry's fields; not while following."""
        return parse(self.socket.recv(1 << 20))

    def follow(self):
        """Reads at once what comes: the kernel holds no more than a few entries for a reader."""
        self._following = threading.Thread(target=self._read, daemon=True)
        self._following.start()

    def stop_following(self):
        """From now on it is stuck, until follow()."""
        thread, self._following = self._following, None
        if thread is not None:
            thread.join()

    def is_empty(self):
        """Nothing waits to be read: there is room again."""
        return not select.select([self.socket], [], [], 0)[0]

    def _read(self):
        self.socket.settimeout(0.02)
        while self._following is threading.current_thread():
            with contextlib.suppress(TimeoutError):
                self.entries.append(self.receive())

    def wait_for(self, pattern, seconds=15):
        """The first entry whose MESSAGE matches."""

        def search():
            found = [entry for entry in self.entries if re.search(pattern, entry["MESSAGE"])]
            return found[0] if found else None

        return wait_until(search, seconds, lambda: f"the journal has /{pattern}/: {self.entries}")


def parse(entry):
    """The journal's native protocol: KEY=value lines, or KEY, a length and bytes."""
    fields = {}
    while entry:
        line, _, rest = entry.partition(b"\n")
        key, separator, value = line.partition(b"=")
        if not separator:
            (length,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + length], rest[8 + length + 1 :]
        assert key.decode() not in fields
        fields[key.decode()] = value.decode()
        entry = rest
    return fields


def message(entry):
    """An entry's MESSAGE, taken apart like a line of the log."""
    return daemon.LogLine.parse("<6>" + entry["MESSAGE"])


def in_mount_namespace(script):
    return {"prefix": ["unshare", "--mount", "sh", "-c", script + ' && exec "$@"', "sh"]}
