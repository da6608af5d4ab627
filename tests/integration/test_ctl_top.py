# SPDX-License-Identifier: MIT
"""mmproxyctl top: on a terminal, and where there is none."""

import os
import pathlib
import re
import signal
import subprocess
import time
import xml.etree.ElementTree

import pytest

import ctl
from ctl import STATUS, Busy, FakeControl
from sessions import open_session
from settings import configuration, listener
from terminal import Terminal
from traffic import read_exactly
from waiting import wait_until

@pytest.fixture
def fake():
    made = []

    def make(busy=None, **answers):
        made.append(FakeControl({**(busy or Busy()).answers(), **answers}))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def terminal():
    """terminal(path, "--interval", 2, width=100) runs top there."""
    made = []

    def make(path, *words, **options):
        made.append(Terminal(ctl.command(path, "top", *words), **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def top(path, *words, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen(ctl.command(path, "top", *words), stdin=subprocess.DEVNULL, **options)


def number(text):
    """A rate as it is printed: 12.3k."""
    return float(text.rstrip("k")) * (1000 if text.endswith("k") else 1)


# Without a terminal.


def test_plain_output_is_a_block_an_interval_without_escapes(fake):
    process = top(fake().path, "--interval", "0.2")
    try:
        lines = []
        while sum(line.startswith("mmproxy ") for line in lines) < 3:
            lines.append(process.stdout.readline())
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM
    finally:
        process.kill()
    text = "".join(lines)
    assert all(" " <= c <= "~" or c == "\n" for c in text)
    assert text.count("LISTENER ") == 2 and text.count("header-timeout ") == 2


def test_once_is_one_block_with_rates(fake):
    # What is counted in 100 s is added between two samples, however soon one follows the other.
    statuses = iter(range(0, 1000, 100))
    clock = {"now": 0}

    def status(_):
        clock["now"] = next(statuses)
        return STATUS

    made = fake(Busy(clock=lambda: clock["now"]), status=status)
    began = time.monotonic()
    done = ctl.run(made.path, "top", "--once", "--interval", "0.5")
    took = time.monotonic() - began
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines()[0] == (
        "mmproxy 0.1.0  running  up 2h13m  generation 3  1 of 2 workers alive"
    )
    accepted = re.search(r" accepted +(\S+)/s +relayed +(\S+)/s$", done.stdout, re.M)
    assert re.search(r"^sessions +12 of 10000 ", done.stdout, re.M)
    # All are divided by the time between its samples, which is no longer than the whole run.
    between = 4000 / number(accepted[1])
    assert 0.49 <= between <= took * 1.01
    assert number(accepted[2]) == pytest.approx(3900 / between, rel=0.02)
    client = re.search(r"^203\.0\.113\.1 +2 +\S+ KiB .* MiB +(\S+) MiB/s$", done.stdout, re.M)
    assert float(client[1]) == pytest.approx(100 * 513 / 1024 / between, rel=0.03)
    cause = re.search(r"^header-timeout +1000 +(\S+)$", done.stdout, re.M)
    assert number(cause[1]) == pytest.approx(500 / between, rel=0.06)


def test_the_interval_is_kept(fake):
    made = fake()
    process = top(made.path, "--interval", "0.3")
    try:
        wait_until(lambda: made.requests.count("status") >= 5, 20, "five samples")
        count, began = made.requests.count("status"), time.monotonic()
        wait_until(lambda: made.requests.count("status") >= count + 5, 20, "five more")
        assert time.monotonic() - began > 4 * 0.3
    finally:
        process.kill()
        process.communicate()
    assert made.requests[:4] == ["status", "listeners", "clients limit=200", "counters"]


def test_a_daemon_that_goes_away_is_told_of(fake):
    made = fake()
    process = top(made.path, "--interval", "0.1")
    try:
        wait_until(lambda: made.requests.count("counters") >= 2, 20, "samples")
        made.disconnect()
        _, wrong = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 1
    assert re.fullmatch(r"mmproxyctl: \S+: mmproxy has ended, or closed the connection\n", wrong)


def test_a_refusal_ends_it(fake):
    made = fake(clients={"ok": False, "error": "too many questions"})
    done = ctl.run(made.path, "top")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "mmproxyctl: too many questions\n"


def test_a_reader_that_has_enough_ends_it(fake):
    process = top(fake().path, "--interval", "0.1")
    process.stdout.readline()
    process.stdout.close()
    try:
        assert process.wait(20) == -signal.SIGPIPE
    finally:
        process.kill()
        process.stderr.close()


def test_a_real_daemon_is_watched(host, start_daemon, upstream, tmp_path):
    path = tmp_path / "control.sock"
    start_daemon(host, config=configuration(listener(), control={"socket": str(path)}))
    connection, accepted = open_session(host, upstream)
    connection.sendall(b"x" * 4096)
    read_exactly(accepted, 4096)
    refusal = host.connect(("127.0.0.1", 8443))
    refusal.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert refusal.recv(1) == b""
    wait_until(lambda: ctl.ask(path, "counters", "missing")["counters"], 10, "counted")
    done = ctl.run(path, "top", "--once", "--interval", "0.2")
    assert re.match(r"mmproxy \S+  running  up \S+  generation 1  (\d+) of \1 ", done.stdout)
    assert re.search(r"^web +tcp +listening +1 ", done.stdout, re.M)
    assert re.search(r"^203\.0\.113\.9 +1 +4\.0 KiB +0 B/s +0 B +0 B/s$", done.stdout, re.M)
    assert re.search(r"^header-missing +1 +0$", done.stdout, re.M)


# On a terminal.


def test_the_screen_moves_and_quits_on_q(fake, terminal):
    window = terminal(fake().path, "--interval", "0.2")
    window.wait_for("KiB/s")
    title = window.lines()[0]
    assert title.startswith("mmproxy 0.1.0  running") and title.endswith("q: quit")
    assert window.ask("alternate_on") == "1"
    before = window.text()
    wait_until(lambda: window.text() != before, 10, "the screen has changed", 0.02)
    window.press("x")
    window.press("q")
    assert window.wait_until_ended() == 0
    window.assert_given_back()


def test_q_is_heard_while_the_daemon_takes_its_time(fake, terminal):
    made = fake(counters=None)
    window = terminal(made.path)
    window.wait_for("waiting for the first answer")
    wait_until(lambda: "counters" in made.requests, 10, "it has asked")
    window.press("q")
    assert window.wait_until_ended(5) == 0
    window.assert_given_back()


def test_the_screen_follows_its_size(fake, terminal):
    made = fake(Busy(clients=50, listeners=20))
    # Long enough that nothing but the new size can draw.
    window = terminal(made.path, "--interval", "600", width=100, height=24)
    window.wait_for("and ")
    assert len([line for line in window.lines() if line.startswith("203.0.113.")]) < 10
    window.resize(120, 90)
    wait_until(
        lambda: sum(line.startswith("203.0.113.") for line in window.lines()) == 50,
        10,
        lambda: f"50 clients in:\n{window.text()}",
        0.02,
    )
    window.resize(40, 10)
    wait_until(lambda: len(window.lines()) == 10, 10, window.text, 0.02)
    window.wait_for("mmproxy 0.1.0")
    assert made.requests.count("status") == 1
    window.resize(5, 2)
    window.resize(100, 30)
    window.wait_for("header-timeout")
    window.press("q")
    assert window.wait_until_ended() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_gives_the_terminal_back(fake, terminal, number):
    window = terminal(fake().path)
    window.wait_for("LISTENER")
    os.kill(window.pid(), number)
    assert window.wait_until_ended() == 128 + number
    window.assert_given_back()


def test_a_daemon_that_goes_away_gives_the_terminal_back_and_says_so(fake, terminal):
    made = fake()
    window = terminal(made.path)
    window.wait_for("LISTENER")
    made.disconnect()
    assert window.wait_until_ended() == 1
    window.assert_given_back()
    assert "mmproxy has ended, or closed the connection" in "".join(window.lines())


def test_a_refusal_gives_the_terminal_back_and_says_so(fake, terminal):
    window = terminal(fake(counters={"ok": False, "error": "no more"}).path)
    assert window.wait_until_ended() == 1
    window.assert_given_back()
    window.wait_for("mmproxyctl: no more")


def test_a_name_cannot_draw_on_the_screen(fake, terminal):
    evil = "\x1b[2J\x1b]0;owned\x07"
    made = fake(
        status={**STATUS, "state": evil},
        clients={"clients": [{"client": evil, "sessions": 1}]},
        listeners={"listeners": [{"name": evil}]},
    )
    window = terminal(made.path, width=120)
    window.wait_for("\\x1b[2J\\x1b]0;owned\\x07 ")
    assert window.ask("pane_title") != "owned"
    assert sum("owned" in line for line in window.lines()) == 3


@pytest.mark.parametrize("kind", ["dumb", "no-such-terminal"])
def test_a_terminal_that_cannot_be_drawn_on_gets_plain_lines(fake, terminal, kind):
    window = terminal(fake().path, "--interval", "0.2", environment={"TERM": kind}, height=40)
    window.wait_for("plain output instead")
    window.wait_for("header-timeout")
    assert window.ask("alternate_on") == "0"
    window.press("C-c")
    assert window.wait_until_ended() == 128 + signal.SIGINT


def test_a_picture_can_be_taken_of_it(fake, terminal):
    """tests/tools/terminal-picture, which drew the one in the README."""
    window = terminal(fake().path, "--interval", "0.2")
    window.wait_for("KiB/s")
    tool = pathlib.Path(__file__).resolve().parents[1] / "tools" / "terminal-picture"
    drawn = subprocess.run(
        ["/usr/bin/python3", str(tool), "a title"],
        input=window.picture(),
        capture_output=True,
        text=True,
        check=True,
    )
    picture = xml.etree.ElementTree.fromstring(drawn.stdout)
    words = [part.text for part in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert words[0].startswith("mmproxy 0.1.0") and "q: quit" in words
    assert {"LISTENER", "listener-0", "203.0.113.0", "header-timeout"} <= set(words)
    colours = {part.get("fill") for part in picture.iter() if part.get("fill")}
    assert len(colours) >= 4


def test_once_on_a_terminal_is_plain(fake, terminal):
    window = terminal(fake().path, "--once", "--interval", "0.2", height=40)
    assert window.wait_until_ended() == 0
    assert "header-timeout" in window.text() and "q: quit" not in window.text()
    window.assert_given_back()
