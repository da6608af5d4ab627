# SPDX-License-Identifier: MIT
"""What the units say: that systemd understands them, how much they leave to a process that was taken
over, and that each thing they leave is explained."""

import json
import re

import pytest

import offload

# Both are made from one file, but for their names and folders.
SERVICES = pytest.mark.parametrize("unit", ["mmproxy.service", "mmproxy@.service"])

UNITS = ["mmproxy.service", "mmproxy.socket", "mmproxy@.service", "mmproxy@.socket"]

if offload.is_built():
    UNITS += ["mmproxy-offload.service", "mmproxy-offload@.service"]

EXPOSURE = 1.5
EXPOSURE_WITH_OFFLOAD = 1.8  # bpf(2), which systemd counts as privileged whatever a process has open; /proc/sys
EXPOSURE_OF_LOADER = 2.2


def unit_text(systemd, unit):
    return systemd.path(f"/lib/systemd/system/{unit}").read_text()


def drop_in(systemd, unit):
    """What comes with the loader's unit."""
    return systemd.path(f"/lib/systemd/system/{unit}.d/offload.conf")


def exposure(systemd, unit):
    return float(re.search(r"exposure level for \S+ ([0-9.]+)", security(systemd, unit))[1])


def security(systemd, unit, *options):
    where = f"/lib/systemd/system/{unit}"
    return systemd.run("systemd-analyze", "security", "--offline=true", *options, where).stdout


def test_systemd_finds_nothing_wrong_with_the_units(systemd):
    systemd.drop_in("mmproxy@.socket", "[Socket]\nListenStream=8443\n")
    files = [f"/lib/systemd/system/{unit}" for unit in UNITS]
    done = systemd.run("systemd-analyze", "verify", "--man=no", *files)
    assert done.stdout + done.stderr == ""


def test_the_socket_of_an_instance_has_no_addresses_until_it_is_given_some(systemd):
    done = systemd.systemctl("start", "mmproxy@one.socket", check=False)
    assert done.returncode != 0
    assert "no Listen setting" in systemd.log("mmproxy@one.socket")


@SERVICES
def test_the_exposure_is_small(systemd, unit):
    if offload.is_built():
        assert exposure(systemd, unit) <= EXPOSURE_WITH_OFFLOAD
        drop_in(systemd, unit).unlink()
    assert exposure(systemd, unit) <= EXPOSURE


@pytest.mark.skipif(not offload.is_built(), reason="mmproxy --version says -libbpf: built without")
@pytest.mark.parametrize("unit", ["mmproxy-offload.service", "mmproxy-offload@.service"])
def test_the_loader_has_what_loading_takes(systemd, unit):
    assert exposure(systemd, unit) <= EXPOSURE_OF_LOADER
    (held,) = re.findall(r"^CapabilityBoundingSet=(.*)$", unit_text(systemd, unit), re.MULTILINE)
    wanted = {"CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN", "CAP_CHOWN", "CAP_DAC_OVERRIDE"}
    assert set(held.split()) == wanted


@SERVICES
def test_the_unit_explains_what_it_leaves(systemd, unit):
    text = unit_text(systemd, unit)
    if offload.is_built():
        text += drop_in(systemd, unit).read_text()
    comments = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    checks = json.loads(security(systemd, unit, "--json=short"))
    left = [check["name"] for check in checks if not check["set"]]
    assert left, "not even CAP_NET_ADMIN is left"
    for name in left:
        for word in words_of(name):
            assert re.search(rf"(?<![\w-]){re.escape(word)}", comments), f"{name}: no word of {word}"


def words_of(check):
    """What a comment has to name: "A=/B=" is A= and B=, "A=~B_(C|D)" is B_C and B_D or C and D."""
    setting, _, value = check.partition("=~")
    if not value:
        return [f"{word}=" for word in setting.replace("/", "").split("=") if word]
    if value == "AF_(INET|INET6)":
        return ["AF_INET", "AF_INET6"]
    return [value]


@SERVICES
def test_net_admin_is_the_only_capability(systemd, unit):
    settings = re.findall(r"^(\w+)=(.*)$", unit_text(systemd, unit), re.MULTILINE)
    assert [value for name, value in settings if name == "CapabilityBoundingSet"] == [
        "CAP_NET_ADMIN"
    ]
    assert [value for name, value in settings if name == "AmbientCapabilities"] == ["CAP_NET_ADMIN"]
    assert ("ProcSubset", "pid") in settings
    assert ("ProtectProc", "invisible") in settings


def test_nothing_is_left_to_be_replaced_in_what_is_installed(systemd):
    for unit in UNITS:
        assert not re.search(r"@\w+@", unit_text(systemd, unit))
    assert not re.search(r"@\w+@", systemd.path("/usr/lib/tmpfiles.d/mmproxy.conf").read_text())


def test_the_user_is_made(systemd):
    passwd = systemd.path("/etc/passwd")
    others = [line for line in passwd.read_text().splitlines() if not line.startswith("mmproxy:")]
    passwd.write_text("\n".join(others) + "\n")
    systemd.run("systemd-sysusers", "mmproxy.conf")
    made = systemd.run("getent", "passwd", "mmproxy").stdout.strip().split(":")
    assert 0 < int(made[2]) < 1000
    assert made[6].endswith("/nologin")
