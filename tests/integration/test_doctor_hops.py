# SPDX-License-Identifier: MIT
"""One hop broken on purpose: mmproxyctl doctor names it, and nothing else of either family; what it
says to do mends it; and nothing of its own is left behind."""

import pytest

import doctor
from breaks import BREAKS
from sound_hosts import FAMILIES, Container, Loopback, OwnAddress

# Breaks that need a host of a certain kind, or are of one family alone.
_KINDS = {
    "answers-by-the-other-cable": [Container],
    "masquerade-on-the-cable": [Container],
    "rpfilter-of-firewalld": [Container],
    "drop-of-the-answer-in-prerouting": [Container],
    "rule-missing": [Loopback, OwnAddress, Container],
    "route-missing": [Loopback, OwnAddress, Container],
    "wrong-table": [Loopback, OwnAddress, Container],
    "decided-before": [Loopback, OwnAddress],
    "marks-lost": [OwnAddress, Container],
    "method-loopback": [OwnAddress, Container],
    "upstream-elsewhere": [Loopback, OwnAddress, Container],
}
_FAMILIES = {
    "answers-by-the-other-cable": [4],
    "masquerade-without-an-address": [4],
    "family-disabled": [6],
}

# What is to be done there is not the host's to do by a command: the upstream's, or a setting.
_WITHOUT_COMMAND = ("forward", "upstream", "forwarder", "spoofed")

# Commands that may show what was hidden: an IPv6 that comes back has lost its routes.
_ROUNDS = {"family-disabled": 2}


def _cases():
    for name, break_it in BREAKS.items():
        for kind in _KINDS.get(name, [Loopback]):
            for family in _FAMILIES.get(name, FAMILIES):
                yield pytest.param(
                    break_it, kind, family, id=f"{name}-{kind.__name__.lower()}-ipv{family}"
                )


@pytest.mark.parametrize("break_it, kind, family", _cases())
def test_the_broken_hop_is_named_and_mended(break_it, kind, family, sound):
    host = sound(kind)
    break_it(host, family)
    before = doctor.traces(host.namespace)
    with doctor.config_file(host.config()) as config:
        report = doctor.examine(host.namespace, config)
        assert doctor.traces(host.namespace) == before
        assert report.failed() == {(break_it.check, host.where(family))}, report
        assert report.warnings() == set(), report
        if break_it.check not in _WITHOUT_COMMAND:
            mend(host, config, report, _ROUNDS.get(break_it.name, 1))


def mend(host, config, report, rounds=1):
    """Does what the doctor says, word for word, until it finds nothing."""
    for _ in range(rounds):
        commands = report.mends()
        assert commands, report
        doctor.carry_out(host.namespace, commands)
        report = doctor.examine(host.namespace, config)
    assert report.failed() == set(), f"after {commands}:\n{report}"
    assert all(host.answer(family) in ("203.0.113.50", "2001:db8:c::50") for family in FAMILIES)
