# SPDX-License-Identifier: MIT
"""What mmproxyctl doctor says of the host and of listeners, beside the way to the upstreams: the
configuration, rights, ports, tables that are full; and of UDP upstreams bound to a wildcard."""

import contextlib
import os
import pathlib
import socket
import tempfile

import pytest

import ctl
import doctor
import settings
import spoofing
from headers import CLIENT4
from sound_hosts import Loopback
from test_doctor_sound import examine_sound
from udp import Balancer
from upstreams import Listener
from waiting import wait_until


@pytest.fixture
def loopback(sound):
    return sound(Loopback)


# The configuration.


def test_every_mistake_of_the_file_is_told_with_its_line(loopback):
    config = """\
listeners = ( {
  name = "web";
  listen = "127.0.0.1:8443";
  forward = { ipv4 = "127.0.0.1:443"; };
  subnets = [ "10.0.0.0/33" ];
  colour = "red";
} );
"""
    report = doctor.examine(loopback.namespace, config)
    assert report.failed() == {("config", None)}, report
    said = report.get("config").evidence
    assert "5" in said and "10.0.0.0/33" in said and "6" in said and "colour" in said, said


def test_a_file_that_does_not_parse_is_a_failed_check(loopback):
    report = doctor.examine(loopback.namespace, "listeners = (\n{\n")
    assert report.failed() == {("config", None)}, report


def test_a_file_that_is_missing_is_named(loopback):
    done = doctor.run(loopback.namespace, pathlib.Path("/nonexistent/mmproxy.conf"), "--json")
    report = doctor.Report(done)
    assert report.failed() == {("config", None)}, report
    assert "/nonexistent/mmproxy.conf" in report.get("config").evidence


def test_the_text_says_each_mistake_too(loopback):
    done = doctor.run(loopback.namespace, "listeners = ( );\nfoo = 1;\n")
    assert done.returncode == 1
    assert "foo" in done.stdout and "1 failed" in done.stdout, done.stdout


@pytest.mark.parametrize(
    "words", [["--nonsense"], ["--config"], ["something"]], ids=["option", "no_value", "word"]
)
def test_what_it_does_not_know_is_a_usage_error(words, loopback):
    done = loopback.namespace.run([ctl.binary(), "doctor", *words])
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr.startswith("mmproxyctl: "), done


# Rights.


@pytest.mark.parametrize("broken", [False, True], ids=["sound", "rule_missing"])
def test_without_root_what_can_be_judged_is(broken, loopback):
    if broken:
        loopback.remove_rule(4)
    report = doctor.examine(loopback.namespace, loopback.config(), user=65534, group=65534)
    expected = {("capability", None)} | ({("rule", "127.0.0.1:443")} if broken else set())
    assert report.failed() == expected, report
    assert "CAP_NET_ADMIN" in report.get("capability").evidence
    for where in "127.0.0.1:443", "[::1]:443":
        assert report.get("upstream", where).status == "ok", report
        for check in "nat", "firewall", "spoofed", "seen":
            assert report.get(check, where).status in ("skipped", "consequence"), report


def test_cap_net_admin_alone_is_enough(loopback):
    """As the daemon has it: whoever may repair the host need not be root."""
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    command += ["--inh-caps=+net_admin", "--ambient-caps=+net_admin"]
    loopback.remove_rule(4)
    report = doctor.examine(loopback.namespace, loopback.config(), prefix=command)
    assert report.failed() == {("rule", "127.0.0.1:443")}, report


# Connection tracking.


@contextlib.contextmanager
def _claimed(**files):
    """A command prefix under which files of /proc/sys/net/netfilter have other contents."""
    with tempfile.TemporaryDirectory() as directory:
        mounts = ""
        for name, value in files.items():
            path = f"{directory}/{name}"
            with open(path, "w") as file:
                file.write(f"{value}\n")
            mounts += f"mount --bind {path} /proc/sys/net/netfilter/{name} && "
        yield ["unshare", "--mount", "sh", "-c", mounts + 'exec "$@"', "sh"]


@pytest.mark.parametrize(
    "count, status", [(100, "ok"), (850, "warning"), (960, "failed"), (1000, "failed")]
)
def test_a_table_of_connections_that_fills_up_is_told(count, status, loopback):
    with _claimed(nf_conntrack_count=count, nf_conntrack_max=1000) as prefix:
        report = doctor.examine(loopback.namespace, loopback.config(), prefix=prefix)
    assert report.failed() == ({("conntrack", None)} if status == "failed" else set()), report
    told = report.get("conntrack")
    assert told.status == status
    assert str(count) in told.evidence and "1000" in told.evidence
    if status == "failed":
        assert any("net.netfilter.nf_conntrack_max" in line for line in told.mend), told


# Ports.


def test_another_program_on_the_listeners_port_is_named(loopback):
    taken = Listener(loopback.namespace, ("127.0.0.1", 8444))
    report = doctor.examine(loopback.namespace, loopback.config())
    assert report.failed() == {("listen", "web4")}, report
    said = report.get("listen", "web4").evidence
    assert str(os.getpid()) in said and "python" in said, said
    taken.close()
    examine_sound(loopback)


def test_another_program_on_the_port_of_every_address_is_named(loopback):
    taken = Listener(loopback.namespace, ("0.0.0.0", 8446))
    report = doctor.examine(loopback.namespace, loopback.config())
    assert report.failed() == {("listen", "web6")}, report
    taken.close()


def test_a_listeners_address_that_is_not_the_hosts_is_told(loopback):
    listener = settings.listener("web", listen="198.51.100.99:8443")
    report = doctor.examine(loopback.namespace, settings.configuration(listener))
    assert report.failed() == {("listen", "web")}, report
    assert "198.51.100.99" in report.get("listen", "web").evidence


@pytest.mark.parametrize(
    "listen, subnets, warned",
    [
        ("127.0.0.1:8443", "any", False),
        ("*:8443", "any", True),
        ("0.0.0.0:8443", ["0.0.0.0/0"], True),
        ("*:8443", ["198.51.100.0/24"], False),
        ("*:8443", ["192.0.2.0/24", "2001:db8::/32"], True),
    ],
)
def test_balancers_that_are_the_whole_world_or_the_examples_are_warned_of(listen, subnets, warned, loopback):
    listener = settings.listener("web", listen=listen, subnets=subnets)
    report = doctor.examine(loopback.namespace, settings.configuration(listener))
    assert report.failed() == set(), report
    assert report.warnings() == ({("subnets", "web")} if warned else set()), report


@pytest.mark.parametrize("routed", [0, 1])
def test_balancers_cannot_be_redirected_to_loopback(routed, path):
    """Without route_localnet the kernel drops what comes; with it, the answers stay here."""
    path.server.sysctl("net.ipv4.conf.all.route_localnet", routed)
    path.server.nft(
        "table ip inwards {\n"
        "	chain prerouting {\n"
        "		type nat hook prerouting priority dstnat;\n"
        "		tcp dport 2222 dnat to 127.0.0.1:8443\n"
        "	}\n"
        "}\n"
    )
    listening = Listener(path.server, ("127.0.0.1", 8443))
    with pytest.raises(TimeoutError):
        path.balancer.connect((path.SERVER4, 2222), timeout=0.5)
    listening.close()
    listener = settings.listener("web", listen="127.0.0.1:8443", subnets=[path.BALANCER4])
    report = doctor.examine(path.server, settings.configuration(listener))
    assert report.warnings() == {("route-localnet", "web")}, report
    wrong = report.get("route-localnet", "web")
    assert ("return path" if routed else "off") in wrong.evidence, report
    assert wrong.mend == ['listen = "*:8443";'], report
    listener = settings.listener("web", listen="*:8443", subnets=[path.BALANCER4])
    report = doctor.examine(path.server, settings.configuration(listener))
    assert report.get("route-localnet", "web").status == "ok", report


@pytest.mark.parametrize("start", [1024, 0])
def test_what_becomes_of_low_client_ports_is_no_fault_but_is_said(start, loopback):
    loopback.namespace.sysctl("net.ipv4.ip_unprivileged_port_start", start)
    told = examine_sound(loopback).get("client-ports")
    assert "net.ipv4.ip_unprivileged_port_start" in told.evidence, told


def test_a_clients_udp_port_that_blocks_a_service_is_warned_of(sound, start_udp):
    host = sound(Loopback, udp=True)
    start_udp(host.namespace, forward={"ipv4": "127.0.0.1:443"})
    Balancer(host.namespace).send(CLIENT4, b"question")

    def blocked():
        return doctor.examine(host.namespace, host.config()).warnings()

    wait_until(lambda: blocked() == {("port-blocks", None)}, 10, "the port is warned of")
    report = doctor.examine(host.namespace, host.config())
    assert report.failed() == set(), report
    assert str(CLIENT4[1]) in report.get("port-blocks").evidence


# UDP upstreams.


@pytest.mark.parametrize("family, wildcard", [(4, "0.0.0.0"), (6, "::")], ids=["ipv4", "ipv6"])
def test_a_udp_upstream_bound_to_a_wildcard_is_warned_of(family, wildcard, sound):
    """It answers from the address that its host would call a stranger from, not from loopback."""
    host = sound(Loopback, udp=True)
    host.silence(family)
    host.serve(family, (wildcard, 443))
    assert host.answer(family, patience=spoofing.BRIEFLY) == spoofing.NO_ANSWER
    assert host.answer({4: 6, 6: 4}[family]) in (spoofing.CLIENT4, spoofing.CLIENT6)
    report = doctor.examine(host.namespace, host.config())
    assert report.failed() == set(), report
    assert report.warnings() == {("upstream", host.where(family))}, report
    told = report.get("upstream", host.where(family))
    assert wildcard in told.evidence
    assert any(host.address(family)[0] in line for line in told.mend), told
    host.silence(family)
    host.serve(family)
    examine_sound(host)


@pytest.mark.parametrize("family, wildcard", [(4, "0.0.0.0"), (6, "::")], ids=["ipv4", "ipv6"])
def test_the_settings_that_mend_a_udp_upstream_bound_to_a_wildcard_do(family, wildcard, sound):
    """Where the server cannot be told: forward to the address that it answers from, by mark."""
    host = sound(Loopback, udp=True)
    host.silence(family)
    host.serve(family, (wildcard, 443))
    report = doctor.examine(host.namespace, host.config())
    told = report.get("upstream", host.where(family)).mend
    forward, routing = (
        next(line for line in told if line.startswith(name)) for name in ("forward", "routing")
    )
    listener = 'name = "dns"; protocol = "udp"; listen = "127.0.0.1:8440"; subnets = "any";'
    text = f"{routing}\nlisteners = ( {{ {listener} {forward} }} );\n"
    with doctor.config_file(text) as config:
        for _ in range(2):  # rule and route, then who brings the mark back
            doctor.carry_out(host.namespace, doctor.examine(host.namespace, config).mends())
        report = doctor.examine(host.namespace, config)
    assert report.failed() == report.warnings() == set(), report
    assert spoofing.ask(host.namespace, host.elsewhere(family), mark=123) in (
        spoofing.CLIENT4,
        spoofing.CLIENT6,
    )


def test_a_udp_upstream_that_is_down_is_named(sound):
    host = sound(Loopback, udp=True)
    host.silence(4)
    report = doctor.examine(host.namespace, host.config())
    assert report.failed() == {("upstream", "127.0.0.1:443")}, report


def test_a_udp_upstream_elsewhere_is_named_with_where_it_is(sound):
    host = sound(Loopback, udp=True)
    host.silence(4)
    host.serve(4, ("192.0.2.1", 443))
    report = doctor.examine(host.namespace, host.config())
    assert report.failed() == {("upstream", "127.0.0.1:443")}, report
    assert "192.0.2.1:443" in report.get("upstream", "127.0.0.1:443").evidence


def test_a_silent_udp_upstream_does_not_hide_a_broken_return_path(sound):
    host = sound(Loopback, udp=True)
    host.silence(4)
    silent = host.namespace.socket(kind=socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 443))
    host.remove_rule(4)
    report = doctor.examine(host.namespace, host.config())
    assert report.failed() == {("rule", "127.0.0.1:443")}, report


# The upstream's place.


def test_where_the_upstreams_port_is_listened_on_is_named(sound):
    host = sound(Loopback)
    host.silence(4)
    host.serve(4, ("192.0.2.1", 443))
    report = doctor.examine(host.namespace, host.config())
    told = report.get("upstream", "127.0.0.1:443")
    assert "192.0.2.1:443" in told.evidence and str(os.getpid()) in told.evidence, told
