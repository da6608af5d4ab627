# SPDX-License-Identifier: MIT
"""Moving bytes over sockets and saying how it ended."""

import errno
import fcntl
import hashlib
import os
import socket
import struct
import termios
import threading

from waiting import steady, wait_until

EOF = "eof"
RESET = "reset"


def read_exactly(connection, count):
    """`count` bytes; fails if the connection ends before."""
    data = bytearray()
    while len(data) < count:
        piece = connection.recv(count - len(data))
        assert piece, f"the connection ended after {len(data)} of {count} bytes"
        data += piece
    return bytes(data)


def read_to_end(connection):
    """Everything until the end, and how the end came: (bytes, EOF or RESET)."""
    data = bytearray()
    while True:
        try:
            piece = connection.recv(262144)
        except ConnectionResetError:
            return bytes(data), RESET
        if not piece:
            return bytes(data), EOF
        data += piece


def hash_to_end(connection):
    """Like read_to_end for data one does not want to keep: (sha256, count, EOF or RESET)."""
    digest, count, buffer = hashlib.sha256(), 0, memoryview(bytearray(1 << 20))
    while True:
        try:
            length = connection.recv_into(buffer)
        except ConnectionResetError:
            return digest.hexdigest(), count, RESET
        if not length:
            return digest.hexdigest(), count, EOF
        digest.update(buffer[:length])
        count += length


def wait_until_ended(connection, timeout=10):
    """Waits for the other side to end the connection, in whichever way, and drops what came."""
    connection.settimeout(timeout)
    try:
        return read_to_end(connection)[1]
    except socket.timeout:
        raise AssertionError(f"the connection is still open after {timeout} s") from None
    except OSError as error:
        if error.errno in (errno.EPIPE, errno.ECONNABORTED):
            return RESET
        raise


def reset(connection):
    """Closes with RST instead of FIN; what was not sent yet is lost."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def unsent(connection):
    """Bytes that the other side's kernel has not acknowledged."""
    return struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]


def wait_until_sent(connection, timeout=10):
    """Waits until the other side's kernel has acknowledged everything."""
    wait_until(lambda: unsent(connection) == 0, timeout, "everything is acknowledged")


def fill(connection, limit=1 << 30, piece=bytes(65536), digest=None):
    """Sends until the connection takes no more for the moment, and returns how much it took.

    With a hashlib object, that is fed what was sent.
    """
    timeout = connection.gettimeout()
    connection.setblocking(False)
    total = 0
    try:
        while total < limit:
            sent = connection.send(piece)
            total += sent
            if digest is not None:
                digest.update(piece[:sent])
    except BlockingIOError:
        pass
    finally:
        connection.settimeout(timeout)
    return total


def fill_until_throttled(connection, limit=256 << 20, digest=None):
    """Sends until the connection takes nothing for half a second, and returns how much it took."""
    piece = os.urandom(65537)
    taken = [0]

    def push():
        if taken[0] < limit:
            taken[0] += fill(connection, limit - taken[0], piece, digest)
        return taken[0]

    return steady(push, 0.5, 30, "the sender is throttled")


class Background:
    """Runs a function in a thread; result() waits for it and raises what it raised."""

    def __init__(self, function, *arguments):
        self._result = self._error = None
        self._thread = threading.Thread(
            target=self._run, args=(function, arguments), daemon=True
        )
        self._thread.start()

    def _run(self, function, arguments):
        try:
            self._result = function(*arguments)
        except BaseException as error:  # handed to whoever asks for the result
            self._error = error

    def running(self):
        return self._thread.is_alive()

    def result(self, timeout=60):
        self._thread.join(timeout)
        assert not self._thread.is_alive(), f"not finished after {timeout} s"
        if self._error is not None:
            raise self._error
        return self._result


def send_and_finish(connection, data):
    """Sends everything, then half-closes."""
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
