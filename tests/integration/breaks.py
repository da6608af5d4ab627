# SPDX-License-Identifier: MIT
"""Ways to break a hop between mmproxy and its upstream on a host of sound_hosts.py, and which check
of the doctor is to say so.

    break_it = BREAKS["rule-missing"]
    break_it(host, 4)       breaks that hop of that family's upstream
    break_it.check          "rule"
    break_it.meets          what a spoofed connection must meet then; None: what it met before
"""

import dataclasses
import shutil
import typing

import peers
import spoofing
from spoofing import BRIEFLY, CHANGED, NO_ANSWER, REFUSED, judge
from waiting import wait_until

_NFT = {4: "ip", 6: "ip6"}
_IPTABLES = {4: "iptables-nft", 6: "ip6tables-nft"}
_LEGACY = {4: "iptables-legacy", 6: "ip6tables-legacy"}
_LOOPBACK = {4: "127.0.0.0/8", 6: "::1/128"}

BREAKS = {}


@dataclasses.dataclass(frozen=True)
class Break:
    name: str
    check: str
    meets: str
    apply: typing.Callable

    def __call__(self, host, family):
        """Breaks it, and proves it: the doctor is not asked here."""
        self.apply(host, family)
        if self.meets is not None:
            how = {"patience": BRIEFLY} if self.meets == NO_ANSWER else {}
            met = judge(host.answer(family, **how))
            assert met == self.meets, f"{self.name} does not break: {met}"

    def __str__(self):
        return self.name


def _breaks(check, meets=NO_ANSWER):
    def wrap(function):
        name = function.__name__.replace("_", "-")
        BREAKS[name] = Break(name, check, meets, function)
        return function

    return wrap


# The return path.


@_breaks("rule")
def rule_missing(host, family):
    host.remove_rule(family)


@_breaks("route")
def route_missing(host, family):
    host.remove_route(family)


@_breaks("rule")
def wrong_table(host, family):
    """The rule of another program, or a slip of the pen: the route stands in table 123."""
    host.remove_rule(family)
    host.ip(family, f"rule add {host.rule(family)} table 124")


@_breaks("rule")
def decided_before(host, family):
    """What a VPN does: all traffic is looked up in its table before our rule is reached."""
    host.remove_rule(family)
    host.ip(family, f"rule add {host.rule(family)} table 123 priority 100")
    gateway = {4: "192.0.2.2", 6: "2001:db8:5::2"}[family]
    host.ip(family, f"route add default via {gateway} table 51820")
    host.ip(family, "rule add not fwmark 51820 table 51820 priority 50")


@_breaks("rule")
def behind_the_main_table(host, family):
    """A rule of so late a turn that the default route has decided already."""
    host.remove_rule(family)
    host.ip(family, f"rule add {host.rule(family)} table 123 priority 40000")


@_breaks("rp-filter")
def answers_by_the_other_cable(host, family):
    """Plain answers come back by the cable that was asked through; those for strangers do not."""
    host.answer_by("other")
    for name in "all", "other":
        host.namespace.sysctl(f"net.ipv4.conf.{name}.rp_filter", 1)


@_breaks("rule")
def marks_lost(host, family):
    """Rule and route stand, but nobody brings the mark back on the answers."""
    host.nft("delete table inet mmproxy_123")
    host.bring_marks_back({4: 6, 6: 4}[family])


@_breaks("forward")
def method_loopback(host, family):
    """The upstream is off loopback, and its listener has no mark by which to tell its answers."""
    host.routing = {"method": "loopback"}
    host.marks = {**host.marks, family: 0}


# NAT.


@_breaks("nat", meets=CHANGED)
def masquerade_on_lo(host, family):
    """lo itself has no address of global scope: it is another interface's that the client gets."""
    _translate(host, family, "oif lo masquerade")


@_breaks("nat")
def masquerade_without_an_address(host, family):
    """Where no interface has one for IPv4, the packet is dropped."""
    assert family == 4
    host.ip(4, "addr flush dev outside")
    _translate(host, family, "oif lo masquerade")


@_breaks("nat", meets=CHANGED)
def masquerade_by_iptables(host, family):
    rule = "-t nat -A POSTROUTING -o lo -j MASQUERADE"
    host.namespace.run([_IPTABLES[family], *rule.split()], check=True)


@_breaks("nat", meets=CHANGED)
def masquerade_by_legacy_iptables(host, family):
    rule = "-t nat -A POSTROUTING -o lo -j MASQUERADE"
    host.namespace.run([_LEGACY[family], *rule.split()], check=True)


@_breaks("nat", meets=CHANGED)
def source_nat(host, family):
    address = host.address(family)[0]
    outside = {4: "192.0.2.1", 6: "2001:db8:5::1"}[family]
    _translate(host, family, f"{_NFT[family]} daddr {address} snat to {outside}")


@_breaks("nat", meets=CHANGED)
def masquerade_on_the_cable(host, family):
    """A host that lets the containers see itself alone."""
    _translate(host, family, "oifname cable masquerade")


def _translate(host, family, rule):
    host.nft(
        f"table {_NFT[family]} nat {{\n chain postrouting {{\n"
        f"  type nat hook postrouting priority srcnat;\n  {rule}\n }}\n}}\n"
    )


# Firewalls. One that drops what no header says drops the plain connection as well.


@_breaks("firewall")
def drop_of_the_answer_in_output(host, family):
    """Against martians: what comes from loopback has to go there."""
    loopback = _LOOPBACK[family]
    protocol = _NFT[family]
    _filter(host, "output", f"{protocol} saddr {loopback} {protocol} daddr != {loopback} drop")


@_breaks("firewall")
def drop_of_all_answers_in_output(host, family):
    _filter(host, "output", f"meta nfproto ipv{family} tcp sport 443 drop")


@_breaks("firewall")
def drop_of_the_request_in_output(host, family):
    loopback = _LOOPBACK[family]
    protocol = _NFT[family]
    _filter(host, "output", f"{protocol} saddr != {loopback} {protocol} daddr {loopback} drop")


@_breaks("firewall")
def policy_drop_in_output(host, family):
    """What is not allowed is dropped; to and from this host's own addresses is allowed."""
    loopback, protocol = _LOOPBACK[family], _NFT[family]
    other = {4: 6, 6: 4}[family]
    _filter(
        host,
        "output",
        f"meta nfproto ipv{other} accept",
        f"{protocol} saddr {loopback} {protocol} daddr {loopback} accept",
        policy="drop",
    )


@_breaks("firewall")
def drop_by_iptables_in_output(host, family):
    rule = f"-A OUTPUT -s {_LOOPBACK[family]} ! -d {_LOOPBACK[family]} -j DROP"
    host.namespace.run([_IPTABLES[family], *rule.split()], check=True)


@_breaks("firewall")
def drop_by_a_verdict_map_in_a_chain_that_is_called(host, family):
    """As generators of rulesets write it."""
    loopback, protocol = _LOOPBACK[family], _NFT[family]
    host.nft(
        f"table {protocol} guard {{\n"
        f" chain from_lo {{\n  {protocol} saddr vmap {{ {loopback} : accept }}\n  drop\n }}\n"
        " chain input {\n  type filter hook input priority filter; policy accept;\n"
        '  ct state vmap { established : accept, invalid : drop }\n'
        '  iifname vmap { "lo" : jump from_lo }\n }\n}\n'
    )


@_breaks("firewall")
def drop_by_legacy_iptables(host, family):
    """Which is not seen by any trace of nftables."""
    rule = f"-A OUTPUT -s {_LOOPBACK[family]} ! -d {_LOOPBACK[family]} -j DROP"
    host.namespace.run([_LEGACY[family], *rule.split()], check=True)


@_breaks("firewall")
def drop_in_input(host, family):
    _filter(host, "input", _strangers_by_lo(family))


@_breaks("firewall")
def drop_of_the_answer_in_input(host, family):
    protocol, loopback = _NFT[family], _LOOPBACK[family]
    _filter(host, "input", f"{protocol} saddr {loopback} {protocol} daddr != {loopback} drop")


@_breaks("firewall")
def drop_in_prerouting(host, family):
    _filter(host, "prerouting", _strangers_by_lo(family), priority="raw")


@_breaks("firewall")
def rpfilter_of_firewalld(host, family):
    """Its check of the reverse path knows nothing of the kernel's setting."""
    host.answer_by("other")
    rule = f"meta nfproto ipv{family} fib saddr . mark . iif oif missing drop"
    _filter(host, "prerouting", rule, priority="mangle + 10")


@_breaks("firewall", meets=None)
def reject_in_output(host, family):
    """Says so to the client over IPv4, and to nobody over IPv6."""
    rule = f"{_NFT[family]} saddr != {_LOOPBACK[family]} tcp dport 443 reject"
    _filter(host, "output", rule)


@_breaks("firewall", meets=REFUSED)
def reset_in_output(host, family):
    rule = f"{_NFT[family]} saddr != {_LOOPBACK[family]} tcp dport 443 reject with tcp reset"
    _filter(host, "output", rule)


@_breaks("firewall")
def drop_of_the_answer_in_prerouting(host, family):
    """What comes from the container is for this host's own addresses, or it is dropped.

    Not so its questions for neighbours, without which nobody is answered at all.
    """
    protocol = _NFT[family]
    upstream, own = host.address(family)[0], host.HOST[family]
    addresses = f"{protocol} saddr {upstream} {protocol} daddr != {own}"
    _filter(host, "prerouting", f"{addresses} meta l4proto {{ tcp, udp }} drop")


def _strangers_by_lo(family):
    protocol, loopback = _NFT[family], _LOOPBACK[family]
    return f"iif lo {protocol} saddr != {loopback} {protocol} daddr {loopback} drop"


def _filter(host, hook, *rules, policy="accept", priority="filter"):
    lines = "".join(f"  {rule}\n" for rule in rules)
    host.nft(
        f"table inet guard {{\n chain {hook} {{\n"
        f"  type filter hook {hook} priority {priority}; policy {policy};\n{lines} }}\n}}\n"
    )


# Neither a rule nor NAT nor a firewall.


@_breaks("spoofed")
def blocked_by_ipsec(host, family):
    """A policy that the doctor does not look at: it has to own that it does not know."""
    clients = {4: "203.0.113.0/24", 6: "2001:db8::/32"}[family]
    upstream = host.address(family)[0]
    host.namespace.sysctl("net.ipv4.conf.lo.disable_xfrm", 0)
    host.ip(family, f"xfrm policy add dir out src {upstream} dst {clients} action block")


# The upstream.


@_breaks("upstream", meets=REFUSED)
def upstream_down(host, family):
    host.silence(family)


@_breaks("upstream", meets=REFUSED)
def upstream_elsewhere(host, family):
    """It listens on another address of its host alone."""
    host.silence(family)
    host.serve(family, host.elsewhere(family))


# The address family.


@_breaks("family", meets=NO_ANSWER)
def family_disabled(host, family):
    """IPv6 alone can be."""
    assert family == 6
    for scope in "all", "default":
        host.namespace.sysctl(f"net.ipv6.conf.{scope}.disable_ipv6", 1)


# A forwarder in the upstream's place.


class Forwarder(peers.Peer):
    """socat, under a name of the test's choice, listening where the upstream should."""

    def __init__(self, namespace, listen, to, program="socat"):
        super().__init__(namespace)
        self.listen, self.to = listen, to
        self.program = self.directory / program
        shutil.copy(shutil.which("socat"), self.program)

    def run(self):
        address, port = self.listen
        kind, form = ("TCP6", "[%s]") if ":" in address else ("TCP4", "%s")
        listen = f"{kind}-LISTEN:{port},bind={form % address},reuseaddr,fork"
        to = f"{kind}:{form % self.to[0]}:{self.to[1]}"
        self.start([str(self.program), listen, to], [port])
        # Another listens on this port of another address.
        wait_until(self._accepts, 10, lambda: f"{self.program} listens:\n{self.output()}")
        return self

    def _accepts(self):
        return spoofing.connect_plainly(self.namespace, self.listen) != REFUSED


def _forwards(host, family, program):
    """To a server on the outside interface's address, as to a container's."""
    host.silence(family)
    outside = {4: "192.0.2.1", 6: "2001:db8:5::1"}[family]
    host.serve(family, (outside, 8080))
    host.start(Forwarder(host.namespace, host.address(family), (outside, 8080), program))


@_breaks("forwarder", meets=CHANGED)
def forwarded_by_socat(host, family):
    _forwards(host, family, "socat")


@_breaks("forwarder", meets=CHANGED)
def forwarded_by_docker_proxy(host, family):
    _forwards(host, family, "docker-proxy")


@_breaks("forwarder", meets=CHANGED)
def forwarded_by_a_stranger(host, family):
    """A program that no list of forwarders names."""
    _forwards(host, family, "our-relay")
