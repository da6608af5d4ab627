# SPDX-License-Identifier: MIT
"""What goes on during the soak, each in a thread of its own until it is told to stop. What is not as it
should be is an error, in words; what was done is counted."""

import collections
import hashlib
import os
import socket
import threading
import time

import bench_tools
import churn
import metrics
from control import Client
from files import FRAMINGS, GUARDED, METRICS, REFUSED, STEADY, STREAMS, UDP_UPSTREAM
from headers import v1, v2
from peers import Peer
from traffic import read_exactly, wait_until_ended
from upstreams import Server, echo

# Connections of tcp_churn's in a second, at most.
CHURN_RATE = 400

STEADY_SESSIONS = 10
TARGET = {name: ("127.0.0.1", ports[0]) for name, ports in STREAMS.items()}


class Load:
    """Calls turn() again and again."""

    name = "load"

    def __init__(self, host, mmproxy, errors):
        self.done = collections.Counter()
        self._host, self._mmproxy, self._errors = host, mmproxy, errors
        self._stopping = threading.Event()
        self._thread = None

    def start(self):
        self._stopping.clear()
        self.begin()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def ask_to_stop(self):
        self._stopping.set()

    def stop(self):
        self._stopping.set()
        self._thread.join(120)
        if self._thread.is_alive():
            self.error("does not come to its end")
        self.end()

    def begin(self):
        pass

    def end(self):
        pass

    def error(self, text):
        self._errors.append(f"{self.name}: {text}")

    def expect(self, holds, text):
        if not holds:
            self.error(text)

    def _run(self):
        while not self._stopping.is_set():
            try:
                self.turn()
            except Exception as error:  # it is told at the end, and the others go on
                self.error(repr(error))
                self._stopping.wait(1)


class Connections(Load):
    """tcp_churn: short connections of all kinds."""

    name = "connections"

    def begin(self):
        self._churn = churn.Churn(self._host, rate=CHURN_RATE, seed=int(time.monotonic()))
        self._counts = collections.Counter()

    def turn(self):
        self._stopping.wait(1)
        self._take(self._churn.counts())

    def _take(self, counts):
        self.done.update({name: counts[name] - self._counts[name] for name in counts})
        self._counts = collections.Counter(counts)

    def end(self):
        counts, complaint = self._churn.finish(120)
        self._take(counts)
        self.expect(counts["faults"] == 0, complaint)
        self._churn.kill()


class Streams(Load):
    """tcp_bench: as much as goes, each way, for a second; the bytes are compared."""

    name = "streams"

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._client = 0

    def begin(self):
        ports = {"echo": "echo", "sink": "up", "source": "down"}
        command = [bench_tools.program("tcp_bench"), "serve"]
        for option, stream in ports.items():
            command += [f"--{option}", f"127.0.0.1:{STREAMS[stream][1]}"]
        self._server = Peer(self._host)
        self._server.start(command, [upstream for _, upstream in STREAMS.values()])

    def turn(self):
        for direction, to in TARGET.items():
            started = bench_tools.start_load(
                self._host, "tcp_bench", "stream", to, direction=direction, connections=3,
                size=65536, header="v2", client=self._client, seconds=0.6, warm_up=0,
            )
            self._client += 3
            said, complaint = started.communicate(timeout=60)
            self.expect(started.returncode == 0, said + complaint)
            self.done["runs"] += 1

    def end(self):
        self._server.stop()


class Datagrams(Load):
    """udp_bench: new clients each time, in all framings."""

    name = "datagrams"

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._round = 0

    def begin(self):
        command = [bench_tools.program("udp_bench"), "echo", "--listen", f"127.0.0.1:{UDP_UPSTREAM}"]
        self._server = Peer(self._host)
        self._server.start(command, [UDP_UPSTREAM], ["udp"])

    def turn(self):
        # The very first ones fill mmproxy's receive slots, all of them, as far as they are ever filled.
        if self._round == 0:
            self._send({"window": 64, "clients": 20, "size": 65400, "seconds": 2}, flood=True)
        self._send({"rate": 500, "clients": 20, "size": 64 + self._round % 1200, "seconds": 0.8})

    def _send(self, options, flood=False):
        started = [
            bench_tools.start_load(
                self._host, "udp_bench", "load", ("127.0.0.1", port), framing=framing, warm_up=0.2,
                client_net="198.19.0.0/16", client_port=20000 + 100 * (self._round % 400) + 20 * i,
                **options,
            )
            for i, (framing, port) in enumerate(FRAMINGS.items())
        ]
        self._round += 1
        for each in started:
            result = bench_tools.result_of(each)
            self.expect(result["wrong"] == 0, f"{result}")
            self.done["sent"] += result["sent"]
            # Those that only a busy machine has delayed are not lost.
            self.done["lost"] += 0 if flood else max(0, result["lost"] - result["late"])

    def end(self):
        self._server.stop()


class Steady(Load):
    """Sessions that stay open all the time, through all reloads, and say something now and then."""

    name = "steady"

    def begin(self):
        self._server = Server(self._host, echo, ("127.0.0.1", STEADY[1]))
        self._sessions = [self._open(number) for number in range(STEADY_SESSIONS)]

    def _open(self, number):
        connection = self._host.connect(("127.0.0.1", STEADY[0]))
        client = ("203.0.113.20", 30000 + number)
        connection.sendall((v1 if number % 2 else v2)(client))
        return connection, hashlib.sha256(), hashlib.sha256()

    def turn(self):
        for connection, sent, received in self._sessions:
            message = os.urandom(1 + int.from_bytes(os.urandom(2), "big") % 20000)
            sent.update(message)
            connection.sendall(message)
            received.update(read_exactly(connection, len(message)))
            self.done["messages"] += 1
        self._stopping.wait(0.5)

    def end(self):
        for connection, sent, received in self._sessions:
            connection.shutdown(socket.SHUT_WR)
            self.expect(connection.recv(1) == b"", "bytes that nobody has sent")
            self.expect(sent.digest() == received.digest(), "other bytes than were sent")
            connection.close()
        self._server.close()


class Refused(Load):
    """A client of the access list's, to whom nothing must come back."""

    name = "refused"

    def turn(self):
        connection = self._host.connect(("127.0.0.1", GUARDED[0]))
        connection.sendall(v2(REFUSED) + b"hello")
        wait_until_ended(connection)
        connection.close()
        self.done["sessions"] += 1
        self._stopping.wait(0.05)


class Questions(Load):
    """The control socket and the metrics."""

    name = "questions"
    REQUESTS = ["status", "listeners", "sessions limit=20", "clients", "counters", "plugins"]

    def turn(self):
        with Client(self._mmproxy) as client:
            for text in self.REQUESTS:
                client.request(text)
                self.done["requests"] += 1
        metrics.scrape(self._host, METRICS)
        self.done["scrapes"] += 1
        self._stopping.wait(0.2)


class Reloads(Load):
    """One a second, of the next file; those that are broken change nothing."""

    name = "reloads"

    def __init__(self, host, mmproxy, errors, files):
        super().__init__(host, mmproxy, errors)
        self._files = files

    def turn(self):
        began = time.monotonic()
        text, good = self._files.next()
        self._mmproxy.write_config(text)
        with Client(self._mmproxy, timeout=60) as client:
            answer = client.ask("reload")
        self.expect(answer["ok"] == good, f"{answer}, of:\n{text}")
        self.done["good" if good else "broken"] += 1
        self._stopping.wait(max(0, began + 1 - time.monotonic()))


class Rotation(Load):
    """The access log gets another name every few seconds; the reload opens it anew."""

    name = "rotation"
    SECONDS, KEPT = 5, 6

    def __init__(self, host, mmproxy, errors, access_log):
        super().__init__(host, mmproxy, errors)
        self._log, self._rotated = access_log, []

    def turn(self):
        # Not in the last moment: somebody has to open the next one.
        if self._stopping.wait(self.SECONDS):
            return
        path = self._log.folder / f"access.log.{self.done['files']}"
        self._log.path.rename(path)
        self._rotated.append(path)
        self.done["files"] += 1
        if len(self._rotated) > self.KEPT:
            self._count(self._rotated.pop(0))

    def _count(self, path):
        with open(path, "rb") as file:
            self.done["lines"] += sum(1 for _ in file)
        path.unlink()

    def count_all(self):
        """At the very end: every line that was ever written."""
        for path in [*self._rotated, self._log.path]:
            if path.exists():
                self._count(path)
        self._rotated.clear()
        return self.done["lines"]
