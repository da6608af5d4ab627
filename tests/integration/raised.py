# SPDX-License-Identifier: MIT
"""Every counter is raised by some test.

Each mmproxy logs its counters when it ends (and on SIGUSR1). What a test's own have raised is kept
here under the test's name, and a run of all tests fails when a counter was raised by none: the
counters of base/counter.def, one for each reason of base/close_reason.def, those that the host
keeps for each plugin, which may be any plugin's, and those of the plugins that ship, whatever their
entries are called.
"""

import collections
import json
import pathlib
import re

_SOURCES = pathlib.Path(__file__).resolve().parents[2] / "src"

_LINE = re.compile(r"daemon: counters(?P<fields>.*)")
_FIELD = re.compile(r" ([a-z_0-9]+)=([0-9]+)")


def expected():
    """The names of all counters, as the log has them."""
    names = _second_texts("base/counter.def", "COUNTER")
    reasons = _second_texts("base/close_reason.def", "CLOSE_REASON")
    names += [f"sessions_closed_{reason.replace('-', '_')}" for reason in reasons]
    text = (_SOURCES / "host/instance.c").read_text()
    kept = re.findall(r'\[INSTANCE_[A-Z_]+\] = "([a-z_]+)"', text)
    own = set()
    for file in (_SOURCES.parent / "plugin").glob("*/*.c"):
        own |= set(re.findall(r'host->counter\(instance, "([a-z0-9_]+)"\)', file.read_text()))
    assert names and reasons and kept and own
    return names + [f"plugin_*_{name}" for name in kept + sorted(own)]


def _second_texts(file, macro):
    """The first quoted word of each line MACRO(ID, ..., "word", "sentence")."""
    text = (_SOURCES / file).read_text()
    return re.findall(rf'^{macro}\([^"\n]*"([a-z0-9_-]+)"', text, re.MULTILINE)


def raised_in(log):
    """The names of the counters that a log says are not zero."""
    names = set()
    for line in log.splitlines():
        match = _LINE.search(line)
        if match:
            names |= {name for name, value in _FIELD.findall(match["fields"]) if int(value) > 0}
        elif '"event":"counters"' in line:
            fields = json.loads(line[line.index("{") :])
            names |= {name for name, value in fields.items() if isinstance(value, int) and value}
    return names


class Record:
    """Which tests have raised which counter."""

    def __init__(self):
        self.tests = collections.defaultdict(list)

    def note(self, test, log):
        for name in raised_in(log):
            if test not in self.tests[name]:
                self.tests[name].append(test)

    def missing(self):
        """The counters that no test has raised."""
        return [name for name in expected() if not self._tests_of(name)]

    def _tests_of(self, name):
        pattern = re.compile(name.replace("*", ".+"))
        return [test for seen, tests in self.tests.items() if pattern.fullmatch(seen)
                for test in tests]

    def table(self):
        """A line a counter: by how many tests it was raised, and the first of them."""
        for name in expected():
            tests = self._tests_of(name)
            yield f"{name}  {len(tests)}  {tests[0] if tests else '-'}"


def is_whole_run(config):
    """No test was chosen or left out by name, mark, file or folder."""
    here = pathlib.Path(__file__).resolve().parent
    options = config.option
    if options.keyword or options.markexpr or options.deselect or options.ignore:
        return False
    if options.collectonly or getattr(options, "ignore_glob", None):
        return False
    start = config.invocation_params.dir
    return all((start / argument).resolve() == here for argument in config.args)
