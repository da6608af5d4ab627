# SPDX-License-Identifier: MIT
"""What a reload does to the return path: nothing that a live session needs is taken away."""

import pytest

import network
import rules
from headers import v2
from sessions import assert_alive, close, unused_client
from settings import configuration, listener
from upstreams import Listener
from waiting import wait_until

MANAGE = {"mode": "manage"}
OTHER = ("192.0.2.1", 443)  # another address of the host


@pytest.fixture
def bare():
    """A host without a return path, with an address besides those of loopback."""
    made = network.Namespace("bare")
    made.add_interface(f"{OTHER[0]}/24", "2001:db8:2::1/64")
    made.ip("route add default via 192.0.2.254")
    yield made
    made.destroy()


@pytest.fixture
def start(bare, start_daemon):
    def run(*listeners, **top):
        return start_daemon(bare, config=configuration(*(listeners or [listener()]), **top))

    return run


def reload(mmproxy, *listeners, **top):
    mmproxy.write_config(configuration(*(listeners or [listener()]), **top))
    return mmproxy.reload()


def open_session(bare, upstream, port=8443):
    connection = bare.connect(("127.0.0.1", port))
    connection.sendall(v2(unused_client()))
    accepted, _ = upstream.accept()
    return connection, accepted


def tables_of(bare):
    return sorted(rule[2] for rule in rules.rules(bare, 4))


def wait_until_only(bare, number, gone):
    """One table is left. The routes of the other go after the rules that lead to it."""

    def reached():
        routes = rules.routes(bare, 4, gone) + rules.routes(bare, 6, gone)
        return tables_of(bare) == [number] and not routes

    wait_until(reached, 5, lambda: rules.everything(bare))


def test_another_table_comes_at_once_and_the_old_one_goes_with_its_last_session(bare, start):
    mmproxy, upstream = start(routing=MANAGE), Listener(bare)
    old = open_session(bare, upstream)
    assert reload(mmproxy, routing={**MANAGE, "table": 124}).event == "config: reloaded"
    assert tables_of(bare) == [123, 124]
    assert_alive(*old)
    new = open_session(bare, upstream)
    close(*old)
    wait_until_only(bare, 124, gone=123)
    assert_alive(*new)
    close(*new)
    mmproxy.stop()
    assert rules.is_empty(bare, 124), rules.everything(bare)


def test_what_both_need_is_not_touched(bare, start):
    mmproxy = start(routing=MANAGE)
    before = rules.everything(bare)
    for _ in range(5):
        assert reload(mmproxy, routing=MANAGE).event == "config: reloaded"
    assert rules.everything(bare) == before
    assert not mmproxy.log_lines("routing: (removed|put back)")
    mmproxy.stop()
    assert rules.is_empty(bare), rules.everything(bare)


def test_managing_begins_and_ends_with_a_reload(bare, start):
    mmproxy, upstream = start(routing={"mode": "off"}), Listener(bare)
    assert rules.is_empty(bare)
    assert reload(mmproxy, routing=MANAGE).event == "config: reloaded"
    assert rules.loopback_is_managed(bare)
    session = open_session(bare, upstream)
    assert reload(mmproxy, routing={"mode": "off"}).event == "config: reloaded"
    assert_alive(*session)
    # Still watched over: the session lives.
    rules.flush_rules(bare)
    rules.wait_until_put_back(bare)
    assert_alive(*session)
    close(*session)
    wait_until(lambda: rules.is_empty(bare), 5, lambda: rules.everything(bare))


def test_a_listener_with_a_mark_brings_its_rule_and_its_table(bare, start):
    mmproxy, web = start(routing=MANAGE), listener()
    marked = listener("marked", listen="127.0.0.1:8444", forward={"ipv4": "%s:%d" % OTHER}, mark=77)
    assert reload(mmproxy, web, marked, routing=MANAGE).event == "config: reloaded"
    assert ("192.0.2.1/32", 77, 123, rules.PROTOCOL) in rules.rules(bare, 4)
    assert rules.tables(bare) == ["mmproxy_77"]
    session = open_session(bare, Listener(bare, OTHER), 8444)
    assert_alive(*session)
    assert reload(mmproxy, web, routing=MANAGE).event == "config: reloaded"
    assert rules.tables(bare) == ["mmproxy_77"]
    assert_alive(*session)
    close(*session)
    wait_until(lambda: not rules.tables(bare), 5, lambda: rules.everything(bare))
    assert rules.rules(bare, 4) == [rules.LOOPBACK4]


def test_a_reload_that_cannot_have_its_route_changes_nothing(bare, start):
    mmproxy, upstream = start(routing=MANAGE), Listener(bare)
    bare.ip("route add default dev outside table 124\n")
    before = rules.everything(bare)
    assert reload(mmproxy, routing={**MANAGE, "table": 124}).event.startswith("config: reload failed")
    [line] = mmproxy.log_lines("config: cannot be put in place")
    assert "table 124 has another default route" in line["text"]
    wait_until(lambda: rules.everything(bare) == before, 5, lambda: rules.everything(bare))
    assert_alive(*open_session(bare, upstream))


def test_the_check_is_made_again(bare, start):
    mmproxy = start(routing={"mode": "check"})
    before = mmproxy.log_size()
    assert mmproxy.log_lines("routing: the upstream's answers do not come back")
    bare.add_return_path()
    assert reload(mmproxy, routing={"mode": "check"}).event == "config: reloaded"
    mmproxy.wait_for_log("routing: the upstream's answers come back", after=before)
    assert not mmproxy.log_lines("do not come back", after=before)
