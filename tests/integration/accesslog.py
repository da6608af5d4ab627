# SPDX-License-Identifier: MIT
"""The access log of a test: where it is, what its lines say, and sessions to stand in it."""

import datetime
import json
import os
import pathlib
import re
import shutil
import socket
import tempfile

import pytest

import plugins
from traffic import EOF, read_to_end
from waiting import wait_until

NOBODY = 65534

formats = pytest.mark.parametrize("form", ["logfmt", "json"])


class Log:
    """The file of a log, in a folder that mmproxy may write to."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "access.log"

    def entry(self, name="accesslog", **config):
        return plugins.entry(name, {"file": str(self.path), **config}, plugin="accesslog")

    def text(self, path=None):
        path = path or self.path
        return path.read_bytes().decode() if path.exists() else ""

    def wait_for(self, count, path=None):
        """So many lines, parsed, and not more."""
        wait_until(
            lambda: self.text(path).count("\n") >= count, 10, lambda: f"{count}: {self.text(path)}"
        )
        lines = self.text(path).split("\n")
        assert lines.pop() == ""
        assert len(lines) == count, lines
        return [parse(line) for line in lines]

    def wait_for_one(self):
        return self.wait_for(1)[0]


def parse(line):
    """A line of either format as a dictionary of texts."""
    if line.startswith("{"):
        return {key: _plain(value) for key, value in json.loads(line).items()}
    field = r'([a-z0-9_]+)=("(?:[^"\\\x00-\x1f\x7f-\uffff]|\\.)*"|[!#-<>-\[\]-~]+)'
    assert re.fullmatch(rf"{field}(?: {field})*", line), line
    pairs = re.findall(field, line)
    assert len(dict(pairs)) == len(pairs), line
    return {
        key: value[1:-1].replace('\\"', '"') if value[0] == '"' else value for key, value in pairs
    }


def _plain(value):
    """What JSON has a type for, as logfmt writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


@pytest.fixture
def log():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mmp-log-"))
    folder.chmod(0o755)
    os.chown(folder, NOBODY, NOBODY)
    yield Log(folder)
    shutil.rmtree(folder)


def finish(session, question=b"question", answer=b"the answer"):
    """Ends a session in order, after this much from both sides."""
    connection, accepted = session
    connection.sendall(question)
    connection.shutdown(socket.SHUT_WR)
    assert read_to_end(accepted) == (question, EOF)
    accepted.sendall(answer)
    accepted.close()
    assert read_to_end(connection) == (answer, EOF)
    connection.close()


def assert_is_now(stamp):
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stamp)
    then = datetime.datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%f%z")
    age = datetime.datetime.now(datetime.timezone.utc) - then
    assert datetime.timedelta(0) <= age < datetime.timedelta(seconds=60)


def run(host, start_daemon, config, check=True, **options):
    """Starts it, waits for its end, and returns the exit status and what it said."""
    arguments = ["--check"] if check else None
    made = start_daemon(host, config=config, arguments=arguments, ready=False, **options)
    return made.wait_until_ended(), made.log()
