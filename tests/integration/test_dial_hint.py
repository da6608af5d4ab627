# SPDX-License-Identifier: MIT
"""A dial that times out although a plain connection works: the log names the doctor and the likeliest
cause, once for each upstream of a listener and each configuration."""

import daemon
from headers import CLIENT4, CLIENT6, v2
from sessions import send
from traffic import wait_until_ended

NO_HINT = "a dial timed out, and a plain connection does not work either"
HINT = "a dial from a client's address timed out, though a plain connection works"

NO_ANSWERS = """\
add table inet t
add chain inet t out { type filter hook output priority 0; }
add rule inet t out tcp sport 443 ip daddr 203.0.113.0/24 drop
"""
NO_UPSTREAM = """\
add table inet t
add chain inet t in { type filter hook input priority 0; }
add rule inet t in tcp dport 443 drop
"""


def remove_rule(host):
    host.ip("rule del from 127.0.0.1/8 iif lo table 123")


def time_out(host, mmproxy, client=CLIENT4, count=1):
    """So many sessions, one after the other, end with their dial."""
    before = mmproxy.counters()["sessions_closed_connect_timeout"]
    for number in range(count):
        wait_until_ended(send(host, v2((client[0], client[1] + number))))
    mmproxy.wait_for_counter("sessions_closed_connect_timeout", before + count)


def assert_cause(line, cause):
    """Without libmnl nobody can say more than that something is wrong."""
    if "+libmnl" in daemon.version_text():
        assert line["why"] == cause
    else:
        assert "why" not in line.fields


def test_a_rule_that_is_missing_is_named_once(host, start_daemon, upstream):
    remove_rule(host)
    mmproxy = start_daemon(host, connect_timeout=0.3)
    time_out(host, mmproxy)
    line = mmproxy.wait_for_log(HINT)
    assert line.level == "warning" and line.event == f"routing: {HINT}"
    assert line["listener"] == "web" and line["upstream"] == "127.0.0.1:443"
    assert line["hint"] == "mmproxyctl doctor"
    assert_cause(line, "no rule applies: an answer finds no route and is dropped")
    time_out(host, mmproxy, count=4)
    mmproxy.wait_until_idle()
    assert len(mmproxy.log_lines(HINT)) == 1


def test_rule_and_route_are_named_together(host, start_daemon, upstream):
    remove_rule(host)
    host.ip("route del local default dev lo table 123")
    mmproxy = start_daemon(host, connect_timeout=0.3)
    time_out(host, mmproxy)
    assert_cause(
        mmproxy.wait_for_log(HINT),
        "no rule applies: an answer finds no route and is dropped; table 123 has no local default",
    )


def test_where_the_rules_stand_it_is_something_on_the_way(host, start_daemon, upstream):
    host.nft(NO_ANSWERS)
    mmproxy = start_daemon(host, connect_timeout=0.3)
    time_out(host, mmproxy)
    assert_cause(
        mmproxy.wait_for_log(HINT),
        "the rules stand: a firewall, NAT or the reverse-path filter stops the answers",
    )


def test_each_family_has_its_own_upstream(host, start_daemon, upstream, upstream6):
    remove_rule(host)
    host.ip("rule del from ::1/128 iif lo table 123", "-6")
    mmproxy = start_daemon(host, connect_timeout=0.3)
    time_out(host, mmproxy)
    time_out(host, mmproxy, CLIENT6)
    mmproxy.wait_for_log(HINT + ".*upstream=\\[::1\\]:443")
    upstreams = {line["upstream"] for line in mmproxy.log_lines(HINT)}
    assert upstreams == {"127.0.0.1:443", "[::1]:443"} and len(mmproxy.log_lines(HINT)) == 2


def test_an_upstream_that_nobody_reaches_is_not_the_return_paths_fault(host, start_daemon, upstream):
    """Once it is reached again, the next timeout is worth a line."""
    host.nft(NO_UPSTREAM)
    remove_rule(host)
    mmproxy = start_daemon(host, connect_timeout=0.3)
    time_out(host, mmproxy)
    mmproxy.wait_for_log(NO_HINT)
    assert not mmproxy.log_lines(HINT)
    host.nft("delete table inet t")
    time_out(host, mmproxy)
    mmproxy.wait_for_log(HINT)


def test_an_upstream_that_is_down_is_not_the_return_paths_fault(host, start_daemon):
    """Its refusal finds no way back, so the dial times out; that of the plain connection does."""
    remove_rule(host)
    mmproxy = start_daemon(host, connect_timeout=0.3)
    time_out(host, mmproxy)
    mmproxy.wait_for_log(NO_HINT)
    assert not mmproxy.log_lines(HINT)


def test_a_reload_begins_anew(host, start_daemon, upstream):
    remove_rule(host)
    mmproxy = start_daemon(host, connect_timeout=0.3)
    time_out(host, mmproxy)
    mmproxy.wait_for_log(HINT)
    before = mmproxy.log_size()
    assert mmproxy.reload().event == "config: reloaded"
    time_out(host, mmproxy)
    mmproxy.wait_for_log(HINT, after=before)
    assert len(mmproxy.log_lines(HINT)) == 2


def test_it_ends_in_good_order_with_a_look_under_way(host, start_daemon, upstream):
    host.nft(NO_UPSTREAM)
    mmproxy = start_daemon(host, connect_timeout=0.3)
    time_out(host, mmproxy)
    mmproxy.wait_until_idle()
    mmproxy.stop()
