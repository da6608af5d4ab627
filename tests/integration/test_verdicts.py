# SPDX-License-Identifier: MIT
"""The same headers for mmproxy, HAProxy and nginx, as real processes: where two of them make
something else of one, doc/verdicts.md says why, in the specification's words.

    make check-integration PYTEST_FLAGS="-k test_verdicts --headers 100000 -s"
"""

import collections
import os
import pathlib
import re
import struct
import subprocess

import pytest

import daemon
import verdict_classes
from header_cases import cases
from receivers import HAProxyReceiver, NginxReceiver, Verdict, ask, mmproxy_receiver
from upstreams import UPSTREAM4, UPSTREAM6

_DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "doc" / "verdicts.md"


def parsed(sent):
    """What the parser and the source policy say of each: [(Verdict, reason)]."""
    program = pathlib.Path(daemon.binary()).parent / "tests/tools/header_verdicts"
    assert os.access(program, os.X_OK), f"no header_verdicts at {program}"
    given = b"".join(struct.pack("!I", len(each)) + each for each in sent)
    done = subprocess.run([program], input=given, capture_output=True, check=True)
    lines = done.stdout.decode("ascii").splitlines()
    assert len(lines) == len(sent)
    return [_parsed(line.split(" "), each) for line, each in zip(lines, sent)]


def _parsed(words, sent):
    if words[0] == "refused":
        return Verdict("refused"), words[1]
    payload = sent[int(words[-1]) :]
    if words[0] == "own":
        return Verdict("own", payload=payload), ""
    return Verdict("client", words[1], int(words[2]), payload), ""


@pytest.fixture
def busy_host(host):
    """Many short connections between few addresses, and clients on any port."""
    host.sysctl("net.ipv4.tcp_tw_reuse", 1)
    host.sysctl("net.ipv4.ip_unprivileged_port_start", 0)
    return host


@pytest.fixture
def headers_sent(request):
    options = request.config.option
    made = list(cases(options.headers, options.headers_seed))
    return made, [case.sent for case in made]


def report(shown, made, sent):
    """The first few of what a test found, as far as anyone reads."""
    lines = [f"{len(shown)} of {len(made)}:"]
    for number, *verdicts in shown[:10]:
        lines.append(f"  {made[number].kind}: {sent[number][:300]!r}")
        lines += [f"    {verdict}" for verdict in verdicts]
    return "\n".join(lines)


@pytest.mark.deadline(900)
def test_mmproxy_does_what_its_parser_says(busy_host, start_daemon, headers_sent):
    made, sent = headers_sent
    start_daemon(busy_host, top={"log": {"level": "info"}}, header_timeout=60)
    receiver = mmproxy_receiver(busy_host, ("127.0.0.1", 8443), [UPSTREAM4, UPSTREAM6])
    differing = []
    for number, (verdict, expected) in enumerate(zip(ask(receiver, sent, busy_host), parsed(sent))):
        due, reason = expected
        if due.port == 0 and verdict.port != 0:
            due = due._replace(port=verdict.port)  # the kernel picked one
        if verdict != due:
            differing.append((number, verdict, due, reason))
    assert not differing, report(differing, made, sent)


@pytest.mark.deadline(900)
@pytest.mark.parametrize("kind", [HAProxyReceiver, NginxReceiver], ids=["haproxy", "nginx"])
def test_every_disagreement_has_a_reason_in_the_document(kind, busy_host, start, headers_sent):
    made, sent = headers_sent
    receiver = start(kind(busy_host))
    ends, met, unexplained = collections.Counter(), collections.Counter(), []
    for number, (theirs, expected) in enumerate(zip(ask(receiver, sent, busy_host), parsed(sent))):
        ours, reason = expected
        ends[f"mmproxy {ours.kind}, {receiver.name} {theirs.kind}"] += 1
        if ours == theirs:
            continue
        disagreement = verdict_classes.Disagreement(sent[number], reason, ours, theirs)
        names = verdict_classes.classes_of(receiver.name, disagreement)
        met.update(names)
        if len(names) != 1:
            unexplained.append((number, theirs, ours, reason, names))
    print(f"\n{receiver.name}, {len(made)} headers:")
    for name, count in [*ends.most_common(), *met.most_common()]:
        print(f"{count:8} {name}")
    assert not unexplained, report(unexplained, made, sent)
    assert set(verdict_classes.CLASSES[receiver.name]) <= set(met), "met by no header"


def test_the_document_has_exactly_the_classes_that_are_tested():
    """A row of its tables: | `name` | ..., under a heading that says who disagrees."""
    documented = collections.defaultdict(list)
    for line in _DOCUMENT.read_text().splitlines():
        heading = re.match(r"## .*", line)
        row = re.match(r"\| `([a-z0-9-]+)` \|", line)
        if heading:
            section = line
        elif row:
            documented[section].append(row[1])
    both = set(verdict_classes.CLASSES["haproxy"]) & set(verdict_classes.CLASSES["nginx"])
    expected = {
        "## Both": sorted(both),
        "## HAProxy": sorted(set(verdict_classes.CLASSES["haproxy"]) - both),
        "## nginx": sorted(set(verdict_classes.CLASSES["nginx"]) - both),
    }
    assert {section: sorted(names) for section, names in documented.items()} == expected
