# SPDX-License-Identifier: MIT
"""tests/tools/tcp_load: many short sessions a second, each of which must be answered rightly."""

import os
import select
import subprocess

import daemon


class TcpLoad:
    """Runs from the moment it is made: through the mmproxy at `to`, to an upstream of its own."""

    def __init__(self, namespace, rate, to="127.0.0.1:8443", upstream="127.0.0.1:443"):
        program = os.path.join(os.path.dirname(daemon.binary()), "tests/tools/tcp_load")
        assert os.access(program, os.X_OK), f"no tcp_load at {program}: make check builds it"
        command = [program, "--to", to, "--upstream", upstream, "--rate", str(rate)]
        pipe = subprocess.PIPE
        self._process = namespace.popen(command, stdin=pipe, stdout=pipe, bufsize=0)

    def counts(self):
        """How the sessions have ended so far, and how many are open."""
        self._process.stdin.write(b"\n")
        return self._read()

    def finish(self):
        """Opens no more, waits for those that are open, and returns the last counts."""
        self._process.stdin.close()
        last = self._read()
        self._process.wait(10)
        return last

    def _read(self):
        ready, _, _ = select.select([self._process.stdout], [], [], 30)
        assert ready, "tcp_load says nothing"
        line = self._process.stdout.readline().decode()
        return {name: int(value) for name, _, value in (f.partition("=") for f in line.split())}

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
