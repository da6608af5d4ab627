# SPDX-License-Identifier: MIT
"""The return path is managed by the packaged unit, with what its sandbox leaves."""

import os
import signal

import pytest

import network
import rules
from headers import CLIENT4, CLIENT6, v2
from sessions import assert_alive, close
from settings import listener
from test_systemd import SERVICE, start
from upstreams import UPSTREAM4, UPSTREAM6, Listener
from waiting import wait_until

OWN = ("192.0.2.1", 443)
MARKED = {"listen": "127.0.0.1:8444", "forward": {"ipv4": "%s:%d" % OWN}, "mark": 77}


@pytest.fixture
def host():
    """Instead of the host that has a return path: one that has an address, and a way to clients."""
    made = network.Namespace("host")
    made.add_interface(f"{OWN[0]}/24", "2001:db8:2::1/64")
    made.ip("route add default via 192.0.2.254")
    yield made
    made.destroy()


@pytest.fixture
def managed(systemd):
    """The unit runs, and manages what a listener on loopback and one with a mark need."""
    start(systemd, listener(), listener("marked", **MARKED), routing={"mode": "manage"})
    return systemd


def assert_serves(namespace, port, client, address):
    upstream = Listener(namespace, address)
    connection = namespace.connect(("127.0.0.1", port))
    connection.sendall(v2(client))
    accepted, peer = upstream.accept()
    assert peer[0] == client[0]
    assert_alive(connection, accepted)
    close(connection, accepted)
    upstream.close()


def assert_all_is_served(namespace):
    assert_serves(namespace, 8443, (CLIENT4[0], 0), UPSTREAM4)
    assert_serves(namespace, 8443, (CLIENT6[0], 0), UPSTREAM6)
    assert_serves(namespace, 8444, (CLIENT4[0], 0), OWN)


def is_managed(namespace):
    return (
        rules.LOOPBACK4 in rules.rules(namespace, 4)
        and ("192.0.2.1/32", 77, 123, rules.PROTOCOL) in rules.rules(namespace, 4)
        and rules.rules(namespace, 6) == [rules.LOOPBACK6]
        and rules.routes(namespace, 4) != []
        and rules.routes(namespace, 6) != []
        and rules.tables(namespace) == ["mmproxy_77"]
    )


def assert_gone(namespace):
    assert rules.is_empty(namespace), rules.everything(namespace)


def test_from_a_start_to_a_stop(managed, host):
    assert is_managed(host), rules.everything(host)
    assert_all_is_served(host)
    managed.systemctl("stop", SERVICE)
    assert managed.show(SERVICE, "Result") == "success"
    assert_gone(host)


def test_what_is_wiped_is_put_back(managed, host):
    host.nft("flush ruleset")
    rules.flush_rules(host, 4)
    rules.flush_rules(host, 6)
    host.ip("route flush table 123")
    host.ip("route flush table 123", "-6")
    rules.wait_until_put_back(host, is_managed)
    assert_all_is_served(host)


def test_a_crash_and_the_restart_that_follows(managed, host):
    crashed = managed.main_pid(SERVICE)
    os.kill(crashed, signal.SIGKILL)
    wait_until(lambda: managed.main_pid(SERVICE) not in (0, crashed), 15, "it is started again")
    managed.wait_for_log(SERVICE, "daemon: ready", count=2)
    assert is_managed(host), rules.everything(host)
    assert_all_is_served(host)
    managed.systemctl("stop", SERVICE)
    assert_gone(host)
