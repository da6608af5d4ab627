# SPDX-License-Identifier: MIT
"""Asking mmproxy for its metrics over HTTP, and reading what it says as Prometheus would."""

import dataclasses
import http.client
import re
import subprocess

from settings import configuration, listener

LISTEN = ("127.0.0.1", 9464)
LISTEN_TEXT = "127.0.0.1:9464"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# HTTP connections at one time, src/daemon/metrics/http.c.
CONNECTIONS_MAX = 16

_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')


def config(*listeners, listen=LISTEN_TEXT, **top):
    """A whole file with metrics; without listeners it has the one that most tests use."""
    return configuration(*(listeners or [listener()]), metrics={"listen": listen}, **top)


def request(namespace, path="/metrics", method="GET", address=LISTEN, body=None):
    """One request on a connection of its own: (http.client's response, its body as text)."""
    connection = http.client.HTTPConnection(address[0])
    connection.sock = namespace.connect(address)
    connection.request(method, path, body)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response, text


def scrape(namespace, address=LISTEN):
    response, text = request(namespace, address=address)
    assert response.status == 200
    return Scrape(text)


@dataclasses.dataclass
class Family:
    type: str
    help: str
    samples: dict  # {(name, frozenset of (label, value) pairs): value}

    def labels(self):
        """The names of the labels that its samples have; `le` is the histogram's own."""
        return {label for _, pairs in self.samples for label, _ in pairs} - {"le"}


class Scrape:
    """One exposition. Fails on a line that Prometheus would not take."""

    def __init__(self, text):
        self.text = text
        self.families = {}
        self._samples = {}
        helps, family = {}, None
        assert text.endswith("\n")
        for line in text.splitlines():
            if line.startswith("# HELP "):
                _, _, name, helps[name] = line.split(" ", 3)
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in self.families, f"{name} is announced twice"
                family = self.families[name] = Family(kind, helps[name], {})
            else:
                self._add(name, family, line)

    def _add(self, family_name, family, line):
        match = _SAMPLE.fullmatch(line)
        assert match, line
        name, labels, value = match.groups()
        pairs = frozenset(_LABEL.findall(labels or ""))
        ends = ("_bucket", "_sum", "_count") if family.type == "histogram" else ("",)
        assert name in [family_name + end for end in ends], f"{line} stands in {family_name}"
        assert (name, pairs) not in self._samples, f"twice: {line}"
        self._samples[name, pairs] = family.samples[name, pairs] = float(value)

    def value(self, name, **labels):
        """The one sample that has just these labels. A label `from` is given as `from_`."""
        pairs = frozenset((label.rstrip("_"), value) for label, value in labels.items())
        assert (name, pairs) in self._samples, f"no {name}{dict(pairs)} in:\n{self.text}"
        return self._samples[name, pairs]

    def closed(self, reason):
        """How many sessions were closed for it, whatever its kind."""
        return sum(
            value
            for (name, pairs), value in self._samples.items()
            if name == "mmproxy_sessions_closed_total" and ("reason", reason) in pairs
        )

    def bucket(self, name, bound):
        """A histogram's count up to a bound that is written like this."""
        return self.value(f"{name}_bucket", le=bound)

    def buckets(self, name):
        """A histogram's counts by their bounds, as numbers."""
        return {
            float(dict(pairs)["le"]): value
            for (sample, pairs), value in self._samples.items()
            if sample == f"{name}_bucket"
        }


def promtool(*arguments, text=None):
    """What promtool says to it: (exit status, all of its output)."""
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr
