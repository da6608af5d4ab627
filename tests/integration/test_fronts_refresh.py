# SPDX-License-Identifier: MIT
"""etc/fronts/refresh-ranges: what it takes for a list, and what becomes of the list that was there.
Lists are fetched from files: no network."""

import os
import re
import subprocess

import pytest

import ctl
import fronts
from headers import v1
from test_fronts import STRANGER, path
from traffic import read_to_end
from upstreams import Listener

SCRIPT = fronts.FOLDER / "refresh-ranges"
CLIENT = ("203.0.113.9", 41000)
WAS = (fronts.FOLDER / "tcpshield-ranges").read_text()
NEW = "198.51.100.0/24\n2001:db8:5::/64"


@pytest.fixture
def copy():
    made = fronts.Copy("tcpshield.conf", "tcpshield-ranges")
    yield made
    made.remove()


@pytest.fixture
def refresh(copy):
    """refresh(list, ...): what each URL gives; mmproxy is asked at `control`, if it is there."""

    def run(*lists, control="/nonexistent/control.sock", names=("tcpshield",)):
        urls = []
        for number, content in enumerate(lists):
            (copy / f"fetched-{number}").write_text(content)
            urls.append((copy / f"fetched-{number}").as_uri())
        done = subprocess.run(
            [SCRIPT, *names, copy / "tcpshield-ranges", *urls],
            env={**os.environ, "MMPROXYCTL": f"{ctl.binary()} --socket {control}"},
            capture_output=True,
            text=True,
        )
        left = [file.name for file in copy.folder.iterdir() if "ranges." in file.name]
        assert left == [], "it leaves nothing beside the list"
        return done

    return run


def refused(done, copy, why):
    """One line, and the list is as it was."""
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(rf"refresh-ranges: .*{why}.*\n", done.stderr), done.stderr
    assert (copy / "tcpshield-ranges").read_text() == WAS
    return True


@pytest.mark.parametrize(
    "fetched, why",
    [
        ("", "an empty list"),
        ("# nothing but a comment\n", "an empty list"),
        ("<html><body>Just a moment</body></html>\n", "not a prefix: <html>"),
        ("198.51.100.0/24\nany\n", "not a prefix: any"),
        ("198.51.100.0/24\n12\n", "not a prefix: 12"),
        ("198.51.100.0/24/24\n", "not a prefix: 198.51.100.0/24/24"),
        ("198.51.100.0/\n", "not a prefix: 198.51.100.0/"),
        ("198.51.100.0/2x\n", "not a prefix: 198.51.100.0/2x"),
        ("198.51.100.0/24\n0.0.0.0/0\n", r"wider than /8: 0\.0\.0\.0/0"),
        ("198.51.100.0/24\n::/0\n", "wider than /19: ::/0"),
    ],
)
def test_what_is_no_list_is_not_taken(fetched, why, copy, refresh):
    assert refused(refresh(fetched), copy, why)


def test_a_list_that_is_not_to_be_had_is_not_taken(copy, refresh):
    (copy / "fetched").mkdir()
    done = subprocess.run(
        [SCRIPT, "tcpshield", copy / "tcpshield-ranges", (copy / "missing").as_uri()],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "missing: not fetched" in done.stderr
    assert (copy / "tcpshield-ranges").read_text() == WAS


def test_a_list_that_has_lost_more_than_half_is_not_taken(copy, refresh):
    many = "".join(f"192.0.2.{n}/32\n" for n in range(5))
    assert refresh(many).returncode == 0
    before = (copy / "tcpshield-ranges").read_text()
    done = refresh("192.0.2.1/32\n192.0.2.2/32\n")
    assert done.returncode == 1 and "2 prefixes where" in done.stderr
    assert (copy / "tcpshield-ranges").read_text() == before


def test_the_same_list_changes_nothing_and_says_nothing(copy, refresh):
    done = refresh("104.234.6.0/25", "198.178.119.0/24")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (copy / "tcpshield-ranges").read_text() == WAS


def test_it_asks_for_a_front_that_it_knows(copy, refresh):
    assert refused(refresh(NEW, names=("akamai",)), copy, "akamai: not a front")


def test_a_new_list_names_its_source_and_its_day(copy, refresh):
    """mmproxy does not run: that is said, and no failure."""
    done = refresh(NEW, "192.0.2.7")
    assert (done.returncode, done.stderr) == (0, "")
    assert "is new, and not loaded: mmproxyctl: " in done.stdout
    lines = (copy / "tcpshield-ranges").read_text().splitlines()
    assert lines[0].startswith("# tcpshield's addresses, from file:///")
    assert re.fullmatch(r"# as they were on \d{4}-\d\d-\d\d\.", lines[1])
    assert lines[2:] == ["198.51.100.0/24", "2001:db8:5::/64", "192.0.2.7"]


def test_a_running_mmproxy_takes_the_new_list_at_once(path, copy, refresh, start_daemon):
    server = Listener(path.server, ("127.0.0.1", 25565))
    mmproxy = start_daemon(path.server, arguments=["--config", str(copy / "tcpshield.conf")])
    path.balancer.ip(f"addr add {STRANGER}/24 dev servers")

    def connect():
        connection = path.balancer.connect((path.SERVER4, 25566), source=(STRANGER, 0))
        connection.sendall(v1(CLIENT))
        return connection

    assert read_to_end(connect())[0] == b""
    done = refresh(NEW, control=mmproxy.control_socket)
    assert (done.returncode, done.stderr) == (0, "")
    assert "is new, and mmproxy has loaded it" in done.stdout
    connection = connect()
    assert server.accept()[1] == CLIENT
    connection.close()


def test_a_list_that_mmproxy_refuses_is_taken_back(path, copy, refresh, start_daemon):
    """It knows better than the script what a prefix is. The old list serves on."""
    mmproxy = start_daemon(path.server, arguments=["--config", str(copy / "tcpshield.conf")])
    control = mmproxy.control_socket
    done = refresh("198.51.100.0/24\n198.51.300.0/24\n", control=control)
    assert done.returncode == 1 and done.stdout == ""
    assert "mmproxy refuses the new list" in done.stderr and "198.51.300.0/24" in done.stderr
    assert (copy / "tcpshield-ranges").read_text() == WAS
    assert refresh(NEW, control=control).returncode == 0
