# SPDX-License-Identifier: MIT
"""The control socket: what each command answers, and what it does."""

import os
import signal
import threading
import time

import pytest

import plugins
from control import Client, refusal, request, wait_for_sessions
from headers import CLIENT4, CLIENT6, SERVICE4, local, v2
from sessions import MMPROXY, clients, open_session, send
from settings import configuration, listener, udp_listener
from traffic import RESET, read_exactly, read_to_end, wait_until_ended
from udp import Balancer, round_trip, text
from waiting import wait_until

pytest_plugins = ["hooks"]

SHOWN = {"listener", "protocol", "state", "client", "balancer", "destination", "upstream"}


# status


def test_status_tells_how_mmproxy_is(host, start_daemon, upstream):
    began = time.time()
    mmproxy = start_daemon(host, top={"workers": 3, "log": {"level": "info"}})
    open_session(host, upstream)
    wait_for_sessions(mmproxy, 1)
    status = request(mmproxy, "status")
    assert status["pid"] == mmproxy.pid
    assert status["version"] == mmproxy.wait_for_log("daemon: ready")["version"]
    assert 0 <= status["uptime"] < time.time() - began + 1
    assert status["state"] == "running"
    assert status["generation"] == 1
    assert began - 1 <= status["loaded"] <= time.time()
    assert status["last_reload"] is None
    assert status["sessions"] == 1
    assert status["max_sessions"] > 0
    assert status["log_level"] == "info"
    assert 0 < status["descriptors"]["open"] <= status["descriptors"]["limit"]
    assert [worker["worker"] for worker in status["workers"]] == [0, 1, 2]
    assert all(worker["alive"] for worker in status["workers"])
    assert sum(worker["sessions"] for worker in status["workers"]) == 1
    assert "unanswered" not in status


def test_status_remembers_the_last_reload(host, mmproxy):
    mmproxy.write_config("nonsense")
    began = int(time.time())
    mmproxy.reload()
    last = request(mmproxy, "status")["last_reload"]
    assert last["ok"] is False
    assert began <= last["time"] <= time.time()
    assert last["mistakes"] and "mmproxy.conf:1" in last["mistakes"][0]
    mmproxy.write_config(configuration(listener()))
    mmproxy.reload()
    status = request(mmproxy, "status")
    assert status["last_reload"]["ok"] is True
    assert status["last_reload"]["mistakes"] == []
    assert status["generation"] == 2


# listeners


def test_listeners_are_shown_with_their_figures(host, start_daemon, upstream, udp_upstream):
    config = configuration(
        listener("web", listen=["127.0.0.1:8443", "[::1]:8443"], max_sessions=7),
        udp_listener("dns", "spp", forward={"ipv4": "127.0.0.1:443"}, max_flows=50),
        drain_timeout=0,
    )
    mmproxy = start_daemon(host, config=config)
    for client in clients(3):
        session = open_session(host, upstream, client)
    session[0].close()
    wait_until_ended(session[1])
    session[1].close()
    round_trip(Balancer(host, "spp"), udp_upstream, CLIENT4, service=CLIENT4)
    wait_for_sessions(mmproxy, 3)
    web, dns = request(mmproxy, "listeners")["listeners"]
    assert web == {
        "name": "web",
        "protocol": "tcp",
        "listen": [
            {"address": "127.0.0.1:8443", "passed": False},
            {"address": "[::1]:8443", "passed": False},
        ],
        "forward_ipv4": "127.0.0.1:443",
        "forward_ipv6": "[::1]:443",
        "sessions": 2,
        "sessions_total": 3,
        "max_sessions": 7,
        "state": "listening",
    }
    assert dns == {
        "name": "dns",
        "protocol": "udp",
        "listen": [
            {"address": "127.0.0.1:8443", "passed": False},
            {"address": "[::1]:8443", "passed": False},
        ],
        "forward_ipv4": "127.0.0.1:443",
        "forward_ipv6": None,
        "framing": "spp",
        "sessions": 1,
        "sessions_total": 1,
        "max_sessions": 50,
        "state": "listening",
    }


def test_a_listener_that_a_reload_has_removed_is_shown_until_its_last_session_ends(
    host, start_daemon, upstream
):
    both = listener("web"), listener("mail", listen="127.0.0.1:8025")
    mmproxy = start_daemon(host, config=configuration(*both))
    connection, accepted = open_session(host, upstream)
    wait_for_sessions(mmproxy, 1)
    mmproxy.write_config(configuration(both[1]))
    request(mmproxy, "reload")

    def shown():
        return {one["name"]: one for one in request(mmproxy, "listeners")["listeners"]}

    assert shown().keys() == {"mail", "web"}
    assert shown()["mail"]["state"] == "listening"
    assert shown()["web"]["state"] == "draining"
    assert shown()["web"]["sessions"] == 1
    assert "listen" not in shown()["web"]
    (session,) = request(mmproxy, "sessions listener=web")["sessions"]
    assert session["client"] == text(CLIENT4)
    for end in connection, accepted:
        end.close()
    wait_until(lambda: shown().keys() == {"mail"}, 10, "it is gone")


# sessions


def test_a_session_is_shown_with_all_that_is_known_of_it(host, start_daemon, upstream):
    mmproxy = start_daemon(host)
    connection, accepted = open_session(host, upstream)
    connection.sendall(b"question")
    read_exactly(accepted, 8)
    accepted.sendall(b"answer")
    read_exactly(connection, 6)

    def moved():
        (session,) = wait_for_sessions(mmproxy, 1)
        return session if session["bytes_from_upstream"] == 6 else None

    session = wait_until(moved, 10, "both have been counted")
    assert session["id"] > 0
    assert session["bytes_from_client"] == 8
    assert 0 <= session["idle"] <= session["age"] < 30
    assert {name: session[name] for name in SHOWN} == {
        "listener": "web",
        "protocol": "tcp",
        "state": "relay",
        "client": text(CLIENT4),
        "balancer": text(connection.getsockname()),
        "destination": text(SERVICE4),
        "upstream": "127.0.0.1:443",
    }
    assert session["header"] == "v2"
    assert "datagrams_from_client" not in session


def test_a_session_without_a_header_yet_has_no_client(host, start_daemon, upstream):
    mmproxy = start_daemon(host, header_timeout=60.0)
    host.connect(MMPROXY)
    (first,) = wait_for_sessions(mmproxy, 1)
    assert first["state"] == "header"
    for unknown in "client", "destination", "upstream", "header":
        assert first[unknown] is None
    send(host, local())
    upstream.accept()
    # Not by their places: two workers may have started the two within one millisecond.
    sessions = wait_for_sessions(mmproxy, 2)
    (second,) = (session for session in sessions if session["id"] != first["id"])
    assert second["header"] == "local"
    assert second["destination"] is None


def test_a_flow_is_shown_with_its_datagrams(host, start_udp, udp_upstream):
    mmproxy = start_udp(host)
    balancer = Balancer(host)
    for _ in range(3):
        round_trip(balancer, udp_upstream, CLIENT4, b"payload")
    (flow,) = wait_for_sessions(mmproxy, 1)
    assert {name: flow[name] for name in SHOWN} == {
        "listener": "dns",
        "protocol": "udp",
        "state": "relay",
        "client": text(CLIENT4),
        "balancer": text(balancer.address),
        "destination": text(SERVICE4),
        "upstream": "127.0.0.1:443",
    }
    assert flow["datagrams_from_client"] == flow["datagrams_from_upstream"] == 3
    assert flow["bytes_from_client"] == flow["bytes_from_upstream"] == 30


@pytest.fixture
def crowd(host, start_daemon, upstream, upstream6):
    """Two listeners, three workers, and eleven sessions of three prefixes, each of which began in
    a millisecond of its own."""
    config = configuration(
        listener("web"), listener("mail", listen="127.0.0.1:8025"), workers=3, drain_timeout=0
    )
    mmproxy = start_daemon(host, config=config)
    whom = [*clients(4), ("198.51.100.77", 1234), *(("203.0.113.200", 100 + i) for i in range(5))]
    for number, client in enumerate(whom):
        connection = host.connect(("127.0.0.1", 8025 if number % 2 else 8443))
        connection.sendall(v2(client))
        upstream.accept()
        time.sleep(0.003)
    send(host, v2(CLIENT6))
    upstream6.accept()
    wait_for_sessions(mmproxy, 11)
    return mmproxy, [text(client) for client in [*whom, CLIENT6]]


@pytest.mark.parametrize(
    "filters, matching",
    [
        ("client=203.0.113.200", lambda number, client: client.startswith("203.0.113.200:")),
        ("client=203.0.113.0/24", lambda number, client: client.startswith("203.0.113.")),
        ("client=::/0", lambda number, client: client.startswith("[")),
        ("client=192.0.2.1", lambda number, client: False),
        ("listener=mail", lambda number, client: number % 2 == 1),
        (
            "listener=mail client=198.51.100.0/24",
            lambda number, client: number % 2 == 1 and client.startswith("198.51.100."),
        ),
        ("listener=none", lambda number, client: False),
        ("older=0", lambda number, client: True),
        ("older=3600", lambda number, client: False),
    ],
)
def test_sessions_are_filtered(filters, matching, crowd):
    mmproxy, whom = crowd
    due = [client for number, client in enumerate(whom) if matching(number, client)]
    found = request(mmproxy, f"sessions {filters}")
    assert found["matched"] == len(due)
    assert [session["client"] for session in found["sessions"]] == due


def test_sessions_come_oldest_first_and_no_more_than_the_limit(crowd):
    mmproxy, whom = crowd
    found = request(mmproxy, "sessions limit=4")
    assert found["matched"] == 11
    assert [session["client"] for session in found["sessions"]] == whom[:4]
    ages = [session["age"] for session in found["sessions"]]
    assert ages == sorted(ages, reverse=True)


def test_sessions_are_filtered_by_age(host, start_daemon, upstream):
    mmproxy = start_daemon(host)
    open_session(host, upstream, clients(2)[0])
    wait_until(
        lambda: request(mmproxy, "sessions older=2")["matched"] == 1, 15, "it is two seconds old"
    )
    open_session(host, upstream, clients(2)[1])
    assert wait_for_sessions(mmproxy, 2)
    found = request(mmproxy, "sessions older=2")["sessions"]
    assert found[0]["client"] == text(clients(2)[0])
    # The other is not there, unless it has become as old by now.
    assert all(session["age"] >= 2 for session in found)


def test_without_a_limit_a_hundred_sessions_are_shown(host, start_daemon, upstream):
    mmproxy = start_daemon(host, top={"log": {"level": "info"}})
    for client in clients(120):
        send(host, v2(client))
        upstream.accept()
    assert len(wait_for_sessions(mmproxy, 120)) == 100
    assert len(wait_for_sessions(mmproxy, 120, "limit=110")) == 110


# clients


def test_clients_come_by_the_bytes_of_their_live_sessions(
    host, start_daemon, upstream, upstream6
):
    mmproxy = start_daemon(host, top={"workers": 2})
    amounts = {("203.0.113.1", 2001): 10, ("203.0.113.2", 2001): 300, ("203.0.113.1", 2002): 500}
    for client, amount in amounts.items():
        connection, accepted = open_session(host, upstream, client)
        connection.sendall(b"x" * amount)
        read_exactly(accepted, amount)
    connection = send(host, v2(CLIENT6))
    accepted, _ = upstream6.accept()
    accepted.sendall(b"y" * 400)
    read_exactly(connection, 400)
    host.connect(MMPROXY)  # nobody yet
    due = [
        {
            "client": "203.0.113.1",
            "sessions": 2,
            "bytes_from_client": 510,
            "bytes_from_upstream": 0,
        },
        {
            "client": CLIENT6[0],
            "sessions": 1,
            "bytes_from_client": 0,
            "bytes_from_upstream": 400,
        },
        {
            "client": "203.0.113.2",
            "sessions": 1,
            "bytes_from_client": 300,
            "bytes_from_upstream": 0,
        },
    ]
    seen = {}

    def counted():
        seen.update(request(mmproxy, "clients"))
        return seen["clients"] == due

    wait_until(counted, 10, lambda: f"all is counted: {seen}")
    assert request(mmproxy, "clients limit=1")["clients"] == due[:1]


# counters


def test_counters_are_those_of_the_log_and_also_the_zeros(host, start_daemon, upstream):
    acl = plugins.entry("acl", {"deny": ["203.0.113.66"]})
    mmproxy = start_daemon(host, plugins=[acl])
    open_session(host, upstream)
    wait_until_ended(send(host, v2(("203.0.113.66", 1))))
    mmproxy.wait_for_counter("sessions_closed_plugin_denied")
    mmproxy.wait_for_counter("sessions_relayed")
    logged = mmproxy.counters()
    counters = request(mmproxy, "counters")["counters"]
    assert {name: value for name, value in counters.items() if value > 0} == logged
    assert counters["sessions_accepted"] == 2
    assert counters["plugin_acl_refusals"] == 1
    for zero in "sessions_closed_killed", "plugin_acl_errors", "log_lines_dropped":
        assert counters[zero] == 0


# kill


def test_a_killed_session_is_reset_on_both_sides(host, start_daemon, upstream):
    mmproxy = start_daemon(host, top={"workers": 3})
    sessions = {client: open_session(host, upstream, client) for client in clients(6)}
    victim = clients(6)[3]
    wait_for_sessions(mmproxy, 6)
    shown = request(mmproxy, f"sessions client={victim[0]}")["sessions"]
    (found,) = [session for session in shown if session["client"] == text(victim)]
    assert request(mmproxy, f"kill {found['id']}") == {"id": found["id"]}
    for end in sessions.pop(victim):
        assert read_to_end(end) == (b"", RESET)
    line = mmproxy.wait_for_log("session: closed")
    assert line.level == "info"
    assert (line["reason"], line["id"]) == ("killed", str(found["id"]))
    mmproxy.assert_closed("killed")
    for connection, accepted in sessions.values():
        connection.sendall(b"alive")
        assert read_exactly(accepted, 5) == b"alive"
    assert refusal(mmproxy, f"kill {found['id']}") == (
        f"kill: there is no session {found['id']}; `sessions` lists them"
    )
    asked = mmproxy.log_lines("control: command received .*kill")[0]
    assert (asked["argument"], asked["uid"]) == (str(found["id"]), "0")
    assert asked["pid"] == str(os.getpid())


def test_a_killed_flow_ends_and_the_clients_next_datagram_begins_another(
    host, start_udp, udp_upstream
):
    mmproxy = start_udp(host, top={"workers": 2})
    balancer = Balancer(host)
    round_trip(balancer, udp_upstream, CLIENT4)
    (flow,) = wait_for_sessions(mmproxy, 1)
    request(mmproxy, f"kill {flow['id']}")
    assert mmproxy.wait_for_log("session: closed")["reason"] == "killed"
    assert request(mmproxy, "sessions")["matched"] == 0
    mmproxy.assert_closed("killed")
    round_trip(balancer, udp_upstream, CLIENT4)
    (second,) = wait_for_sessions(mmproxy, 1)
    assert second["id"] != flow["id"]


def test_a_plugin_hears_that_its_session_was_killed(host, start_daemon, upstream, record):
    mmproxy = start_daemon(host, plugins=[record.entry("first")])
    open_session(host, upstream)
    (session,) = wait_for_sessions(mmproxy, 1)
    request(mmproxy, f"kill {session['id']}")
    closed = record.wait_for("closed")
    assert (closed["reason"], closed["error"]) == ("killed", 0)


def test_a_session_that_awaits_its_verdict_is_shown_and_can_be_killed(
    host, start_daemon, upstream, record
):
    """Its plugin is told that no verdict is wanted any more."""
    mmproxy = start_daemon(host, plugins=[record.puppet("slow").entry])
    connection = send(host, v2(CLIENT4))
    record.wait_for("filter")
    (session,) = wait_for_sessions(mmproxy, 1)
    assert (session["state"], session["client"]) == ("verdict", text(CLIENT4))
    request(mmproxy, f"kill {session['id']}")
    assert wait_until_ended(connection) == RESET
    record.wait_for("cancel")
    assert record.wait_for("closed")["reason"] == "killed"
    upstream.assert_untouched()


def test_a_flow_that_awaits_its_verdict_is_shown_and_can_be_killed(
    host, start_udp, udp_upstream, record
):
    mmproxy = start_udp(host, plugins=[record.puppet("slow").entry])
    Balancer(host).send(CLIENT4, b"question")
    record.wait_for("filter")
    (flow,) = wait_for_sessions(mmproxy, 1)
    assert (flow["state"], flow["client"]) == ("verdict", text(CLIENT4))
    request(mmproxy, f"kill {flow['id']}")
    record.wait_for("cancel")
    assert record.wait_for("closed")["reason"] == "killed"
    assert request(mmproxy, "sessions")["matched"] == 0
    udp_upstream.assert_untouched()


@pytest.mark.parametrize("wanted", ["0", "x", "-1", "1 2", ""])
def test_what_is_no_sessions_number_kills_nothing(wanted, host, mmproxy):
    assert "`sessions` has them" in refusal(mmproxy, f"kill {wanted}")


# reload


def test_a_reload_is_answered_when_it_is_in_force(host, start_daemon, upstream):
    mmproxy = start_daemon(host, top={"workers": 4})
    for number in range(2, 30):
        # Whoever connects behind the answer is judged by the new list.
        allowed = "127.0.0.0/8" if number % 2 else "192.0.2.0/24"
        mmproxy.write_config(configuration(listener(subnets=[allowed]), workers=4))
        assert request(mmproxy, "reload") == {"generation": number}
        connection = send(host, v2(CLIENT4))
        if number % 2:
            accepted, _ = upstream.accept()
            accepted.close()
        wait_until_ended(connection)
        connection.close()
    mmproxy.assert_closed("balancer-not-allowed", 14)


def test_a_reload_of_a_bad_file_says_every_mistake(host, mmproxy):
    mmproxy.write_config(configuration(listener(no_such_setting=1, header_timeout="soon")))
    with Client(mmproxy) as client:
        answer = client.ask("reload")
        assert answer["ok"] is False
        assert answer["error"] == "reload: nothing has changed"
        assert len(answer["lines"]) == 2
        for line, word in zip(answer["lines"], ["no_such_setting", "header_timeout"]):
            assert "mmproxy.conf:" in line and word in line
        assert client.request("status")["generation"] == 1


def test_text_in_a_mistake_that_is_not_utf8_is_escaped(host, mmproxy):
    mmproxy.config_file.write_bytes(b'listeners = ( { name = "\xff\x1b[31m"; } );\n')
    with Client(mmproxy) as client:
        lines = "\n".join(client.ask("reload")["lines"])
    assert "\\xff" in lines and "\x1b" not in lines


@pytest.mark.deadline(120)
def test_reloads_asked_for_at_the_same_time_are_all_answered(host, start_daemon):
    mmproxy = start_daemon(host, top={"workers": 4, "log": {"level": "info"}})
    answers, errors = [], []

    def ask():
        try:
            with Client(mmproxy) as client:
                client.send("reload\n" * 10)
                answers.extend(client.answer()["result"]["generation"] for _ in range(10))
        except Exception as error:  # shown by the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
        mmproxy.process.send_signal(signal.SIGHUP)
    for thread in threads:
        thread.join()
    assert not errors
    assert len(set(answers)) == len(answers) == 80
    assert max(answers) <= request(mmproxy, "status")["generation"] <= 89


# drain


def test_a_drain_tells_its_progress_to_the_end(host, start_daemon, upstream):
    mmproxy = start_daemon(host, top={"drain_timeout": 50, "workers": 2})
    first, second = [open_session(host, upstream, client) for client in clients(2)]
    wait_for_sessions(mmproxy, 2)
    client = Client(mmproxy)
    answer = client.ask("drain")
    assert answer["ok"] is True
    assert answer["progress"]["sessions"] == 2
    assert 49 < answer["progress"]["seconds_left"] <= 50
    for session in first, second:
        for end in session:
            end.close()
        left = []
        while (answer := client.answer()) is not None:
            left.append(answer["progress"])
            if left[-1]["sessions"] < 2:
                break
        if session is first:
            assert left[-1]["sessions"] == 1
            assert left[-1]["seconds_left"] < 50
    while answer is not None:
        answer = client.answer()
    assert mmproxy.wait_until_ended() == 0
    assert not mmproxy.control_socket.exists()


def test_a_second_drain_ends_mmproxy_at_once(host, start_daemon, upstream):
    mmproxy = start_daemon(host, top={"drain_timeout": 3600})
    session = open_session(host, upstream)
    with Client(mmproxy) as one, Client(mmproxy) as other:
        assert one.ask("drain")["progress"]["sessions"] == 1
        other.send("drain\n")
        while one.answer() is not None:
            pass
    assert mmproxy.wait_until_ended() == 0
    for end in session:
        wait_until_ended(end)


def test_commands_are_answered_while_mmproxy_drains(host, start_daemon, upstream):
    """Also when some workers have ended already, as they have no session any more."""
    mmproxy = start_daemon(host, top={"drain_timeout": 3600, "workers": 4})
    open_session(host, upstream)
    wait_for_sessions(mmproxy, 1)
    mmproxy.terminate()
    seen = {}

    def others_have_ended():
        seen.update(request(mmproxy, "status"))
        return sum(worker.get("ended", False) for worker in seen["workers"]) == 3

    wait_until(others_have_ended, 15, lambda: f"three workers have ended: {seen}")
    assert seen["state"] == "draining"
    assert "unanswered" not in seen
    # Nobody is waited for: whoever had been, and in vain, would be named.
    found = {name: request(mmproxy, name) for name in ("listeners", "sessions", "clients")}
    assert not any("unanswered" in answer for answer in found.values()), found
    assert [one["state"] for one in found["listeners"]["listeners"]] == ["draining"]
    (session,) = found["sessions"]["sessions"]
    assert len(found["clients"]["clients"]) == 1
    assert request(mmproxy, "counters")["counters"]["sessions_accepted"] == 1
    with Client(mmproxy) as client:
        answer = client.ask("reload")
        assert answer["ok"] is False and "stopping" in answer["lines"][0]
        assert "unanswered" not in answer
    for absent in range(1, 5):
        if absent % 4 != session["id"] % 4:
            assert "no session" in refusal(mmproxy, f"kill {absent}")
    request(mmproxy, f"kill {session['id']}")
    assert mmproxy.wait_until_ended() == 0


# log-level


def is_answered(mmproxy):
    try:
        return request(mmproxy, "status") is not None
    except (ConnectionRefusedError, FileNotFoundError):
        return False


def test_the_log_level_changes_until_the_next_reload(host, start_daemon):
    mmproxy = start_daemon(host, top={"log": {"level": "warning"}}, ready=False)
    # At this level nothing says that it is ready; its file is there before it listens.
    wait_until(lambda: is_answered(mmproxy), 15, "the control socket answers")
    assert request(mmproxy, "log-level") == {"level": "warning"}
    assert request(mmproxy, "log-level debug") == {"level": "debug"}
    host.connect(MMPROXY).close()
    mmproxy.wait_for_log("debug session: .*closed-without-a-byte")
    assert request(mmproxy, "status")["log_level"] == "debug"
    request(mmproxy, "reload")
    assert request(mmproxy, "log-level") == {"level": "warning"}
    assert "write one of error, warning" in refusal(mmproxy, "log-level loud")


# plugins


def test_plugins_are_shown_with_their_listeners_and_counters(host, start_daemon, upstream):
    top = plugins.entry("acl", {"deny": ["203.0.113.66"]}, on_error="pass", timeout=1.5)
    own = plugins.entry("limit", {"rate": 1000}, plugin="ratelimit")
    config = configuration(
        listener("web"),
        listener("mail", listen="127.0.0.1:8025"),
        listener("news", listen="127.0.0.1:8119", plugins=[own]),
        plugins=[top],
    )
    mmproxy = start_daemon(host, config=config)
    wait_until_ended(send(host, v2(("203.0.113.66", 1))))
    mmproxy.wait_for_counter("plugin_acl_refusals")
    shown = request(mmproxy, "plugins")["plugins"]
    assert [(one["entry"], one["name"], one["listeners"]) for one in shown] == [
        ("acl", "acl", ["web", "mail"]),
        ("limit", "ratelimit", ["news"]),
    ]
    acl = shown[0]
    assert acl["path"] == plugins.path("acl")
    assert acl["version"]
    assert (acl["on_error"], acl["timeout"]) == ("pass", 1.5)
    assert acl["counters"]["refusals"] == 1
    assert acl["counters"]["errors"] == 0
    assert shown[1]["on_error"] == "deny"


def test_where_no_plugin_is_asked_none_is_shown(host, mmproxy):
    assert request(mmproxy, "plugins") == {"plugins": []}


# metrics


def test_metrics_are_text_for_prometheus(host, start_daemon, upstream):
    mmproxy = start_daemon(host)
    open_session(host, upstream)
    metrics = request(mmproxy, "metrics")
    assert metrics["content_type"].startswith("text/plain; version=0.0.4")
    assert "\n# TYPE mmproxy_" in metrics["text"]
    assert metrics["text"].endswith("\n")


# help


def test_help_names_every_command_and_all_of_them_are_known(host, mmproxy):
    commands = request(mmproxy, "help")["commands"]
    assert {command["name"] for command in commands} == {
        "status",
        "listeners",
        "sessions",
        "clients",
        "counters",
        "plugins",
        "metrics",
        "help",
        "kill",
        "reload",
        "drain",
        "log-level",
    }
    changing = {command["name"] for command in commands if command["changes"]}
    assert changing == {"kill", "reload", "drain", "log-level"}
    for command in commands:
        assert command["what"] and not command["what"].endswith(".")
        # The arguments that are shown are those that are taken.
        if not command["arguments"]:
            assert "takes no arguments" in refusal(mmproxy, f"{command['name']} x")


def test_an_unknown_command_is_told_where_the_others_are(host, mmproxy):
    assert refusal(mmproxy, "statu") == 'no such command: "statu"; `help` lists them'
