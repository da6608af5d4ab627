# SPDX-License-Identifier: MIT
"""Which files mmproxy takes for a plugin, which plugins, and what it says of all others."""

import errno
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

import daemon
import plugins
from headers import v2
from hooks import DENY
from sessions import clients, open_session, send
from settings import configuration, listener
from traffic import EOF, read_to_end, send_and_finish

pytest_plugins = ["hooks"]

ways = pytest.mark.parametrize("check", [False, True], ids=["start", "check"])


@pytest.fixture
def folder():
    """A folder in which a file may be a plugin."""
    made = pathlib.Path(tempfile.mkdtemp(prefix="mmp-load-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def copy(folder, name="recorder"):
    """A plugin's file, sound until the test changes something about it."""
    path = folder / f"{name}.so"
    shutil.copyfile(plugins.path(name), path)
    path.chmod(0o644)
    return path


def run(host, start_daemon, config, check=False, **options):
    """Starts it, waits for its end, and returns the exit status and what it said."""
    arguments = ["--check"] if check else None
    made = start_daemon(host, config=config, arguments=arguments, ready=False, **options)
    status = made.wait_until_ended()
    return status, made.log()


def line_of(config, setting):
    """The number of the line on which a setting is written."""
    for number, line in enumerate(config.splitlines(), 1):
        if setting in line:
            return number
    raise AssertionError(f"no {setting} in:\n{config}")


def assert_refused(host, start_daemon, entry, words, check, name="bad", exit_status=2):
    """One line that says where, which plugin, and why; and nothing listens."""
    config = configuration(listener(plugins=[{"name": name, **entry}]))
    status, said = run(host, start_daemon, config, check)
    assert status == exit_status, said
    assert "listener: listening" not in said and "daemon: ready" not in said
    first, last = line_of(config, "plugins = "), line_of(config, f'name = "{name}"') + 10
    place = re.compile(r"mmproxy\.conf:(\d+): listeners\[0\]\.plugins\[0\]")
    matching = [line for line in said.splitlines() if place.search(line)]
    assert len(matching) == 1, said
    assert first <= int(place.search(matching[0])[1]) <= last
    assert re.search(rf'plugin \\?"{name}\\?": .*{words}', matching[0]), said
    return matching[0]


# Files.


def test_a_relative_path_is_looked_for_in_the_plugin_folder(host, start_daemon):
    line = assert_refused(host, start_daemon, {"path": "no-such.so"}, "no-such.so", True)
    assert f"{plugin_folder()}/no-such.so" in line


def test_without_a_path_the_file_is_called_as_the_entry(host, start_daemon):
    line = assert_refused(host, start_daemon, {}, "bad.so", True)
    assert f"{plugin_folder()}/bad.so" in line


def plugin_folder():
    """What the build says in mmproxy.pc, where mmproxy was built."""
    text = (pathlib.Path(daemon.binary()).parent / "plugin" / "mmproxy.pc").read_text()
    values = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    path = values["plugindir"]
    while "${" in path:
        path = re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], path)
    return path


@pytest.mark.parametrize("path", ["recorder.so", None])
def test_what_is_in_the_plugin_folder_is_found_there(path, host, start_daemon, upstream, record):
    # In a mount namespace of its own, where the folder's nearest parent that exists is another.
    place = pathlib.Path(plugin_folder())
    parent = next(parent for parent in place.parents if parent.is_dir())
    script = (
        f"mount -t tmpfs -o mode=0755 plugins /mnt && mkdir /mnt/upper /mnt/work && "
        f"mount -t overlay -o lowerdir={parent},upperdir=/mnt/upper,workdir=/mnt/work "
        f"plugins {parent} && mkdir -p {place} && "
        f"cp {plugins.path('recorder')} {place}/recorder.so && exec \"$@\""
    )
    entry = record.entry("recorder")
    del entry["path"]
    if path is not None:
        entry["path"] = path
    prefix = ["unshare", "--mount", "sh", "-c", script, "sh"]
    start_daemon(host, plugins=[entry], launch={"prefix": prefix})
    open_session(host, upstream)
    record.wait_for("connected", label="recorder")


def test_an_absolute_path_is_taken_as_it_is(host, start_daemon, upstream, record, folder):
    start_daemon(host, plugins=[{**record.entry("first"), "path": str(copy(folder))}])
    open_session(host, upstream)
    record.wait_for("connected", label="first")


def test_a_link_to_a_sound_file_is_followed(host, start_daemon, upstream, record, folder):
    copy(folder)
    (folder / "link.so").symlink_to("recorder.so")
    start_daemon(host, plugins=[{**record.entry("first"), "path": str(folder / "link.so")}])
    open_session(host, upstream)
    record.wait_for("connected", label="first")


def a_missing_file(folder):
    return folder / "missing.so", "missing.so.*No such file"


def a_folder(folder):
    (folder / "folder.so").mkdir(0o755)
    return folder / "folder.so", "folder.so.*regular file"


def a_fifo(folder):
    os.mkfifo(folder / "fifo.so", 0o644)
    return folder / "fifo.so", "fifo.so.*regular file"


def a_device(folder):
    return "/dev/null", "/dev/null.*regular file"


def a_file_of_text(folder):
    (folder / "text.so").write_text("#!/bin/sh\n" * 1000)
    return folder / "text.so", "text.so.*ELF"


def an_empty_file(folder):
    (folder / "empty.so").touch(0o644)
    return folder / "empty.so", "empty.so.*too short"


def a_file_of_another_owner(folder):
    os.chown(copy(folder), 65534, 0)
    return folder / "recorder.so", "recorder.so .*root"


def a_file_that_its_group_may_write_to(folder):
    copy(folder).chmod(0o664)
    return folder / "recorder.so", "recorder.so may be written to"


def a_file_that_everybody_may_write_to(folder):
    copy(folder).chmod(0o646)
    return folder / "recorder.so", "recorder.so may be written to"


def a_link_to_such_a_file(folder):
    copy(folder).chmod(0o666)
    (folder / "link.so").symlink_to("recorder.so")
    return folder / "link.so", "recorder.so may be written to"


def in_a_folder_that_everybody_may_write_to(folder):
    folder.chmod(0o777)
    return copy(folder), f"{folder} may be written to"


def in_a_folder_that_its_group_may_write_to(folder):
    folder.chmod(0o775)
    return copy(folder), f"{folder} may be written to"


def in_a_folder_of_another_owner(folder):
    os.chown(folder, 65534, 0)
    return copy(folder), f"{folder} .*root"


def in_such_a_folder_by_a_link(folder):
    inner = folder / "inner"
    inner.mkdir()
    copy(inner)
    (folder / "link.so").symlink_to("inner/recorder.so")
    inner.chmod(0o777)
    return folder / "link.so", f"{inner} may be written to"


def a_file_that_only_root_may_read(folder):
    copy(folder).chmod(0o600)
    return folder / "recorder.so", "recorder.so.*chmod"


def in_a_folder_that_only_root_may_enter(folder):
    copy(folder)
    folder.chmod(0o700)
    return folder / "recorder.so", "recorder.so.*folder.*chmod"


FILES = [
    a_missing_file,
    a_folder,
    a_fifo,
    a_device,
    a_file_of_text,
    an_empty_file,
    a_file_of_another_owner,
    a_file_that_its_group_may_write_to,
    a_file_that_everybody_may_write_to,
    a_link_to_such_a_file,
    in_a_folder_that_everybody_may_write_to,
    in_a_folder_that_its_group_may_write_to,
    in_a_folder_of_another_owner,
    in_such_a_folder_by_a_link,
]


@ways
@pytest.mark.parametrize("make", FILES, ids=lambda make: make.__name__)
def test_a_file_that_should_not_be_loaded_is_refused_by_name_and_reason(
    make, check, host, start_daemon, folder
):
    path, words = make(folder)
    assert_refused(host, start_daemon, {"path": str(path)}, words, check)


@pytest.mark.parametrize(
    "make", [a_file_that_only_root_may_read, in_a_folder_that_only_root_may_enter]
)
def test_a_file_that_mmproxys_user_may_not_read_is_refused(make, host, start_daemon, folder):
    path, words = make(folder)
    assert_refused(host, start_daemon, {"path": str(path)}, words, check=False)


# Plugins.

SHAPES = {
    "wrong_major": r"version 2\.0 .* 1\.\d",
    "no_symbol": "mmproxy_plugin_v1",
    "empty": " 0 bytes",
    "too_small": " 96 bytes",
    "later_used": r"version 1\.1 .* 1\.\d",
    "unknown_flag": "flags.*0x10000000000",
    "nameless": "name",
    "executable_stack": "wants executable stacks.*noexecstack",
    "unresolved": "mmproxy_test_no_such_function",
}


@ways
@pytest.mark.parametrize("shape, words", SHAPES.items(), ids=SHAPES.keys())
def test_a_plugin_that_does_not_fit_is_refused_by_name_and_reason(
    shape, words, check, host, start_daemon
):
    assert_refused(host, start_daemon, {"path": plugins.path(f"shape_{shape}")}, words, check)


@ways
@pytest.mark.parametrize("shape", ["later", "minor_newer"])
def test_a_plugin_of_a_later_minor_version_is_taken(
    shape, check, host, start_daemon, upstream
):
    entries = [plugins.entry("young", plugin=f"shape_{shape}")]
    if check:
        config = configuration(listener(plugins=entries))
        status, said = run(host, start_daemon, config, check)
        assert status == 0, said
        return
    mmproxy = start_daemon(host, plugins=entries)
    open_session(host, upstream)
    texts = [line["text"] for line in mmproxy.log_lines("plugin: message")]
    assert texts == ["opened", "filtered"]


def test_a_plugin_without_a_hook_lets_everybody_pass(host, start_daemon, upstream):
    entry = plugins.entry("lazy", plugin="shape_hookless")
    start_daemon(host, plugins=[entry])
    assert read_to_end(finished_session(host, upstream)) == (b"answer", EOF)
    status, said = run(host, start_daemon, configuration(listener(plugins=[entry])), check=True)
    assert status == 0, said


def test_a_plugin_without_a_filter_hears_of_what_was_not_refused_before_it(
    host, start_daemon, upstream, record
):
    entries = [
        record.entry("first", verdict=DENY, port=20001),
        plugins.entry("listens", plugin="shape_filterless"),
        record.entry("last", verdict=DENY, port=20002),
    ]
    mmproxy = start_daemon(host, plugins=entries)
    assert read_to_end(finished_session(host, upstream)) == (b"answer", EOF)
    for client in clients(3)[1:]:
        assert read_to_end(send(host, v2(client))) == (b"", EOF)
    record.wait_for_calls(3, "closed", label="first")
    mmproxy.stop()
    texts = [line["text"] for line in mmproxy.log_lines("plugin: message")]
    assert sorted(texts) == ["connected", "finished", "opened", "plugin-denied"]


def finished_session(host, upstream):
    connection, accepted = open_session(host, upstream)
    send_and_finish(connection, b"question")
    send_and_finish(accepted, b"answer")
    return connection


@ways
@pytest.mark.parametrize(
    "error, words",
    [(-22, "Invalid argument"), (-13, "Permission denied"), (-12, "memory"), (-4000, "4000")],
)
def test_a_plugin_that_fails_without_a_word_is_reported_all_the_same(
    error, words, check, host, start_daemon, record
):
    entry = record.entry("bad", **{"check_returns" if check else "open_returns": error})
    # What open meets may be gone the next time, and so may a lack of memory.
    lasts = check and error != -12
    assert_refused(host, start_daemon, entry, words, check, exit_status=2 if lasts else 1)


@pytest.mark.parametrize("error, exit_status", [(errno.EINVAL, 2), (errno.ENOMEM, 1)])
def test_a_lack_of_memory_is_no_mistake_whatever_the_plugin_says(
    error, exit_status, host, start_daemon, record
):
    entry = record.entry("bad", mistake="there is no memory for it", open_returns=-error)
    status, said = run(host, start_daemon, configuration(listener(plugins=[entry])))
    assert "there is no memory for it" in said
    assert status == exit_status


@ways
def test_a_plugin_that_reports_its_mistake_is_reported_with_its_line_and_once(
    check, host, start_daemon, record
):
    entry = record.entry("bad", mistake="is nonsense; sense would be right")
    entry["config"]["check_returns" if check else "open_returns"] = -22
    config = configuration(listener(plugins=[entry]))
    status, said = run(host, start_daemon, config, check)
    assert status == 2 and "listener: listening" not in said
    where = f"mmproxy.conf:{line_of(config, 'mistake = ')}: listeners[0].plugins[0].config.mistake"
    matching = [line for line in said.splitlines() if "mmproxy.conf" in line]
    assert len(matching) == 1, said
    assert f"{where}: is nonsense; sense would be right" in matching[0]


def test_an_instance_that_reports_a_mistake_and_opens_all_the_same_is_closed(
    host, start_daemon, record
):
    entry = record.entry("odd", mistake="is wrong")
    status, said = run(host, start_daemon, configuration(listener(plugins=[entry])))
    assert status == 2 and "plugins[0].config.mistake: is wrong" in said
    assert "listener: listening" not in said
    assert [call.hook for call in record.calls()] == ["open", "close"]


def test_open_is_not_called_by_check(host, start_daemon, record):
    config = configuration(listener(plugins=[record.entry("first", announce=True)]))
    status, said = run(host, start_daemon, config, check=True)
    assert status == 0
    assert "check was called, workers=0" in said
    assert record.calls() == []


def test_a_failure_closes_those_that_were_opened_before(host, start_daemon, record):
    entries = [record.entry("one"), record.entry("two"), record.entry("bad", open_returns=-22)]
    other = listener("other", listen="127.0.0.1:8444", plugins=[record.entry("never")])
    config = configuration(listener(plugins=entries), other)
    status, _ = run(host, start_daemon, config)
    assert status != 0
    opened = [call["label"] for call in record.calls("open", returns=0)]
    assert {"one", "two"} <= set(opened)
    assert sorted(opened) == sorted(call["label"] for call in record.calls("close"))


def test_every_plugin_that_cannot_be_loaded_is_reported(host, start_daemon):
    entries = [{"name": name, "path": f"/no/such/{name}.so"} for name in ("one", "two")]
    status, said = run(host, start_daemon, configuration(listener(plugins=entries)), check=True)
    assert status == 2
    assert said.count("/no/such/one.so") == said.count("/no/such/two.so") == 1


def test_one_file_may_be_two_entries_of_a_list(host, start_daemon, upstream, record):
    mmproxy = start_daemon(host, plugins=[record.entry("one"), record.entry("two")])
    open_session(host, upstream)
    record.wait_for("connected", label="two")
    assert record.hooks()[:2] == ["one filter", "two filter"]
    assert len({call["instance"] for call in record.calls()}) == 2
    counters = mmproxy.counters()
    assert counters["plugin_one_filtered"] == counters["plugin_two_filtered"] == 1


# The list.


MISTAKES = {
    "same_name_twice": ([{"name": "one"}, {"name": "one", "path": "other.so"}], r"\[1\].*one"),
    "no_name": ([{"path": "/x.so"}], "name"),
    "empty_name": ([{"name": ""}], "name"),
    "bad_name": ([{"name": "Access Log"}], "name"),
    "long_name": ([{"name": "x" * 33}], "name"),
    "name_of_a_wrong_type": ([{"name": 5}], "name"),
    "empty_path": ([{"name": "one", "path": ""}], "path"),
    "path_of_a_wrong_type": ([{"name": "one", "path": 5}], "path"),
    "bad_on_error": ([{"name": "one", "on_error": "maybe"}], 'on_error.*"deny".*"pass"'),
    "no_timeout": ([{"name": "one", "timeout": 0}], "timeout"),
    "negative_timeout": ([{"name": "one", "timeout": -1.0}], "timeout"),
    "timeout_of_a_wrong_type": ([{"name": "one", "timeout": "1"}], "timeout"),
    "unknown_key": ([{"name": "one", "colour": 1}], "colour"),
    "config_of_a_wrong_type": ([{"name": "one", "config": "x"}], "config"),
    "no_group": (["one"], "plugins"),
    "no_list": ({"name": "one"}, "plugins"),
}


@ways
@pytest.mark.parametrize("place", ["top", "listener"])
@pytest.mark.parametrize("entries, words", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_in_the_list_is_one_line_with_its_place(
    entries, words, place, check, host, start_daemon
):
    if place == "top":
        config, path = configuration(listener(), plugins=entries), r": plugins"
    else:
        config, path = configuration(listener(plugins=entries)), r": listeners\[0\]\.plugins"
    status, said = run(host, start_daemon, config, check)
    assert status == 2, said
    matching = [line for line in said.splitlines() if re.search(rf"conf:\d+{path}", line)]
    assert len(matching) == 1, said
    assert re.search(words, matching[0].partition(": ")[2]), said
    assert "listener: listening" not in said


# The header.


@pytest.mark.parametrize("compiler", [["cc", "-std=c11", "-x", "c"], ["c++", "-x", "c++"]])
def test_the_header_stands_alone_in_c_and_in_cplusplus(compiler):
    top = pathlib.Path(__file__).resolve().parents[2]
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
    done = subprocess.run(
        [*compiler, *warnings, "-I", str(top / "plugin"), "-"],
        input="#include <mmproxy/plugin.h>\nconst struct mmproxy_host *host;\n",
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
