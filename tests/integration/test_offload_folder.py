# SPDX-License-Identifier: MIT
"""Root works in the offload's folder, so nobody else may have a say in where that leads: mmproxy's user
reads there and has its pins, and what those hold makes root do nothing but what load can be taken back
with."""

import os
import pathlib
import stat
import subprocess

import pytest

import offload
import settings
from offload import NOBODY

pytestmark = offload.needs_bpf()

NOGROUP = 65534

# remembered.h and loopback.h: the kinds, and the indexes of settings.
SETTING, MODE = 2, 3
ACCEPT_LOCAL, RP_FILTER = 1, 2


@pytest.fixture
def directory(host):
    host.add_interface("198.51.100.2/24", "2001:db8:5::2/64")
    made = offload.Directory(host)
    configure(made)
    yield made
    made.destroy()


def configure(directory):
    listener = settings.listener(listen="*:8443", subnets="any", offload="auto")
    directory.write_config(
        settings.configuration(listener, offload_directory=str(directory.path))
    )


@pytest.fixture
def precious(tmp_path):
    """A folder with a file that root must leave alone."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("")
    return tmp_path / "precious"


def as_nobody(*words):
    """A command of mmproxy's user: what it says where it fails, "" where it works."""
    prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOGROUP}", "--clear-groups"]
    return subprocess.run([*prefix, *map(str, words)], capture_output=True, text=True).stderr


def refused(directory, action):
    """The one line with which it ends."""
    done = directory.ctl(action)
    assert done.returncode == 1, done
    (line,) = done.stderr.splitlines()
    return line.removeprefix("mmproxyctl: offload: ")


def owned(path):
    status = path.lstat()
    return status.st_uid, status.st_gid, oct(stat.S_IMODE(status.st_mode))


# Whose it is.


@pytest.mark.parametrize("umask", [0o022, 0o077, 0], ids=oct)
def test_folders_are_roots_and_pins_the_users(directory, umask):
    before = os.umask(umask)
    try:
        directory.done("load")
    finally:
        os.umask(before)
    for folder in directory.path, directory.path / "layout-1":
        assert owned(folder) == (0, NOGROUP, "0o750")
    pins = [path for path in directory.path.rglob("*") if not path.is_dir()]
    assert len(pins) > 10
    assert {owned(pin)[0] for pin in pins} == {NOBODY}


def test_the_user_can_change_nothing_in_the_folders(directory):
    directory.done("load")
    before = offload.traces(directory)
    layout = directory.path / "layout-1"
    assert as_nobody("ls", layout, directory.path) == ""
    for words in (
        ["ln", "-s", "/etc", directory.path / "layout-7"],
        ["ln", "-s", "/etc", layout / "etc"],
        ["mkdir", directory.path / "loading"],
        ["rm", directory.path / "remembered"],
        ["rm", layout / "about"],
        ["mv", layout, directory.path / "layout-2"],
    ):
        said = as_nobody(*words)
        assert "Permission denied" in said or "not permitted" in said, words
    assert offload.traces(directory) == before


def test_a_load_takes_back_what_was_opened_to_the_group(directory):
    directory.done("load")
    os.chown(directory.path, 0, 1)
    directory.path.chmod(0o700)
    directory.done("load")
    assert owned(directory.path) == (0, NOGROUP, "0o750")


# Where it leads.


@pytest.mark.parametrize("action", ["load", "clear"])
@pytest.mark.parametrize("name", ["layout-7", "loading"])
def test_links_in_it_are_not_followed(directory, precious, name, action):
    directory.done("load")
    if action == "load":
        # So that there is something to load.
        (directory.path / "layout-1").rename(directory.path / "layout-8")
    (directory.path / name).symlink_to(precious)
    done = directory.ctl(action)
    assert (precious / "file").exists()
    assert (directory.path / name).is_symlink()
    # The load of another layout can go on.
    assert done.returncode == (0 if (action, name) == ("load", "layout-7") else 1)
    (directory.path / name).unlink()
    directory.done("clear")
    assert not directory.path.exists()


@pytest.mark.parametrize("action", ["load", "clear"])
def test_a_link_in_its_place_is_refused(directory, action):
    other = directory.mount / "other"
    (other / "layout-7").mkdir(parents=True)
    directory.path.symlink_to(other)
    assert refused(directory, action) == (
        f"{directory.path} is a link, or no folder: root works below it, so it has to be a folder of "
        "root's; remove it"
    )
    assert (other / "layout-7").exists()
    assert owned(other)[:2] == (0, 0)


@pytest.mark.parametrize("action", ["load", "clear"])
def test_a_folder_of_somebody_else_is_refused(directory, action):
    """In a file system where everybody may make one."""
    directory.mount.chmod(0o1777)
    assert as_nobody("mkdir", directory.path) == ""
    assert as_nobody("mkdir", directory.path / "layout-7") == ""
    assert refused(directory, action) == (
        f"{directory.path} belongs to user {NOBODY}: root works below it, so it has to be root's; "
        f"remove it (rm -r {directory.path})"
    )
    assert [path.name for path in directory.path.iterdir()] == ["layout-7"]
    assert owned(directory.path)[0] == NOBODY


@pytest.mark.parametrize("action", ["load", "clear"])
def test_a_folder_above_that_others_may_change_is_refused(directory, action):
    above = directory.path
    directory.path = above / "web"
    configure(directory)
    directory.path.mkdir(parents=True)
    above.chmod(0o777)
    assert refused(directory, action) == (
        f"{above} can be changed by others than root (mode 0777): root works below it; chmod go-w "
        f"{above}"
    )
    # With the sticky bit they can put something beside it, and no more.
    above.chmod(0o1777)
    directory.done(action)


def test_clear_leaves_a_folder_alone_that_is_in_no_bpf_file_system(directory, precious):
    directory.path = precious
    (precious / "layout-7").mkdir()
    configure(directory)
    assert f"{precious} is in no BPF file system" in refused(directory, "clear")
    assert (precious / "layout-7").exists()


def test_no_second_file_system_is_mounted_over_one_that_is_there(directory, tmp_path):
    """A link of somebody's in it makes the directory look as if it were in none."""
    directory.path = pathlib.Path("/sys/fs/bpf/link/mmproxy")
    configure(directory)
    script = (
        "umount /sys/fs/bpf 2>/dev/null; mount -t bpf bpf /sys/fs/bpf && ln -s %s /sys/fs/bpf/link && "
        "! %s offload load --config %s && grep -c ' /sys/fs/bpf ' /proc/self/mounts"
    ) % (tmp_path, offload.ctl.binary(), directory.config)
    done = directory.namespace.run(["unshare", "-m", "sh", "-c", script])
    assert (done.returncode, done.stdout) == (0, "1\n"), done
    assert "/sys/fs/bpf/link/mmproxy is in no BPF file system" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_link_does_not_take_the_lock_elsewhere(directory, start_daemon):
    """A daemon without rights is not led to others' programs, either."""
    directory.done("load")
    other = directory.mount / "other"
    other.symlink_to(directory.path)
    listener = settings.listener(offload="auto")
    config = settings.configuration(listener, offload_directory=str(other))
    launch = {"prefix": offload.AS_THE_UNIT}
    mmproxy = start_daemon(directory.namespace, config=config, launch=launch)
    (line,) = mmproxy.log_lines("offload: sessions stay relays")
    assert "Not a directory" in line["why"]


# What the user's own map may say.


@pytest.mark.parametrize(
    "opened, said, wanted",
    [
        (0o701, (0o777, 0o701), 0o701),
        (0o701, (0o000, 0o701), 0o701),
        (0o755, (0o000, 0o755), 0o755),
        (0o700, (0o777, 0o700), 0o700),
        (0o755, (0o754, 0o755), 0o754),  # as load would have done
    ],
)
def test_the_mode_of_the_file_system_is_not_what_the_user_says(directory, opened, said, wanted):
    directory.done("load")
    directory.mount.chmod(opened)
    offload.remember(directory, MODE, 0, *said)
    note = directory.done("clear").stderr
    assert stat.S_IMODE(directory.mount.stat().st_mode) == wanted
    assert (f"{directory.mount} keeps its mode: " in note) == (wanted == opened)
    assert not directory.path.exists()


@pytest.mark.parametrize(
    "index, name, now, former",
    [
        (ACCEPT_LOCAL, "accept_local", 1, 77),
        (RP_FILTER, "rp_filter", 2, 77),
        (RP_FILTER, "rp_filter", 1, 0),  # load makes it 2, and nothing else
    ],
)
def test_no_setting_gets_a_value_that_load_cannot_have_found(directory, index, name, now, former):
    directory.done("load")
    directory.namespace.sysctl(f"net.ipv4.conf.lo.{name}", now)
    offload.remember(directory, SETTING, index, former, now)
    done = directory.done("clear")
    assert offload.settings_of_lo(directory.namespace)[name] == now
    assert f"net.ipv4.conf.lo.{name} stays {now}: " in done.stderr
    assert not directory.path.exists()


def test_what_nobody_knows_is_passed_over(directory):
    before = offload.traces(directory)
    directory.done("load")
    offload.remember(directory, SETTING, 4711, former=1, now=0)
    offload.remember(directory, 99, 1, former=1, now=0)
    offload.remember(directory, 1, 0xFFFFFFFF, former=1, now=0)
    directory.done("clear")
    assert offload.traces(directory) == before
