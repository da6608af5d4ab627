# SPDX-License-Identifier: MIT
"""What plugins were asked, and their answers: tests/plugins/recorder.c and puppet.c write down each
call, and a puppet gives its verdicts when the test says so.

    record   a fixture, for modules with pytest_plugins = ["hooks"]: the file that they write to.
             record.entry("first", verdict=DENY) is an entry of `plugins`, record.puppet("slow") one
             that is played by hand.

PYTEST_DONT_REWRITE: it is imported for its names before it is loaded for its fixture.
"""

import collections
import os
import pathlib
import re
import shutil
import tempfile

import pytest

import plugins
from traffic import EOF, read_to_end, send_and_finish
from waiting import wait_until

PASS, DENY, RESET, PENDING = 0, 1, 2, 3

LOCAL = 0x1  # of flags
CONNECTED = 0x1  # of end_flags

TCP, UDP = 6, 17
V1, V2, SPP = 1, 2, 3

_FIELD = re.compile(r'(\w+)=("[^"]*"|\S*)')
_PATIENCE = 15


class Call:
    """One call of one hook: call.hook, call["client"]. What is written as - is None."""

    def __init__(self, line):
        self.text = line
        self.hook, _, rest = line.partition(" ")
        self._fields = {name: _value(text) for name, text in _FIELD.findall(rest)}

    def __getitem__(self, name):
        assert name in self._fields, f"no {name} in: {self.text}"
        return self._fields[name]

    def __contains__(self, name):
        return name in self._fields

    def matches(self, fields):
        return all(self._fields.get(name) == value for name, value in fields.items())

    def __repr__(self):
        return self.text


def _value(text):
    if text.startswith('"'):
        raw = re.sub(r"\\x(..)", lambda match: chr(int(match[1], 16)), text[1:-1])
        return raw.encode("latin-1").decode(errors="backslashreplace")
    if text == "-":
        return None
    return int(text) if re.fullmatch(r"-?\d+", text) else text


class Record:
    """The file that plugins write to, which the user that mmproxy becomes may do."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="mmp-record-"))
        self.directory.chmod(0o755)
        self.file = self.directory / "record"
        self.file.touch()
        self.file.chmod(0o666)
        self._fifos = []

    def entry(self, label, plugin="recorder", on_error=None, timeout=None, **config):
        """An entry of `plugins` called `label`, whose calls are written down."""
        settings = {"on_error": on_error, "timeout": timeout}
        return plugins.entry(
            label,
            {"file": str(self.file), "label": label, **config},
            plugin,
            **{name: value for name, value in settings.items() if value is not None},
        )

    def puppet(self, label, plugin="puppet", **settings):
        fifo = self.directory / f"commands-{len(self._fifos)}"
        os.mkfifo(fifo)
        fifo.chmod(0o666)
        descriptor = os.open(fifo, os.O_RDWR | os.O_CLOEXEC)
        self._fifos.append(descriptor)
        entry = self.entry(label, plugin, commands=str(fifo), **settings)
        return Puppet(self, label, entry, descriptor)

    def calls(self, *hooks, **fields):
        """The calls so far, of these hooks if any are named, in which these fields are so."""
        lines = self.file.read_text().rpartition("\n")[0].splitlines()
        calls = [Call(line) for line in lines]
        named = [call for call in calls if not hooks or call.hook in hooks]
        return [call for call in named if call.matches(fields)]

    def hooks(self, **fields):
        """Just the names of the session's hooks, with the label before each: "first filter"."""
        hooks = ("filter", "cancel", "connected", "closed")
        return [f"{call['label']} {call.hook}" for call in self.calls(*hooks, **fields)]

    def wait_for_calls(self, count, hook, **fields):
        def reached():
            calls = self.calls(hook, **fields)
            return calls if len(calls) >= count else None

        return wait_until(
            reached, _PATIENCE, lambda: f"{hook} was called {count} times:\n{self.file.read_text()}"
        )

    def wait_for(self, hook, **fields):
        """The first call of a hook, as soon as it was called."""
        return self.wait_for_calls(1, hook, **fields)[0]

    def assert_each_session_was_closed_once(self, label=None):
        """For each `filter` there is a `closed`, on the same thread, and nothing after it."""
        fields = {"label": label} if label else {}
        sessions = collections.defaultdict(list)
        for call in self.calls("filter", "cancel", "connected", "closed", **fields):
            sessions[call["instance"], call["session"]].append(call)
        for calls in sessions.values():
            hooks = [call.hook for call in calls]
            assert hooks[0] == "filter" and hooks[-1] == "closed", calls
            assert hooks.count("filter") == hooks.count("closed") == 1, calls
            assert len({call["thread"] for call in calls}) == 1, calls
            assert not any("overlap" in call for call in calls), calls

    def discard(self):
        for descriptor in self._fifos:
            os.close(descriptor)
        shutil.rmtree(self.directory, ignore_errors=True)


class Puppet:
    """One entry whose verdicts come when the test gives them."""

    def __init__(self, record, label, entry, descriptor):
        self.label = label
        self.entry = entry
        self._record = record
        self._descriptor = descriptor

    def tickets(self):
        return [call["ticket"] for call in self._record.calls("filter", label=self.label)]

    def wait_for_tickets(self, count):
        calls = self._record.wait_for_calls(count, "filter", label=self.label)
        return [call["ticket"] for call in calls]

    def wait_for_ticket(self):
        return self.wait_for_tickets(1)[0]

    def complete(self, ticket, verdict, why=None):
        """Gives a verdict and returns what mmproxy said to that: 0 or a negative errno."""
        before = len(self._record.calls("complete", label=self.label))
        self.give(ticket, verdict, why)
        calls = self._record.wait_for_calls(before + 1, "complete", label=self.label)
        assert calls[-1]["ticket"] == ticket
        return calls[-1]["result"]

    def give(self, ticket, verdict, why=None):
        """The same without waiting for the answer."""
        self._command(f"complete {ticket} {verdict}" + (f" {why}" if why else ""))

    def log(self, level, text):
        self._command(f"log {level} {text}")

    def _command(self, line):
        os.write(self._descriptor, line.encode() + b"\n")


def finish(connection, accepted):
    """Ends a session in order, from both sides."""
    send_and_finish(connection, b"question")
    assert read_to_end(accepted) == (b"question", EOF)
    send_and_finish(accepted, b"the answer")
    assert read_to_end(connection) == (b"the answer", EOF)
    connection.close()
    accepted.close()


def assert_category(call, least):
    """Ends of sessions count from 1, refusals from 100, failures from 200."""
    assert least <= call["code"] < (least // 100 + 1) * 100, call


@pytest.fixture
def record():
    made = Record()
    yield made
    made.discard()
