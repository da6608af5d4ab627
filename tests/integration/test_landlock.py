# SPDX-License-Identifier: MIT
"""Landlock: which files a running mmproxy and its plugins can open, from inside
(tests/plugins/intruder.c), and what a reload says of those that it cannot."""

import os
import pathlib
import pwd
import shutil
import tempfile

import pytest

import plugins
from accesslog import Log, finish
from headers import CLIENT4, v2
from sessions import assert_alive, open_session, send, unused_client
from settings import configuration, listener

NOBODY = pwd.getpwnam("nobody").pw_uid
EACCES = 13

OUTSIDE = "it is outside of what Landlock lets this process open since its start; restart mmproxy"


@pytest.fixture
def elsewhere():
    """A folder that anybody may write to, by its permissions, with a file for all in it."""
    folder = tempfile.mkdtemp(prefix="mmp-elsewhere-", dir="/var/tmp")
    os.chmod(folder, 0o777)
    with open(os.path.join(folder, "file"), "w") as file:
        file.write("203.0.113.0/24\n")
    os.chmod(file.name, 0o666)
    yield folder
    shutil.rmtree(folder)


def intruder(attempts, when="filter"):
    return plugins.entry("intruder", {"attempts": attempts, "when": when})


def attempts_in(folder):
    verbs = {"read": "file", "write": "file", "create": "new", "remove": "new", "list": "."}
    return [f"{verb} {os.path.join(folder, name)}" for verb, name in verbs.items()]


def results(mmproxy):
    lines = mmproxy.log_lines("tried ")
    return [int(line.text.rstrip('"').rpartition(": ")[2]) for line in lines]


def assert_refused(mmproxy, words):
    """A reload fails for one mistake."""
    before = mmproxy.log_size()
    assert mmproxy.reload().event == "config: reload failed, nothing changed"
    (line,) = mmproxy.log_lines("config: mistake", after=before)
    text = line["text"].replace('\\"', '"')
    assert words in text
    assert OUTSIDE in text


@pytest.mark.parametrize("when", ["open", "filter", "thread"])
def test_what_the_configuration_does_not_name_is_closed(
    when, host, start_daemon, upstream, elsewhere
):
    """For a plugin from its first moment on, for workers, and for threads that a plugin makes."""
    attempts = [*attempts_in(elsewhere), "list /", "list /usr"]
    mmproxy = start_daemon(host, plugins=[intruder(attempts, when)])
    assert_alive(*open_session(host, upstream))
    # What is not there cannot be removed, which says no more than stat() would.
    assert results(mmproxy) == [EACCES, EACCES, EACCES, 2, EACCES, EACCES, EACCES]
    assert os.listdir(elsewhere) == ["file"]


def test_switched_off_it_closes_nothing(host, start_daemon, upstream, elsewhere):
    entry = intruder([*attempts_in(elsewhere), "list /"])
    mmproxy = start_daemon(host, plugins=[entry], top={"landlock": {"mode": "off"}})
    assert_alive(*open_session(host, upstream))
    assert results(mmproxy) == [0] * 6
    assert not mmproxy.log_lines("landlock: ")


def test_the_folders_that_a_site_names_are_open(host, start_daemon, upstream, elsewhere):
    entry = intruder([*attempts_in(elsewhere), "list /"])
    mmproxy = start_daemon(host, plugins=[entry], top={"landlock": {"paths": [elsewhere]}})
    assert_alive(*open_session(host, upstream))
    assert results(mmproxy) == [0, 0, 0, 0, 0, EACCES]


def test_a_single_file_can_be_named_too(host, start_daemon, upstream, elsewhere):
    file = os.path.join(elsewhere, "file")
    entry = intruder([f"read {file}", f"write {file}", f"list {elsewhere}"])
    mmproxy = start_daemon(host, plugins=[entry], top={"landlock": {"paths": [file]}})
    assert_alive(*open_session(host, upstream))
    assert results(mmproxy) == [0, 0, EACCES]


def test_the_configurations_folder_can_be_read_and_not_written_to(host, start_daemon, upstream):
    """Even where its permissions would let mmproxy. It is also the working directory."""
    mmproxy = start_daemon(host, plugins=[intruder(["read file", "write file", "create new"])])
    os.chown(mmproxy.directory, NOBODY, NOBODY)
    mmproxy.write_config("text", "file").chmod(0o666)
    assert_alive(*open_session(host, upstream))
    assert results(mmproxy) == [0, EACCES, EACCES]


def test_a_path_that_is_not_there_is_remarked_upon(host, start_daemon):
    mmproxy = start_daemon(host, top={"landlock": {"paths": ["/nowhere/at/all"]}})
    (line,) = mmproxy.log_lines("landlock: a path of landlock.paths cannot be opened")
    assert line.level == "warning"
    assert line["path"] == "/nowhere/at/all"
    assert line["where"].startswith(f"{mmproxy.config_file}:")


def test_the_control_socket_is_removed_at_the_end_wherever_it_is(host, start_daemon, elsewhere):
    socket = pathlib.Path(elsewhere, "control.sock")
    mmproxy = start_daemon(host, top={"control": {"socket": str(socket)}})
    assert socket.exists()
    mmproxy.stop()
    assert os.listdir(elsewhere) == ["file"]


# Reloads.


def test_a_list_from_elsewhere_is_refused_by_name(host, start_daemon, upstream, elsewhere):
    mmproxy = start_daemon(host)
    session = open_session(host, upstream)
    path = os.path.join(elsewhere, "file")
    mmproxy.write_config(configuration(listener(subnets_files=[path])))
    assert_refused(mmproxy, f'listeners[0].subnets_files[0]: cannot read "{path}"')
    assert_alive(*session)
    assert_alive(*open_session(host, upstream, unused_client()))


def test_an_included_file_from_elsewhere_is_refused_by_name(host, start_daemon, elsewhere):
    mmproxy = start_daemon(host)
    path = os.path.join(elsewhere, "file")
    mmproxy.write_config(f'@include "{path}"\n' + configuration(listener()))
    assert_refused(mmproxy, f'{mmproxy.config_file}:1: @include: "{path}"')


def test_a_plugin_from_elsewhere_is_refused_by_name_and_the_old_one_goes_on(
    host, start_daemon, upstream, elsewhere
):
    banned = plugins.entry("acl", {"deny": [f"{CLIENT4[0]}/32"]})
    mmproxy = start_daemon(host, plugins=[banned])
    os.chmod(elsewhere, 0o755)
    copy = shutil.copy(plugins.path("ratelimit"), elsewhere)
    mmproxy.write_config(configuration(listener(plugins=[{"name": "ratelimit", "path": copy}])))
    assert_refused(mmproxy, f'plugins[0]: plugin "ratelimit": {copy}: ')
    send(host, v2(CLIENT4))
    mmproxy.wait_for_counter("plugin_acl_refusals")


def test_a_plugins_file_elsewhere_is_refused_by_name(host, start_daemon, elsewhere):
    """Beside what the plugin says, which is that the permission was denied."""
    before = plugins.entry("acl", {"deny": ["192.0.2.0/24"]})
    mmproxy = start_daemon(host, plugins=[before])
    path = os.path.join(elsewhere, "file")
    after = plugins.entry("acl", {"deny_files": path})
    mmproxy.write_config(configuration(listener(plugins=[after])))
    assert mmproxy.reload().event == "config: reload failed, nothing changed"
    lines = [line.text for line in mmproxy.log_lines("config: mistake")]
    (named,) = [line for line in lines if OUTSIDE in line]
    assert "plugins[0].config.deny_files: " in named
    assert path in named


def test_a_list_may_move_within_what_is_open(host, start_daemon, upstream, elsewhere):
    """By rename, as editors and those who deploy do it."""
    first, second = os.path.join(elsewhere, "file"), os.path.join(elsewhere, "other")
    with open(first, "w") as file:
        file.write("127.0.0.0/8\n")
    top = {"drain_timeout": 0}
    mmproxy = start_daemon(host, subnets_files=[first], subnets=None, top=top)
    os.rename(first, second)
    mmproxy.write_config(
        configuration(listener(subnets=None, subnets_files=[second]), **top), "next.conf"
    )
    os.rename(mmproxy.directory / "next.conf", mmproxy.config_file)
    assert mmproxy.reload().event == "config: reloaded"
    assert_alive(*open_session(host, upstream))


def test_a_link_is_followed_to_where_it_led_at_the_start(host, start_daemon, upstream, elsewhere):
    """As configurations are put in place by some: the folder is elsewhere."""
    with open(os.path.join(elsewhere, "file"), "w") as file:
        file.write("127.0.0.0/8\n")
    with tempfile.TemporaryDirectory(prefix="mmp-links-", dir="/var/tmp") as links:
        os.chmod(links, 0o755)
        link = os.path.join(links, "balancers")
        os.symlink(file.name, link)
        mmproxy = start_daemon(host, subnets_files=[link], subnets=None)
        assert mmproxy.reload().event == "config: reloaded"
        assert_alive(*open_session(host, upstream))


def test_named_folders_are_open_for_what_a_reload_brings(
    host, start_daemon, upstream, elsewhere
):
    """A plugin, its list and its log."""
    os.chmod(elsewhere, 0o755)
    os.chown(os.path.join(elsewhere, "file"), 0, 0)
    acl = shutil.copy(plugins.path("acl"), elsewhere)
    log = Log(pathlib.Path(elsewhere, "logs"))
    log.folder.mkdir()
    os.chown(log.folder, NOBODY, NOBODY)
    paths = {"landlock": {"paths": [elsewhere, str(plugins.folder())]}}
    mmproxy = start_daemon(host, top=paths)
    entries = [
        {"name": "acl", "path": acl, "config": {"deny_files": os.path.join(elsewhere, "file")}},
        log.entry(),
    ]
    mmproxy.write_config(configuration(listener(plugins=entries), **paths))
    assert mmproxy.reload().event == "config: reloaded"
    send(host, v2(CLIENT4))
    mmproxy.wait_for_counter("plugin_acl_refusals")
    finish(open_session(host, upstream, ("192.0.2.77", 1234)))
    assert log.wait_for_one()["client"] == "192.0.2.77:1234"


def test_a_log_is_made_anew_after_a_rotation(host, start_daemon, upstream, elsewhere):
    log = Log(pathlib.Path(elsewhere))
    mmproxy = start_daemon(host, plugins=[log.entry()])
    finish(open_session(host, upstream))
    log.wait_for_one()
    os.remove(log.path)
    finish(open_session(host, upstream, unused_client()))
    log.wait_for_one()
    assert mmproxy.reload().event == "config: reloaded"


def test_a_change_of_what_is_open_needs_a_restart(host, start_daemon, elsewhere):
    mmproxy = start_daemon(host)
    for landlock, setting in (
        ({"mode": "off"}, "landlock.mode"),
        ({"paths": [elsewhere]}, "landlock.paths"),
    ):
        before = mmproxy.log_size()
        mmproxy.write_config(configuration(listener(), landlock=landlock))
        assert mmproxy.reload().event == "config: reload failed, nothing changed"
        (line,) = mmproxy.log_lines("config: mistake", after=before)
        assert f"{setting}: changed, and this change needs a restart" in line.text
