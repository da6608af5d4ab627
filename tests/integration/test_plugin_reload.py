# SPDX-License-Identifier: MIT
"""A reload opens plugins anew beside those that live; sessions keep what they began with; and what
cannot be opened changes nothing."""

import os
import re
import shutil
import tempfile
import time

import pytest

import plugins
from headers import CLIENT4, v2
from hooks import DENY, PASS, finish
from sessions import clients, open_session, send
from settings import configuration, listener, udp_listener
from traffic import EOF, read_exactly, read_to_end, wait_until_ended
from udp import Balancer, question, round_trip
from waiting import wait_until

pytest_plugins = ["hooks"]

ESTALE = -116

OTHER = (CLIENT4[0], 41001)

slowly = {"timeout": 30.0}


def reload_with(mmproxy, entries, top=None, **changes):
    """Writes a configuration with these plugins, and returns the line that says how it went."""
    mmproxy.write_config(configuration(listener(plugins=entries, **changes), **(top or {})))
    return mmproxy.reload()


def assert_reloaded(mmproxy, entries, **options):
    line = reload_with(mmproxy, entries, **options)
    assert line.event == "config: reloaded", line.text


def instances(record, *hooks, **fields):
    return [call["instance"] for call in record.calls(*hooks, **fields)]


# From one instance to the next.


def test_the_new_instance_is_opened_before_the_old_is_closed(
    host, start_daemon, upstream, record
):
    entries = [record.entry("first")]
    mmproxy = start_daemon(host, plugins=entries, top={"workers": 2})
    finish(*open_session(host, upstream))
    record.wait_for("closed")
    assert_reloaded(mmproxy, entries, top={"workers": 2})
    old, new = instances(record, "open")
    record.wait_for("close", instance=old)
    hooks = [(call.hook, call["instance"]) for call in record.calls("open", "close")]
    assert hooks == [("open", old), ("open", new), ("close", old)]
    finish(*open_session(host, upstream, OTHER))
    assert instances(record, "filter") == [old, new]
    mmproxy.stop()
    for instance in old, new:
        calls = record.calls(instance=instance)
        assert [calls[0].hook, calls[-1].hook] == ["open", "close"]
        assert calls[0]["thread"] == calls[-1]["thread"] == mmproxy.pid
        starts = record.calls("worker_start", instance=instance)
        stops = record.calls("worker_stop", instance=instance)
        assert sorted(call["worker"] for call in starts) == [0, 1]
        assert sorted(call["worker"] for call in stops) == [0, 1]
        for worker in 0, 1:
            own = record.calls(instance=instance, worker=worker)
            assert [own[0].hook, own[-1].hook] == ["worker_start", "worker_stop"]
            assert len({call["thread"] for call in own}) == 1


def test_a_session_keeps_the_instance_that_it_began_with(host, start_daemon, upstream, record):
    mmproxy = start_daemon(host, plugins=[record.entry("first")])
    session = open_session(host, upstream)
    for _ in range(3):
        assert_reloaded(mmproxy, [record.entry("first")])
    old, *later = instances(record, "open")
    # Those that nobody used are gone, but for the last.
    for instance in later[:-1]:
        record.wait_for("close", instance=instance)
    assert old not in instances(record, "close")
    connection, accepted = session
    connection.sendall(b"alive")
    assert read_exactly(accepted, 5) == b"alive"
    accepted.close()
    connection.close()
    record.wait_for("close", instance=old)
    own = [call.hook for call in record.calls(instance=old)]
    assert own.count("closed") == 1
    assert own[-1] == "close"
    assert own.index("closed") < max(n for n, hook in enumerate(own) if hook == "worker_stop")
    assert instances(record, "closed") == [old]
    record.assert_each_session_was_closed_once()


@pytest.mark.parametrize("deferred", [False, True], ids=["at_once", "later"])
def test_a_session_whose_header_comes_after_a_reload_is_of_the_instance_before(
    deferred, host, start_daemon, upstream, record
):
    """It was accepted under those settings; no hook is called when its worker has stopped."""
    puppet = record.puppet("slow", defers=int(deferred), returns=3 if deferred else 0, **slowly)
    chain = [record.entry("first"), puppet.entry]
    mmproxy = start_daemon(host, plugins=chain, top={"workers": 1})
    header = v2(CLIENT4)
    connection = send(host, header[:20])
    mmproxy.wait_for_counter("sessions_accepted")
    for _ in range(3):
        assert_reloaded(mmproxy, [record.entry("first")], top={"workers": 1})
    connection.sendall(header[20:])
    if deferred:
        assert puppet.complete(puppet.wait_for_ticket(), PASS) == 0
    finish(connection, upstream.accept()[0])
    old = instances(record, "open")[0]
    record.wait_for("close", instance=old)
    own = [call.hook for call in record.calls(instance=old)]
    assert own == [
        *["open", "worker_start", "filter", "connected", "closed", "worker_stop", "close"]
    ]
    finish(*open_session(host, upstream, OTHER))


def test_sessions_of_many_generations_end_in_any_order(host, start_daemon, upstream, record):
    mmproxy = start_daemon(host, plugins=[record.entry("first")], top={"workers": 2})
    sessions = []
    for client in clients(8):
        sessions.append(open_session(host, upstream, client))
        assert_reloaded(mmproxy, [record.entry("first")], top={"workers": 2})
    opened = instances(record, "open")
    assert instances(record, "filter") == opened[:-1]
    for place in 3, 0, 7, 5, 1, 6, 2, 4:
        finish(*sessions[place])
        record.wait_for("close", instance=opened[place])
    assert sorted(instances(record, "closed")) == opened[:-1]
    record.assert_each_session_was_closed_once()


def test_new_settings_are_for_new_sessions(host, start_daemon, upstream, record):
    mmproxy = start_daemon(host, plugins=[record.entry("first")])
    live = open_session(host, upstream)
    assert_reloaded(mmproxy, [record.entry("first", verdict=DENY, why="new rules")])
    wait_until_ended(send(host, v2(OTHER)))
    assert record.wait_for("closed")["why"] == "new rules"
    assert_reloaded(mmproxy, [record.entry("first")])
    finish(*open_session(host, upstream, OTHER))
    finish(*live)


def test_plugins_can_be_added_removed_and_put_in_another_order(
    host, start_daemon, upstream, record
):
    one, two = record.entry("one"), record.entry("two")
    reachable = plugins.reachable(record.directory)
    mmproxy = start_daemon(host, top=reachable)
    expected = []
    for number, entries in enumerate([[one], [one, two], [two, one], [two], None, [one]]):
        assert_reloaded(mmproxy, entries, top=reachable)
        finish(*open_session(host, upstream, clients(10)[number]))
        expected += [entry["name"] for entry in entries or []]
        record.wait_for_calls(len(expected), "closed")
        assert [call["label"] for call in record.calls("filter")] == expected
    mmproxy.stop()
    assert len(record.calls("open")) == len(record.calls("close")) == 7
    record.assert_each_session_was_closed_once()


def test_counters_go_on_through_reloads(host, start_daemon, upstream, record):
    mmproxy = start_daemon(host, plugins=[record.entry("first")])
    for number in range(1, 5):
        finish(*open_session(host, upstream, clients(5)[number]))
        mmproxy.assert_counter("plugin_first_filtered", number)
        assert_reloaded(mmproxy, [record.entry("first")])
    assert_reloaded(mmproxy, None)
    assert mmproxy.counters()["plugin_first_filtered"] == 4


def test_plugins_may_be_another_file_after_a_reload(host, start_daemon, upstream, record):
    mmproxy = start_daemon(host, plugins=[record.entry("first", plugin="recorder")])
    live = open_session(host, upstream)
    assert_reloaded(mmproxy, [record.entry("first", plugin="recorder_1_0")])
    finish(*open_session(host, upstream, OTHER))
    finish(*live)
    record.wait_for_calls(2, "closed")
    assert len(set(instances(record, "closed"))) == 2


def test_a_file_that_was_replaced_is_loaded_anew_and_live_sessions_keep_the_old(
    host, start_daemon, upstream, record
):
    with tempfile.TemporaryDirectory(prefix="mmp-load-") as folder:
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "plugin.so")
        entries = [{**record.entry("first"), "path": path}]
        install("recorder", path)
        mmproxy = start_daemon(host, plugins=entries)
        live = open_session(host, upstream)
        install("shape_later", path)
        assert_reloaded(mmproxy, entries)
        finish(*open_session(host, upstream, OTHER))
        texts = [line["text"] for line in mmproxy.log_lines("plugin: message")]
        assert texts == ["opened", "filtered"]
        finish(*live)
        record.wait_for("close")
        assert [call.hook for call in record.calls("filter", "closed")] == ["filter", "closed"]
        # And back again.
        install("recorder", path)
        assert_reloaded(mmproxy, entries)
        finish(*open_session(host, upstream, OTHER))
        record.wait_for_calls(2, "closed")


def install(name, path):
    """As a package manager does: beside the old file, then in its place."""
    shutil.copyfile(plugins.path(name), path + ".new")
    os.chmod(path + ".new", 0o644)
    os.rename(path + ".new", path)


# What changes nothing.


BROKEN = ["fails_to_open", "fails_with_a_word", "bad_setting", "missing_file", "misshaped", "twice"]


def broken_entries(record, good):
    missing = {"name": "missing", "path": "/no/such/plugin.so"}
    shape = {"name": "shape", "path": plugins.path("shape_wrong_major")}
    return {
        "fails_to_open": [good, record.entry("bad", open_returns=-22)],
        "fails_with_a_word": [record.entry("bad", mistake="is nonsense", open_returns=-22), good],
        "bad_setting": [good, record.entry("bad", verdict="x")],
        "missing_file": [good, missing],
        "misshaped": [shape, good],
        "twice": [good, good],
    }


@pytest.mark.parametrize("kind", BROKEN)
def test_what_cannot_be_opened_leaves_everything_as_it_was(
    kind, host, start_daemon, upstream, record
):
    good = record.entry("first")
    mmproxy = start_daemon(host, plugins=[good])
    live = open_session(host, upstream)
    descriptors = mmproxy.descriptors()
    line = reload_with(mmproxy, broken_entries(record, good)[kind])
    assert (line.level, "nothing changed" in line.text) == ("error", True)
    said = "config: (mistake|cannot be put in place)"
    mistakes = [line["text"] for line in mmproxy.log_lines(said)]
    assert len(mistakes) == 1
    assert re.match(r"\S+mmproxy\.conf:\d+: listeners\[0\]\.plugins\[[01]\]", mistakes[0])
    # The instance that lives goes on; whatever was opened in vain was closed.
    first = instances(record, "open")[0]
    finish(*open_session(host, upstream, OTHER))
    assert instances(record, "filter") == [first, first]
    opened = set(instances(record, "open", returns=0)) - {first}
    assert opened == set(instances(record, "close"))
    finish(*live)
    wait_until(lambda: mmproxy.descriptors() <= descriptors, 5, "the descriptors are back")
    assert_reloaded(mmproxy, [good])
    record.wait_for("close", instance=first)


def test_a_change_that_needs_a_restart_opens_no_plugin_for_good(
    host, start_daemon, upstream, record
):
    mmproxy = start_daemon(host, plugins=[record.entry("first")])
    line = reload_with(mmproxy, [record.entry("other")], backlog=7)
    assert "nothing changed" in line.text
    opened = set(instances(record, "open", label="other"))
    assert opened == set(instances(record, "close"))
    finish(*open_session(host, upstream))
    assert record.wait_for("closed")["label"] == "first"


# While a verdict is awaited.


def test_a_verdict_that_is_awaited_comes_from_the_old_instance(
    host, start_daemon, upstream, record
):
    old, new = record.puppet("old", **slowly), record.puppet("new", **slowly)
    old.entry["name"] = new.entry["name"] = "slow"
    mmproxy = start_daemon(host, plugins=[old.entry])
    connection = send(host, v2(CLIENT4) + b"payload")
    ticket = old.wait_for_ticket()
    assert_reloaded(mmproxy, [new.entry])
    other = send(host, v2(OTHER))
    newer = new.wait_for_ticket()
    # Each has its own tickets.
    assert new.complete(ticket, DENY) == ESTALE
    assert old.complete(newer, DENY) == ESTALE
    assert old.complete(ticket, PASS) == 0
    accepted, peer = upstream.accept()
    assert peer == CLIENT4
    assert read_exactly(accepted, 7) == b"payload"
    finish(connection, accepted)
    record.wait_for("close", label="old")
    assert new.complete(newer, PASS) == 0
    finish(other, upstream.accept()[0])
    record.wait_for("closed", label="new")
    record.assert_each_session_was_closed_once()


def test_a_timeout_is_that_of_the_session_when_it_began(host, start_daemon, record):
    slow = record.puppet("slow", timeout=1.0)
    mmproxy = start_daemon(host, plugins=[slow.entry])
    connection, began = send(host, v2(CLIENT4)), time.monotonic()
    slow.wait_for_ticket()
    assert_reloaded(mmproxy, None)
    assert read_to_end(connection) == (b"", EOF)
    assert time.monotonic() - began >= 0.9
    record.wait_for("close")
    assert record.hooks() == ["slow filter", "slow cancel", "slow closed"]


# UDP.


def udp_reload(mmproxy, entries, **changes):
    mmproxy.write_config(configuration(udp_listener(plugins=entries, **changes), drain_timeout=0))
    line = mmproxy.reload()
    assert line.event == "config: reloaded", line.text


def test_a_flow_keeps_the_instance_that_it_began_with(host, start_udp, udp_upstream, record):
    mmproxy = start_udp(host, plugins=[record.entry("first")], idle_timeout=60.0)
    live, late = Balancer(host), Balancer(host)
    round_trip(live, udp_upstream, CLIENT4)
    changed = [record.entry("first", verdict=DENY)]
    udp_reload(mmproxy, changed, idle_timeout=60.0)
    late.send(OTHER, b"refused by the new one")
    mmproxy.assert_closed("plugin-denied")
    for _ in range(3):
        assert round_trip(live, udp_upstream, CLIENT4) == CLIENT4
    old, new = instances(record, "open")
    udp_reload(mmproxy, changed, idle_timeout=0.1)
    record.wait_for("close", instance=old)
    assert [call["instance"] for call in record.calls("filter")] == [old, new]
    (closed,) = record.calls("closed", instance=old)
    assert closed["datagrams_from_client"] == 4


def test_a_flow_that_waits_is_served_after_a_reload(host, start_udp, udp_upstream, record):
    slow = record.puppet("slow", **slowly)
    mmproxy = start_udp(host, plugins=[slow.entry])
    balancer = Balancer(host)
    balancer.send(CLIENT4, b"one")
    ticket = slow.wait_for_ticket()
    udp_reload(mmproxy, None)
    balancer.send(CLIENT4, b"two")
    question(Balancer(host), udp_upstream, OTHER)
    assert slow.complete(ticket, PASS) == 0
    assert [udp_upstream.receive()[0] for _ in range(2)] == [b"one", b"two"]
