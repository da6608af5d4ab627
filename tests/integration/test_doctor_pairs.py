# SPDX-License-Identifier: MIT
"""Two hops broken at once: mmproxyctl doctor names both, though the one hides the other, and
nothing else."""

import itertools

import pytest

import doctor
from breaks import BREAKS
from sound_hosts import Container, Loopback
from test_doctor_hops import TCP_ONLY, mend

_ON_LOOPBACK = [
    "rule-missing",
    "route-missing",
    "wrong-table",
    "masquerade-on-lo",
    "drop-of-the-answer-in-output",
    "upstream-elsewhere",
    "forwarded-by-docker-proxy",
]
_IN_A_CONTAINER = [
    "rule-missing",
    "route-missing",
    "wrong-table",
    "masquerade-on-the-cable",
    "drop-of-the-answer-in-prerouting",
    "upstream-elsewhere",
]

# No two of which can be broken at once. A rule whose table has no route is a wrong one only where
# another table has the route.
_EXCLUSIVE = [
    {"rule-missing", "wrong-table"},
    {"route-missing", "wrong-table"},
    {"upstream-elsewhere", "forwarded-by-docker-proxy"},
]

# Where nobody is, no datagram is answered that could be seen to be lost.
_WITHOUT_ANSWER = [
    {"upstream-elsewhere", "drop-of-the-answer-in-output"},
    {"upstream-elsewhere", "answers-by-the-other-cable"},
    {"upstream-elsewhere", "drop-of-the-answer-in-prerouting"},
]

# Mended by commands alone.
_BY_COMMAND = {"rule", "route", "nat", "firewall", "rp-filter"}


def _pairs():
    for family in 4, 6:
        for pair in itertools.combinations(_ON_LOOPBACK, 2):
            yield Loopback, family, pair
    for other in _IN_A_CONTAINER:
        yield Container, 4, ("answers-by-the-other-cable", other)


def _can_be(udp, pair):
    excluded = _EXCLUSIVE + _WITHOUT_ANSWER if udp else _EXCLUSIVE
    return set(pair) not in excluded and not (udp and TCP_ONLY & set(pair))


def _parameters(udp):
    for kind, family, pair in _pairs():
        if not _can_be(udp, pair):
            continue
        identity = "-and-".join(pair) + f"-ipv{family}"
        yield pytest.param(kind, family, [BREAKS[name] for name in pair], id=identity)


@pytest.mark.parametrize("kind, family, pair", _parameters(udp=False))
def test_both_broken_hops_are_named(kind, family, pair, sound):
    examine_both(sound(kind), family, pair)


@pytest.mark.parametrize("kind, family, pair", _parameters(udp=True))
def test_both_hops_that_are_broken_for_datagrams_are_named(kind, family, pair, sound):
    examine_both(sound(kind, udp=True), family, pair)


def examine_both(host, family, pair):
    for each in pair:
        each.apply(host, family)
    before = doctor.traces(host.namespace)
    with doctor.config_file(host.config()) as config:
        report = doctor.examine(host.namespace, config)
        assert doctor.traces(host.namespace) == before
        assert report.failed() == {(each.check, host.where(family)) for each in pair}, report
        if {each.check for each in pair} <= _BY_COMMAND:
            mend(host, config, report)


@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
def test_a_rule_for_a_table_of_the_sites_own_lacks_nothing_but_its_route(family, sound):
    host = sound(Loopback)
    BREAKS["wrong-table"].apply(host, family)
    BREAKS["route-missing"].apply(host, family)
    with doctor.config_file(host.config()) as config:
        report = doctor.examine(host.namespace, config)
        assert report.failed() == {("route", host.where(family))}, report
        mend(host, config, report)


@pytest.mark.parametrize("name", [*_ON_LOOPBACK, "answers-by-the-other-cable"])
def test_a_missing_ipv6_and_a_broken_hop_of_ipv4_are_named(name, sound):
    host = sound(Container if name == "answers-by-the-other-cable" else Loopback)
    BREAKS["family-disabled"].apply(host, 6)
    BREAKS[name].apply(host, 4)
    report = doctor.examine(host.namespace, host.config())
    expected = {("family", host.where(6)), (BREAKS[name].check, host.where(4))}
    assert report.failed() == expected, report


@pytest.mark.parametrize("name", _ON_LOOPBACK)
def test_the_same_hop_of_both_families_is_named_twice(name, sound):
    host = sound(Loopback)
    for family in 4, 6:
        BREAKS[name].apply(host, family)
    report = doctor.examine(host.namespace, host.config())
    expected = {(BREAKS[name].check, host.where(family)) for family in (4, 6)}
    assert report.failed() == expected, report
