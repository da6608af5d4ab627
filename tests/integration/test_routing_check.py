# SPDX-License-Identifier: MIT
"""routing.mode = "check", the default: what is missing is said at the start, with what adds it."""

import pytest

import ctl
from headers import CLIENT4, CLIENT6, v2
from sessions import assert_alive, close, send
from settings import configuration, listener, udp_listener
from upstreams import UPSTREAM4, UPSTREAM6, Listener

MISSING = "routing: the upstream's answers do not come back"
NO_MARK = "routing: nothing brings the mark back on the upstreams' answers"

RULE4 = "ip rule add from 127.0.0.0/8 iif lo table 123"
RULE6 = "ip -6 rule add from ::1/128 iif lo table 123"
ROUTE4 = "ip route add local default dev lo table 123"
ROUTE6 = "ip -6 route add local default dev lo table 123"


@pytest.fixture
def missing(bare, start_daemon):
    """Starts mmproxy, and what it says is missing: the lines' commands, in their order."""

    def run(*listeners, **top):
        config = configuration(*(listeners or [listener()]), **top)
        lines = start_daemon(bare, config=config).log_lines(MISSING)
        assert all(line.level == "warning" and line["why"] for line in lines)
        return [line["hint"] for line in lines]

    return run


def execute(namespace, commands):
    for command in commands:
        done = namespace.run(command.split())
        assert done.returncode == 0, f"{command}: {done.stderr}"


def assert_serves(namespace, client):
    upstream = Listener(namespace, UPSTREAM6 if ":" in client[0] else UPSTREAM4)
    connection = send(namespace, v2(client))
    accepted, _ = upstream.accept()
    assert_alive(connection, accepted)
    close(connection, accepted)


def test_where_all_is_there_nothing_is_said(host, mmproxy):
    assert not mmproxy.log_lines(" (info|warning|error) routing: ")


def test_the_commands_that_are_printed_mend_it(bare, missing, start_daemon):
    mmproxy = start_daemon(bare)
    lines = mmproxy.log_lines(MISSING)
    assert [line["upstream"] for line in lines] == ["127.0.0.1:443"] * 2 + ["[::1]:443"] * 2
    commands = [line["hint"] for line in lines]
    assert commands == [RULE4, ROUTE4, RULE6, ROUTE6]
    [line] = mmproxy.log_lines(" info routing: mmproxy can add what is missing")
    assert line["hint"] == 'routing = { mode = \\"manage\\"; }'
    mmproxy.stop()
    execute(bare, commands)
    assert missing() == []
    assert_serves(bare, CLIENT4)
    assert_serves(bare, CLIENT6)


@pytest.mark.parametrize("left_out", [RULE4, ROUTE4, RULE6, ROUTE6])
def test_what_is_missing_alone_is_named_alone(left_out, bare, missing):
    execute(bare, [command for command in (RULE4, ROUTE4, RULE6, ROUTE6) if command != left_out])
    assert missing() == [left_out]


def test_what_several_listeners_need_is_said_once(missing):
    more = listener("more", listen="127.0.0.1:8444", forward={"ipv4": "127.0.0.2:22"})
    assert missing(listener(), udp_listener(), more) == [RULE4, ROUTE4, RULE6, ROUTE6]


def test_only_the_families_that_are_forwarded_are_looked_at(missing):
    assert missing(listener(forward={"ipv4": "127.0.0.1:443"})) == [RULE4, ROUTE4]


def test_the_settings_table_is_the_one_that_is_printed(bare, missing):
    routing = {"table": 70123}
    commands = missing(routing=routing)
    assert all(command.endswith(" table 70123") for command in commands)


def test_a_rule_that_leads_to_the_wrong_table(bare, missing):
    execute(bare, [RULE4.replace("123", "124"), ROUTE4, RULE6, ROUTE6])
    commands = missing()
    assert commands == [RULE4]
    execute(bare, commands)
    assert_serves(bare, CLIENT4)


def test_a_rule_that_something_comes_before(bare, missing):
    """As a VPN does that takes all traffic."""
    bare.add_interface("192.0.2.1/24", "2001:db8:2::1/64")
    execute(bare, [RULE4, ROUTE4, RULE6, ROUTE6])
    execute(bare, ["ip route add default dev outside table 51820", "ip rule add table 51820"])
    commands = missing()
    assert commands == [RULE4]
    execute(bare, commands)
    assert_serves(bare, CLIENT4)


def test_an_upstream_elsewhere_needs_a_mark(bare, missing):
    bare.add_interface("192.0.2.1/24", "2001:db8:2::1/64")
    bare.ip("route add default via 192.0.2.254")
    forward = {"ipv4": "192.0.2.1:443"}
    assert missing(listener(forward=forward)) == ['routing = { method = \\"mark\\"; }']
    commands = missing(listener(forward=forward, listen="127.0.0.1:8444"),
                       routing={"method": "mark"})
    assert commands == ["ip rule add from 192.0.2.1/32 fwmark 123 table 123", ROUTE4]
    execute(bare, commands)
    assert missing(listener(forward=forward, listen="127.0.0.1:8445"),
                   routing={"method": "mark"}) == []


def test_what_brings_a_mark_back_is_missing_too(bare, missing, start_daemon):
    bare.add_interface("192.0.2.1/24", "2001:db8:2::1/64")
    bare.ip("route add default via 192.0.2.254")
    execute(bare, ["ip rule add from 192.0.2.1/32 fwmark 123 table 123", ROUTE4])
    tcp = configuration(listener(forward={"ipv4": "192.0.2.1:443"}), routing={"method": "mark"})
    udp = configuration(udp_listener(forward={"ipv4": "192.0.2.1:53"}), routing={"method": "mark"})

    def said(config):
        mmproxy = start_daemon(bare, config=config)
        lines = mmproxy.log_lines(NO_MARK)
        mmproxy.stop()
        assert all(line.level == "warning" and line["mark"] == "123" for line in lines)
        return [(line["hint"], mmproxy.config_file) for line in lines]

    [(command, _)] = said(tcp)
    assert command == "sysctl -w net.ipv4.tcp_fwmark_accept=1"
    execute(bare, [command])
    assert said(tcp) == []
    [(command, file)] = said(udp)
    assert command == f"mmproxyctl routing show --nft --config {file} | nft -f -"
    bare.nft(bare.run([ctl.binary(), *command.split(" | ")[0].split()[1:]], check=True).stdout)
    assert said(udp) == [] and said(tcp) == []
    # Who manages it does not need to be told.
    bare.nft("flush ruleset")
    assert said(udp.replace('method = "mark"', 'mode = "manage"; method = "mark"')) == []


def test_a_host_without_ipv6_lacks_nothing_of_it(bare, missing):
    bare.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
    assert missing() == [RULE4, ROUTE4]
