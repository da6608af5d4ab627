# SPDX-License-Identifier: MIT
"""What a service manager is told: ready, reloading, stopping, how it goes, and that it is alive."""

import os
import re
import socket
import time

import pytest

import plugins
from control import request
from headers import v2, v2_udp
from service_manager import ServiceManager, needs_libsystemd, supported
from sessions import MMPROXY, open_session, send
from waiting import steady, wait_until

IDLE = "0 sessions, 0 new a second; 1 listener, generation 1"


@pytest.fixture
def manager():
    made = ServiceManager()
    yield made
    made.close()


@needs_libsystemd
def test_ready_is_told_once_it_listens(host, start_daemon, manager):
    start_daemon(host, launch=manager.launch(), ready=False)
    notice = manager.wait_for("READY")
    host.connect(MMPROXY)
    assert notice["READY"] == "1"
    assert notice["STATUS"] == IDLE
    assert manager.notices[0] is notice


def test_a_build_without_libsystemd_says_that_nobody_will_hear_of_it(host, start_daemon, manager):
    mmproxy = start_daemon(host, launch=manager.launch())
    lines = mmproxy.log_lines("built without libsystemd")
    assert [line.level for line in lines] == ([] if supported() else ["warning"])
    mmproxy.stop()
    assert supported() or manager.notices == []


@needs_libsystemd
def test_a_failed_start_is_not_ready(host, start_daemon, manager):
    mmproxy = start_daemon(host, user="no-such-user", launch=manager.launch(), ready=False)
    mmproxy.wait_until_ended()
    assert manager.notices == []


@needs_libsystemd
def test_the_status_has_live_figures(host, start_daemon, upstream, manager):
    start_daemon(host, launch=manager.launch())
    manager.wait_for("READY")
    sessions = [open_session(host, upstream, ("203.0.113.7", port)) for port in (2001, 2002, 2003)]
    manager.wait_for_status("3 sessions, ")
    begun = sum(
        int(re.search(r"(\d+) new a second", notice["STATUS"])[1])
        for notice in manager.told("STATUS")
    )
    assert begun in (2, 3, 4)  # over one second and a bit, or over two
    manager.wait_for_status("3 sessions, 0 new a second; 1 listener, generation 1")
    for end in sessions[0]:
        end.close()
    manager.wait_for_status("2 sessions, 0 new")


@needs_libsystemd
def test_flows_are_sessions_too(host, start_udp, manager):
    start_udp(host, launch=manager.launch())
    sender = host.socket(kind=socket.SOCK_DGRAM)
    sender.sendto(v2_udp(("203.0.113.7", 1001)) + b"x", MMPROXY)
    manager.wait_for_status("1 session, ")


@needs_libsystemd
def test_a_status_that_is_the_same_is_not_told_again(host, start_daemon, manager):
    start_daemon(host, launch=manager.launch(watchdog=3))
    wait_until(lambda: len(manager.told("WATCHDOG")) >= 3, 15, "three seconds have passed")
    assert [notice["STATUS"] for notice in manager.told("STATUS")] == [IDLE]


@needs_libsystemd
def test_a_reload_is_told_with_its_time_and_when_it_is_in_force(host, start_daemon, manager):
    mmproxy = start_daemon(host, launch=manager.launch())
    manager.wait_for("READY")
    asked = time.monotonic()
    mmproxy.reload()
    loading = manager.wait_for("RELOADING")
    assert loading["RELOADING"] == "1"
    assert asked <= int(loading["MONOTONIC_USEC"]) / 1e6 <= loading["at"]
    ready = manager.wait_for("READY", after=manager.notices.index(loading))
    assert ready["STATUS"] == IDLE.replace("generation 1", "generation 2")


@needs_libsystemd
def test_a_failed_reload_is_ready_again_and_stays_in_the_status(host, start_daemon, manager):
    mmproxy = start_daemon(host, launch=manager.launch())
    good = mmproxy.config_file.read_text()
    mmproxy.write_config(good + "nonsense = 1;\nworkers = 1000;\n")
    mmproxy.reload()
    loading = manager.wait_for("RELOADING")
    ready = manager.wait_for("READY", after=manager.notices.index(loading))
    assert int(loading["MONOTONIC_USEC"]) > 0
    wanted = re.escape(IDLE) + (
        r"; reload failed: 2 problems, the configuration of \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ stays"
    )
    assert re.fullmatch(wanted, ready["STATUS"])

    # The figures go on, and the mistake is there until a reload succeeds.
    send(host, b"")
    known = len(manager.notices)
    manager.wait_for_status("1 session, 0 new a second; 1 listener, generation 1; reload failed")
    mmproxy.write_config(good)
    mmproxy.reload()
    manager.wait_for("READY", after=known)
    assert "failed" not in manager.told("READY")[-1]["STATUS"]
    manager.wait_for_status("generation 2", after=known)


@needs_libsystemd
def test_a_drain_is_told_with_its_progress(host, start_daemon, upstream, manager):
    mmproxy = start_daemon(host, top={"drain_timeout": 20}, launch=manager.launch())
    sessions = [open_session(host, upstream, ("203.0.113.7", port)) for port in (2001, 2002)]
    mmproxy.terminate()
    stopping = manager.wait_for("STOPPING")
    assert stopping["STOPPING"] == "1"
    assert stopping["STATUS"] == "draining: 2 sessions, 20 s left"
    manager.wait_for_status("draining: 2 sessions, 1")  # the seconds that are left become fewer
    for end in sessions[0]:
        end.close()
    manager.wait_for_status("draining: 1 session, 1")
    known = len(manager.notices)
    mmproxy.reload()  # refused, and the service manager is not told that it is ready again
    manager.wait_for("STATUS", after=known)
    for end in sessions[1]:
        end.close()
    assert mmproxy.wait_until_ended() == 0
    assert not manager.told("READY", after=manager.notices.index(stopping))
    assert not manager.told("RELOADING")


@needs_libsystemd
def test_the_watchdog_is_fed_three_times_a_period(host, start_daemon, manager):
    start_daemon(host, launch=manager.launch(watchdog=0.6))
    times = wait_until(
        lambda: len(manager.told("WATCHDOG")) >= 12
        and [notice["at"] for notice in manager.told("WATCHDOG")],
        15,
        "the watchdog was fed twelve times",
    )
    # Of twelve, ten are no farther apart than a period, however busy the machine is.
    distances = [later - earlier for earlier, later in zip(times, times[1:])]
    assert sum(distance < 0.6 for distance in distances) >= 10
    assert (times[-1] - times[0]) / 11 > 0.15


@needs_libsystemd
def test_a_watchdog_for_another_process_is_not_fed(host, start_daemon, upstream, manager):
    launch = manager.launch(watchdog=0.05)
    launch["environment"]["WATCHDOG_PID"] = "1"
    del launch["prefix"]
    start_daemon(host, launch=launch)
    open_session(host, upstream)
    manager.wait_for_status("1 session, 0 new")  # two seconds have passed
    assert manager.told("WATCHDOG") == []


@needs_libsystemd
def test_a_stuck_worker_starves_the_watchdog_until_it_is_back(
    host, start_daemon, upstream, manager
):
    stuck = plugins.entry("stuck", {"while": "hold", "port": 1666})
    mmproxy = start_daemon(
        host, plugins=[stuck], top={"workers": 2}, launch=manager.launch(watchdog=0.3)
    )
    manager.wait_for("WATCHDOG")
    mmproxy.write_config("", "hold")
    send(host, v2(("203.0.113.7", 1666)))
    line = mmproxy.wait_for_log("daemon: a worker is stuck")
    assert line.level == "error"
    assert line["worker"] in ("0", "1")
    # 0.1 s is how often it would be fed.
    steady(lambda: len(manager.told("WATCHDOG")), 1.0, 10, "the watchdog starves")
    known = len(manager.notices)
    (mmproxy.directory / "hold").unlink()
    manager.wait_for("WATCHDOG", after=known)
    assert mmproxy.wait_for_log("daemon: a worker is back")["worker"] == line["worker"]
    upstream.accept()


@needs_libsystemd
def test_a_worker_that_has_drained_does_not_starve_the_watchdog(
    host, start_daemon, upstream, manager
):
    """Of several workers those without sessions end first; the others are watched as before."""
    mmproxy = start_daemon(host, top={"workers": 4}, launch=manager.launch(watchdog=0.3))
    session = open_session(host, upstream)
    before = len(mmproxy.tasks())
    mmproxy.terminate()
    manager.wait_for("STOPPING")
    wait_until(lambda: len(mmproxy.tasks()) == before - 3, 10, "three workers have ended")
    known = len(manager.notices)
    wait_until(lambda: len(manager.told("WATCHDOG", known)) >= 5, 10, "the watchdog is fed")
    for end in session:
        end.close()
    assert mmproxy.wait_until_ended() == 0
    assert not mmproxy.log_lines("stuck")


@needs_libsystemd
def test_a_service_manager_that_is_stuck_holds_nothing_up(host, start_daemon, upstream, manager):
    mmproxy = start_daemon(host, launch=manager.launch(watchdog=0.3))
    manager.wait_for("READY")  # of the start; what is awaited below is the reload's
    known = len(manager.notices)
    with manager.stuck():
        line = mmproxy.wait_for_log("daemon: the service manager cannot be notified")
        assert line["error"] == "Resource temporarily unavailable"
        assert mmproxy.reload().event == "config: reloaded"
        assert request(mmproxy, "status")["generation"] == 2
        session = open_session(host, upstream)
    # It is told what has become of the reload, and the status that it has missed.
    assert "generation 2" in manager.wait_for("READY", after=known)["STATUS"]
    manager.wait_for_status("1 session, ", after=known)
    manager.wait_for("WATCHDOG", after=known)
    with manager.stuck():
        mmproxy.terminate()
        for end in session:
            end.close()
        assert mmproxy.wait_until_ended() == 0
    assert len(mmproxy.log_lines("cannot be notified")) == 2


@needs_libsystemd
def test_ready_is_told_though_nobody_read_at_the_start(host, start_daemon, manager):
    """Without a watchdog, whose notices would have brought it along."""
    with manager.stuck():
        start_daemon(host, launch=manager.launch())
    manager.wait_for("READY")


@needs_libsystemd
def test_a_name_without_a_file_is_told(host, start_daemon):
    name = f"mmproxy-test-{os.getpid()}"
    with host.entered():  # such names are a network namespace's own
        abstract = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with abstract:
        abstract.bind(f"\0{name}")
        abstract.settimeout(15)
        start_daemon(host, launch={"environment": {"NOTIFY_SOCKET": f"@{name}"}})
        assert abstract.recv(4096).startswith(b"READY=1\nSTATUS=0 sessions")


@needs_libsystemd
def test_a_service_manager_that_has_gone_is_warned_about_once(
    host, start_daemon, upstream, manager
):
    mmproxy = start_daemon(host, launch=manager.launch(watchdog=0.3))
    manager.wait_for("WATCHDOG")
    manager.path.unlink()
    line = mmproxy.wait_for_log("daemon: the service manager cannot be notified")
    assert line.level == "warning"
    open_session(host, upstream)
    mmproxy.reload()
    assert len(mmproxy.log_lines("cannot be notified")) == 1
