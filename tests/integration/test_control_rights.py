# SPDX-License-Identifier: MIT
"""The control socket's file, and who may do what."""

import fcntl
import grp
import os
import pathlib
import pwd
import signal
import socket
import stat

import pytest

from control import Client, ask_as, request
from settings import configuration, listener
from test_privileges import AS_THE_UNIT

NOBODY = pwd.getpwnam("nobody")
ADM = grp.getgrnam("adm").gr_gid
STRANGER = 4242  # a uid and a gid that nobody has

READING = ["status", "listeners", "sessions", "clients", "counters", "plugins", "metrics", "help"]
CHANGING = ["kill 999", "reload", "log-level", "log-level info"]


def controlled(start_daemon, host, **control):
    return start_daemon(host, config=configuration(listener(), control=control))


def mode_of(mmproxy):
    return stat.S_IMODE(os.stat(mmproxy.control_socket).st_mode)


# The file.


def test_the_file_is_for_the_daemon_and_its_group_unless_told_otherwise(host, mmproxy):
    status = os.stat(mmproxy.control_socket)
    assert stat.S_ISSOCK(status.st_mode)
    assert mode_of(mmproxy) == 0o660
    assert (status.st_uid, status.st_gid) == (NOBODY.pw_uid, NOBODY.pw_gid)


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_the_file_has_the_mode_that_is_set_whatever_the_umask(umask, host, start_daemon):
    config = configuration(listener(), control={"mode": "0626"})
    before = os.umask(umask)
    try:
        mmproxy = start_daemon(host, config=config, ready=False)
    finally:
        os.umask(before)
    if umask == 0o777:
        # Then the log and the configuration cannot be read by anybody but root, as this test is.
        mmproxy.directory.chmod(0o755)
    mmproxy.wait_until_ready()
    assert mode_of(mmproxy) == 0o626


def test_the_file_has_the_group_that_is_set(host, start_daemon):
    mmproxy = controlled(start_daemon, host, group="adm")
    assert os.stat(mmproxy.control_socket).st_gid == ADM


def test_the_file_is_gone_when_mmproxy_has_ended(host, mmproxy):
    assert mmproxy.control_socket.exists()
    mmproxy.stop()
    assert not mmproxy.control_socket.exists()


def kill(mmproxy):
    """Its file stays behind."""
    mmproxy.process.send_signal(signal.SIGKILL)
    mmproxy.process.wait()
    mmproxy.process.returncode = 0  # it has ended as the test wanted


def test_a_file_that_was_left_behind_is_replaced(host, start_daemon):
    """Its process was killed; the next one takes its place and answers."""
    first = start_daemon(host)
    kill(first)
    assert first.control_socket.exists()
    config = configuration(listener(), control={"socket": str(first.control_socket)})
    second = start_daemon(host, config=config)
    assert request(first, "status")["pid"] == second.pid


def test_a_process_does_not_remove_anothers_file(host, mmproxy):
    mmproxy.control_socket.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(mmproxy.control_socket))
        mmproxy.stop()
        assert mmproxy.control_socket.exists()


def other_configuration(path):
    control = {} if path is None else {"control": {"socket": str(path)}}
    return configuration(listener(listen="127.0.0.1:9443"), **control)


def in_folder_of(first):
    return {"environment": {"RUNTIME_DIRECTORY": str(first.control_socket.parent)}}


def test_where_another_mmproxy_answers_the_next_goes_on_without(host, start_daemon):
    first = start_daemon(host)
    second = start_daemon(host, config=other_configuration(None), launch=in_folder_of(first))
    line = second.log_lines("no control socket")[0]
    assert line.level == "warning"
    assert line["error"] == "another process answers there"
    assert line["path"] == str(first.control_socket)
    second.stop()
    assert request(first, "status")["pid"] == first.pid


def test_where_another_mmproxy_answers_one_that_was_told_to_be_there_does_not_start(
    host, start_daemon
):
    first = start_daemon(host)
    config = other_configuration(first.control_socket)
    second = start_daemon(host, config=config, ready=False)
    assert second.wait_until_ended() == 1
    line = second.log_lines("cannot open the control socket")[0]
    assert line.level == "error"
    assert line["error"] == "another process answers there"
    assert "mmproxy.conf:" in line["where"]
    assert request(first, "status")["pid"] == first.pid


@pytest.mark.parametrize("stale", [True, False], ids=["stale", "nothing"])
def test_while_another_puts_its_file_there_it_is_left_alone(stale, host, start_daemon):
    first = start_daemon(host)
    kill(first)
    if not stale:
        first.control_socket.unlink()
    beside = pathlib.Path(f"{first.control_socket}.lock")
    with open(beside, "w") as place:
        fcntl.flock(place, fcntl.LOCK_EX)
        second = start_daemon(host, config=other_configuration(None), launch=in_folder_of(first))
        line = second.log_lines("no control socket")[0]
        assert line["error"] == "another process is about to answer there"
        demanding = other_configuration(first.control_socket)
        second.stop()
        third = start_daemon(host, config=demanding, ready=False)
        assert third.wait_until_ended() == 1
        assert third.log_lines("cannot open the control socket")[0]["error"] == line["error"]
        assert beside.exists() and first.control_socket.exists() == stale
    # Whoever had it was killed.
    fourth = start_daemon(host, config=demanding)
    assert request(first, "status")["pid"] == fourth.pid
    assert not beside.exists()


def test_of_several_that_find_a_stale_file_one_takes_its_place(host, start_daemon):
    first = start_daemon(host)
    kill(first)
    started = [
        start_daemon(
            host,
            config=configuration(listener(listen=f"127.0.0.1:{9000 + number}")),
            launch=in_folder_of(first),
            ready=False,
        )
        for number in range(6)
    ]
    for mmproxy in started:
        mmproxy.wait_until_ready()
    (answering,) = [mmproxy for mmproxy in started if mmproxy.log_lines("control: listening")]
    assert request(first, "status")["pid"] == answering.pid
    assert [path.name for path in first.control_socket.parent.iterdir()] == ["control.sock"]


REFUSED_PLACES = {
    "a_file": (lambda path: path.write_text("important"), "there is a file that is no socket"),
    "a_folder": (lambda path: path.mkdir(), "there is a file that is no socket"),
    "a_link": (lambda path: path.symlink_to("/etc/passwd"), "there is a file that is no socket"),
}


@pytest.mark.parametrize("place", REFUSED_PLACES.values(), ids=REFUSED_PLACES.keys())
def test_what_is_no_socket_is_left_alone(place, host, start_daemon, tmp_path):
    make, error = place
    path = tmp_path / "control.sock"
    make(path)
    before = os.lstat(path)
    mmproxy = start_daemon(host, config=other_configuration(path), ready=False)
    assert mmproxy.wait_until_ended() == 1
    assert mmproxy.log_lines("cannot open the control socket")[0]["error"] == error
    assert os.lstat(path).st_ino == before.st_ino
    assert os.lstat(path).st_ctime == before.st_ctime


def test_a_folder_that_is_not_there_is_told(host, start_daemon):
    environment = {"RUNTIME_DIRECTORY": "/nonexistent"}
    mmproxy = start_daemon(host, launch={"environment": environment})
    line = mmproxy.log_lines("no control socket")[0]
    assert line["path"] == "/nonexistent/control.sock"
    assert line["error"] == "No such file or directory"


def test_a_folder_with_too_long_a_name_is_told(host, start_daemon, tmp_path):
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    mmproxy = start_daemon(host, launch={"environment": {"RUNTIME_DIRECTORY": str(folder)}})
    assert "longer than 107 bytes" in mmproxy.log_lines("no control socket")[0]["error"]


def test_of_several_runtime_folders_the_first_is_taken(host, start_daemon, tmp_path):
    environment = {"RUNTIME_DIRECTORY": f"{tmp_path}:/nonexistent"}
    mmproxy = start_daemon(host, launch={"environment": environment})
    mmproxy.control_socket = tmp_path / "control.sock"
    assert request(mmproxy, "status")["pid"] == mmproxy.pid


def test_a_group_that_is_not_there_is_told(host, start_daemon):
    config = configuration(listener(), control={"group": "no-such-group"})
    mmproxy = start_daemon(host, config=config, ready=False)
    assert mmproxy.wait_until_ended() != 0
    assert "no-such-group" in mmproxy.log() or "no such group" in mmproxy.log()


def test_a_change_of_it_needs_a_restart(host, start_daemon):
    mmproxy = controlled(start_daemon, host, mode="0660")
    mmproxy.write_config(configuration(listener(), control={"mode": "0666"}))
    with Client(mmproxy) as client:
        answer = client.ask("reload")
    assert len(answer["lines"]) == 1
    assert "control.mode: changed, and this change needs a restart" in answer["lines"][0]
    assert mode_of(mmproxy) == 0o660


@pytest.fixture
def own_run():
    """A namespace's processes see an empty /run of their own. Yields the prefix of a command."""
    return ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh"]


def test_started_as_root_it_makes_its_folder(host, start_daemon, own_run):
    launch = {"prefix": own_run, "environment": {"RUNTIME_DIRECTORY": None}}
    mmproxy = start_daemon(host, launch=launch)
    mmproxy.control_socket = f"/proc/{mmproxy.pid}/root/run/mmproxy/control.sock"
    folder = os.stat(os.path.dirname(mmproxy.control_socket))
    assert stat.S_IMODE(folder.st_mode) == 0o755
    assert (folder.st_uid, folder.st_gid) == (NOBODY.pw_uid, NOBODY.pw_gid)
    assert mmproxy.log_lines("control: listening")[0]["path"] == "/run/mmproxy/control.sock"
    assert request(mmproxy, "status")["pid"] == mmproxy.pid


def test_started_without_root_it_uses_the_folder_that_it_was_given(host, start_daemon):
    mmproxy = start_daemon(host, launch={"prefix": AS_THE_UNIT})
    assert request(mmproxy, "status")["pid"] == mmproxy.pid
    mmproxy.stop()
    assert not mmproxy.control_socket.exists()


# Who may do what.


def answers(mmproxy, commands, uid, gid, groups=()):
    return {command: ask_as(mmproxy, command, uid, gid, groups) for command in commands}


def assert_may_everything(mmproxy, uid, gid, groups=()):
    for command, answer in answers(mmproxy, READING, uid, gid, groups).items():
        assert answer["ok"], command
    for command, answer in answers(mmproxy, CHANGING, uid, gid, groups).items():
        assert answer["ok"] or "no session 999" in answer["error"], command


def assert_may_only_look(mmproxy, uid, gid, groups=()):
    for command, answer in answers(mmproxy, READING, uid, gid, groups).items():
        assert answer["ok"], command
    for command, answer in answers(mmproxy, [*CHANGING, "drain"], uid, gid, groups).items():
        name = command.split()[0]
        assert answer == {
            "ok": False,
            "error": f"{name}: only for root, mmproxy's own user and the members of control.group",
        }
    assert request(mmproxy, "status")["state"] == "running"
    assert request(mmproxy, "status")["generation"] == 1


def test_root_and_the_daemons_own_user_may_do_everything(host, start_daemon):
    mmproxy = controlled(start_daemon, host, mode="0666")
    assert_may_everything(mmproxy, 0, 0)
    assert_may_everything(mmproxy, NOBODY.pw_uid, STRANGER)


def test_whoever_can_connect_may_look(host, start_daemon):
    assert_may_only_look(controlled(start_daemon, host, mode="0666"), STRANGER, STRANGER)


def test_who_cannot_connect_may_not_look_either(host, start_daemon):
    mmproxy = controlled(start_daemon, host, mode="0660")
    assert ask_as(mmproxy, "status", STRANGER, STRANGER) is None


def test_members_of_the_group_may_do_everything(host, start_daemon):
    """Whether it is their first group or another."""
    mmproxy = controlled(start_daemon, host, group="adm")
    assert_may_everything(mmproxy, STRANGER, ADM)
    assert_may_everything(mmproxy, STRANGER, STRANGER, [STRANGER + 1, ADM, STRANGER + 2])
    assert ask_as(mmproxy, "status", STRANGER, STRANGER) is None


def test_members_of_other_groups_may_only_look(host, start_daemon):
    mmproxy = controlled(start_daemon, host, group="adm", mode="0666")
    assert_may_only_look(mmproxy, STRANGER, STRANGER, [STRANGER + 1])


def test_the_daemons_own_group_is_none_that_may_change_things(host, start_daemon):
    """nogroup is everybody's who has no better one."""
    mmproxy = controlled(start_daemon, host, mode="0666")
    assert_may_only_look(mmproxy, STRANGER, NOBODY.pw_gid)


def test_a_client_is_judged_by_who_it_was_when_it_connected(host, start_daemon):
    """Root's connection stays root's when it is handed to somebody else."""
    mmproxy = controlled(start_daemon, host, mode="0666")
    with Client(mmproxy) as client:
        child = os.fork()
        if child == 0:
            os.setresuid(STRANGER, STRANGER, STRANGER)
            client.send("log-level info\n")
            os._exit(0)
        os.waitpid(child, 0)
        assert client.answer() == {"ok": True, "result": {"level": "info"}}
    (asked,) = mmproxy.log_lines("control: command received")
    assert asked["uid"] == "0"


def test_who_asked_for_a_change_is_in_the_log(host, start_daemon):
    mmproxy = controlled(start_daemon, host, group="adm")
    ask_as(mmproxy, "log-level info", STRANGER, ADM)
    (asked,) = mmproxy.log_lines("control: command received")
    assert asked.level == "info"
    assert (asked["command"], asked["argument"], asked["uid"]) == ("log-level", "info", "4242")
