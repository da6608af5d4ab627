# SPDX-License-Identifier: MIT
"""How the kernel's programs get onto a host and off it again, and what mmproxy says where it cannot have
them: it is a relay then, and nothing else."""

import json
import os
import re

import pytest

import ctl
import faults
import offload
import settings
from offload import AS_THE_UNIT, NOBODY
from sessions import assert_alive, open_session

pytestmark = offload.needs_bpf()

OUTSIDE = "*:8443"


@pytest.fixture
def directory(host):
    """On a host with an interface of its own, a bridge with a port, and a tunnel."""
    host.add_interface("198.51.100.2/24", "2001:db8:5::2/64")
    host.ip(
        "link add bridge type bridge\n"
        "link add port type veth peer name other\n"
        "link set port master bridge\n"
    )
    host.run(["ip", "tuntap", "add", "tunnel", "mode", "tun"], check=True)
    made = offload.Directory(host)
    made.write_config(configuration(made))
    yield made
    made.destroy()


def configuration(directory, top=None, **changes):
    changes = {"listen": OUTSIDE, "subnets": "any", "offload": "auto", **changes}
    top = {"offload_directory": str(directory.path), **(top or {})}
    return settings.configuration(settings.listener(**changes), **top)


@pytest.fixture
def start(directory, start_daemon):
    """Starts mmproxy with the directory's configuration, as the unit or as root."""

    def run(root=False, prefix=(), environment=None, top=None, **changes):
        launch = {"prefix": [*prefix, *([] if root else AS_THE_UNIT)]}
        launch["environment"] = environment or {}
        config = configuration(directory, top, **changes)
        return start_daemon(directory.namespace, config=config, launch=launch)

    return run


def the_reason(mmproxy):
    """Of the one line that says that sessions stay relays."""
    (line,) = mmproxy.log_lines("offload: sessions stay relays")
    assert line.level == "warning"
    assert line["hint"]
    assert not mmproxy.log_lines("offload: sessions may be handed")
    return line["why"]


# Loading and clearing.


def test_clear_leaves_nothing_of_what_load_has_done(directory):
    before = offload.traces(directory)
    assert directory.done("load").stdout == f"loaded: layout 1 in {directory.path}\n"
    assert offload.traces(directory) != before
    assert directory.filtered() == {"lo", "outside", "nowhere", "bridge", "other"}
    assert directory.done("clear").stdout == "cleared: 5 interfaces, 0 sessions cut\n"
    assert offload.traces(directory) == before


def test_a_second_load_changes_nothing_and_a_second_clear_neither(directory):
    before = offload.traces(directory)
    directory.done("load")
    loaded = offload.traces(directory)
    directory.done("load")
    assert offload.traces(directory) == loaded
    directory.done("clear")
    assert directory.done("clear").stdout == f"nothing was loaded in {directory.path}\n"
    assert offload.traces(directory) == before


def test_load_does_what_is_missing(directory):
    directory.done("load")
    loaded = offload.traces(directory)
    directory.namespace.run(["tc", "qdisc", "del", "dev", "outside", "clsact"], check=True)
    directory.namespace.sysctl("net.ipv4.conf.lo.accept_local", 0)
    status = directory.ctl("status")
    assert status.returncode == 1
    assert re.search(r"^outside +no +nobody has put it there yet$", status.stdout, re.M)
    assert "net.ipv4.conf.lo.accept_local=1" in status.stdout
    directory.done("load")
    assert offload.traces(directory)[1:] == loaded[1:]
    assert directory.ctl("status").returncode == 0


def test_filters_of_others_and_their_qdisc_stay(directory):
    namespace = directory.namespace
    namespace.run(["tc", "qdisc", "add", "dev", "outside", "clsact"], check=True)
    program = directory.path / "layout-1" / "tcp"
    of_another = f"tc filter add dev nowhere egress bpf da pinned {program}".split()
    before = offload.traces(directory)
    directory.done("load")
    namespace.run(of_another, check=True)  # into a clsact that is ours
    directory.done("clear")
    after = offload.traces(directory)
    assert "bpf" in after[1]["nowhere", "egress"]
    assert after[1]["outside", "ingress"] == before[1]["outside", "ingress"] == ""
    kept = namespace.run(["tc", "qdisc", "show", "clsact"]).stdout
    devices = re.findall(r"qdisc clsact \S+ dev (\S+)", kept)
    assert sorted(devices) == ["nowhere", "outside"]
    assert after[2:] == before[2:]


def test_filters_are_taken_off_interfaces_that_are_down_or_have_become_ports(directory):
    before = offload.traces(directory)
    directory.done("load")
    directory.namespace.ip("link set outside down\nlink set other master bridge\n")
    directory.done("clear")
    assert offload.traces(directory)[1:] == before[1:]


def test_filters_are_found_again_where_the_pins_are_lost(directory):
    directory.done("load")
    for path in sorted(directory.path.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert directory.filtered() == {"lo", "outside", "nowhere", "bridge", "other"}
    directory.done("clear")
    assert directory.filtered() == set()


# An upstream at another address of this host.
OTHER = {"ipv4": "198.51.100.2:443"}


@pytest.mark.parametrize(
    "changes, strict, wanted",
    [
        ({}, None, {"route_localnet": 1, "accept_local": 1}),
        ({}, "all", {"route_localnet": 1, "accept_local": 1}),
        ({"listen": "127.0.0.1:8443"}, None, {}),
        ({"listen": "[2001:db8:5::2]:8443"}, None, {}),
        ({"forward": {"ipv6": "[::1]:443"}}, None, {}),
        ({"forward": OTHER}, None, {"accept_local": 1}),
        ({"forward": OTHER}, "all", {"accept_local": 1, "rp_filter": 2}),
        ({"forward": OTHER}, "lo", {"accept_local": 1, "rp_filter": 2}),
        ({"offload": "off"}, "all", {}),
    ],
)
def test_settings_of_lo_are_changed_where_the_configuration_needs_it(
    directory, changes, strict, wanted
):
    if strict:
        directory.namespace.sysctl(f"net.ipv4.conf.{strict}.rp_filter", 1)
    directory.write_config(configuration(directory, **changes))
    before = offload.settings_of_lo(directory.namespace)
    loaded = directory.done("load")
    assert offload.settings_of_lo(directory.namespace) == {**before, **wanted}
    assert ("nobody will use it" in loaded.stderr) == ("offload" in changes)
    directory.done("clear")
    assert offload.settings_of_lo(directory.namespace) == before


def test_what_somebody_has_changed_since_is_not_put_back(directory):
    directory.done("load")
    directory.namespace.sysctl("net.ipv4.conf.lo.rp_filter", 2)
    directory.namespace.sysctl("net.ipv4.conf.lo.accept_local", 0)
    directory.mount.chmod(0o755)
    directory.done("clear")
    wanted = {"route_localnet": 0, "accept_local": 0, "rp_filter": 2}
    assert offload.settings_of_lo(directory.namespace) == wanted
    assert directory.mount.stat().st_mode & 0o777 == 0o755


def test_what_another_instance_needs_stays_until_it_goes_too(directory):
    before = offload.traces(directory)
    directory.done("load")
    first = directory.path
    directory.path = directory.mount / "second"
    directory.write_config(configuration(directory))
    directory.done("load")
    loaded = offload.settings_of_lo(directory.namespace)
    handles = set(re.findall(r"handle (\S+)", offload.traces(directory)[1]["lo", "ingress"]))
    assert len(handles) == 2
    directory.path, second = first, directory.path
    directory.write_config(configuration(directory))
    cleared = directory.done("clear")
    assert "another instance's programs need it" in cleared.stderr
    assert offload.settings_of_lo(directory.namespace) == loaded
    assert directory.mount.stat().st_mode & 0o777 == 0o701
    directory.path = second
    directory.write_config(configuration(directory))
    directory.done("clear")
    assert offload.traces(directory)[1] == before[1]


# Versions beside each other.


def test_a_layout_of_another_version_goes_when_it_carries_nothing(directory):
    directory.done("load")
    folder = offload.forge_layout(directory, 7, live=3)
    loaded = directory.done("load")
    assert f"{folder} is of another version and still carries 3 sessions" in loaded.stderr
    assert folder.exists()
    assert [one["live"] for one in directory.status()["layouts"] if not one["own"]] == [3]
    offload.set_about(folder, 1, 0)
    assert directory.done("load").stderr == ""
    assert not folder.exists()


def test_a_layout_that_nobody_understands_stays_until_clear(directory):
    directory.done("load")
    folder = offload.forge_layout(directory, 9, live=0, about=False)
    assert f"{folder} is of another version and cannot be counted" in directory.done("load").stderr
    assert folder.exists()
    directory.done("clear")
    assert not directory.path.exists()


def test_nothing_is_removed_under_a_daemon_that_may_use_it(directory, start):
    directory.done("load")
    start()
    folder = offload.forge_layout(directory, 7, live=0)
    directory.done("load")
    assert folder.exists()


def test_clear_says_how_many_sessions_it_cuts(directory):
    directory.done("load")
    offload.forge_layout(directory, 7, live=41)
    assert directory.done("clear").stdout == "cleared: 5 interfaces, 41 sessions cut\n"


def test_damaged_programs_are_loaded_anew_if_they_carry_nothing(directory):
    directory.done("load")
    (directory.path / "layout-1" / "move").unlink()
    directory.done("load")
    assert (directory.path / "layout-1" / "move").exists()
    (directory.path / "layout-1" / "move").unlink()
    offload.set_about(directory.path / "layout-1", 1, 2)
    refused = directory.ctl("load")
    assert refused.returncode == 1
    assert "may carry sessions" in refused.stderr
    assert (directory.path / "layout-1" / "about").exists()


def test_a_load_that_was_broken_off_is_done_again(directory):
    directory.done("load")
    (directory.path / "layout-1").rename(directory.path / "loading")
    directory.done("load")
    assert sorted(path.name for path in directory.path.iterdir()) == ["layout-1", "remembered"]


# Where it cannot be.


def test_a_folder_in_no_bpf_file_system_is_refused(directory, tmp_path):
    directory.path = tmp_path / "mmproxy"
    directory.write_config(configuration(directory))
    refused = directory.ctl("load")
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert f"{directory.path} is in no BPF file system" in line
    assert list(tmp_path.iterdir()) == []
    assert directory.ctl("status").returncode == 1


def test_bpf_file_system_is_mounted_where_the_default_is(directory):
    """In a mount namespace of its own, where /sys/fs/bpf has nothing mounted."""
    directory.write_config(settings.configuration(settings.listener(offload="auto")))
    script = (
        "umount /sys/fs/bpf 2>/dev/null; %s offload load --config %s && "
        "stat -f -c %%T /sys/fs/bpf && %s offload clear --config %s"
    ) % ((ctl.binary(), directory.config) * 2)
    done = directory.namespace.run(["unshare", "-m", "sh", "-c", script])
    assert done.returncode == 0, done
    assert done.stdout.splitlines()[1] == "bpf_fs"


@pytest.mark.parametrize("action", ["load", "clear"])
def test_who_is_not_root_is_told_so_in_a_line(directory, action):
    refused = directory.ctl(action, user=NOBODY)
    assert refused.returncode == 1
    assert refused.stderr == f"mmproxyctl: offload: {action} is root's to do\n"


def test_a_user_may_look_at_what_is_its_own(directory):
    directory.done("load")
    assert directory.ctl("status", user=NOBODY).returncode == 0
    other = directory.ctl("status", user=1)
    assert other.returncode == 1
    (line,) = other.stderr.splitlines()
    assert "Permission denied; root may" in line


def test_another_action_is_a_mistake(directory):
    refused = directory.ctl("lod")
    assert refused.returncode == 2
    assert "write mmproxyctl offload load, clear or status" in refused.stderr


# The daemon.


def test_a_daemon_without_rights_works_with_what_root_has_loaded(directory, start):
    """Under its filter of system calls and Landlock, with CAP_NET_ADMIN alone."""
    directory.done("load")
    mmproxy = start()
    (line,) = mmproxy.log_lines("offload: sessions may be handed to the kernel")
    assert line["layout"] == "1"
    assert set(line["interfaces"].split(", ")) == directory.filtered()
    assert line["path"] == str(directory.path)
    assert mmproxy.log_lines("seccomp: system calls are filtered")
    assert mmproxy.log_lines("landlock: files are restricted")
    assert int(mmproxy.status("CapPrm"), 16) == 1 << 12
    shown = ctl.ask(mmproxy.control_socket, "status")["offload"]
    assert shown["in_use"] and shown["live"] == 0
    offload.set_about(directory.path / "layout-1", 1, 5)
    assert ctl.ask(mmproxy.control_socket, "status")["offload"]["live"] == 5
    text = ctl.run(mmproxy.control_socket, "status").stdout
    assert re.search(r"^offload +5 sessions in the kernel, at lo, ", text, re.M)


def test_started_as_root_it_loads_them_itself_and_leaves_them(directory, start, upstream):
    mmproxy = start(root=True)
    assert mmproxy.log_lines("offload: sessions may be handed to the kernel")
    assert_alive(*open_session(directory.namespace, upstream))
    assert (directory.path / "layout-1" / "about").stat().st_uid == NOBODY
    mmproxy.stop()
    assert directory.ctl("status").returncode == 0
    # What one has left the next one finds, also without root's rights.
    start()


def test_clear_refuses_while_a_daemon_has_the_directory(directory, start):
    directory.done("load")
    mmproxy = start()
    loaded = offload.traces(directory)
    refused = directory.ctl("clear")
    assert refused.returncode == 1
    assert refused.stderr == (
        f"mmproxyctl: offload: process {mmproxy.pid} has {directory.path}; stop it first\n"
    )
    assert offload.traces(directory) == loaded
    assert directory.status()["pid"] == mmproxy.pid
    mmproxy.stop()
    directory.done("clear")


@pytest.mark.parametrize("root", [False, True])
def test_a_second_daemon_stays_a_relay_and_names_the_first(directory, start, upstream, root):
    directory.done("load")
    first = start()
    second = start(root=root, listen="127.0.0.1:8444")
    assert the_reason(second) == f"process {first.pid} has the directory"
    assert_alive(*open_session(directory.namespace, upstream))
    shown = ctl.ask(second.control_socket, "status")["offload"]
    assert shown == {
        "mode": "auto",
        "in_use": False,
        "why": f"process {first.pid} has the directory",
    }


@pytest.mark.parametrize(
    "prepare, why",
    [
        (lambda directory: directory.done("clear"), "nothing is loaded for this user"),
        (
            lambda directory: (directory.path / "layout-1").rename(directory.path / "layout-2"),
            "no programs of this version are loaded",
        ),
        (
            lambda directory: offload.set_about(directory.path / "layout-1", 0, 2),
            "the programs that are loaded are not what they should be",
        ),
        (
            lambda directory: os.chown(directory.path / "layout-1" / "tcp", 0, 0),
            "the programs are not this user's",
        ),
        (lambda directory: os.chown(directory.path, 0, 0), "nothing is loaded for this user"),
    ],
    ids=["none", "another layout", "damaged", "another's pin", "another's folder"],
)
def test_without_programs_of_its_own_it_stays_a_relay(directory, start, upstream, prepare, why):
    directory.done("load")
    prepare(directory)
    mmproxy = start(listen="127.0.0.1:8443")
    assert the_reason(mmproxy) == why
    assert_alive(*open_session(directory.namespace, upstream))


def test_a_kernel_that_keeps_bpf_for_root_is_told_as_such(directory, start, upstream):
    directory.done("load")
    mmproxy = start(**faults.tampered("bpf:error=EPERM"), listen="127.0.0.1:8443")
    assert the_reason(mmproxy) == "this kernel lets nobody but root call bpf(2)"
    assert_alive(*open_session(directory.namespace, upstream))


def test_an_interface_that_comes_later_gets_the_filter(directory, start):
    directory.done("load")
    mmproxy = start()
    directory.namespace.ip("link add late type veth peer name later\n")
    for name in ("late", "later"):
        mmproxy.wait_for_log(f"offload: an interface has the program now interface={name}$")
    assert {"late", "later"} <= directory.filtered()
    assert {line["interface"] for line in mmproxy.log_lines("offload: an interface goes without")} == {
        "port",
        "tunnel",
    }
    # And one that has been a port.
    directory.namespace.ip("link set port nomaster\n")
    mmproxy.wait_for_log("offload: an interface has the program now interface=port$")
    mmproxy.stop()
    before = set(offload.interfaces(directory.namespace))
    directory.done("clear")
    assert "clsact" not in directory.namespace.run(["tc", "qdisc", "show"]).stdout
    assert set(offload.interfaces(directory.namespace)) == before


def test_a_reload_puts_back_a_filter_that_was_removed(directory, start):
    directory.done("load")
    mmproxy = start()
    directory.namespace.run(["tc", "qdisc", "del", "dev", "outside", "clsact"], check=True)
    assert mmproxy.reload().event == "config: reloaded"
    mmproxy.wait_for_log("offload: an interface has the program now interface=outside$")
    assert "outside" in directory.filtered()


def test_a_reload_may_change_what_listeners_want_but_not_the_directory(directory, start):
    directory.done("load")
    mmproxy = start()
    mmproxy.write_config(configuration(directory, offload="off"))
    assert mmproxy.reload().event == "config: reloaded"
    mmproxy.write_config(configuration(directory, top={"offload_directory": "/sys/fs/bpf/x"}))
    assert mmproxy.reload().event == "config: reload failed, nothing changed"
    assert mmproxy.log_lines("offload_directory: changed, and this change needs a restart")


def test_a_reload_that_wants_it_anew_says_that_it_takes_a_restart(directory, start):
    directory.done("load")
    mmproxy = start(offload="off")
    assert ctl.ask(mmproxy.control_socket, "status")["offload"]["mode"] == "off"
    assert not mmproxy.log_lines(" offload: ")
    mmproxy.write_config(configuration(directory))
    assert mmproxy.reload().event == "config: reloaded"
    assert the_reason(mmproxy) == "no listener wanted it at the start"


@pytest.mark.parametrize("name", ["route_localnet", "accept_local"])
def test_where_lo_would_drop_their_packets_sessions_stay_relays(directory, start, name):
    directory.done("load")
    directory.namespace.sysctl(f"net.ipv4.conf.lo.{name}", 0)
    mmproxy = start()
    (line,) = mmproxy.log_lines("offload: a listener's sessions stay relays")
    assert line["listener"] == "web"
    assert line["why"] == f"net.ipv4.conf.lo.{name} is not 1"
    # A listener that no balancer reaches by an interface has no use for it.
    mmproxy.write_config(configuration(directory, listen="127.0.0.1:8444"))
    before = mmproxy.log_size()
    assert mmproxy.reload().event == "config: reloaded"
    assert not mmproxy.log_lines("stay relays", after=before)


def test_the_doctor_says_what_is_missing(directory):
    def found():
        done = directory.namespace.run(
            [ctl.binary(), "--json", "doctor", "--config", str(directory.config)]
        )
        checks = json.loads(done.stdout)["checks"]
        return next(one for one in checks if one["check"] == "offload")

    nothing = found()
    assert nothing["status"] == "warning"
    assert "no programs are loaded" in nothing["evidence"]
    assert nothing["mend"][0] == "mmproxyctl offload load"
    directory.done("load")
    assert found()["status"] == "ok"
    directory.namespace.run(["tc", "qdisc", "del", "dev", "outside", "clsact"], check=True)
    assert "the interface outside" in found()["evidence"]
    directory.namespace.sysctl("net.ipv4.conf.lo.accept_local", 0)
    assert "accept_local is not 1" in found()["evidence"]
    directory.write_config(configuration(directory, offload="off"))
    assert found()["status"] == "skipped"
