# SPDX-License-Identifier: MIT
"""Several instances on one host that need the same rules, and crashes among them."""

import signal

import pytest

import network
import rules
from headers import CLIENT4, v2
from sessions import assert_alive, close
from settings import configuration, listener
from upstreams import Listener

PORTS = {"one": 8443, "other": 8444}


@pytest.fixture
def start_instance(bare, start_daemon):
    """start_instance("one") is an mmproxy that manages; several differ in their port alone."""

    def start(name, **routing):
        config = configuration(
            listener(listen=f"127.0.0.1:{PORTS[name]}"), routing={"mode": "manage", **routing}
        )
        # The test itself says how it ends.
        return start_daemon(bare, config=config, ready=False)

    def run(name, **routing):
        made = start(name, **routing)
        made.wait_until_ready()
        return made

    run.at_once = lambda *names: [made for made in map(start, names) if made.wait_until_ready()]
    return run


def crash(mmproxy):
    mmproxy.process.send_signal(signal.SIGKILL)
    assert mmproxy.wait_until_ended() == -signal.SIGKILL


def assert_managed(namespace):
    assert rules.loopback_is_managed(namespace), rules.everything(namespace)


def assert_gone(namespace):
    assert rules.is_empty(namespace), rules.everything(namespace)


def assert_serves(namespace, port):
    upstream = Listener(namespace)
    connection = namespace.connect(("127.0.0.1", port))
    connection.sendall(v2((CLIENT4[0], 0)))
    accepted, _ = upstream.accept()
    assert_alive(connection, accepted)
    close(connection, accepted)
    upstream.close()


both_orders = pytest.mark.parametrize("first", [0, 1], ids=["as_they_came", "the_other_way_round"])


@both_orders
def test_the_last_of_two_takes_it_away(first, bare, start_instance):
    instances = [start_instance("one"), start_instance("other")]
    assert_managed(bare)
    instances[first].stop()
    assert_managed(bare)
    assert_serves(bare, PORTS["other" if first == 0 else "one"])
    instances[1 - first].stop()
    assert_gone(bare)


def test_two_that_start_and_stop_at_once(bare, start_instance):
    for _ in range(5):
        instances = start_instance.at_once("one", "other")
        assert_managed(bare)
        for instance in instances:
            instance.terminate()
        assert [instance.wait_until_ended() for instance in instances] == [0, 0]
        assert_gone(bare)


def test_two_that_put_back_at_once_put_it_back_once(bare, start_instance):
    start_instance("one")
    start_instance("other")
    for _ in range(5):
        rules.flush_rules(bare)
        bare.ip("route flush table 123")
        rules.wait_until_put_back(bare)


def test_a_crash_leaves_it_and_the_next_start_adopts_it(bare, start_instance):
    crash(start_instance("one"))
    before = rules.everything(bare)
    assert_managed(bare)
    again = start_instance("one")
    assert rules.everything(bare) == before
    assert_serves(bare, PORTS["one"])
    again.stop()
    assert_gone(bare)


@both_orders
def test_a_crash_of_one_does_not_count_for_the_other(first, bare, start_instance):
    instances = [start_instance("one"), start_instance("other")]
    crash(instances[first])
    assert_managed(bare)
    assert_serves(bare, PORTS["other" if first == 0 else "one"])
    instances[1 - first].stop()
    assert_gone(bare)


def test_one_that_crashed_comes_back_beside_the_other(bare, start_instance):
    other = start_instance("other")
    crash(start_instance("one"))
    again = start_instance("one")
    other.stop()
    assert_managed(bare)
    again.stop()
    assert_gone(bare)


def test_what_a_crash_has_left_goes_when_nobody_needs_it_any_more(bare, start_instance):
    """The settings have changed since, or it never comes back."""
    bare.nft("table inet mmproxy_78 { comment \"managed by mmproxy\"; }\ntable inet mmproxy_79 { }")
    crash(start_instance("one", table=124))
    other = start_instance("other", table=125)
    assert rules.routes(bare, 4, 124) == [] == rules.routes(bare, 6, 124)
    assert [rule[2] for rule in rules.rules(bare, 4)] == [125]
    assert rules.tables(bare) == ["mmproxy_79"]
    bare.ip("rule add from 127.0.0.0/8 iif lo table 126\nroute add local default dev lo table 126")
    one = start_instance("one", table=124)
    assert [rule[2] for rule in rules.rules(bare, 4)] == [124, 126, 125]
    assert rules.routes(bare, 4, 126) != []
    one.stop()
    other.stop()
    assert [rule[2] for rule in rules.rules(bare, 4)] == [126]


def test_each_has_what_is_its_own(bare, start_instance):
    one, other = start_instance("one"), start_instance("other", table=124)
    one.stop()
    assert [rule[2] for rule in rules.rules(bare, 4)] == [124]
    assert rules.routes(bare, 4) == [] and rules.routes(bare, 4, 124) != []
    other.stop()
    assert_gone(bare)
    assert rules.routes(bare, 4, 124) == []


def test_namespaces_do_not_count_for_each_other(bare, start_instance, start_daemon):
    elsewhere = network.Namespace("elsewhere")
    try:
        config = configuration(listener(), routing={"mode": "manage"})
        there, here = start_daemon(elsewhere, config=config), start_instance("one")
        there.stop()
        assert_gone(elsewhere)
        assert_managed(bare)
        here.stop()
        assert_gone(bare)
    finally:
        elsewhere.destroy()
