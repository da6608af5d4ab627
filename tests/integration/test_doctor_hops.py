# SPDX-License-Identifier: MIT
"""One hop broken on purpose: mmproxyctl doctor names it, and nothing else of either family; what it
says to do mends it; and nothing of its own is left behind."""

import pytest

import doctor
from breaks import BREAKS
from sound_hosts import FAMILIES, Container, Loopback, OwnAddress
from upstreams import Server, report_peer

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

# Rules of the firewall that are about TCP alone, and programs that forward nothing else.
TCP_ONLY = {
    "drop-of-all-answers-in-output",
    "reject-in-output",
    "reset-in-output",
    "forwarded-by-socat",
    "forwarded-by-docker-proxy",
    "forwarded-by-a-stranger",
}

# What is to be done there is not done by a command: it is the upstream's to do, or a setting; or
# the rule to be excepted from cannot be seen.
_CHECKS_WITHOUT_COMMAND = {"forward", "upstream", "forwarder", "spoofed"}
_WITHOUT_COMMAND = {"drop-by-legacy-iptables", "masquerade-by-legacy-iptables"}

# Commands that may show what was hidden: an IPv6 that comes back has lost its routes.
_ROUNDS = {"family-disabled": 2}


def _cases(udp):
    """Where there are hosts of several kinds, both families of all are tried with datagrams, for
    which the doctor waits less."""
    for name, break_it in BREAKS.items():
        if udp and name in TCP_ONLY:
            continue
        for number, kind in enumerate(_KINDS.get(name, [Loopback])):
            families = _FAMILIES.get(name, FAMILIES)
            for family in families if udp or number == 0 else families[:1]:
                words = [name, kind.__name__.lower(), f"ipv{family}"]
                yield pytest.param(break_it, kind, family, id="-".join(words))


@pytest.mark.parametrize("break_it, kind, family", _cases(udp=False))
def test_the_broken_hop_is_named_and_mended(break_it, kind, family, sound):
    examine_and_mend(sound(kind), break_it, family)


@pytest.mark.parametrize("break_it, kind, family", _cases(udp=True))
def test_the_hop_that_is_broken_for_datagrams_is_named_and_mended(break_it, kind, family, sound):
    examine_and_mend(sound(kind, udp=True), break_it, family)


def examine_and_mend(host, break_it, family):
    break_it(host, family)
    before = doctor.traces(host.namespace)
    with doctor.config_file(host.config()) as config:
        report = doctor.examine(host.namespace, config)
        assert doctor.traces(host.namespace) == before
        assert report.failed() == {(break_it.check, host.where(family))}, report
        assert report.warnings() == set(), report
        if break_it.check != "spoofed":
            assert report.get(break_it.check, host.where(family)).mend
        if not (break_it.check in _CHECKS_WITHOUT_COMMAND or break_it.name in _WITHOUT_COMMAND):
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


@pytest.mark.parametrize("mode", ["check", "manage"])
@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
def test_an_own_address_that_has_no_way_out_is_named(udp, mode, sound):
    """Nor does a daemon that manages the return path add a route for the site's own traffic."""
    host = sound(OwnAddress, udp=udp)
    host.routing = {**host.routing, "mode": mode}
    host.ip(4, "route del default")
    report = doctor.examine(host.namespace, host.config())
    assert report.failed() == {("rule", host.where(4))}, report
    assert report.get("spoofed", host.where(4)).status == "consequence", report
    host.ip(4, "route add default dev lo")
    assert doctor.examine(host.namespace, host.config()).failed() == set()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_redirection_to_another_server_is_named(family, sound):
    """As Docker's to the container, when a published port of this host is forwarded to."""
    host = sound(OwnAddress)
    other = Loopback.address(host, family)[0], 8080
    server = Server(host.namespace, report_peer, other)
    ip, form = {4: ("ip", "%s:%d"), 6: ("ip6", "[%s]:%d")}[family]
    host.nft(
        f"table {ip} nat {{\n chain output {{\n type nat hook output priority -100;\n"
        f" {ip} daddr {host.address(family)[0]} tcp dport 443 dnat to {form % other}\n }}\n}}\n"
    )
    report = doctor.examine(host.namespace, host.config())
    assert report.failed() == {("nat", host.where(family))}, report
    nat = report.get("nat", host.where(family))
    assert "chain output" in nat.evidence and (form % other) in nat.evidence, report
    assert nat.mend[0] == 'forward = { ipv%d = "%s"; };' % (family, form % other)
    server.close()


def test_a_redirection_that_does_no_harm_is_not_blamed(sound):
    """To another port of loopback, whose answers the same rule keeps here."""
    host = sound(Loopback)
    host.silence(4)
    host.serve(4, ("127.0.0.1", 8080))
    host.nft(
        "table ip nat {\n chain output {\n type nat hook output priority -100;\n"
        " ip daddr 127.0.0.1 tcp dport 443 redirect to :8080\n }\n}\n"
    )
    report = doctor.examine(host.namespace, host.config([4]))
    assert report.get("spoofed", host.where(4)).status == "ok", report
    host.remove_route(4)
    report = doctor.examine(host.namespace, host.config([4]))
    assert {check for check, _ in report.failed()} == {"route"}, report


@pytest.mark.parametrize("family", FAMILIES)
def test_a_container_that_has_no_way_to_the_clients_is_told_from_a_silent_one(family, sound):
    """Its own network it reaches, and so it answers this host."""
    host = sound(Container)
    host.container.ip("route del default\n", f"-{family}")
    report = doctor.examine(host.namespace, host.config())
    assert report.failed() == {("spoofed", host.where(family))}, report
    assert "default route" in report.get("spoofed", host.where(family)).evidence, report
