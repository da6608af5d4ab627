# SPDX-License-Identifier: MIT
"""The packaged units under a real systemd."""

import os
import time

import plugins
from headers import CLIENT4, v2, v2_udp
from sessions import MMPROXY, assert_alive, close, open_session, send
from settings import configuration, listener, udp_listener
from traffic import wait_until_ended
from upstreams import Datagrams, Listener
from waiting import wait_until

SERVICE = "mmproxy.service"
CAP_NET_ADMIN = 1 << 12
OWN = "192.0.2.77"


def configure(systemd, *listeners, unit=SERVICE, **top):
    """Where the installed unit reads it."""
    where = systemd.show(unit, "ExecStart").split("--config ")[1].split()[0]
    systemd.install({where: configuration(*(listeners or [listener()]), **top)})


def start(systemd, *listeners, unit=SERVICE, **top):
    configure(systemd, *listeners, unit=unit, **top)
    systemd.systemctl("start", unit)


def start_fails(systemd, unit=SERVICE):
    """The start is refused; what is in the log."""
    assert systemd.systemctl("start", unit, check=False).returncode != 0
    return systemd.log(unit)


def assert_serves(host, upstream, port):
    session = open_session(host, upstream, (CLIENT4[0], port))
    assert_alive(*session)
    close(*session)


def watch_closely(systemd):
    # Until the next start there is time to watch that one less closely: see wait_for_watchdog().
    systemd.drop_in(SERVICE, "[Service]\nWatchdogSec=1\nLimitCORE=0\nRestartSec=5\n")


def wait_for_watchdog(systemd):
    """Until it has ended a process. The next one is not watched as closely: on a busy machine, it
    would be ended although it is well."""
    systemd.wait_for_log(SERVICE, "Watchdog timeout")
    systemd.drop_in(SERVICE, "[Service]\nLimitCORE=0\n")


def restarts(systemd):
    return int(systemd.show(SERVICE, "NRestarts"))


def is_refused(host, address=MMPROXY):
    try:
        host.connect(address).close()
    except ConnectionRefusedError:
        return True
    return False


def status(systemd, unit=SERVICE):
    """/proc/PID/status of the service's process as a dict."""
    with open(f"/proc/{systemd.main_pid(unit)}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file)


# The life of the service.


def test_start_stop_start(systemd, host, upstream):
    for port in 41000, 41001:
        start(systemd)
        assert systemd.show(SERVICE, "ActiveState") == "active"
        assert_serves(host, upstream, port)
        systemd.systemctl("stop", SERVICE)
        assert systemd.show(SERVICE, "Result") == "success"
        assert is_refused(host)


def test_started_means_that_connections_are_accepted(systemd, host):
    configure(systemd)
    for _ in range(5):
        systemd.systemctl("restart", SERVICE)
        assert not is_refused(host)


def test_the_status_has_figures(systemd, host, upstream):
    start(systemd)
    sessions = [open_session(host, upstream, (CLIENT4[0], 41000 + i)) for i in range(3)]
    wait_until(lambda: "3 sessions" in systemd.show(SERVICE, "StatusText"), 10, "3 sessions")
    for session in sessions:
        close(*session)


def test_stop_lets_a_session_finish(systemd, host, upstream):
    start(systemd, drain_timeout=20)
    session = open_session(host, upstream)
    systemd.systemctl("stop", "--no-block", SERVICE)
    wait_until(lambda: is_refused(host), 10, "new connections are refused")
    assert_alive(*session)
    close(*session)
    wait_until(lambda: systemd.show(SERVICE, "ActiveState") == "inactive", 10, "it has stopped")
    assert systemd.show(SERVICE, "Result") == "success"
    assert "reason=finished" in systemd.wait_for_log(SERVICE, "session: closed .*client=")


def test_stop_ends_a_session_at_drain_timeout_and_says_so(systemd, host, upstream):
    start(systemd, drain_timeout=0.5)
    connection, _ = open_session(host, upstream)
    systemd.systemctl("stop", SERVICE)
    assert systemd.show(SERVICE, "Result") == "success"
    wait_until_ended(connection)
    assert "reason=shutdown" in systemd.wait_for_log(SERVICE, "session: closed .*client=")


def test_a_mistake_in_the_configuration_is_in_the_journal_and_no_restart_follows(systemd):
    configure(systemd, listener(lissten="*:1"))
    log = start_fails(systemd)
    assert "unknown setting" in log and "lissten" in log
    assert systemd.show(SERVICE, "ExecMainStatus") == "2"
    assert systemd.show(SERVICE, "ActiveState") == "failed"
    assert systemd.show(SERVICE, "NRestarts") == "0"


def test_a_missing_configuration_is_in_the_journal(systemd):
    assert "mmproxy.conf" in start_fails(systemd)
    assert systemd.show(SERVICE, "ActiveState") == "failed"


def test_a_worker_that_is_stuck_ends_the_process_and_it_starts_again(systemd, host, upstream):
    install_plugin(systemd, "stuck")
    systemd.install({"/etc/hold": ""})
    watch_closely(systemd)
    entry = {"name": "stuck", "path": PLUGIN.format("stuck"), "config": {"while": "/etc/hold"}}
    start(systemd, workers=1, plugins=[entry])
    connection = send(host, v2(CLIENT4))
    systemd.wait_for_log(SERVICE, "a worker is stuck|Watchdog timeout")
    wait_for_watchdog(systemd)
    wait_until_ended(connection)
    systemd.path("/etc/hold").unlink()
    is_up = lambda: systemd.show(SERVICE, "ActiveState") == "active"
    wait_until(lambda: restarts(systemd) >= 1 and is_up(), 20, "a restart")
    assert_serves(host, upstream, 41001)


# Reload.


def test_a_reload_is_over_when_the_new_configuration_is_in_force(systemd, host, upstream):
    start(systemd)
    session = open_session(host, upstream)
    elsewhere = Listener(host, ("127.0.0.1", 8080))
    configure(systemd, listener(forward={"ipv4": "127.0.0.1:8080"}))
    systemd.systemctl("reload", SERVICE)
    assert_serves(host, elsewhere, 41001)
    assert_alive(*session)
    close(*session)


def test_a_reload_with_mistakes_fails_with_them_and_changes_nothing(systemd, host, upstream):
    start(systemd)
    first = systemd.main_pid(SERVICE)
    configure(systemd, listener(lissten="*:1", backlog="x"))
    assert systemd.systemctl("reload", SERVICE, check=False).returncode != 0
    systemd.wait_for_log(SERVICE, "lissten.*unknown setting|unknown setting.*lissten")
    assert "reload failed: " in systemd.show(SERVICE, "StatusText")
    assert systemd.main_pid(SERVICE) == first
    assert_serves(host, upstream, 41000)


def test_mmproxyctl_reaches_the_service(systemd):
    start(systemd)
    assert "running" in systemd.run("mmproxyctl", "status").stdout
    systemd.run("mmproxyctl", "reload")


def test_a_group_for_the_control_socket_takes_the_drop_in_that_the_error_names(systemd):
    configure(systemd, control={"group": "adm"})
    log = start_fails(systemd)
    assert "SupplementaryGroups=" in log and "SystemCallFilter=@chown" in log
    systemd.drop_in(SERVICE, "[Service]\nSupplementaryGroups=adm\nSystemCallFilter=@chown\n")
    systemd.systemctl("restart", SERVICE)
    assert systemd.path("/run/mmproxy/control.sock").group() == "adm"


# What the unit's hardening leaves, and that it is enough.


def test_the_process_holds_net_admin_alone(systemd):
    start(systemd)
    seen = status(systemd)
    for name in "CapPrm", "CapEff", "CapBnd":
        assert int(seen[name], 16) == CAP_NET_ADMIN, name
    assert seen["NoNewPrivs"] == "1"
    assert seen["Seccomp"] == "2"
    uid = systemd.run("id", "-u", "mmproxy").stdout.strip()
    assert set(seen["Uid"].split()) == {uid} and uid != "0"


def test_it_locks_itself_down_within_the_units_own_filter(systemd):
    start(systemd)
    log = systemd.log(SERVICE)
    assert "files are restricted" in log
    assert "system calls are filtered" in log


def test_its_threads_are_scheduled_as_a_batch(systemd):
    start(systemd)
    pid = systemd.main_pid(SERVICE)
    policies = {os.sched_getscheduler(int(task)) for task in os.listdir(f"/proc/{pid}/task")}
    assert policies == {os.SCHED_BATCH}
    assert "scheduling policy" not in systemd.log(SERVICE)


def test_no_client_can_claim_this_hosts_addresses(systemd, host, upstream):
    """/proc/net is hidden there: they come by netlink, and so does a new one."""
    start(systemd)
    connection = send(host, v2(("127.0.0.1", 41000)))
    wait_until_ended(connection)
    systemd.wait_for_log(SERVICE, "session: refused .*reason=source-loopback")
    host.ip(f"addr add {OWN}/32 dev lo")

    def refused():
        # Until the notice is there, it is a client like any other.
        send(host, v2((OWN, 41000)))
        return "reason=source-own" in systemd.log(SERVICE)

    wait_until(refused, 10, "the new address is known", interval=0.1)


def test_udp_works_under_the_unit(systemd, host):
    upstream = Datagrams(host)
    start(systemd, udp_listener(), drain_timeout=0)
    balancer = host.socket(kind=2)
    balancer.settimeout(10)
    balancer.sendto(v2_udp(CLIENT4) + b"question", MMPROXY)
    assert upstream.receive() == (b"question", CLIENT4)
    upstream.send(b"answer", CLIENT4)
    assert balancer.recv(100) == b"answer"


def test_the_log_is_in_the_journal_with_its_fields(systemd, host, upstream):
    start(systemd)
    assert_serves(host, upstream, 41000)
    systemd.wait_for_log(SERVICE, "session: closed")
    (entry,) = systemd.journal(_SYSTEMD_UNIT=SERVICE, MMPROXY_EVENT="closed")
    assert entry["MMPROXY_SUBSYSTEM"] == "session"
    assert entry["MMPROXY_CLIENT"] == f"{CLIENT4[0]}:41000"
    assert entry["MMPROXY_REASON"] == "finished"
    assert (entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"]) == ("6", "mmproxy")


def test_the_access_log_is_written_below_var_log(systemd, host, upstream):
    where = "/var/log/mmproxy/access.log"
    start(systemd, plugins=[{"name": "accesslog", "config": {"file": where}}])
    assert_serves(host, upstream, 41000)
    file = systemd.path(where)
    wait_until(lambda: file.exists() and CLIENT4[0] in file.read_text(), 10, "a line is there")


def test_a_reload_may_bring_the_access_log(systemd, host, upstream):
    """Landlock knows the unit's LogsDirectory=."""
    start(systemd)
    where = "/var/log/mmproxy/access.log"
    configure(systemd, plugins=[{"name": "accesslog", "config": {"file": where}}])
    systemd.systemctl("reload", SERVICE)
    assert_serves(host, upstream, 41000)
    file = systemd.path(where)
    wait_until(lambda: file.exists() and CLIENT4[0] in file.read_text(), 10, "a line is there")


PLUGIN = "/usr/local/lib/mmproxy-tests/{}.so"


def install_plugin(systemd, name):
    with open(plugins.path(name), "rb") as file:
        systemd.install({PLUGIN.format(name): file.read()})


# Several instances.


def test_instances_do_not_disturb_each_other(systemd, host, upstream):
    start(systemd, listener(listen="127.0.0.1:8440"))
    for number, name in enumerate(["one", "two"], 1):
        start(systemd, listener(listen=f"127.0.0.1:844{number}"), unit=f"mmproxy@{name}.service")
    assert systemd.path("/run/mmproxy-one").is_dir()
    systemd.systemctl("stop", "mmproxy.service", "mmproxy@one.service")
    assert not systemd.path("/run/mmproxy-one").exists()
    where = "/run/mmproxy-two/control.sock"
    assert "8442" in systemd.run("mmproxyctl", "--socket", where, "listeners").stdout
    configure(systemd, listener(listen="127.0.0.1:8442", max_sessions=7), unit="mmproxy@two.service")
    systemd.systemctl("reload", "mmproxy@two.service")
    assert is_refused(host, ("127.0.0.1", 8440))
    assert is_refused(host, ("127.0.0.1", 8441))
    assert not is_refused(host, ("127.0.0.1", 8442))


def test_a_drain_may_take_longer_than_the_units_timeout(systemd, host, upstream):
    systemd.drop_in(SERVICE, "[Service]\nTimeoutStopSec=1\n")
    start(systemd, drain_timeout=30)
    session = open_session(host, upstream)
    systemd.systemctl("stop", "--no-block", SERVICE)
    systemd.wait_for_log(SERVICE, "daemon: stopping")
    began = time.monotonic()
    wait_until(lambda: time.monotonic() > began + 3, 10, "the unit's timeout is long over")
    assert_alive(*session)
    close(*session)
    wait_until(lambda: systemd.show(SERVICE, "ActiveState") == "inactive", 15, "it has stopped")
    assert systemd.show(SERVICE, "Result") == "success"
