# SPDX-License-Identifier: MIT
"""mmproxyctl doctor where nothing is wrong."""

import socket

import pytest

import doctor
import settings
from headers import CLIENT4, v2
from sound_hosts import FAMILIES, Container, Loopback, OwnAddress, hurry
from upstreams import Listener, Server, report_peer

HOST_CHECKS = "config kernel capability conntrack client-ports port-blocks lsm offload".split()
LISTENER_CHECKS = "listen subnets route-localnet".split()

kinds = pytest.mark.parametrize(
    "kind", [Loopback, OwnAddress, Container], ids=lambda kind: kind.__name__.lower()
)
protocols = pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])


def examine_sound(host, config=None):
    """All is well, and as it was before."""
    before = doctor.traces(host.namespace)
    report = doctor.examine(host.namespace, config or host.config())
    assert report.failed() == set(), report
    assert report.warnings() == set(), report
    assert report.where("consequence") == set(), report
    assert doctor.traces(host.namespace) == before
    return report


@protocols
@kinds
def test_a_sound_host_passes(kind, udp, sound):
    host = sound(kind, udp=udp)
    report = examine_sound(host)
    for family in FAMILIES:
        for check in "family", "forward", "upstream", "rule", "route":
            assert report.get(check, host.where(family)).status == "ok", report


@kinds
def test_the_address_that_a_sound_upstream_sees_is_named(kind, sound):
    host = sound(kind)
    report = examine_sound(host)
    for family, client in (4, "203.0.113.77"), (6, "2001:db8:ffff::77"):
        for check in "spoofed", "seen":
            assert report.get(check, host.where(family)).status == "ok", report
        assert client in report.get("seen", host.where(family)).evidence, report


def test_the_probe_speaks_for_nobody_who_is_near(sound):
    """A host whose own network is the first of those that documentation may use."""
    host = sound(Loopback)
    host.ip(4, "addr flush dev outside")
    host.ip(4, "addr add 203.0.113.1/24 dev outside")
    report = examine_sound(host)
    assert "192.0.2.77" in report.get("seen", "127.0.0.1:443").evidence, report


def test_checks_come_in_their_order(sound):
    host = sound(Loopback)
    report = examine_sound(host)
    names = [(check.check, check.where) for check in report.checks]
    expected = [(check, None) for check in HOST_CHECKS]
    for family in FAMILIES:
        expected += [(check, f"web{family}") for check in LISTENER_CHECKS]
        expected += [(check, host.where(family)) for check in doctor.PATH_CHECKS]
    assert names == expected


def test_tcp_needs_no_nftables_where_accepted_connections_take_the_mark(sound):
    host = sound(OwnAddress)
    host.nft("delete table inet mmproxy_123")
    host.namespace.sysctl("net.ipv4.tcp_fwmark_accept", 1)
    examine_sound(host)


def test_a_rule_that_somebody_else_made_is_as_good(sound):
    host = sound(Loopback)
    host.remove_rule(4)
    host.ip(4, "rule add from 127.0.0.1 table 200 priority 7")
    host.ip(4, "route add local 0.0.0.0/0 dev lo table 200")
    examine_sound(host)


_A_USUAL_RULESET = """\
table inet filter {
	set balancers {
		type ipv4_addr
		flags interval
		elements = { 192.0.2.0/24 }
	}
	chain lo {
		counter accept
	}
	chain input {
		type filter hook input priority filter; policy drop;
		ct state vmap { established : accept, related : accept, invalid : drop }
		iif lo jump lo
		ip saddr @balancers tcp dport 8440-8450 accept
		limit rate 1/second log prefix "input: "
		reject with icmpx admin-prohibited
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
	}
	chain output {
		type filter hook output priority filter; policy accept;
		oif lo accept
		ct state invalid counter drop
	}
}
table ip nat {
	chain postrouting {
		type nat hook postrouting priority srcnat;
		oif lo return
		ip saddr 172.17.0.0/16 oifname != "docker0" counter masquerade
		oifname "outside" masquerade
	}
	chain output {
		type nat hook output priority -100;
		ip daddr != 127.0.0.0/8 fib daddr type local tcp dport 8080 dnat to 172.17.0.2:80
	}
}
"""


@protocols
def test_a_firewall_and_a_nat_that_let_it_pass_are_sound(udp, sound):
    host = sound(Loopback, udp=udp)
    host.nft(_A_USUAL_RULESET)
    docker = "-t raw -A PREROUTING -d 172.17.0.2 ! -i docker0 -j DROP"
    host.namespace.run(["iptables-nft", *docker.split()], check=True)
    assert host.answer(4) == "203.0.113.50"
    examine_sound(host)


@kinds
def test_the_text_has_a_line_a_check_and_says_that_all_is_well(kind, sound, start_daemon):
    host = sound(kind)
    start_daemon(host.namespace, config=host.config())
    done = doctor.run(host.namespace, host.config(), env={"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0 and done.stderr == "", done
    *lines, end = done.stdout.splitlines()
    assert end == "all is well"
    lines = [line for line in lines if line]
    report = examine_sound(host)
    assert len(lines) == len(report.checks)
    for line, check in zip(lines, report.checks):
        assert line.split()[0] == {"ok": "✓", "skipped": "-"}[check.status], line
        assert line.split()[1] == check.check
        assert not check.upstream or check.upstream in line, line


def test_the_text_is_ascii_where_the_locale_is(sound):
    host = sound(Loopback)
    host.remove_rule(4)
    done = doctor.run(host.namespace, host.config(), env={"LC_ALL": "C"})
    assert done.returncode == 1
    assert done.stdout.isascii()
    assert "\n1 failed" in done.stdout, done.stdout
    assert "mend: ip rule add from 127.0.0.0/8 iif lo table 123\n" in done.stdout
    assert 'mend: or, for good: routing = { mode = "manage"; };' in done.stdout


def test_a_host_without_ipv6_passes_with_upstreams_of_ipv4(sound):
    host = sound(Loopback)
    for scope in "all", "default", "lo", "outside":
        host.namespace.sysctl(f"net.ipv6.conf.{scope}.disable_ipv6", 1)
    examine_sound(host, host.config([4]))


def test_an_upstream_that_accepts_and_stalls_is_sound(sound):
    host = sound(Loopback)
    host.silence(4)
    stalling = Listener(host.namespace)
    examine_sound(host)
    stalling.close()


def test_an_upstream_that_ends_each_connection_at_once_is_sound(sound):
    """Many do that with strangers: an access list, a TCP wrapper."""
    host = sound(Loopback)
    host.silence(4)
    host.serve(4, serve=lambda connection, peer: None)
    examine_sound(host)


def test_an_upstream_that_asks_another_server_is_no_forwarder(sound):
    """As a mail server asks its filter, which is not on this host, for as long as a client stays.
    Unlike a forwarder it has something to say before its client has."""
    host = sound(Loopback)
    filters = Server(host.namespace, report_peer, ("192.0.2.1", 11332))

    def greet(connection, peer):
        hurry()
        with host.namespace.connect(("192.0.2.1", 11332)) as asked:
            asked.sendall(b"what may I do?")
            connection.sendall(b"220 welcome\r\n")
            while connection.recv(65536):
                pass

    host.silence(4)
    host.serve(4, serve=greet)
    examine_sound(host)
    filters.close()


def test_a_wildcard_upstream_is_sound_over_tcp(sound):
    host = sound(Loopback)
    for family, wildcard in (4, "0.0.0.0"), (6, "::"):
        host.silence(family)
        host.serve(family, (wildcard, 443))
    examine_sound(host)


def test_a_udp_upstream_that_never_answers_strangers_is_sound(sound):
    """Most protocols have no answer to an empty datagram; nothing is proved then, nor refuted."""
    host = sound(Loopback, udp=True)
    host.silence(4)
    silent = host.namespace.socket(kind=socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 443))
    report = examine_sound(host)
    assert report.get("seen", "127.0.0.1:443").status == "skipped", report


def test_a_wildcard_udp_upstream_is_sound_where_marks_tell(sound):
    """The answer is marked by connection tracking, whatever address it leaves from."""
    host = sound(OwnAddress, udp=True)
    host.silence(4)
    host.serve(4, ("0.0.0.0", 443))
    assert host.answer(4) == "203.0.113.50"
    examine_sound(host)


def test_a_running_mmproxy_holds_its_own_ports(sound, start_daemon):
    host = sound(Loopback)
    report = examine_sound(host)
    assert report.unserved() == {("listen", f"web{family}") for family in FAMILIES}, report
    start_daemon(host.namespace, config=host.config())
    report = examine_sound(host)
    assert report.unserved() == set(), report
    for family in FAMILIES:
        assert "mmproxy" in report.get("listen", f"web{family}").evidence


def test_a_listener_that_has_not_been_loaded_is_told(sound, start_daemon):
    host = sound(Loopback)
    start_daemon(host.namespace, config=host.config())
    report = doctor.examine(host.namespace, host.config().replace(":8444", ":8441"))
    assert report.unserved() == {("listen", "web4")}, report
    told = report.get("listen", "web4")
    assert "8441" in told.evidence and "or, if it runs: mmproxyctl reload" in told.mend, told


def test_live_sessions_are_no_fault(sound, start_daemon):
    host = sound(Loopback)
    start_daemon(host.namespace, config=host.config())
    connection = host.namespace.connect(("127.0.0.1", 8444))
    connection.sendall(v2(CLIENT4))
    assert connection.recv(100).startswith(b"peer 203.0.113.9 ")
    examine_sound(host)
    connection.close()


def test_two_listeners_may_share_an_upstream(sound):
    host = sound(Loopback)
    both = settings.configuration(
        settings.listener("one", listen="127.0.0.1:8441"),
        settings.listener("two", listen="127.0.0.1:8442"),
    )
    report = examine_sound(host, both)
    for name in "one", "two":
        assert len([check for check in report.checks if check.listener == name]) == (
            len(LISTENER_CHECKS) + 2 * len(doctor.PATH_CHECKS)
        )


def test_what_a_managing_mmproxy_will_add_is_not_missing(sound, start_daemon):
    """It takes its rules along when it ends; the way is tried with what it will bring back."""
    host = sound(Loopback)
    host.routing = {"mode": "manage"}
    for family in FAMILIES:
        host.remove_rule(family)
        host.remove_route(family)
    report = examine_sound(host)
    for family in FAMILIES:
        assert report.get("rule", host.where(family)).status == "skipped", report
        assert report.get("spoofed", host.where(family)).status == "ok", report
    start_daemon(host.namespace, config=host.config())
    report = examine_sound(host)
    for family in FAMILIES:
        assert report.get("rule", host.where(family)).status == "ok", report
