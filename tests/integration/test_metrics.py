# SPDX-License-Identifier: MIT
"""The metrics' values: each agrees with what really happened."""

import time

import plugins
import pytest
import udp
from headers import CLIENT4, local, v1, v2
from metrics import config, promtool, scrape
from sessions import MMPROXY, clients, open_session, send
from settings import listener, udp_listener
from traffic import EOF, read_exactly, read_to_end, wait_until_ended
from upstreams import UPSTREAM4, Listener
from waiting import wait_until

HEADER, DIAL = "mmproxy_header_latency_seconds", "mmproxy_dial_latency_seconds"


@pytest.fixture
def mmproxy(host, start_daemon):
    return start_daemon(host, config=config(workers=2))


def impatient_listener():
    return listener(header_timeout=1.0)


def finish(session):
    for end in session:
        end.close()


def wait_for(host, name, value, **labels):
    """Scrapes until a sample has this value, and returns that scrape."""
    seen = []

    def reached():
        seen[:] = [scrape(host)]
        return seen[0].value(name, **labels) == value

    wait_until(reached, 10, lambda: f"{name}{labels} is {value}:\n{seen[0].text}", interval=0.02)
    return seen[0]


def wait_for_closed(host, reason, count=1):
    wait_until(lambda: scrape(host).closed(reason) == count, 10, f"{count} closed: {reason}")
    return scrape(host)


def test_every_counter_and_reason_is_there_before_anything_has_happened(host, mmproxy):
    seen = scrape(host)
    started = [
        (name, dict(pairs), value)
        for family in seen.families.values()
        if family.type == "counter"
        for (name, pairs), value in family.samples.items()
        if name != "process_cpu_seconds_total" and value != 0
    ]
    assert not started
    assert len(seen.families["mmproxy_sessions_closed_total"].samples) > 50


def test_promtool_has_nothing_to_complain_of(host, start_daemon, upstream):
    entry = plugins.entry("ratelimit", {"rate": 1000.0})
    start_daemon(host, config=config(listener(plugins=[entry]), udp_listener()))
    open_session(host, upstream)
    assert promtool("check", "metrics", text=scrape(host).text) == (0, "")


def test_a_scrape_agrees_with_the_counters_in_the_log(host, start_daemon, upstream, udp_upstream):
    mmproxy = start_daemon(
        host, config=config(impatient_listener(), udp_listener(), drain_timeout=0)
    )
    for number, header in enumerate([v1(CLIENT4), v2(("203.0.113.10", 4000)), local()]):
        connection = send(host, header + b"question")
        accepted, _ = upstream.accept()
        assert read_exactly(accepted, 8) == b"question"
        accepted.sendall(b"to you")
        assert read_exactly(connection, 6) == b"to you"
        finish([connection, accepted])
    assert read_to_end(send(host, b"GET / HTTP/1.0\r\n\r\n"))[0] == b""
    silent = host.connect(MMPROXY)
    balancer = udp.Balancer(host)
    for _ in range(3):
        udp.round_trip(balancer, udp_upstream, CLIENT4, b"four")
    wait_until_ended(silent)
    wait_for_closed(host, "finished", 3)
    # What a session is counted in while it lives is given back last.
    wait_for(host, "mmproxy_sessions", 0, listener="web", protocol="tcp")
    counters, seen = mmproxy.counters(), scrape(host)

    assert seen.value("mmproxy_sessions_accepted_total") == counters["sessions_accepted"] == 6
    assert seen.value("mmproxy_sessions_relayed_total") == counters["sessions_relayed"] == 4
    assert seen.value("mmproxy_headers_total", version="v1") == counters["headers_v1"] == 1
    assert seen.value("mmproxy_headers_total", version="v2") == counters["headers_v2"] == 3
    assert seen.value("mmproxy_headers_total", version="spp") == 0
    assert seen.value("mmproxy_headers_local_total") == counters["headers_local"] == 1
    for side, expected in ("client", 3 * 8 + 3 * 7), ("upstream", 3 * 6 + 3 * 7):
        bytes_seen = seen.value("mmproxy_relayed_bytes_total", from_=side)
        assert bytes_seen == counters[f"bytes_from_{side}"] == expected
        datagrams = seen.value("mmproxy_relayed_datagrams_total", from_=side)
        assert datagrams == counters[f"datagrams_from_{side}"] == 3
    for reason, count in ("finished", 3), ("header-missing", 1), ("header-timeout-empty", 1):
        counter = f"sessions_closed_{reason.replace('-', '_')}"
        assert seen.closed(reason) == counters[counter] == count
    assert seen.value("mmproxy_sessions_begun_total", listener="web", protocol="tcp") == 5
    assert seen.value("mmproxy_sessions_begun_total", listener="dns", protocol="udp") == 1
    assert seen.value("mmproxy_sessions", listener="dns", protocol="udp") == 1
    # The sum of all closed ones and of those alive is that of all begun ones.
    closed = seen.families["mmproxy_sessions_closed_total"].samples.values()
    assert sum(closed) + 1 == seen.value("mmproxy_sessions_accepted_total")


def test_bytes_are_told_while_a_session_lives(host, mmproxy, upstream):
    connection, accepted = open_session(host, upstream)
    connection.sendall(b"x" * 1000)
    assert read_exactly(accepted, 1000) == b"x" * 1000
    wait_for(host, "mmproxy_relayed_bytes_total", 1000, from_="client")
    accepted.sendall(b"y" * 300)
    wait_for(host, "mmproxy_relayed_bytes_total", 300, from_="upstream")
    assert scrape(host).closed("finished") == 0


def test_sessions_are_gauges_by_listener_and_by_worker(host, mmproxy, upstream):
    sessions = []
    for client in clients(12):
        sessions.append((send(host, v2(client)), upstream.accept()[0]))
    seen = scrape(host)
    assert seen.value("mmproxy_sessions", listener="web", protocol="tcp") == 12
    assert sum(seen.families["mmproxy_worker_sessions"].samples.values()) == 12
    assert len(seen.families["mmproxy_worker_sessions"].samples) == 2
    for session in sessions:
        finish(session)
    wait_for_closed(host, "finished", 12)
    wait_for(host, "mmproxy_sessions", 0, listener="web", protocol="tcp")
    for number in range(2):
        wait_for(host, "mmproxy_worker_sessions", 0, worker=str(number))


def test_limits_are_those_in_force(host, start_daemon):
    start_daemon(
        host,
        config=config(
            listener("few", max_sessions=7),
            listener("any", listen="127.0.0.1:8444"),
            udp_listener(max_flows=50),
        ),
    )
    seen = scrape(host)
    by_descriptors = seen.value("mmproxy_tcp_sessions_limit")
    assert seen.value("mmproxy_sessions_limit", listener="few", protocol="tcp") == 7
    assert seen.value("mmproxy_sessions_limit", listener="any", protocol="tcp") == by_descriptors
    assert seen.value("mmproxy_sessions_limit", listener="dns", protocol="udp") == 50
    assert 100 < 2 * by_descriptors < seen.value("process_max_fds")


def test_a_full_flow_table_shows_as_fill_and_as_evictions(host, start_daemon, udp_upstream):
    start_daemon(host, config=config(udp_listener(max_flows=4), workers=1, drain_timeout=0))
    balancer = udp.Balancer(host)
    for client in udp.crowd(6):
        udp.question(balancer, udp_upstream, client)
    seen = wait_for_closed(host, "flow-evicted", 2)
    assert seen.value("mmproxy_sessions", listener="dns", protocol="udp") == 4
    assert seen.value("mmproxy_sessions_limit", listener="dns", protocol="udp") == 4
    assert seen.value("mmproxy_sessions_begun_total", listener="dns", protocol="udp") == 6


def test_a_listener_that_left_is_told_of_while_it_drains_and_counts_with_its_namesake(
    host, start_daemon, upstream
):
    both = [listener("stays", listen="127.0.0.1:8444"), listener("web")]
    alone = config(*both[:1])
    mmproxy = start_daemon(host, config=config(*both))
    old = open_session(host, upstream)
    mmproxy.write_config(alone)
    mmproxy.reload()
    seen = scrape(host)
    assert seen.value("mmproxy_sessions", listener="web", protocol="tcp") == 1
    assert len(seen.families["mmproxy_sessions_limit"].samples) == 1
    assert len(seen.families["mmproxy_sessions_begun_total"].samples) == 1

    mmproxy.write_config(config(*both))
    mmproxy.reload()
    new = open_session(host, upstream, ("203.0.113.77", 4711))
    seen = scrape(host)
    assert seen.value("mmproxy_sessions", listener="web", protocol="tcp") == 2
    assert seen.value("mmproxy_sessions_begun_total", listener="web", protocol="tcp") == 1
    finish(old)
    wait_for(host, "mmproxy_sessions", 1, listener="web", protocol="tcp")
    finish(new)

    mmproxy.write_config(alone)
    mmproxy.reload()

    def forgotten():
        return len(scrape(host).families["mmproxy_sessions"].samples) == 1

    wait_until(forgotten, 10, "the listener that left is forgotten")


# Latencies.


def test_a_late_header_is_in_the_bucket_of_its_time(host, start_daemon, upstream):
    mmproxy = start_daemon(host, config=config(listener(header_timeout=60.0)))
    before_it_began = time.monotonic()
    late = host.connect(MMPROXY)
    mmproxy.wait_for_counter("sessions_accepted")
    after_it_began = time.monotonic()
    time.sleep(0.3)
    waited = time.monotonic() - after_it_began
    late.sendall(v2(CLIENT4))
    upstream.accept()
    whole = time.monotonic() - before_it_began
    seen = scrape(host)
    assert seen.value(f"{HEADER}_count") == 1
    took = seen.value(f"{HEADER}_sum")
    assert waited <= took <= whole
    # In each bucket whose bound it keeps to, and in no other.
    buckets = seen.buckets(HEADER)
    assert buckets == {bound: int(took <= bound) for bound in buckets}
    assert 0 in buckets.values()


def test_headers_that_are_there_are_quick(host, mmproxy, upstream):
    began = time.monotonic()
    for number, client in enumerate(clients(20), 1):
        send(host, v2(client))
        upstream.accept()
        # mmproxy may see it only now. No two of them overlap, so the sums are below this time.
        seen = wait_for(host, f"{DIAL}_count", number)
    elapsed = time.monotonic() - began
    assert seen.value(f"{HEADER}_count") == 20
    assert seen.bucket(HEADER, "+Inf") == seen.bucket(DIAL, "+Inf") == 20
    assert 0 < seen.value(f"{HEADER}_sum") + seen.value(f"{DIAL}_sum") < elapsed


def test_headers_that_never_come_or_are_refused_are_in_no_bucket(host, start_daemon):
    start_daemon(host, config=config(impatient_listener()))
    silent = host.connect(MMPROXY)
    read_to_end(send(host, b"GET / HTTP/1.0\r\n\r\n"))
    wait_until_ended(silent)
    seen = wait_for_closed(host, "header-timeout-empty")
    assert seen.value(f"{HEADER}_count") == 0 and seen.value(f"{HEADER}_sum") == 0


def test_an_upstream_that_answers_late_is_in_the_bucket_of_its_time(host, start_daemon):
    """Its accept queue is full; the kernel asks again after a second, when there is room."""
    start_daemon(host, config=config())
    upstream = Listener(host, UPSTREAM4, backlog=0)
    host.connect(UPSTREAM4)
    began = time.monotonic()
    send(host, v2(CLIENT4))
    dialling = lambda: host.run(["ss", "-Htn", "state", "syn-sent"]).stdout
    wait_until(dialling, 10, "mmproxy has asked")
    assert scrape(host).value(f"{DIAL}_count") == 0
    upstream.accept()
    seen = wait_for(host, f"{DIAL}_count", 1)
    assert seen.bucket(DIAL, "0.5") == 0 and seen.value(f"{HEADER}_count") == 1
    assert 0.5 < seen.value(f"{DIAL}_sum") < time.monotonic() - began - seen.value(f"{HEADER}_sum")


def test_a_dial_that_fails_is_in_no_bucket(host, mmproxy):
    """Nobody listens there."""
    wait_until_ended(send(host, v2(CLIENT4)))
    seen = wait_for_closed(host, "connect-refused")
    assert seen.value(f"{DIAL}_count") == 0
    assert seen.value(f"{HEADER}_count") == 1


# Plugins.


def test_a_plugins_counters_are_told_by_entry(host, start_daemon, upstream):
    entry = plugins.entry("few-a-day", {"rate": 0.001, "burst": 1}, plugin="ratelimit")
    start_daemon(host, config=config(listener(plugins=[entry])))
    open_session(host, upstream)
    assert read_to_end(send(host, v2((CLIENT4[0], 41001)))) == (b"", EOF)
    seen = wait_for_closed(host, "plugin-denied")
    events = "mmproxy_plugin_events_total"
    assert seen.value(events, entry="few-a-day", counter="refusals") == 1
    assert seen.value(events, entry="few-a-day", counter="limited_rate") == 1
    assert seen.value(events, entry="few-a-day", counter="timeouts") == 0


# Workers.


def test_a_stuck_workers_heartbeat_grows_old_and_that_of_others_does_not(
    host, start_daemon, upstream
):
    stuck = plugins.entry("stuck", {"while": "hold", "port": 1666})
    mmproxy = start_daemon(host, config=config(listener(plugins=[stuck]), workers=2))
    age = "mmproxy_worker_heartbeat_age_seconds"

    def is_young(number):
        return scrape(host).value(age, worker=number) <= 1.1

    for number in "0", "1":
        wait_until(lambda: is_young(number), 10, "it is young")
    mmproxy.write_config("", "hold")
    send(host, v2((CLIENT4[0], 1666)))
    number = mmproxy.wait_for_log("daemon: a worker is stuck")["worker"]
    other = str(1 - int(number))
    wait_until(lambda: scrape(host).value(age, worker=number) > 2.5, 10, "it grows old")
    wait_until(lambda: is_young(other), 10, "the other is young")
    (mmproxy.directory / "hold").unlink()
    wait_until(lambda: is_young(number), 10, "it is young again")
    upstream.accept()


# The configuration, and the end.


def test_reloads_are_counted_by_outcome_and_dated(host, mmproxy):
    began, seen = time.time(), scrape(host)
    reloads, last = "mmproxy_config_reloads_total", "mmproxy_config_last_reload_successful"
    loaded = "mmproxy_config_last_reload_success_timestamp_seconds"
    assert seen.value("mmproxy_config_generation") == 1 and seen.value(last) == 1
    assert began - 60 < seen.value(loaded) <= began
    assert seen.value("process_start_time_seconds") == seen.value(loaded)

    mmproxy.write_config("nonsense")
    mmproxy.reload()
    seen = scrape(host)
    assert seen.value("mmproxy_config_generation") == 1 and seen.value(last) == 0
    assert seen.value(reloads, outcome="failure") == 1
    assert seen.value(reloads, outcome="success") == 0
    first = seen.value(loaded)

    # The daemon's clock, of whole seconds, lags a few milliseconds behind.
    wait_until(lambda: time.time() > first + 1.1, 5, "another second")
    mmproxy.write_config(config(listener(mark=7), workers=2))
    mmproxy.reload()
    seen = scrape(host)
    assert seen.value("mmproxy_config_generation") == 2 and seen.value(last) == 1
    assert seen.value(reloads, outcome="failure") == 1
    assert seen.value(reloads, outcome="success") == 1
    assert first < seen.value(loaded) <= time.time()
    assert seen.value("process_start_time_seconds") == first


def test_metrics_are_told_while_the_last_sessions_drain(host, mmproxy, upstream):
    session = open_session(host, upstream)
    assert scrape(host).value("mmproxy_draining") == 0
    mmproxy.terminate()
    mmproxy.wait_for_log("daemon: stopping")
    seen = scrape(host)
    assert seen.value("mmproxy_draining") == 1
    assert seen.value("mmproxy_sessions", listener="web", protocol="tcp") == 1
    finish(session)
    assert mmproxy.wait_until_ended() == 0


def test_what_is_told_of_the_process_is_what_the_system_says(host, mmproxy):
    seen = scrape(host)
    # The scrape's own connection was one more.
    open_then = seen.value("process_open_fds")
    wait_until(lambda: mmproxy.descriptors() + 1 == open_then, 5, f"one less than {open_then}")
    assert 0 < seen.value("process_cpu_seconds_total") <= mmproxy.cpu_seconds() + 0.1
    resident = seen.value("process_resident_memory_bytes")
    assert abs(resident - mmproxy.memory()) < 1 << 20
