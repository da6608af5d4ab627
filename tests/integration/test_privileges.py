# SPDX-License-Identifier: MIT
"""The three ways to start it, as root, with file capabilities and as the unit does, all end with
CAP_NET_ADMIN and nothing else."""

import os
import pwd
import shutil
import subprocess
import tempfile

import pytest

import daemon
import settings
from headers import CLIENT4, CLIENT6, v2
from sessions import MMPROXY, send

CAP_NET_ADMIN = 1 << 12
NOBODY = pwd.getpwnam("nobody")

AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
AS_THE_UNIT = [
    *AS_NOBODY,
    "--inh-caps=-all,+net_admin",
    "--ambient-caps=-all,+net_admin",
    "--bounding-set=-all,+net_admin",
    "--no-new-privs",
]


@pytest.fixture
def with_file_capabilities():
    """A copy of the program that has CAP_NET_ADMIN by itself."""
    directory = tempfile.mkdtemp(prefix="mmp-caps-", dir="/var/tmp")
    os.chmod(directory, 0o755)
    copy = os.path.join(directory, "mmproxy")
    shutil.copy(daemon.binary(), copy)
    os.chmod(copy, 0o755)
    subprocess.run(["setcap", "cap_net_admin+ep", copy], check=True)
    yield copy
    shutil.rmtree(directory)


def assert_holds_net_admin_alone(mmproxy, bounding=CAP_NET_ADMIN):
    """In every thread."""
    for task in mmproxy.tasks():

        def capabilities(name):
            return int(mmproxy.status(name, task), 16)

        assert capabilities("CapPrm") == CAP_NET_ADMIN
        assert capabilities("CapEff") == CAP_NET_ADMIN
        assert capabilities("CapInh") & ~CAP_NET_ADMIN == 0
        assert capabilities("CapAmb") & ~CAP_NET_ADMIN == 0
        if bounding is not None:
            assert capabilities("CapBnd") & ~bounding == 0
        assert mmproxy.status("NoNewPrivs", task) == "1"
        assert set(mmproxy.status("Uid", task).split()) == {str(NOBODY.pw_uid)}
        assert set(mmproxy.status("Gid", task).split()) == {str(NOBODY.pw_gid)}
        assert set(mmproxy.status("Groups", task).split()) <= {str(NOBODY.pw_gid)}


def assert_works(host, upstream, upstream6):
    # A listener holds the client's port: the dial needs all that CAP_NET_ADMIN gives.
    taken = host.socket()
    taken.bind(("0.0.0.0", CLIENT4[1]))
    taken.listen()
    send(host, v2(CLIENT4))
    assert upstream.accept()[1] == CLIENT4
    send(host, v2(CLIENT6))
    assert upstream6.accept()[1] == CLIENT6


def test_started_as_root_it_becomes_nobody_with_net_admin_alone(host, mmproxy, upstream, upstream6):
    assert_holds_net_admin_alone(mmproxy)
    assert_works(host, upstream, upstream6)


def test_started_as_root_it_becomes_the_user_and_group_it_is_told(host, start_daemon):
    mmproxy = start_daemon(host, top={"user": "daemon", "group": "games"})
    user = pwd.getpwnam("daemon")
    assert set(mmproxy.status("Uid").split()) == {str(user.pw_uid)}
    assert mmproxy.status("Gid").split() == ["60"] * 4
    assert int(mmproxy.status("CapEff"), 16) == CAP_NET_ADMIN


def test_an_unknown_user_is_a_mistake_in_the_configuration(host, start_daemon):
    mmproxy = start_daemon(host, top={"user": "no-such-user-here"}, ready=False)
    assert mmproxy.wait_until_ended() != 0
    assert "no-such-user-here" in mmproxy.log()


def test_started_with_file_capabilities_it_holds_net_admin_alone(
    host, start_daemon, with_file_capabilities, upstream, upstream6
):
    mmproxy = start_daemon(host, launch={"program": with_file_capabilities, "prefix": AS_NOBODY})
    # Dropping the bounding set takes CAP_SETPCAP, which it does not have here.
    assert_holds_net_admin_alone(mmproxy, bounding=None)
    assert_works(host, upstream, upstream6)


def test_started_with_file_capabilities_by_root_it_still_drops_the_rest(
    host, start_daemon, with_file_capabilities, upstream, upstream6
):
    mmproxy = start_daemon(host, launch={"program": with_file_capabilities})
    assert_holds_net_admin_alone(mmproxy)
    assert_works(host, upstream, upstream6)


def test_started_as_the_unit_does_it_holds_net_admin_alone(host, start_daemon, upstream, upstream6):
    mmproxy = start_daemon(host, launch={"prefix": AS_THE_UNIT})
    assert_holds_net_admin_alone(mmproxy)
    assert_works(host, upstream, upstream6)


@pytest.mark.parametrize(
    "prefix",
    [
        [*AS_NOBODY, "--inh-caps=-all"],
        ["setpriv", "--bounding-set=-net_admin"],
    ],
    ids=["as_nobody", "as_root_in_a_container"],
)
def test_without_net_admin_one_line_says_what_to_do_and_nothing_is_accepted(
    prefix, host, start_daemon
):
    mmproxy = start_daemon(host, launch={"prefix": prefix}, ready=False)
    assert mmproxy.wait_until_ended() == 1
    lines = mmproxy.log_lines("CAP_NET_ADMIN")
    assert len(lines) == 1
    assert lines[0].level == "error"
    assert "setcap" in lines[0].text
    assert "AmbientCapabilities" in lines[0].text
    assert not mmproxy.log_lines("daemon: ready")


def test_a_port_below_1024_is_bound_when_started_as_root(host, start_daemon, upstream):
    mmproxy = start_daemon(host, listen="127.0.0.1:442", top={"workers": 2})
    assert_holds_net_admin_alone(mmproxy)
    host.connect(("127.0.0.1", 442)).sendall(v2(CLIENT4))
    assert upstream.accept()[1] == CLIENT4


def test_a_port_below_1024_out_of_reach_is_named(host, start_daemon):
    launch = {"prefix": AS_THE_UNIT}
    mmproxy = start_daemon(host, listen="127.0.0.1:442", launch=launch, ready=False)
    assert mmproxy.wait_until_ended() == 1
    (line,) = mmproxy.log_lines("^[^ ]* error ")
    assert "127.0.0.1:442" in line.text


@pytest.mark.parametrize(
    "top, words",
    [
        ({"user": "no-such-user"}, "no such user user=no-such-user hint=\"create it, or name another"),
        ({"user": "root"}, "refusing to run as root user=root hint=\"name another"),
        ({"group": "no-such-group"}, "no such group group=no-such-group hint=\"create it, or name another"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "_".join(value.values()),
)
def test_whom_it_cannot_be_is_a_mistake(top, words, host, start_daemon):
    mmproxy = start_daemon(host, top=top, ready=False)
    assert mmproxy.wait_until_ended() == 2
    (line,) = mmproxy.log_lines("^[^ ]* error ")
    assert words in line.text


def test_a_port_in_use_is_named(host, start_daemon):
    taken = host.socket()
    taken.bind(MMPROXY)
    taken.listen()
    mmproxy = start_daemon(host, ready=False)
    assert mmproxy.wait_until_ended() == 1
    (line,) = mmproxy.log_lines("^[^ ]* error ")
    assert "127.0.0.1:8443" in line.text


def test_the_descriptor_limit_is_raised_to_the_hard_one(host, start_daemon):
    mmproxy = start_daemon(host, launch={"prefix": ["prlimit", "--nofile=256:4096"]})
    with open(f"/proc/{mmproxy.pid}/limits") as file:
        (line,) = [line for line in file if line.startswith("Max open files")]
    assert line.split()[3:5] == ["4096", "4096"]


def test_check_needs_no_privileges(host, start_daemon):
    mmproxy = start_daemon(
        host,
        config=settings.configuration(settings.listener()),
        arguments=["--check"],
        launch={"prefix": [*AS_NOBODY, "--inh-caps=-all"]},
        ready=False,
    )
    assert mmproxy.wait_until_ended() == 0, mmproxy.log()
