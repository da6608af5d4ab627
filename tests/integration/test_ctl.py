# SPDX-License-Identifier: MIT
"""mmproxyctl: what it prints, on which stream, and its exit status."""

import json
import os
import re
import signal
import socket
import subprocess
import threading

import pytest

import ctl
import offload
import plugins
from ctl import STATUS, FakeControl
from headers import CLIENT4, v2, v2_udp
from sessions import assert_alive, clients, open_session, send
from settings import configuration, listener, udp_listener
from waiting import wait_until


@pytest.fixture
def fake():
    """fake(status={...}) is a control socket that answers so."""
    made = []

    def make(**answers):
        made.append(FakeControl({name.replace("_", "-"): what for name, what in answers.items()}))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def socket_path(tmp_path):
    return tmp_path / "control.sock"


@pytest.fixture
def mmproxy(host, start_daemon, socket_path):
    """A real one, with a plugin-free listener and its control socket in the test's folder."""
    config = configuration(listener(), control={"socket": str(socket_path)})
    return start_daemon(host, config=config)


def refused(done, status=1):
    """What standard error says of a command that must fail without an answer: its lines."""
    assert done.returncode == status and done.stdout == "", done
    assert done.stderr.endswith("\n")
    return done.stderr.splitlines()


def column(text, heading):
    """The cells of a table's column: of each row what stands below the heading, or beside it."""
    cells = [list(re.finditer(r"\S+(?: \S+)*", line)) for line in text.splitlines()]
    [title] = [cell for cell in cells[0] if cell[0] == heading]

    def below(row):
        for cell in row:
            if cell.start() < title.end() and cell.end() > title.start():
                return cell[0]
        return ""

    return [below(row) for row in cells[1:]]


# With a real daemon.


def test_status_says_what_runs(mmproxy, socket_path):
    done = ctl.run(socket_path, "status")
    assert done.returncode == 0 and done.stderr == ""
    assert re.search(rf"^mmproxy +\S+, up \S+, process {mmproxy.pid}$", done.stdout, re.M)
    assert re.search(r"^state +running$", done.stdout, re.M)
    loaded = r"^generation +1, loaded \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(\S+ ago\)$"
    assert re.search(loaded, done.stdout, re.M)
    assert re.search(r"^last reload +none so far$", done.stdout, re.M)
    assert re.search(r"^workers +(\d+) of \1 alive$", done.stdout, re.M)
    assert ctl.ask(socket_path, "status")["pid"] == mmproxy.pid


def test_listeners_are_a_table(mmproxy, socket_path):
    done = ctl.run(socket_path, "listeners")
    assert column(done.stdout, "LISTENER") == ["web", ""]
    assert column(done.stdout, "LISTENS") == ["127.0.0.1:8443", ""]
    assert column(done.stdout, "FORWARDS") == ["127.0.0.1:443", "[::1]:443"]
    assert column(done.stdout, "STATE") == ["listening", ""]


def test_sessions_are_found_by_client_listener_and_age(host, mmproxy, upstream, socket_path):
    for client in ("203.0.113.9", 41000), ("198.18.0.1", 41001):
        open_session(host, upstream, client)
    done = ctl.run(socket_path, "sessions")
    assert sorted(column(done.stdout, "CLIENT")) == ["198.18.0.1:41001", "203.0.113.9:41000"]
    assert column(done.stdout, "STATE") == ["relay", "relay"]
    found = ctl.ask(socket_path, "sessions", "--client", "203.0.113.0/24")
    assert [session["client"] for session in found["sessions"]] == ["203.0.113.9:41000"]
    assert ctl.ask(socket_path, "sessions", "--listener", "web")["matched"] == 2
    assert ctl.ask(socket_path, "sessions", "--listener", "other")["matched"] == 0
    assert ctl.ask(socket_path, "sessions", "--older", "1h")["matched"] == 0
    assert ctl.run(socket_path, "sessions", "--older", "1h").stdout == "no session matches\n"
    limited = ctl.run(socket_path, "sessions", "--limit", 1).stdout.splitlines()
    assert len(limited) == 3 and limited[2].startswith("1 of 2 sessions; --limit N")


def test_clients_are_shown_with_their_bytes(host, mmproxy, upstream, socket_path):
    connection, accepted = open_session(host, upstream)
    connection.sendall(b"x" * 2048)
    received = b""
    while len(received) < 2048:
        received += accepted.recv(4096)
    wait_until(
        lambda: ctl.ask(socket_path, "clients")["clients"][0]["bytes_from_client"] == 2048,
        10,
        "the bytes are counted",
    )
    done = ctl.run(socket_path, "clients", "--limit", 5)
    assert column(done.stdout, "CLIENT") == ["203.0.113.9"]
    assert column(done.stdout, "FROM CLIENT") == ["2.0 KiB"]


def test_kill_ends_one_session(host, mmproxy, upstream, socket_path):
    ends = [open_session(host, upstream, client) for client in clients(2)]
    sessions = ctl.ask(socket_path, "sessions")["sessions"]
    doomed = next(s for s in sessions if s["client"] == "%s:%d" % clients(2)[0])
    done = ctl.run(socket_path, "kill", doomed["id"])
    assert (done.returncode, done.stdout) == (0, f"session {doomed['id']} has been ended\n")
    with pytest.raises(ConnectionResetError):
        ends[0][0].recv(1)
    ends[1][0].sendall(b"alive")
    assert ends[1][1].recv(5) == b"alive"
    assert "killed" in mmproxy.wait_for_log("session: closed .*client=").text
    lines = refused(ctl.run(socket_path, "kill", doomed["id"]))
    assert len(lines) == 1 and str(doomed["id"]) in lines[0]


def test_counters_are_those_that_are_not_zero_or_match(host, mmproxy, upstream, socket_path):
    open_session(host, upstream)
    done = ctl.run(socket_path, "counters")
    lines = done.stdout.splitlines()
    assert re.search(r"^sessions_accepted +1$", done.stdout, re.M)
    assert "header_timeout" not in done.stdout
    assert re.fullmatch(r"\d+ others are zero", lines[-1])
    timeouts = ctl.run(socket_path, "counters", "header-timeout").stdout.splitlines()
    assert [line.split() for line in timeouts[1:]] == [
        ["sessions_closed_header_timeout", "0"],
        ["sessions_closed_header_timeout_empty", "0"],
    ]
    assert ctl.ask(socket_path, "counters", "*_accepted") == {"counters": {"sessions_accepted": 1}}
    assert len(ctl.ask(socket_path, "counters")["counters"]) > 50
    assert refused(ctl.run(socket_path, "counters", "xyzzy"))[0].startswith(
        'mmproxyctl: no counter matches "xyzzy"'
    )


def test_reload_puts_a_generation_in_place(mmproxy, socket_path):
    done = ctl.run(socket_path, "reload")
    assert (done.returncode, done.stdout) == (0, "generation 2 is in place\n")
    assert ctl.ask(socket_path, "reload") == {"generation": 3}


def test_reload_of_a_bad_file_prints_each_mistake(mmproxy, socket_path):
    mmproxy.write_config('nonsense = 1;\nlisteners = ( { name = "web"; lissten = 7; } );\n')
    lines = refused(ctl.run(socket_path, "reload"))
    assert lines[0].startswith("mmproxyctl: ")
    assert any("nonsense" in line for line in lines[1:])
    assert any("lissten" in line for line in lines[1:])
    status = ctl.run(socket_path, "status").stdout
    assert re.search(r"^last reload +\S+ \S+, refused; nothing was changed$", status, re.M)
    assert "lissten" in status


def test_log_level_is_shown_and_set(mmproxy, socket_path):
    assert ctl.run(socket_path, "log-level").stdout == "log level is debug\n"
    assert ctl.run(socket_path, "log-level", "warning").stdout == "log level is warning now\n"
    assert ctl.ask(socket_path, "log-level") == {"level": "warning"}
    assert "loud" in refused(ctl.run(socket_path, "log-level", "loud"))[0]


def test_drain_shows_progress_until_the_daemon_has_ended(host, mmproxy, upstream, socket_path):
    connection, accepted = open_session(host, upstream)
    draining = subprocess.Popen(
        ctl.command(socket_path, "drain"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        first = draining.stdout.readline()
        assert re.fullmatch(r"draining: 1 session, \d+ s left\n", first)
        assert re.search(r"^state +draining$", ctl.run(socket_path, "status").stdout, re.M)
        connection.close()
        accepted.close()
        rest, wrong = draining.communicate(timeout=30)
    finally:
        draining.kill()
    assert (draining.returncode, wrong) == (0, "")
    assert rest.endswith("mmproxy has ended\n")
    # Not merely its socket: this would wait.
    assert mmproxy.process.wait(0.5) == 0


def test_drain_need_not_be_waited_for(host, mmproxy, upstream, socket_path):
    connection, accepted = open_session(host, upstream)
    done = ctl.run(socket_path, "drain", "--no-wait")
    assert done.returncode == 0
    assert re.fullmatch(r"draining: 1 session, \d+ s left\n", done.stdout)
    assert mmproxy.process.poll() is None
    connection.close()
    accepted.close()
    assert mmproxy.wait_until_ended() == 0


def test_plugins_are_none(mmproxy, socket_path):
    assert ctl.run(socket_path, "plugins").stdout == "there are no plugins\n"


def test_plugins_are_shown_with_what_they_counted(host, start_daemon, upstream, socket_path):
    deny = plugins.entry("acl", {"deny": "203.0.113.0/24"}, timeout=1.5)
    config = configuration(
        listener(plugins=[deny]),
        listener("other", listen="127.0.0.1:8444"),
        control={"socket": str(socket_path)},
    )
    mmproxy = start_daemon(host, config=config)
    send(host, v2(CLIENT4))
    mmproxy.assert_closed("plugin-denied")
    entries, counted = ctl.run(socket_path, "plugins").stdout.split("\n\n")
    assert column(entries, "ENTRY") == ["acl"]
    assert column(entries, "TIMEOUT") == ["1.5s"]
    assert column(entries, "LISTENERS") == ["web"]
    assert column(entries, "PATH") == [plugins.path("acl")]
    rows = zip(*(column(counted, name) for name in ("ENTRY", "COUNTER", "VALUE")))
    assert ("acl", "refusals", "1") in rows


def test_a_flow_is_a_session(host, start_daemon, udp_upstream, socket_path):
    control = {"socket": str(socket_path)}
    config = configuration(udp_listener(), drain_timeout=0, control=control)
    start_daemon(host, config=config)
    balancer = host.socket(kind=socket.SOCK_DGRAM)
    balancer.sendto(v2_udp(CLIENT4) + b"hello", ("127.0.0.1", 8443))
    assert udp_upstream.receive() == (b"hello", CLIENT4)
    done = ctl.run(socket_path, "sessions")
    assert column(done.stdout, "LISTENER") == ["dns"]
    assert column(done.stdout, "PROTOCOL") == ["udp"]
    assert column(done.stdout, "CLIENT") == ["%s:%d" % CLIENT4]
    assert column(done.stdout, "FROM CLIENT") == ["5 B"]
    assert column(ctl.run(socket_path, "listeners").stdout, "PROTOCOL")[0] == "udp, every"


def test_metrics_are_what_prometheus_would_read(host, mmproxy, upstream, socket_path):
    open_session(host, upstream)
    text = ctl.run(socket_path, "metrics").stdout
    assert ctl.ask(socket_path, "metrics")["content_type"].startswith("text/plain")
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30
    )
    assert checked.returncode == 0 and checked.stderr == "", checked
    assert re.search(r"^mmproxy_\w+ 1$", text, re.M)


def test_help_needs_no_daemon(tmp_path):
    done = ctl.run(tmp_path / "nobody", "help")
    assert done.returncode == 0 and done.stdout.startswith("Usage: mmproxyctl ")
    assert done.stdout == ctl.run(tmp_path / "nobody", "--help").stdout


# What cannot be reached.


def test_a_missing_socket_names_path_option_and_setting(tmp_path):
    [line] = refused(ctl.run(tmp_path / "none", "status"))
    for part in str(tmp_path / "none"), "--socket", "`control`", "is mmproxy running?":
        assert part in line
    # top says the same, and leaves no trace of a screen.
    assert refused(ctl.run(tmp_path / "none", "top")) == [line]


def test_a_socket_that_nobody_answers_is_told_apart(tmp_path):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "stale"))
    [line] = refused(ctl.run(tmp_path / "stale", "status"))
    assert "nobody answers here" in line


def test_without_the_right_to_connect_the_group_is_named(fake):
    made = fake(status=STATUS)
    os.chmod(made.path.parent, 0o755)
    os.chmod(made.path, 0o600)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = subprocess.run(
        [*nobody, *ctl.command(made.path, "status")], capture_output=True, text=True, timeout=30
    )
    [line] = refused(done)
    assert "no right to connect" in line and "group" in line and str(made.path) in line


def test_a_path_too_long_is_a_clear_line():
    [line] = refused(ctl.run("/x" * 60, "status"), status=2)
    assert "107 characters" in line


def test_what_is_no_socket_is_told_apart(tmp_path):
    (tmp_path / "file").touch()
    for path in tmp_path / "file", tmp_path:
        [line] = refused(ctl.run(path, "status"))
        assert f"{path}: this is no socket" in line


def test_a_datagram_socket_is_not_mmproxys(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(tmp_path / "dgram"))
        [line] = refused(ctl.run(tmp_path / "dgram", "status"))
    assert "another kind" in line


def test_usage_is_status_2(tmp_path):
    [line] = refused(ctl.run(tmp_path, "statsu"), status=2)
    assert line.endswith("did you mean status?")


def test_a_full_disk_is_no_answer(fake):
    with open("/dev/full", "w") as full:
        streams = {"capture_output": False, "stdout": full, "stderr": subprocess.PIPE}
        done = ctl.run(fake(status=STATUS).path, "status", **streams)
    assert done.returncode == 1 and "standard output cannot be written" in done.stderr


# What a daemon, or whoever sits there, may answer.


def test_a_refusal_goes_to_standard_error(fake):
    made = fake(reload={"ok": False, "error": "not now", "lines": ["file:1: bad", "file:2: worse"]})
    lines = refused(ctl.run(made.path, "--json", "reload"))
    assert lines == ["mmproxyctl: not now", "file:1: bad", "file:2: worse"]


def test_workers_that_did_not_answer_are_named(fake):
    made = fake(sessions={"matched": 0, "sessions": [], "unanswered": [1, 3]})
    done = ctl.run(made.path, "sessions")
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "mmproxyctl: worker 1 did not answer; its sessions and figures are missing",
        "mmproxyctl: worker 3 did not answer; its sessions and figures are missing",
    ]


@pytest.mark.parametrize(
    "answer", ["", "hello", "[1]", '{"ok":1}', '{"ok":true}', '{"ok":true,"result":7}']
)
def test_nonsense_is_an_error(fake, answer):
    [line] = refused(ctl.run(fake(status=answer.encode() + b"\n").path, "status"))
    assert line.startswith("mmproxyctl: the answer ")


def test_a_connection_that_ends_early_is_an_error(fake):
    made = fake(status=b'{"ok":tr')

    def leave():
        wait_until(lambda: made.requests, 10, "asked")
        made.disconnect()

    threading.Thread(target=leave).start()
    [line] = refused(ctl.run(made.path, "status"))
    assert "mmproxy has ended, or closed the connection" in line


def test_escapes_do_not_reach_the_terminal(fake):
    evil = "\x1b]0;owned\x07\x9b2J\n"
    reload = {"ok": False, "time": 1, "mistakes": [evil]}
    made = fake(
        status={**STATUS, "version": evil, "last_reload": reload},
        sessions={"matched": 1, "sessions": [{"id": 1, "client": evil, "listener": evil}]},
        counters={"counters": {evil: 3}},
        plugins={"plugins": [{"entry": evil, "listeners": [evil], "counters": {evil: 1}}]},
        log_level={"level": evil},
        kill={"ok": False, "error": evil, "lines": [evil]},
    )
    for words in ["status"], ["sessions"], ["counters"], ["plugins"], ["log-level"], ["kill", "1"]:
        for options in [], ["--json"]:
            done = ctl.run(made.path, *options, *words)
            text = done.stdout + done.stderr
            assert all(" " <= c <= "~" or c == "\n" for c in text), repr(text)
            assert "owned" in text


def test_the_whole_result_is_there_as_json(fake):
    result = {"generation": 7, "ratio": 0.1, "name": "j\u00fcrgen", "none": None, "big": 2**62}
    made = fake(reload=result)
    assert ctl.ask(made.path, "reload") == result
    assert "0.1," in ctl.run(made.path, "--json", "reload").stdout


def test_ten_thousand_sessions_are_no_trouble(fake):
    session = {"listener": "web", "state": "relay", "client": "[2001:db8::1]:40000", "age": 1.5}
    sessions = [{"id": 1 + i, **session} for i in range(10000)]
    made = fake(sessions={"matched": 20000, "sessions": sessions})
    lines = ctl.run(made.path, "sessions", "--limit", 10000).stdout.splitlines()
    assert len(lines) == 10002
    assert made.requests == ["sessions limit=10000"]


def test_filters_are_sent_as_the_protocol_has_them(fake):
    made = fake(sessions={"matched": 0, "sessions": []})
    words = "--client 192.0.2.0/24 --listener web --older 1.5s --limit 5"
    ctl.run(made.path, "sessions", *words.split())
    assert made.requests == ["sessions client=192.0.2.0/24 listener=web older=2 limit=5"]


def test_metrics_are_printed_as_they_are(fake):
    text = '# TYPE a counter\na{l="\u00fc"} 1\n'
    made = fake(metrics={"content_type": "text/plain", "text": text})
    assert ctl.run(made.path, "metrics").stdout == text


def test_the_last_refused_reload_shows_its_mistakes(fake):
    reload = {"ok": False, "time": 1700000000, "mistakes": ["x:1: a"]}
    made = fake(status={**STATUS, "last_reload": reload})
    text = ctl.run(made.path, "status", env={**os.environ, "TZ": "UTC"}).stdout
    lines = [re.sub("  +", "  ", line) for line in text.splitlines()]
    assert lines[3:5] == [
        "last reload  2023-11-14 22:13:20, refused; nothing was changed",
        "  x:1: a",
    ]
    assert lines[6:9] == [
        "workers  1 of 2 alive",
        "  worker 0 has 7 sessions",
        "  worker 1 is stuck",
    ]


def test_drain_that_is_refused_fails(fake):
    made = fake(drain={"ok": False, "error": "drain: only for root"})
    assert refused(ctl.run(made.path, "drain")) == ["mmproxyctl: drain: only for root"]


def test_a_table_is_cut_to_the_terminal(fake):
    """By script(1)'s own means: a pseudo-terminal of 40 columns."""
    session = {"id": 1, "client": "203.0.113.9:41000", "upstream": "127.0.0.1:443", "idle": 7}
    made = fake(sessions={"matched": 1, "sessions": [session]})
    shell = f"stty cols 40; exec {ctl.binary()} --socket {made.path} sessions"
    done = subprocess.run(
        ["script", "-qec", shell, "/dev/null"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and max(map(len, lines)) <= 40
    wide = ctl.run(made.path, "sessions").stdout.splitlines()
    assert [line[:40].rstrip() for line in wide] == [line.rstrip() for line in lines]
    assert max(map(len, wide)) > 40


def test_an_interrupted_drain_leaves_the_daemon_draining(host, mmproxy, upstream, socket_path):
    open_session(host, upstream)
    # A shell's background job, as this run may be, hands down an ignored SIGINT.
    command = ["env", "--default-signal=INT", *ctl.command(socket_path, "drain")]
    draining = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert draining.stdout.readline().startswith("draining: 1 session, ")
    draining.send_signal(signal.SIGINT)
    assert draining.wait(10) == -signal.SIGINT
    assert json.loads(ctl.run(socket_path, "--json", "status").stdout)["state"] == "draining"


@pytest.mark.skipif(offload.is_built(), reason="mmproxy --version says +libbpf: built with it")
def test_a_build_without_libbpf_says_so_in_a_line(host, start_daemon, upstream):
    refused = ctl.run("/nowhere", "offload", "load")
    assert refused.returncode == 2
    assert refused.stderr.startswith("mmproxyctl: offload: this mmproxyctl was built without libbpf")
    mmproxy = start_daemon(host, offload="auto")
    (line,) = mmproxy.log_lines("config: remark")
    assert "sessions stay relays: the offload needs libbpf" in line["text"]
    assert_alive(*open_session(host, upstream))
