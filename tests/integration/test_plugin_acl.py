# SPDX-License-Identifier: MIT
"""The plugin acl: who is let in and who is not, by which list; lists that are no good; and lists
that change while sessions live."""

import pathlib
import re
import shutil
import tempfile

import pytest

import plugins
import udp
from headers import CLIENT4, CLIENT6, SERVICE6, local, mapped, v1, v2
from sessions import assert_alive, open_session, send
from settings import configuration, listener
from traffic import EOF, RESET, read_to_end

OTHER4 = ("198.51.100.7", 41000)
OTHER6 = ("2001:db8:d::7", 41000)


def acl(name="acl", **config):
    return plugins.entry(name, config, plugin="acl")


def assert_denied(host, mmproxy, client, why, end=EOF, name="acl"):
    """A connection of this client's is ended, and the log says by whom and why."""
    before = mmproxy.log_size()
    assert read_to_end(send(host, v2(client))) == (b"", end)
    line = mmproxy.wait_for_log("session: refused", after=before)
    assert line["client"] == udp.text(client)
    assert line["plugin"] == name
    assert line["why"] == why
    return line


class Lists:
    """A folder for list files that the user that mmproxy becomes can read."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mmp-lists-"))
        self.folder.chmod(0o755)

    def write(self, name, *lines):
        """Puts a list in place as one should, by a rename, and returns its path."""
        path = self.folder / name
        fresh = self.folder / "fresh"
        fresh.write_text("".join(line + "\n" for line in lines))
        fresh.chmod(0o644)
        fresh.rename(path)
        return str(path)


@pytest.fixture
def lists():
    made = Lists()
    yield made
    shutil.rmtree(made.folder)


# Who is let in.


def test_a_client_that_no_list_has_is_allowed_unless_the_default_is_deny(
    host, start_daemon, upstream
):
    mmproxy = start_daemon(host, plugins=[acl(deny="198.51.100.0/24")])
    open_session(host, upstream)
    assert_denied(host, mmproxy, OTHER4, "198.51.100.0/24 in deny")
    mmproxy.write_config(
        configuration(listener(plugins=[acl(default="deny", allow="198.51.100.0/24")]))
    )
    assert mmproxy.reload().event == "config: reloaded"
    open_session(host, upstream, OTHER4)
    assert_denied(host, mmproxy, CLIENT4, "in no list")
    upstream.assert_untouched()


@pytest.mark.parametrize("header", [v1, v2])
def test_a_denied_client_sees_an_orderly_end_and_never_reaches_the_upstream(
    header, host, start_daemon, upstream
):
    mmproxy = start_daemon(host, plugins=[acl(deny=["192.0.2.0/24", "203.0.113.0/24"])])
    connection = send(host, header(CLIENT4) + b"payload")
    assert read_to_end(connection) == (b"", EOF)
    line = mmproxy.wait_for_log("session: refused")
    assert line.level == "info"
    assert line["reason"] == "plugin-denied"
    assert line["plugin"] == "acl"
    assert line["why"] == "203.0.113.0/24 in deny"
    assert line["client"] == udp.text(CLIENT4)
    mmproxy.assert_closed("plugin-denied")
    assert mmproxy.counters()["plugin_acl_denied"] == 1
    assert mmproxy.counters()["plugin_acl_allowed"] == 0
    upstream.assert_untouched()


def test_refuse_with_reset_is_a_reset(host, start_daemon, upstream):
    mmproxy = start_daemon(host, plugins=[acl(deny="203.0.113.0/24", refuse_with="reset")])
    line = assert_denied(host, mmproxy, CLIENT4, "203.0.113.0/24 in deny", RESET)
    assert line["reason"] == "plugin-reset"
    mmproxy.assert_closed("plugin-reset")
    assert mmproxy.counters()["plugin_acl_denied"] == 1
    upstream.assert_untouched()


def test_the_most_specific_prefix_of_all_lists_decides(
    host, start_daemon, upstream, upstream6, lists
):
    config = {
        "default": "deny",
        "allow": ["203.0.0.0/16", "2001:db8::/32"],
        "deny_files": lists.write("bad.txt", "# bad", "203.0.113.0/24", "2001:db8:c::/48"),
        "allow_files": [lists.write("good.txt", CLIENT4[0], "2001:db8:c::9/128")],
    }
    mmproxy = start_daemon(host, plugins=[acl(**config)])
    open_session(host, upstream, CLIENT4)
    open_session(host, upstream, ("203.0.114.1", 41000))
    open_session(host, upstream6, CLIENT6)
    open_session(host, upstream6, OTHER6)
    assert_denied(host, mmproxy, ("203.0.113.8", 41000), "203.0.113.0/24 in bad.txt:2")
    assert_denied(host, mmproxy, ("203.1.0.1", 41000), "in no list")
    assert_denied(host, mmproxy, ("2001:db8:c::8", 41000), "2001:db8:c::/48 in bad.txt:3")
    assert_denied(host, mmproxy, ("2001:dead::1", 41000), "in no list")
    counters = mmproxy.counters()
    assert (counters["plugin_acl_allowed"], counters["plugin_acl_denied"]) == (4, 4)


@pytest.mark.parametrize("prefix", ["203.0.113.0/24", "::ffff:203.0.113.0/120"])
def test_a_client_and_a_prefix_are_ipv4_however_they_are_written(prefix, host, start_daemon):
    mmproxy = start_daemon(host, plugins=[acl(deny=prefix)])
    connection = send(host, v2((mapped(CLIENT4[0]), CLIENT4[1]), SERVICE6))
    assert read_to_end(connection) == (b"", EOF)
    assert mmproxy.wait_for_log("session: refused")["why"] == "203.0.113.0/24 in deny"


def test_a_health_check_of_the_balancers_is_not_judged(host, start_daemon, upstream):
    mmproxy = start_daemon(host, plugins=[acl(default="deny", deny="127.0.0.0/8")])
    connection = send(host, local())
    assert upstream.accept()[1] == connection.getsockname()
    assert mmproxy.counters()["plugin_acl_allowed"] == 1


def test_a_flow_of_a_denied_client_never_reaches_the_upstream(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, plugins=[acl(deny="203.0.113.0/24", refuse_with="reset")])
    balancer = udp.Balancer(host)
    for _ in range(10):
        balancer.send(CLIENT4, b"question")
    udp.round_trip(balancer, udp_upstream, OTHER4)
    line = mmproxy.wait_for_log("session: refused")
    assert line["client"] == udp.text(CLIENT4)
    assert line["why"] == "203.0.113.0/24 in deny"
    udp.assert_nothing_reaches(udp_upstream, balancer, mmproxy)
    # One question for the flow, not one a datagram.
    counters = mmproxy.counters()
    assert (counters["plugin_acl_allowed"], counters["plugin_acl_denied"]) == (1, 1)


def test_a_list_at_the_top_is_for_all_listeners_that_have_none_of_their_own(
    host, start_daemon, upstream
):
    config = configuration(
        listener("web", listen="127.0.0.1:8443"),
        listener("own", listen="127.0.0.1:8444", plugins=[acl("own", deny="192.0.2.0/24")]),
        plugins=[acl(deny="203.0.113.0/24")],
    )
    mmproxy = start_daemon(host, config=config)
    line = assert_denied(host, mmproxy, CLIENT4, "203.0.113.0/24 in deny")
    assert line["listener"] == "web"
    host.connect(("127.0.0.1", 8444)).sendall(v2(CLIENT4))
    assert upstream.accept()[1] == CLIENT4
    counters = mmproxy.counters()
    assert (counters["plugin_acl_denied"], counters["plugin_own_allowed"]) == (1, 1)


def test_several_workers_share_the_lists_and_the_counters(host, start_daemon, upstream):
    mmproxy = start_daemon(host, plugins=[acl(deny="203.0.113.0/24")], top={"workers": 2})
    kept = []
    for number in range(40):
        assert read_to_end(send(host, v2((CLIENT4[0], 20000 + number)))) == (b"", EOF)
        kept.append(open_session(host, upstream, (OTHER4[0], 20000 + number)))
    counters = mmproxy.counters()
    assert (counters["plugin_acl_allowed"], counters["plugin_acl_denied"]) == (40, 40)


# Lists that are no good: settings, the setting that the line is about, and what it must say.

MISTAKES = {
    "default": ({"default": "maybe"}, "default", '"maybe" is not known; write "deny" or "allow"'),
    "refuse_with": (
        {"deny": "192.0.2.1", "refuse_with": "drop"},
        "refuse_with",
        '"drop" is not known; write "deny" or "reset"',
    ),
    "prefix": (
        {"deny": "example.com"},
        "deny",
        '"example.com": not a prefix; write one such as 192.0.2.0/24',
    ),
    "length": (
        {"allow": ["192.0.2.0/24", "192.0.2.0/33"]},
        "allow",
        '"192.0.2.0/33": the prefix length is out of range; write /0 to /32',
    ),
    "type": ({"deny": 5}, "deny", "wrong type"),
    "type_in_a_list": ({"deny": [5]}, "deny", "wrong type"),
    "no_file": (
        {"deny_files": "/no/such/list"},
        "deny_files",
        'cannot read "/no/such/list": No such file or directory',
    ),
    "folder": ({"allow_files": ["/usr"]}, "allow_files", "it is a directory; name a file"),
    "empty_path": ({"deny_files": ""}, "deny_files", "it is empty"),
}

SOUND = "configuration is sound: 1 listener"

ways = pytest.mark.parametrize("check", [False, True], ids=["start", "check"])


def run(host, start_daemon, config, check=True):
    """Starts it with this acl, waits for its end, and returns the exit status and its lines."""
    text = configuration(listener(plugins=[acl(**config)]))
    arguments = ["--check"] if check else None
    made = start_daemon(host, config=text, arguments=arguments, ready=False)
    return made.wait_until_ended(), made.log().splitlines()


def assert_said(said, place, words):
    """One line is about this place, and it is about these words."""
    (line,) = [line for line in said if place in line]
    assert re.search(r"mmproxy\.conf:\d+: listeners\[0\]\.plugins\[0\]\.config", line)
    assert words in line.replace('\\"', '"')
    return line


@ways
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_by_its_setting_and_nothing_starts(mistake, check, host, start_daemon):
    config, setting, words = mistake
    status, said = run(host, start_daemon, config, check)
    assert status == 2
    assert_said(said, f".config.{setting}", words)
    assert not any("listener: listening" in line for line in said if check)
    assert not any("daemon: ready" in line for line in said)


def test_each_mistake_in_a_list_file_is_named_by_its_line(host, start_daemon, lists):
    bad = lists.write("bad.txt", "# one a line", "192.0.2.0/24", "nonsense", "", "10.0.0.0/99 # x")
    empty = lists.write("empty.txt", "# nobody", "")
    status, said = run(host, start_daemon, {"deny_files": [bad, empty], "default": "all"})
    assert status == 2
    assert_said(said, f"{bad}:3: ", '"nonsense": not a prefix; write one such as')
    assert_said(said, f"{bad}:5: ", '"10.0.0.0/99": the prefix length is out of range')
    assert_said(said, f"{empty}:1: ", "the file holds no prefix; write one a line")
    assert_said(said, ".default", '"all" is not known')
    assert len(said) == 4


@ways
def test_a_list_file_that_the_user_may_not_read_is_named(check, host, start_daemon, lists):
    path = lists.write("secret.txt", "192.0.2.0/24")
    pathlib.Path(path).chmod(0o600)
    status, said = run(host, start_daemon, {"deny_files": path}, check)
    if check:  # which is root, and stays it
        assert (status, said) == (0, [SOUND])
    else:
        assert status == 2
        assert_said(said, path, f'cannot read "{path}": Permission denied')


# What is legal, and not what was meant.
WARNINGS = {
    "host_bits": (
        {"deny": "192.0.2.77/24"},
        "it is taken as 192.0.2.0/24; write that, or 192.0.2.77 for the one address",
    ),
    "all_allowed": ({}, "every client is allowed; list some in deny or deny_files"),
    "only_allow_lists": ({"allow": "192.0.2.0/24"}, "every client is allowed"),
    "all_denied": ({"default": "deny"}, "every client is denied; list some in allow"),
    "in_both": (
        {"allow": "192.0.2.0/24", "deny": ["198.51.100.1", "192.0.2.0/24"]},
        '"192.0.2.0/24": allow has it, too; it is denied; take it out of one',
    ),
    "unknown": ({"deny": "192.0.2.0/24", "allows": "192.0.2.1"}, "no such setting"),
}


@pytest.mark.parametrize("warning", WARNINGS.values(), ids=WARNINGS.keys())
def test_a_warning_does_not_keep_it_from_starting(warning, host, start_daemon):
    config, words = warning
    status, said = run(host, start_daemon, config)
    assert status == 0
    assert len(said) == 2 and said[1] == SOUND
    assert_said(said, "warning: ", words)
    mmproxy = start_daemon(host, plugins=[acl(**config)])
    (remark,) = mmproxy.log_lines("config: remark")
    assert remark.level == "warning"
    assert_said([remark.text], "", words)


def test_a_prefix_that_is_allowed_and_denied_is_denied(host, start_daemon, lists):
    bad = lists.write("bad.txt", CLIENT4[0])
    mmproxy = start_daemon(host, plugins=[acl(allow=CLIENT4[0], deny_files=bad)])
    assert_denied(host, mmproxy, CLIENT4, f"{CLIENT4[0]}/32 in bad.txt:1")


def test_check_of_good_lists_says_nothing(host, start_daemon, lists):
    good = lists.write("good.txt", "  192.0.2.0/24\t# a comment", "", "# another", "2001:db8::/32")
    assert run(host, start_daemon, {"deny_files": good}) == (0, [SOUND])


# Lists that change.


def test_a_path_is_relative_to_the_configurations_folder(host, start_daemon, upstream):
    mmproxy = start_daemon(host, top=plugins.reachable())
    mmproxy.write_config("203.0.113.0/24\n", "bad.txt")
    entries = [acl(deny_files="bad.txt")]
    mmproxy.write_config(configuration(listener(plugins=entries), **plugins.reachable()))
    assert mmproxy.reload().event == "config: reloaded"
    assert_denied(host, mmproxy, CLIENT4, "203.0.113.0/24 in bad.txt:1")


def test_a_reload_reads_the_list_files_again_and_leaves_sessions_alone(
    host, start_daemon, upstream, lists
):
    path = lists.write("bad.txt", "198.51.100.0/24")
    mmproxy = start_daemon(host, plugins=[acl(deny_files=path)])
    session = open_session(host, upstream)
    lists.write("bad.txt", "", "203.0.113.0/24")
    open_session(host, upstream, (CLIENT4[0], 41001))  # no news until the signal
    assert mmproxy.reload().event == "config: reloaded"
    assert_denied(host, mmproxy, CLIENT4, "203.0.113.0/24 in bad.txt:2")
    open_session(host, upstream, OTHER4)
    assert_alive(*session)
    lists.write("bad.txt", "198.51.100.0/24")
    assert mmproxy.reload().event == "config: reloaded"
    open_session(host, upstream, (CLIENT4[0], 41002))
    assert_alive(*session)


@pytest.mark.parametrize("lines", [["203.0.113.0/33"], ["#"], ["no prefix"], None])
def test_a_reload_with_a_bad_list_file_leaves_the_old_list_in_force(
    lines, host, start_daemon, upstream, lists
):
    path = lists.write("bad.txt", "198.51.100.0/24")
    mmproxy = start_daemon(host, plugins=[acl(deny_files=path)])
    session = open_session(host, upstream)
    if lines is None:
        pathlib.Path(path).unlink()
    else:
        lists.write("bad.txt", *lines)
    assert "nothing changed" in mmproxy.reload().text
    (mistake,) = mmproxy.log_lines("config: mistake")
    assert_said([mistake.text], ".config.deny_files: ", path if lines is None else f"{path}:1: ")
    assert_denied(host, mmproxy, OTHER4, "198.51.100.0/24 in bad.txt:1")
    open_session(host, upstream, (CLIENT4[0], 41001))
    assert_alive(*session)
    # And a good one is taken again.
    lists.write("bad.txt", "203.0.113.0/24")
    assert mmproxy.reload().event == "config: reloaded"
    assert_denied(host, mmproxy, CLIENT4, "203.0.113.0/24 in bad.txt:1")
    open_session(host, upstream, OTHER4)


# Long lists.


def hundred_thousand(odd):
    """As many prefixes of eight lengths: hosts of 10.0.0.0/8 and networks of 2001:db8::/32."""
    for number in range(50000):
        yield f"10.{number >> 8}.{number & 255}.{odd}"
        yield f"2001:db8:{number:x}:{odd}00::/{56 + number % 8}"


def test_a_hundred_thousand_prefixes_are_looked_up(host, start_daemon, upstream, lists):
    path = lists.write("bad.txt", *hundred_thousand(1), CLIENT4[0])
    mmproxy = start_daemon(host, plugins=[acl(deny_files=path)])
    assert mmproxy.log_lines("100001 prefixes")
    assert_denied(host, mmproxy, CLIENT4, f"{CLIENT4[0]}/32 in bad.txt:100001")
    assert_denied(host, mmproxy, ("10.0.0.1", 41000), "10.0.0.1/32 in bad.txt:1")
    assert_denied(
        host, mmproxy, ("2001:db8:c34f:101::1", 41000), "2001:db8:c34f:100::/63 in bad.txt:100000"
    )
    open_session(host, upstream, OTHER4)
    open_session(host, upstream, ("10.0.0.2", 41000))


def test_reloading_a_long_list_again_and_again_takes_no_more_memory(
    host, start_daemon, upstream, lists
):
    path = lists.write("bad.txt", *hundred_thousand(1))
    mmproxy = start_daemon(host, plugins=[acl(deny_files=path)])
    session = open_session(host, upstream)
    assert mmproxy.reload().event == "config: reloaded"
    before = mmproxy.memory()
    for number in range(20):
        lists.write("bad.txt", *hundred_thousand(2 + number % 2))
        assert mmproxy.reload().event == "config: reloaded"
    open_session(host, upstream, OTHER4)
    # The first list is still there, for the session that began with it.
    assert_alive(*session)
    mmproxy.assert_memory_grew_less(before, 8 << 20)
