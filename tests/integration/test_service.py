# SPDX-License-Identifier: MIT
"""The life of the process: draining at the end, reloading in the middle, and what its log looks
like to the machines that read it."""

import contextlib
import json
import os
import select
import signal
import socket
import time

import pytest

import daemon
from faults import tampered
from headers import CLIENT4, v1, v2
from peers import listening_ports
from sessions import MMPROXY, assert_alive, clients, open_session, send
from settings import configuration, listener
from traffic import EOF, read_exactly, read_to_end, wait_until_ended
from waiting import wait_until


def wait_until_nobody_listens(host):
    def refused():
        probe = host.socket()
        try:
            probe.connect(MMPROXY)
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            pass  # it came between the last look into the queue and the end of the queue
        finally:
            probe.close()
        return False

    wait_until(refused, 10, "new connections are refused")


# The beginning.


@pytest.mark.parametrize(
    "name, line",
    [
        ("SIGHUP", "config: reload"),
        ("SIGUSR1", "counters"),
        ("SIGTERM", "daemon: stopped"),
        ("SIGINT", "daemon: stopped"),
    ],
)
def test_a_signal_is_waited_for_before_anybody_can_see_mmproxy(name, line, host, start_daemon):
    mmproxy = start_daemon(host, launch=tampered(f"listen:signal={name}:when=1"), ready=False)
    mmproxy.wait_until_ready()
    mmproxy.wait_for_log(line)
    if name in ("SIGTERM", "SIGINT"):
        assert mmproxy.wait_until_ended() == 0


# The end.


def test_sigterm_without_sessions_ends_at_once(host, mmproxy):
    began = time.monotonic()
    mmproxy.terminate()
    assert mmproxy.wait_until_ended() == 0
    assert time.monotonic() - began < 3


def test_sigterm_lets_a_session_finish(host, mmproxy, upstream):
    session = open_session(host, upstream)
    mmproxy.terminate()
    wait_until_nobody_listens(host)
    assert_alive(*session)
    connection, accepted = session
    connection.shutdown(socket.SHUT_WR)
    assert read_to_end(accepted) == (b"", EOF)
    accepted.sendall(b"goodbye")
    accepted.shutdown(socket.SHUT_WR)
    assert read_to_end(connection) == (b"goodbye", EOF)
    assert mmproxy.wait_until_ended() == 0
    assert mmproxy.wait_for_log("session: closed .*client=")["reason"] == "finished"


def test_sigterm_serves_connections_accepted_before_their_header(host, mmproxy, upstream):
    connection = host.connect(MMPROXY)
    mmproxy.wait_for_counter("sessions_accepted")
    mmproxy.terminate()
    wait_until_nobody_listens(host)
    connection.sendall(v2(CLIENT4) + b"late")
    accepted, peer = upstream.accept()
    assert peer == CLIENT4
    assert read_exactly(accepted, 4) == b"late"


def test_a_second_sigterm_ends_at_once(host, mmproxy, upstream):
    connection, accepted = open_session(host, upstream)
    mmproxy.terminate()
    wait_until_nobody_listens(host)
    assert_alive(connection, accepted)
    began = time.monotonic()
    mmproxy.terminate()
    assert mmproxy.wait_until_ended() == 0
    assert time.monotonic() - began < 3
    assert mmproxy.wait_for_log("session: closed .*client=")["reason"] == "shutdown"
    wait_until_ended(connection)
    wait_until_ended(accepted)


def test_sigterm_waits_for_drain_timeout_and_no_longer(host, start_daemon, upstream):
    mmproxy = start_daemon(host, top={"drain_timeout": 1.0})
    connection, _ = open_session(host, upstream)
    began = time.monotonic()
    mmproxy.terminate()
    assert mmproxy.wait_until_ended() == 0
    assert 0.9 <= time.monotonic() - began <= 2.5
    assert mmproxy.wait_for_log("session: closed")["reason"] == "shutdown"
    wait_until_ended(connection)


def test_a_drain_tells_its_progress_in_the_log(host, start_daemon, upstream):
    mmproxy = start_daemon(host, top={"drain_timeout": 30})
    first, second = [open_session(host, upstream, client) for client in clients(2)]
    mmproxy.terminate()
    stopping = mmproxy.wait_for_log("daemon: stopping: no new sessions")
    assert (stopping["sessions"], float(stopping["drain_timeout"])) == ("2", 30)
    for end in first:
        end.close()
    line = mmproxy.wait_for_log("daemon: draining")
    assert line["sessions"] == "1"
    assert 0 < float(line["left"]) < 29.5
    assert_alive(*second)
    for end in second:
        end.close()
    assert mmproxy.wait_until_ended() == 0


def test_a_connection_waiting_in_the_accept_queue_is_not_reset_by_sigterm(host, mmproxy, upstream):
    """Whoever was connected before the end is served: the queue is emptied, then closed."""
    connections = []
    for number in range(50):
        connection = host.connect(MMPROXY)
        connections.append(connection)
    mmproxy.terminate()
    for number, connection in enumerate(connections):
        connection.sendall(v2((CLIENT4[0], 20000 + number)) + b"x")
    for accepted, _ in upstream.accept_many(50):
        assert read_exactly(accepted, 1) == b"x"


# Reload.


def test_a_reload_changes_the_allow_list(host, start_daemon, upstream):
    mmproxy = start_daemon(host, subnets=["192.0.2.0/24"])
    connection = host.connect(MMPROXY)
    wait_until_ended(connection)
    assert mmproxy.wait_for_log("session: refused")["reason"] == "balancer-not-allowed"
    mmproxy.write_config(configuration(listener(subnets=["127.0.0.1"])))
    assert mmproxy.reload().event == "config: reloaded"
    open_session(host, upstream)
    mmproxy.write_config(configuration(listener(subnets=["192.0.2.0/24"])))
    assert mmproxy.reload().event == "config: reloaded"
    wait_until_ended(host.connect(MMPROXY))
    mmproxy.assert_closed("balancer-not-allowed", 2)


def test_a_reload_reads_the_allow_list_files_again(host, start_daemon, upstream):
    mmproxy = start_daemon(host, config=configuration(listener()))
    listed = mmproxy.write_config("# nobody yet\n192.0.2.0/24\n", "balancers")
    mmproxy.write_config(configuration(listener(subnets=None, subnets_files=[str(listed)])))
    assert mmproxy.reload().event == "config: reloaded"
    wait_until_ended(host.connect(MMPROXY))
    mmproxy.write_config("192.0.2.0/24\n\n127.0.0.0/8  # this host\n", "balancers")
    assert mmproxy.reload().event == "config: reloaded"
    open_session(host, upstream)


@pytest.mark.parametrize("content", ["", "# nothing\n", "192.0.2.0/33\n", "no prefix\n", None])
def test_a_reload_with_a_bad_allow_list_file_keeps_the_old_list(
    content, host, start_daemon, upstream
):
    mmproxy = start_daemon(host, config=configuration(listener()))
    if content is not None:
        mmproxy.write_config(content, "balancers")
    listed = str(mmproxy.directory / "balancers")
    mmproxy.write_config(configuration(listener(subnets=None, subnets_files=[listed])))
    assert "nothing changed" in mmproxy.reload().text
    assert mmproxy.log_lines(f"{listed}")
    open_session(host, upstream)


def test_a_reload_changes_timeouts_for_new_connections(host, start_daemon):
    mmproxy = start_daemon(host, header_timeout=60.0)
    before = host.connect(MMPROXY)
    mmproxy.wait_for_counter("sessions_accepted")
    mmproxy.write_config(configuration(listener(header_timeout=0.5)))
    mmproxy.reload()
    began = time.monotonic()
    wait_until_ended(host.connect(MMPROXY))
    assert 0.4 <= time.monotonic() - began <= 2
    # The earlier one keeps the settings it came with.
    before.setblocking(False)
    with pytest.raises(BlockingIOError):
        before.recv(1)


def test_a_reload_changes_the_upstream_and_the_log_level(host, start_daemon, upstream, upstream6):
    mmproxy = start_daemon(host, forward={"ipv4": "127.0.0.1:9"}, top={"log": {"level": "info"}})
    wait_until_ended(send(host, v2(CLIENT4)))
    host.connect(MMPROXY).close()
    mmproxy.wait_for_counter("sessions_closed_closed_without_a_byte")
    assert not mmproxy.log_lines(" debug ")
    mmproxy.write_config(configuration(listener()))
    assert mmproxy.reload().event == "config: reloaded"
    open_session(host, upstream)
    host.connect(MMPROXY).close()
    mmproxy.wait_for_log("debug session: .*closed-without-a-byte")


def test_a_reload_leaves_sessions_alone(host, mmproxy, upstream):
    session = open_session(host, upstream)
    for _ in range(20):
        assert mmproxy.reload().event == "config: reloaded"
        assert_alive(*session)


BAD_FILES = {
    "syntax": "listeners = (\n  { name = \n);\n",
    "unknown_key": configuration(listener(no_such_setting=1)),
    "wrong_type": configuration(listener(header_timeout="soon")),
    "number_past_32_bits": configuration(listener(max_sessions=5000000000)),
    "include_of_a_directory": '@include "/usr"\n' + configuration(listener()),
    "include_of_nothing": '@include "no-such-file"\n' + configuration(listener()),
    "empty": "",
}


@pytest.mark.parametrize("text", BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_reload_of_a_bad_file_changes_nothing(text, host, mmproxy, upstream):
    session = open_session(host, upstream)
    mmproxy.write_config(text)
    line = mmproxy.reload()
    assert line.level == "error"
    assert "nothing changed" in line.text
    assert mmproxy.log_lines(r"mmproxy\.conf:\d+"), mmproxy.log()
    assert_alive(*session)
    open_session(host, upstream, (CLIENT4[0], 41001))
    # And a good file is taken again.
    mmproxy.write_config(configuration(listener()))
    assert mmproxy.reload().event == "config: reloaded"


def test_a_reload_without_the_file_changes_nothing(host, mmproxy, upstream):
    mmproxy.config_file.unlink()
    assert "nothing changed" in mmproxy.reload().text
    open_session(host, upstream)


def test_a_reload_storm_under_traffic_costs_no_session(host, start_daemon, upstream):
    mmproxy = start_daemon(host, top={"log": {"level": "info"}})
    good, bad = configuration(listener(), log={"level": "info"}), "nonsense"
    sessions = [open_session(host, upstream, (CLIENT4[0], 20000 + number)) for number in range(20)]
    for number in range(200):
        mmproxy.write_config(bad if number % 7 == 0 else good)
        mmproxy.process.send_signal(signal.SIGHUP)
        fresh = open_session(host, upstream, (CLIENT4[0], 30000 + number))
        assert_alive(*fresh)
        fresh[0].close()
        assert read_to_end(fresh[1]) == (b"", EOF)
        fresh[1].close()
    for session in sessions:
        assert_alive(*session)
    mmproxy.write_config(good)
    mmproxy.wait_for_log("config: reload")
    counters = mmproxy.wait_for_counter("sessions_closed_finished", 200)
    assert counters["sessions_accepted"] == 220


# The log.


def test_each_listener_has_a_line_at_the_start(host, start_daemon):
    mmproxy = start_daemon(
        host,
        config=configuration(
            listener("web"),
            listener(
                "ssh", listen=["127.0.0.1:8022", "[::1]:8022"], forward={"ipv4": "127.0.0.1:22"}
            ),
        ),
    )
    lines = mmproxy.log_lines("listener: listening")
    seen = {(line["listener"], address) for line in lines for address in line["listen"].split(",")}
    assert seen == {
        ("web", "127.0.0.1:8443"),
        ("ssh", "127.0.0.1:8022"),
        ("ssh", "[::1]:8022"),
    }
    assert {line.level for line in lines} == {"info"}


def test_a_session_has_one_line_at_its_end(host, start_daemon, upstream):
    mmproxy = start_daemon(host, top={"log": {"level": "info"}})
    connection = send(host, v1(CLIENT4) + b"question")
    accepted, _ = upstream.accept()
    balancer = "%s:%d" % connection.getsockname()
    assert read_exactly(accepted, 8) == b"question"
    accepted.sendall(b"the answer")
    accepted.close()
    assert read_to_end(connection) == (b"the answer", EOF)
    connection.close()
    line = mmproxy.wait_for_log("session:")
    assert line.level == "info"
    assert line.event == "session: closed"
    assert line["listener"] == "web"
    assert line["reason"] == "finished"
    assert line["client"] == "%s:%d" % CLIENT4
    assert line["balancer"] == balancer
    assert line["upstream"] == "127.0.0.1:443"
    assert line["header"] == "v1"
    assert line["bytes_from_client"] == "8"
    assert line["bytes_from_upstream"] == "10"
    assert 0 <= float(line["duration"]) < 20
    assert int(line["id"]) > 0
    assert len(mmproxy.log_lines("session:")) == 1


def test_json_lines_can_be_parsed_and_say_the_same(host, start_daemon, upstream):
    supported = "+jansson" in daemon.version_text()
    log = {"level": "info", "format": "json"}
    mmproxy = start_daemon(host, top={"log": log}, ready=supported)
    if not supported:
        # Built without it, that is refused by a clear line.
        assert mmproxy.wait_until_ended() == 2
        assert "jansson" in mmproxy.log()
        return
    connection = send(host, v2(CLIENT4) + b"\x00question")
    accepted, _ = upstream.accept()
    accepted.close()
    connection.close()
    mmproxy.wait_for_log("session.*closed")
    refused = send(host, b'\x16\x03"\\\xff\n')
    wait_until_ended(refused)
    mmproxy.wait_for_log("session.*refused")
    lines = [json.loads(line) for line in mmproxy.log().splitlines()]
    assert any(CLIENT4[0] in json.dumps(line) for line in lines)
    assert any("header-missing" in line.values() for line in lines)
    assert len({line["time"] for line in lines}) >= 1
    assert {line["level"] for line in lines} <= {"error", "warning", "info", "debug"}


def test_priorities_are_prefixed_when_stderr_is_the_journal_and_wanted(host, start_daemon):
    def journal(log):
        status = os.fstat(log.fileno())
        return {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}

    log = {"level": "debug", "target": "stderr"}
    mmproxy = start_daemon(host, top={"log": log}, launch={"environment": journal})
    connection = send(host, b"GET / HTTP/1.1\r\n")
    wait_until_ended(connection)
    mmproxy.wait_for_log("^<4>session: refused")
    mmproxy.wait_for_log("^<6>daemon: ready")
    assert all(line.text[0] == "<" for line in mmproxy.log_lines())


def test_priorities_are_not_prefixed_when_stderr_is_another_file(host, start_daemon):
    mmproxy = start_daemon(host, launch={"environment": {"JOURNAL_STREAM": "8:12345"}})
    assert all(line.level for line in mmproxy.log_lines())


@pytest.mark.parametrize("closed", [False, True], ids=["full", "closed"])
def test_a_log_that_nobody_reads_holds_up_nothing(closed, host, start_daemon, upstream):
    reader, writer = os.pipe()
    try:
        # Its stderr is a pipe that fills up, or whose other end is closed.
        mmproxy = start_daemon(host, launch={"stderr": writer}, ready=False)
        wait_until(lambda: 8443 in listening_ports(mmproxy.pid), 10, "it listens")
        if closed:
            os.dup2(os.open("/dev/null", os.O_RDONLY), reader)
        for number in range(1000):
            address = f"127.1.{number // 250}.{1 + number % 250}"
            refused = host.connect(MMPROXY, source=(address, 0))
            refused.sendall(b"GET / HTTP/1.1\r\n\r\n" * 4)
            wait_until_ended(refused)
            refused.close()
        assert_alive(*open_session(host, upstream))
        host.close_sockets()
        mmproxy.stop()
    finally:
        os.close(reader)
        os.close(writer)


def test_lines_lost_to_a_full_log_are_counted_in_it_once_it_is_read_again(host, start_daemon):
    reader, writer = os.pipe()
    try:
        mmproxy = start_daemon(host, launch={"stderr": writer}, ready=False)
        read_until_ready(reader)
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, bytes(4096))
        mmproxy.process.send_signal(signal.SIGUSR1)
        mmproxy.wait_until_idle()
        os.set_blocking(reader, False)
        wait_until(lambda: lines_lost(mmproxy, reader), 10, "the log says that lines are missing")
        mmproxy.stop()
    finally:
        os.close(reader)
        os.close(writer)


def read_until_ready(log):
    said = b""
    while b" daemon: ready" not in said:
        assert select.select([log], [], [], 10)[0], said
        said += os.read(log, 65536)


def lines_lost(mmproxy, reader):
    """Empties the log's pipe, and has another line written."""
    said = b""
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(reader, 65536):
            said += piece
    mmproxy.process.send_signal(signal.SIGUSR1)
    return b"lines lost" in said


def test_a_start_without_standard_streams_sends_the_log_to_nobody(host, start_daemon, upstream):
    """The numbers 0 to 2 must not go to sockets: the log is written to number 2."""
    closing = ["sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh"]
    mmproxy = start_daemon(host, launch={"prefix": closing}, ready=False)
    wait_until(lambda: 8443 in listening_ports(mmproxy.pid), 10, "it listens")
    assert_alive(*open_session(host, upstream))
    for number in range(3):
        assert os.readlink(f"/proc/{mmproxy.pid}/fd/{number}") == "/dev/null"
    host.close_sockets()
    mmproxy.stop()


def test_a_reload_takes_no_notice_of_cpus_that_have_gone(host, start_daemon):
    """One worker a CPU was decided at the start; a smaller CPU set later is no change of it."""
    mmproxy = start_daemon(host)
    os.sched_setaffinity(mmproxy.pid, {min(os.sched_getaffinity(mmproxy.pid))})
    assert mmproxy.reload().event == "config: reloaded"


def test_a_session_that_named_no_client_ends_without_one_in_the_log(host, start_daemon):
    mmproxy = start_daemon(host, top={"drain_timeout": 0})
    connection = host.connect(MMPROXY)
    mmproxy.wait_for_counter("sessions_accepted")
    mmproxy.terminate()
    line = mmproxy.wait_for_log("session: closed")
    assert line["reason"] == "shutdown"
    assert not {"client", "upstream", "header"} & line.fields.keys()
    wait_until_ended(connection)


@pytest.mark.parametrize(
    "needs, changes, where, named",
    [
        ("jansson", {"control": {"mode": "0600"}}, r"mmproxy\.conf:\d+", "control.mode"),
        ("jansson", {"control": {"group": "adm"}}, r"mmproxy\.conf:\d+", "control.group"),
        ("jansson", {"control": {"socket": "/tmp/x"}}, r"mmproxy\.conf:\d+", "control.socket"),
        (
            "libmicrohttpd",
            {"metrics": {"listen": "127.0.0.1:9464"}},
            r"mmproxy\.conf:\d+",
            "metrics.listen",
        ),
        ("", {"log": {"target": "stderr"}}, "configuration", "log.target"),
        ("", {"scheduling": "inherit"}, "configuration", "scheduling"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_what_is_opened_at_the_start_asks_for_a_restart(
    needs, changes, where, named, host, start_daemon
):
    if needs and f"+{needs}" not in daemon.version_text():
        return  # the group is a mistake then
    mmproxy = start_daemon(host)
    mmproxy.write_config(configuration(listener(), **changes))
    assert mmproxy.reload().level == "error"
    assert mmproxy.log_lines(rf"{where}: {named}: changed, and this change needs a restart")
