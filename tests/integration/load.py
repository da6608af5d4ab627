# SPDX-License-Identifier: MIT
"""Short sessions without a pause, from several threads, and what became of each."""

import collections
import contextlib
import errno
import itertools
import socket
import threading

from headers import v1
from waiting import wait_until

PAYLOAD = b"0123456789" * 20


class Load:
    """`with Load(host, address) as load:` opens sessions with an upstream that echoes, until the end
    of the block. `results` counts them: "served", or what went wrong."""

    def __init__(self, namespace, address, threads=8):
        self.results = collections.Counter()
        self._namespace = namespace
        self._address = address
        self._stopping = threading.Event()
        self._clients = itertools.count()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work) for _ in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _work(self):
        while not self._stopping.is_set():
            with self._lock:
                number = next(self._clients)
            client = (f"203.0.113.{1 + number // 20000 % 200}", 20000 + number % 20000)
            result = self._session(client)
            with self._lock:
                self.results[result] += 1

    def _session(self, client):
        try:
            with contextlib.closing(self._namespace.socket()) as connection:
                connection.settimeout(20)
                connection.connect(self._address)
                connection.sendall(v1(client) + PAYLOAD)
                connection.shutdown(socket.SHUT_WR)
                return self._judge(connection)
        except ConnectionRefusedError:
            return "refused"
        except (ConnectionResetError, BrokenPipeError):
            return "reset"
        except socket.timeout:
            return "timeout"
        except OSError as error:
            # What shutdown() says of a connection that has been reset.
            return "reset" if error.errno == errno.ENOTCONN else str(error)

    @staticmethod
    def _judge(connection):
        data = b""
        while piece := connection.recv(65536):
            data += piece
        return "served" if data == PAYLOAD else f"cut off after {len(data)} bytes"

    def wait_for_more(self, count=50):
        """Until so many sessions have been served from now on."""
        wanted = self.results["served"] + count
        wait_until(lambda: self.results["served"] >= wanted, 30, lambda: f"more: {self.results}")

    def assert_all_served(self):
        assert set(self.results) == {"served"}, self.results
