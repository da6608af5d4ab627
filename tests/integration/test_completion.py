# SPDX-License-Identifier: MIT
"""What a real bash and a real zsh offer behind a piece of a command line.

That the options are those of the programs is held by tests/checks/options, for bash; here zsh has to
offer the same.
"""

import re
import subprocess

import pytest

import ctl
from headers import CLIENT4
from sessions import open_session
from settings import configuration, listener, udp_listener
from shells import Bash, Zsh
from waiting import wait_until

SHELLS = {"bash": Bash, "bash-completion": lambda: Bash(package=True), "zsh": Zsh}

# Longer than a second, which is how long a daemon is asked, and with it all that a slow machine does.
PATIENCE = 12


@pytest.fixture(scope="module", params=SHELLS)
def shell(request):
    made = SHELLS[request.param]()
    yield made
    made.close()


@pytest.fixture(scope="module")
def both():
    made = Bash(), Zsh()
    yield made
    for one in made:
        one.close()


@pytest.fixture
def live(host, start_daemon, upstream, tmp_path):
    """Three listeners and three sessions; the path of the control socket."""
    path = tmp_path / "control.sock"
    # The folder belongs to root, and the socket to who mmproxy is.
    tmp_path.chmod(0o777)
    config = configuration(
        listener(),
        listener("web.two", listen="127.0.0.1:8444"),
        udp_listener(listen=["127.0.0.1:8445"]),
        workers=2,
        control={"socket": str(path)},
    )
    start_daemon(host, config=config)
    for number in range(3):
        open_session(host, upstream, (CLIENT4[0], 41000 + number))
    wait_until(lambda: ids(path), 10, "the sessions are known")
    return path


def ids(path):
    return [str(one["id"]) for one in ctl.ask(path, "sessions")["sessions"]]


# Options and words.


def test_options_and_their_values_are_offered(shell):
    assert shell.offered("mmproxy --li") == ["--listen-addr", "--listeners"]
    assert shell.completed("mmproxy --close") in ("mmproxy --close-after ", "mmproxy --close-after=")
    assert shell.offered("mmproxy --protocol ") == ["tcp", "udp"]
    assert shell.offered("mmproxy -p ") == ["tcp", "udp"]
    assert shell.completed("mmproxy -l [::]:8443 --protocol=u") == "mmproxy -l [::]:8443 --protocol=udp "
    assert shell.offered("mmproxyctl decode --format=") == ["hex", "pcap", "raw"]


def test_a_file_and_the_short_form_exclude_each_other(shell):
    behind_a_file = shell.offered("mmproxy --config mmproxy.conf --")
    assert behind_a_file == ["--check", "--help", "--verbose", "--version"]
    behind_a_listener = shell.offered("mmproxy -l 0.0.0.0:8443 --c")
    assert behind_a_listener == ["--check", "--close-after"]


@pytest.mark.parametrize(
    "line", ["mmproxy --config ", "mmproxy -a ", "mmproxyctl decode --file=", "mmproxyctl -s "]
)
def test_files_are_offered_where_a_file_is_wanted(shell, line):
    (shell.folder / "a folder").mkdir(exist_ok=True)
    (shell.folder / "a folder" / "balancers").touch()
    # What is in a name is not taken for the shell's own.
    assert shell.completed(line + "a\\ f") == line + "a\\ folder/"
    assert shell.completed(line + "a\\ folder/b") == line + "a\\ folder/balancers "


@pytest.mark.parametrize("line", ["mmproxy -l ", "mmproxy --mark=", "mmproxyctl sessions --client "])
def test_nothing_is_offered_where_only_its_author_knows(shell, line):
    assert shell.offered(line) == []


def test_commands_and_what_they_take_are_offered(shell):
    assert shell.offered("mmproxyctl re") == ["reload"]
    assert shell.completed("mmproxyctl rou") == "mmproxyctl routing "
    assert shell.completed("mmproxyctl routing ") == "mmproxyctl routing show "
    assert shell.offered("mmproxyctl log-level ") == ["debug", "error", "info", "warning"]
    # Where nothing else is left, zsh has options.
    assert "warning" not in shell.offered("mmproxyctl log-level info ")
    assert shell.completed("mmproxyctl drain --n") == "mmproxyctl drain --no-wait "


def test_options_before_the_command_are_passed_over(shell):
    assert shell.offered("mmproxyctl -j -s top log-level ") == ["debug", "error", "info", "warning"]
    assert shell.offered("mmproxyctl --socket=top log-level w") == ["warning"]


def commands():
    done = subprocess.run([ctl.binary(), "help"], capture_output=True, text=True)
    found = re.findall(r"^  ([a-z-]+)", done.stdout, re.M)
    assert len(found) > 10
    return [*found, "help"]


@pytest.mark.deadline(180)
def test_zsh_offers_the_same_as_bash(both):
    lines = ["mmproxy -", "mmproxyctl -", "mmproxyctl "]
    lines += [f"mmproxyctl {command} -" for command in commands()]
    for line in lines:
        bash, zsh = (one.offered(line) for one in both)
        assert bash and zsh == bash, line


# What a running mmproxy knows. A machine that is busy may take longer than the second that it has: then
# somebody presses the key again.


def wait_for(ask, wanted):
    seen = []

    def is_there():
        seen[:] = [ask()]
        return seen[0] == wanted

    wait_until(is_there, 30, lambda: f"{wanted} is offered: {seen}")


def test_listeners_are_those_of_the_running_mmproxy(shell, live):
    for option in "--listener ", "--listener=":
        line = f"mmproxyctl -s {live} sessions {option}"
        wait_for(lambda: shell.offered(line), ["dns", "web", "web.two"])
    line = f"mmproxyctl sessions -s {live} --listener=d"
    wait_for(lambda: shell.completed(line), line + "ns ")


def test_ids_are_those_of_live_sessions(shell, live):
    known = sorted(ids(live))
    assert len(known) == 3
    for way in f"-s {live} kill", f"--socket={live} kill", f"kill -s {live}", f"kill --socket {live}":
        wait_for(lambda: shell.offered(f"mmproxyctl {way} "), known)
    one = known[0]
    others = [other for other in known if other.startswith(one)]
    assert others == [one], "ids are too alike for what follows"
    line = f"mmproxyctl -s {live} kill {one}"
    wait_for(lambda: shell.completed(line), line + " ")
    assert not {*known} & {*shell.offered(f"mmproxyctl -s {live} kill {one} ")}


def test_counters_are_offered_by_name(shell, live):
    line = f"mmproxyctl -s {live} counters headers_"
    names = ["headers_local", "headers_spp", "headers_v1", "headers_v2"]
    wait_for(lambda: shell.offered(line), names)


def test_zsh_says_whose_session_it_is(both, live):
    _, zsh = both

    def told():
        shown = zsh.shown(f"mmproxyctl -s {live} kill ")
        return [f"{CLIENT4[0]}:{41000 + number} at web" in shown for number in range(3)]

    wait_for(told, [True, True, True])


# What cannot be known is not offered, without a word and in a short time.


def test_where_no_mmproxy_runs_nothing_is_offered(shell, tmp_path):
    for line in "sessions --listener ", "kill ", "counters ":
        line = f"mmproxyctl -s {tmp_path}/none {line}"
        assert shell.offered(line) == []
        assert "cannot" not in shell.shown(line) and "running" not in shell.shown(line)


def test_a_daemon_that_does_not_answer_is_not_waited_for(shell):
    silent = ctl.FakeControl({})

    def is_asked(command, line):
        text, seconds = shell.timed(line)
        assert text == line and seconds < PATIENCE
        return command in [request.split()[0] for request in silent.requests]

    try:
        words = {"listeners": "sessions --listener ", "sessions": "kill ", "counters": "counters "}
        for command, word in words.items():
            line = f"mmproxyctl -s {silent.path} {word}"
            wait_until(lambda: is_asked(command, line), 30, f"{command} is asked")
    finally:
        silent.close()


def test_an_answer_that_is_an_error_or_no_json_is_passed_over(shell):
    broken = ctl.FakeControl(
        {"listeners": {"ok": False, "error": 'no "name":"web" for you'}, "sessions": b'{"id"\n'}
    )
    try:
        assert shell.offered(f"mmproxyctl -s {broken.path} sessions --listener ") == []
        assert shell.offered(f"mmproxyctl -s {broken.path} kill ") == []
    finally:
        broken.close()


def test_texts_of_an_answer_are_no_commands(shell):
    """Nor does anything in them look like what is searched for."""
    hostile = {
        "name": '$(touch owned)"name":"x',
        "client": '`touch owned`","id":7',
        "id": 31,
        "listener": "'; touch owned; '",
    }
    answers = ctl.FakeControl(
        {
            "listeners": {"listeners": [hostile, {"name": "web"}]},
            "sessions": {"sessions": [hostile]},
        }
    )
    try:
        line = f"mmproxyctl -s {answers.path}"
        wait_for(lambda: shell.offered(f"{line} sessions --listener "), ["web"])
        wait_for(lambda: shell.offered(f"{line} kill "), ["31"])
    finally:
        answers.close()
    assert not (shell.folder / "owned").exists()
