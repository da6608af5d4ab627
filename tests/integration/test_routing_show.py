# SPDX-License-Identifier: MIT
"""mmproxyctl routing show: the rules, routes and tables that a file needs, as commands that work,
and whether each is there."""

import json
import os
import pathlib
import subprocess
import tempfile

import pytest

import ctl
from network import Namespace
from settings import configuration, listener, udp_listener

RULE = "ip rule add from 127.0.0.0/8 iif lo table 123"
RULE6 = "ip -6 rule add from ::1/128 iif lo table 123"
ROUTE = "ip route add local default dev lo table 123"
ROUTE6 = "ip -6 route add local default dev lo table 123"
ACCEPT = "sysctl -w net.ipv4.tcp_fwmark_accept=1"

ELSEWHERE = {"ipv4": "192.0.2.7:443"}


@pytest.fixture
def bare():
    """A host without a return path, which has the address that is not on loopback."""
    made = Namespace("bare")
    try:
        made.ip("addr add 192.0.2.7/32 dev lo")
        yield made
    finally:
        made.destroy()


@pytest.fixture
def file():
    """The configuration file, in a folder that anybody may read."""
    with tempfile.TemporaryDirectory(prefix="mmp-routing-") as folder:
        pathlib.Path(folder).chmod(0o755)
        yield pathlib.Path(folder) / "mmproxy.conf"


def nft_command(file):
    """Of the file that was looked at: with another one it would print another table."""
    return f"mmproxyctl routing show --nft --config {file} | nft -f -"


@pytest.fixture
def show(file):
    """show(host, *listeners, words=(), **top): what `routing show` comes to."""

    def run(host, *listeners, words=(), as_user=None, **top):
        file.write_text(configuration(*(listeners or [listener()]), **top))
        become = ["setpriv", f"--reuid={as_user}", "--clear-groups"] if as_user else []
        return host.run(
            [*become, ctl.binary(), "routing", "show", "--config", str(file), *words],
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )

    return run


def marks(done):
    """{the command: its mark}"""
    assert done.stderr == "", done
    lines = [line for line in done.stdout.splitlines() if line[0] in "✓✗-"]
    return {line[2:]: line[0] for line in lines}


def carry_out(host, done):
    """Runs what is missing, as somebody would who copies it."""
    for command, mark in marks(done).items():
        if mark == "✗":
            host.run(["sh", "-c", command], check=True)


def test_what_is_there_and_what_is_not(bare, show):
    done = show(bare)
    assert marks(done) == {RULE: "✗", RULE6: "✗", ROUTE: "✗", ROUTE6: "✗"}
    assert "no rule applies: an answer finds no route and is dropped" in done.stdout
    assert '4 missing: add it as root, or write routing = { mode = "manage"; }' in done.stdout
    assert done.returncode == 1
    bare.run(RULE.split(), check=True)
    bare.run(ROUTE6.split(), check=True)
    done = show(bare)
    assert marks(done) == {RULE: "✓", RULE6: "✗", ROUTE: "✗", ROUTE6: "✓"}
    assert done.returncode == 1


def test_what_it_prints_is_enough(bare, show):
    carry_out(bare, show(bare))
    done = show(bare)
    assert set(marks(done).values()) == {"✓"} and "missing" not in done.stdout
    assert done.returncode == 0


def test_anybody_may_ask(host, show):
    assert show(host, as_user=65534).returncode == 0


def test_what_stands_in_the_way_is_said(bare, show):
    carry_out(bare, show(bare))
    bare.ip("rule add priority 5 from 127.0.0.0/8 prohibit")
    done = show(bare)
    assert marks(done)[RULE] == "✗" and marks(done)[ROUTE] == "✓"
    assert "rule 5 decides before rule" in done.stdout
    bare.ip("rule del priority 5")
    bare.ip("route del local default dev lo table 123\nroute add local default dev lo table 124")
    done = show(bare)
    assert marks(done)[RULE] == "✓" and marks(done)[ROUTE] == "✗"
    assert "table 123 has no local default; table 124 has one" in done.stdout


def test_the_table_is_the_settings(bare, show):
    done = show(bare, routing={"table": 4000})
    assert "ip rule add from 127.0.0.0/8 iif lo table 4000" in marks(done)
    carry_out(bare, done)
    assert show(bare, routing={"table": 4000}).returncode == 0


def test_a_site_may_have_chosen_another_table(bare, show):
    bare.ip("rule add from 127.0.0.1/8 iif lo table 77\nroute add local default dev lo table 77")
    done = show(bare, listener(forward={"ipv4": "127.0.0.1:443"}))
    assert marks(done) == {RULE.replace("123", "77"): "✓", ROUTE.replace("123", "77"): "✓"}
    assert done.returncode == 0


def test_a_host_without_ipv6_lacks_nothing(bare, show):
    bare.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
    carry_out(bare, show(bare))
    done = show(bare)
    assert marks(done) == {RULE: "✓", RULE6: "-", ROUTE: "✓", ROUTE6: "-"}
    assert "this host has no IPv6" in done.stdout and done.returncode == 0


def test_an_upstream_elsewhere_needs_a_mark(bare, show):
    done = show(bare, listener(forward=ELSEWHERE))
    assert marks(done) == {"mark = 123; in the listener that forwards to 192.0.2.7:443": "✗"}
    assert done.returncode == 1
    done = show(bare, listener(forward=ELSEWHERE), routing={"method": "mark"})
    rule = "ip rule add from 192.0.2.7/32 fwmark 123 table 123"
    assert marks(done) == {rule: "✗", ROUTE: "✗", ACCEPT: "✗"}
    carry_out(bare, done)
    done = show(bare, listener(forward=ELSEWHERE), routing={"method": "mark"})
    assert set(marks(done).values()) == {"✓"} and done.returncode == 0


def test_udp_elsewhere_needs_nftables(bare, show, file):
    listeners = [
        udp_listener(name="dns", forward={"ipv4": "192.0.2.7:53"}, mark=5),
        listener(name="web", forward=ELSEWHERE, mark=6),
        listener(name="ssh", listen="127.0.0.1:8022"),
    ]
    done = show(bare, *listeners)
    nft = nft_command(file)
    assert marks(done)[nft] == "✗" and marks(done)[ACCEPT] == "✗"
    assert "table inet mmproxy_5 of nftables is not there" in done.stdout
    # Who may not ask nftables does not know.
    asked = marks(show(bare, *listeners, as_user=65534))
    assert asked[nft] == "-" and asked[ACCEPT] == "-" and asked[RULE] == "✗"

    rulesets = show(bare, *listeners, words=["--nft"])
    assert rulesets.returncode == 0 and rulesets.stderr == ""
    bare.nft(rulesets.stdout)
    listed = bare.run(["nft", "list", "tables"]).stdout
    assert listed.split("\n")[:2] == ["table inet mmproxy_5", "table inet mmproxy_6"]
    assert marks(show(bare, *listeners))[nft] == "✓"
    # Twice is as good as once.
    once = bare.run(["nft", "list", "ruleset"]).stdout
    bare.nft(rulesets.stdout)
    assert bare.run(["nft", "list", "ruleset"]).stdout == once


def test_an_upstream_behind_an_interface_needs_nftables(bare, show, file):
    bare.add_interface("198.51.100.1/24", "2001:db8:5::1/64")
    done = show(bare, listener(forward={"ipv4": "198.51.100.2:443"}), routing={"method": "mark"})
    rule = "ip rule add from 198.51.100.2/32 fwmark 123 table 123"
    assert marks(done) == {rule: "✗", ROUTE: "✗", nft_command(file): "✗"}
    for command in rule, ROUTE:
        bare.run(command.split(), check=True)
    done = show(bare, listener(forward={"ipv4": "198.51.100.2:443"}), routing={"method": "mark"})
    assert marks(done) == {rule: "✓", ROUTE: "✓", nft_command(file): "✗"}


def test_without_a_mark_there_is_no_table_to_print(host, show):
    done = show(host, words=["--nft"])
    assert done.stdout == "" and "no listener of this file" in done.stderr
    assert done.returncode == 0


def test_json_has_the_same(bare, show):
    bare.run(RULE.split(), check=True)
    done = show(bare, listener(forward={"ipv4": "127.0.0.1:443"}), words=["--json"])
    assert done.returncode == 1 and done.stdout.count("\n") == 1
    assert json.loads(done.stdout) == {
        "ok": False,
        "mode": "check",
        "table": 123,
        "method": "loopback",
        "items": [
            {"kind": "rule", "needs": RULE, "state": "there", "evidence": ""},
            {
                "kind": "route",
                "needs": ROUTE,
                "state": "missing",
                "evidence": "table 123 has no local default",
            },
        ],
    }


def test_plain_ascii_where_the_locale_has_no_more(bare, show, file):
    show(bare)
    done = bare.run(
        [ctl.binary(), "routing", "show", "--config", str(file)],
        env={**os.environ, "LC_ALL": "C"},
    )
    assert f"X {RULE}\n" in done.stdout and done.stdout.isascii()


def test_mistakes_are_told_apart_from_what_is_missing(host, show):
    done = show(host, routing={"table": 254})
    assert done.returncode == 2
    assert "mmproxy.conf" in done.stderr and "routing.table" in done.stderr
    for words, due in [
        (["show", "--config", "/nonexistent"], "/nonexistent"),
        (["list"], '"list" is not known; write mmproxyctl routing show'),
        ([], "routing: show is missing"),
        (["show", "--limit", "3"], "routing does not take --limit"),
    ]:
        done = subprocess.run(
            [ctl.binary(), "routing", *words], capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 2 and due in done.stderr, done
