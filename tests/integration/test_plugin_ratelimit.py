# SPDX-License-Identifier: MIT
"""The plugin ratelimit: how fast a client may begin sessions, how many it may have, whom it shares
that with, and what gives it back."""

import time

import pytest

import plugins
import udp
from headers import CLIENT4, CLIENT6, local, v2
from sessions import open_session, send
from settings import configuration, listener
from traffic import EOF, RESET, read_to_end
from waiting import wait_until

OTHER4 = ("198.51.100.7", 41000)

# New sessions a second: none more grows while a test runs.
HARDLY = 0.001


def ratelimit(**config):
    return plugins.entry("ratelimit", config)


def ports(client, count, first=41000):
    """One host, so many ports."""
    return [(client[0], first + number) for number in range(count)]


def end_of(host, client):
    """What a connection of this client's hears that is not let in."""
    return read_to_end(send(host, v2(client)))


def assert_limited(host, mmproxy, client, why, end=EOF):
    before = mmproxy.log_size()
    assert end_of(host, client) == (b"", end)
    line = mmproxy.wait_for_log("session: refused", after=before)
    assert line["plugin"] == "ratelimit"
    assert line["why"] == why
    return line


def finish(mmproxy, session):
    """Ends a session, and waits until mmproxy has ended it as well."""
    before = mmproxy.counters()["sessions_closed_finished"]
    for end in session:
        end.close()
    mmproxy.wait_for_counter("sessions_closed_finished", before + 1)
    mmproxy.wait_until_idle()


# The rate.


def test_a_client_begins_no_more_sessions_than_the_burst(host, start_daemon, upstream):
    mmproxy = start_daemon(host, plugins=[ratelimit(rate=HARDLY, burst=3)])
    for client in ports(CLIENT4, 3):
        open_session(host, upstream, client)
    why = "more than 0.001 new sessions a second from 203.0.113.9/32"
    line = assert_limited(host, mmproxy, (CLIENT4[0], 41100), why)
    assert line["reason"] == "plugin-denied"
    open_session(host, upstream, OTHER4)
    upstream.assert_untouched()
    assert mmproxy.counters()["plugin_ratelimit_limited_rate"] == 1
    assert mmproxy.counters()["plugin_ratelimit_limited_sessions"] == 0


def test_a_client_may_begin_another_session_after_its_time(host, start_daemon, upstream):
    mmproxy = start_daemon(host, plugins=[ratelimit(rate=1, burst=1)])
    began = time.monotonic()
    open_session(host, upstream)
    tried = []

    def let_in():
        tried.append(send(host, v2((CLIENT4[0], 20000 + len(tried)))))
        mmproxy.wait_until_idle()
        return upstream.has_connection()

    wait_until(let_in, 10, "another session is let in")
    # mmproxy's clock is in milliseconds.
    assert time.monotonic() - began >= 0.99
    # Those that were refused have cost nothing.
    assert len(tried) > 1
    assert mmproxy.counters()["plugin_ratelimit_limited_rate"] == len(tried) - 1


def test_the_burst_is_a_seconds_worth_when_it_is_not_set(host, start_daemon, upstream):
    mmproxy = start_daemon(host, plugins=[ratelimit(rate=HARDLY)])
    open_session(host, upstream)
    why = "more than 0.001 new sessions a second from 203.0.113.9/32"
    assert_limited(host, mmproxy, (CLIENT4[0], 41100), why)


def test_refuse_with_reset_is_a_reset(host, start_daemon, upstream):
    mmproxy = start_daemon(
        host, plugins=[ratelimit(rate=HARDLY, max_sessions=1, refuse_with="reset")]
    )
    open_session(host, upstream)
    line = assert_limited(
        host, mmproxy, (CLIENT4[0], 41100), "203.0.113.9/32 has max_sessions already (1)", RESET
    )
    assert line["reason"] == "plugin-reset"


# Sessions at once.


def test_a_client_has_no_more_sessions_at_once_than_the_limit(host, start_daemon, upstream):
    mmproxy = start_daemon(host, plugins=[ratelimit(max_sessions=2)])
    sessions = [open_session(host, upstream, client) for client in ports(CLIENT4, 2)]
    why = "203.0.113.9/32 has max_sessions already (2)"
    for client in ports(CLIENT4, 3, 42000):
        assert_limited(host, mmproxy, client, why)
    open_session(host, upstream, OTHER4)
    for number, session in enumerate(sessions):
        finish(mmproxy, session)
        open_session(host, upstream, (CLIENT4[0], 43000 + number))
        assert_limited(host, mmproxy, (CLIENT4[0], 44000 + number), why)
    assert mmproxy.counters()["plugin_ratelimit_limited_sessions"] == 5
    assert mmproxy.counters()["plugin_ratelimit_limited_rate"] == 0


def test_a_session_that_never_reached_the_upstream_is_given_back(host, start_daemon):
    """There is no upstream: each session ends while it is dialled."""
    mmproxy = start_daemon(host, plugins=[ratelimit(max_sessions=1)])
    for client in ports(CLIENT4, 10):
        assert end_of(host, client)[0] == b""
        mmproxy.wait_until_idle()
    mmproxy.assert_closed("connect-refused", 10)
    assert mmproxy.counters()["plugin_ratelimit_limited_sessions"] == 0


def test_a_session_that_a_later_plugin_refuses_is_given_back(host, start_daemon):
    chain = [ratelimit(max_sessions=1), plugins.entry("acl", {"default": "deny"})]
    mmproxy = start_daemon(host, plugins=chain)
    for client in ports(CLIENT4, 10):
        assert end_of(host, client) == (b"", EOF)
        mmproxy.wait_until_idle()
    mmproxy.assert_closed("plugin-denied", 10)
    counters = mmproxy.counters()
    assert counters["plugin_acl_denied"] == 10
    assert counters["plugin_ratelimit_limited_sessions"] == 0


def test_what_an_earlier_plugin_refuses_takes_no_token(host, start_daemon, upstream):
    chain = [
        plugins.entry("acl", {"deny": OTHER4[0]}),
        ratelimit(rate=HARDLY, ipv4_prefix=0),
    ]
    mmproxy = start_daemon(host, plugins=chain)
    for client in ports(OTHER4, 10):
        assert end_of(host, client) == (b"", EOF)
    open_session(host, upstream)
    why = "more than 0.001 new sessions a second from 0.0.0.0/0"
    assert_limited(host, mmproxy, (CLIENT4[0], 41100), why)


@pytest.mark.parametrize("limit", [{"max_sessions": 5}, {"rate": HARDLY, "burst": 5}])
def test_workers_keep_to_one_limit_together(limit, host, start_daemon, upstream):
    mmproxy = start_daemon(host, plugins=[ratelimit(**limit)], top={"workers": 2})
    connections = [host.connect(("127.0.0.1", 8443)) for _ in range(40)]
    for connection, client in zip(connections, ports(CLIENT4, 40)):
        connection.sendall(v2(client))
    mmproxy.assert_closed("plugin-denied", 35)
    upstream.accept_many(5)
    upstream.assert_untouched()
    counters = mmproxy.counters()
    limited = ("plugin_ratelimit_limited_rate", "plugin_ratelimit_limited_sessions")
    assert sum(counters[name] for name in limited) == 35


def test_the_sessions_of_all_workers_are_given_back(host, start_daemon, upstream):
    mmproxy = start_daemon(host, plugins=[ratelimit(max_sessions=10)], top={"workers": 2})
    for turn in range(5):
        clients = ports(CLIENT4, 10, 20000 + 100 * turn)
        for session in [open_session(host, upstream, client) for client in clients]:
            finish(mmproxy, session)
    assert mmproxy.counters()["plugin_ratelimit_limited_sessions"] == 0


# UDP.


def test_a_flow_is_a_session_until_it_ends(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, idle_timeout=2.0, plugins=[ratelimit(max_sessions=1)])
    balancer = udp.Balancer(host)
    udp.round_trip(balancer, udp_upstream, CLIENT4)
    balancer.send((CLIENT4[0], 42000), b"one too many")
    line = mmproxy.wait_for_log("session: refused")
    assert line["why"] == "203.0.113.9/32 has max_sessions already (1)"
    udp.assert_nothing_reaches(udp_upstream, balancer, mmproxy)
    udp.round_trip(balancer, udp_upstream, OTHER4)
    udp.wait_until_closed(mmproxy, CLIENT4)
    udp.round_trip(balancer, udp_upstream, (CLIENT4[0], 43000))


def test_a_datagram_of_a_flow_takes_no_token(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, plugins=[ratelimit(rate=HARDLY, burst=2)])
    balancer = udp.Balancer(host)
    for _ in range(20):
        udp.round_trip(balancer, udp_upstream, CLIENT4)
    udp.round_trip(balancer, udp_upstream, (CLIENT4[0], 42000))
    balancer.send((CLIENT4[0], 43000), b"one too many")
    mmproxy.wait_for_counter("plugin_ratelimit_limited_rate")
    udp.assert_nothing_reaches(udp_upstream, balancer, mmproxy)


# Who counts as one client.


def test_an_ipv6_client_is_its_network(host, start_daemon, upstream6):
    mmproxy = start_daemon(host, plugins=[ratelimit(max_sessions=1)])
    open_session(host, upstream6, CLIENT6)
    why = "2001:db8:c::/64 has max_sessions already (1)"
    assert_limited(host, mmproxy, ("2001:db8:c::abcd:1", 41000), why)
    open_session(host, upstream6, ("2001:db8:c:1::9", 41000))


def test_the_prefixes_can_be_set(host, start_daemon, upstream, upstream6):
    mmproxy = start_daemon(
        host, plugins=[ratelimit(max_sessions=1, ipv4_prefix=20, ipv6_prefix=126)]
    )
    open_session(host, upstream, ("203.0.113.9", 41000))
    why = "203.0.112.0/20 has max_sessions already (1)"
    assert_limited(host, mmproxy, ("203.0.127.1", 41000), why)
    open_session(host, upstream, ("203.0.128.1", 41000))
    open_session(host, upstream6, ("2001:db8:c::9", 41000))
    why = "2001:db8:c::8/126 has max_sessions already (1)"
    assert_limited(host, mmproxy, ("2001:db8:c::b", 41000), why)
    open_session(host, upstream6, ("2001:db8:c::c", 41000))


def test_a_health_check_of_the_balancers_is_not_limited(host, start_daemon, upstream):
    mmproxy = start_daemon(host, plugins=[ratelimit(rate=HARDLY, burst=1, max_sessions=1)])
    connections = [send(host, local()) for _ in range(10)]
    peers = {peer for _, peer in upstream.accept_many(10)}
    assert peers == {connection.getsockname() for connection in connections}
    assert mmproxy.counters()["plugin_ratelimit_limited_rate"] == 0


# A table that is full.


def test_clients_pass_uncounted_while_all_others_that_are_known_have_sessions(
    host, start_daemon, upstream
):
    mmproxy = start_daemon(host, plugins=[ratelimit(max_sessions=1, max_clients=2)])
    known = [open_session(host, upstream, (f"203.0.113.{n}", 41000)) for n in (1, 2)]
    for client in ports(OTHER4, 3):
        open_session(host, upstream, client)
    assert mmproxy.counters()["plugin_ratelimit_table_full"] == 3
    assert_limited(
        host, mmproxy, ("203.0.113.1", 42000), "203.0.113.1/32 has max_sessions already (1)"
    )
    finish(mmproxy, known[0])
    open_session(host, upstream, (OTHER4[0], 43000))
    why = "198.51.100.7/32 has max_sessions already (1)"
    assert_limited(host, mmproxy, (OTHER4[0], 44000), why)
    counters = mmproxy.counters()
    assert counters["plugin_ratelimit_table_full"] == 3
    assert counters["plugin_ratelimit_evicted"] == 0


def test_a_client_is_forgotten_when_there_is_no_room_for_another(host, start_daemon, upstream):
    mmproxy = start_daemon(host, plugins=[ratelimit(rate=HARDLY, max_clients=1)])
    open_session(host, upstream, CLIENT4)
    open_session(host, upstream, OTHER4)
    open_session(host, upstream, (CLIENT4[0], 42000))
    assert mmproxy.counters()["plugin_ratelimit_evicted"] == 2


# A reload.


def test_a_reload_begins_anew_and_what_was_before_it_is_not_counted(host, start_daemon, upstream):
    mmproxy = start_daemon(host, plugins=[ratelimit(rate=HARDLY, burst=2, max_sessions=1)])
    old = open_session(host, upstream)
    assert mmproxy.reload().event == "config: reloaded"
    new = open_session(host, upstream, (CLIENT4[0], 42000))
    why = "203.0.113.9/32 has max_sessions already (1)"
    assert_limited(host, mmproxy, (CLIENT4[0], 43000), why)
    # The old one's end makes no room here, the new one's does.
    finish(mmproxy, old)
    assert_limited(host, mmproxy, (CLIENT4[0], 44000), why)
    finish(mmproxy, new)
    open_session(host, upstream, (CLIENT4[0], 45000))
    assert mmproxy.counters()["plugin_ratelimit_limited_sessions"] == 2


# Settings: what is wrong, the setting that the line is about, and what it must say.

MISTAKES = {
    "nothing": ({}, "config", "neither rate nor max_sessions is set; set one or both"),
    "no_limits": ({"max_sessions": 0}, "config", "neither rate nor max_sessions is set"),
    "rate_of_nothing": ({"rate": 0}, "rate", "0 is out of range; write 0.001 to"),
    "negative_rate": ({"rate": -1.5}, "rate", "-1.5 is out of range"),
    "rate_type": ({"rate": "5/s"}, "rate", "wrong type"),
    "burst": ({"rate": 1, "burst": 0}, "burst", "0 is out of range; write 1 to 1000000"),
    "max_sessions": ({"max_sessions": -1}, "max_sessions", "-1 is out of range; write 0 to"),
    "ipv4_prefix": ({"rate": 1, "ipv4_prefix": 33}, "ipv4_prefix", "write 0 to 32"),
    "ipv6_prefix": ({"rate": 1, "ipv6_prefix": 129}, "ipv6_prefix", "write 0 to 128"),
    "max_clients": ({"rate": 1, "max_clients": 0}, "max_clients", "write 1 to 16777216"),
    "refuse_with": (
        {"rate": 1, "refuse_with": "drop"},
        "refuse_with",
        '"drop" is not known; write "deny" or "reset"',
    ),
}


SOUND = "configuration is sound: 1 listener"


def run(host, start_daemon, config, check=True):
    """Starts it with this ratelimit, waits for its end, and returns exit status and lines."""
    text = configuration(listener(plugins=[ratelimit(**config)]))
    arguments = ["--check"] if check else None
    made = start_daemon(host, config=text, arguments=arguments, ready=False)
    return made.wait_until_ended(), made.log().splitlines()


@pytest.mark.parametrize("check", [False, True], ids=["start", "check"])
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_by_its_setting_and_nothing_starts(mistake, check, host, start_daemon):
    config, setting, words = mistake
    status, said = run(host, start_daemon, config, check)
    assert status == 2
    (line,) = [line for line in said if "mmproxy.conf:" in line]
    assert f"{setting}: " in line
    assert words in line.replace('\\"', '"')
    assert not any("daemon: ready" in line for line in said)


def test_every_mistake_is_reported_not_just_the_first(host, start_daemon):
    config = {"rate": -1, "burst": 0, "max_clients": 0, "refuse_with": "drop"}
    status, said = run(host, start_daemon, config)
    assert status == 2
    assert len(said) == 4


def test_check_warns_of_a_burst_without_a_rate(host, start_daemon):
    status, (line, last) = run(host, start_daemon, {"max_sessions": 5, "burst": 5})
    assert (status, last) == (0, SOUND)
    assert line.startswith("warning: ")
    assert "burst: it has no effect without rate; set rate" in line


def test_check_of_good_settings_says_nothing(host, start_daemon):
    config = {"rate": 0.5, "burst": 10, "max_sessions": 100, "max_clients": 16777216}
    assert run(host, start_daemon, config) == (0, [SOUND])
