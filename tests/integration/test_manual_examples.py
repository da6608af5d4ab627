# SPDX-License-Identifier: MIT
"""What stands in the manual pages as an example is what the programs take."""

import importlib.machinery
import importlib.util
import pathlib
import re
import subprocess

import pytest

import ctl
import daemon
import plugins
import settings
from headers import CLIENT4, v2
from sessions import send
from settings import configuration

TOP = pathlib.Path(__file__).resolve().parents[2]

# Where a setting of a group stands, and what has to stand beside it.
LISTENER = {
    "name": 'name = "web";',
    "listen": 'listen = "127.0.0.1:8443";',
    "forward": 'forward = { ipv4 = "127.0.0.1:443"; };',
    "subnets": 'subnets = [ "192.0.2.0/24" ];',
}


def check_settings():
    """tests/checks/settings, which reads the page."""
    path = str(TOP / "tests/checks/settings")
    loader = importlib.machinery.SourceFileLoader("check_settings", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def page(name):
    return (TOP / "man" / name).read_text(encoding="utf-8")


def unescaped(text):
    """What a reader of the page sees."""
    return re.sub(r"\\(\(dq|e|&|-)", lambda m: {"(dq": '"', "e": "\\", "&": "", "-": "-"}[m[1]], text)


def examples():
    """(scope, name, the line) of each setting."""
    entries = check_settings().read_manual(page("mmproxy.conf.5"))
    for (scope, name), (_, lines, _) in entries.items():
        for line in lines:
            yield scope, name, unescaped(line)


def listener(*instead):
    """One listener; lines of another name than those it has stand beside them."""
    lines = dict(LISTENER)
    for line in instead:
        lines[line.split(" = ")[0]] = line
    # What is only there for UDP takes a listener of it.
    if "udp" in lines:
        lines["protocol"] = 'protocol = "udp";'
    return "{\n" + "\n".join(lines.values()) + "\n}"


def whole(scope, name, line):
    """A file in which the line stands where it belongs."""
    if scope == "listener":
        return f"listeners = ( {listener(line)} );"
    if scope == "forward":
        return "listeners = ( " + listener("forward = { " + line + " };") + " );"
    if scope == "udp":
        return "listeners = ( " + listener("udp = { " + line + " };") + " );"
    if scope == "plugin":
        beside = "" if name == "name" else 'name = "acl"; '
        if name != "config":
            beside += 'config = { deny = "203.0.113.0/24"; }; '
        line = f"plugins = ( {{ {beside}{line} }} );"
    elif scope != "top":
        beside = 'listen = "127.0.0.1:9464";' if scope == "metrics" and name != "listen" else ""
        line = f"{scope} = {{ {beside}{line} }};"
    if name == "listeners":
        # The page leaves out what a listener has besides.
        names = re.findall(r'name = "(\w+)"; \.\.\.', line)
        assert len(names) == line.count("...") == 2, line
        for number, one in enumerate(names):
            entry = listener(f'name = "{one}";', f'listen = "127.0.0.1:{8443 + number}";')
            line = line.replace("{ " + f'name = "{one}"; ...' + " }", entry)
        return line
    return f"{line}\nlisteners = ( {listener()} );"


class Checker:
    """mmproxy --check, in a folder that has what the examples name."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "banned").write_text("203.0.113.0/24\n")
        (folder / "balancers").write_text("198.51.100.0/24\n")

    def __call__(self, text):
        """What it says of a file; nothing where all is well."""
        acl = plugins.path("acl")
        text = text.replace('"/etc/mmproxy/balancers"', '"balancers"').replace('"acl.so"', f'"{acl}"')
        if "path = " not in text:
            text = text.replace('name = "acl";', f'name = "acl"; path = "{acl}";')
        file = self.folder / "mmproxy.conf"
        file.write_text(text)
        done = subprocess.run(
            [daemon.binary(), "--check", "--config", str(file)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode == 0) == ("configuration is sound" in done.stdout), done
        return done.stderr


@pytest.fixture
def check(tmp_path):
    return Checker(tmp_path)


def test_every_setting_has_an_example_and_each_loads(check):
    seen = list(examples())
    assert len(seen) > 50
    said = {f"{scope}.{name}": check(whole(scope, name, line)) for scope, name, line in seen}
    # A remark would do as badly: an example that has no effect.
    assert {path: text for path, text in said.items() if text} == {}


def displays(text, section):
    """The displays of a section, as a reader sees them."""
    body = re.search(rf"^\.Sh {section}\n(.*?)(?=^\.Sh |\Z)", text, re.S | re.M)[1]
    return [unescaped(one) for one in re.findall(r"^\.Bd [^\n]*\n(.*?)^\.Ed", body, re.S | re.M)]


def test_the_whole_configurations_of_the_page_load(check):
    found = [one for one in displays(page("mmproxy.conf.5"), "EXAMPLES") if "listeners = (" in one]
    assert len(found) >= 4
    for text in found:
        said = check(text).splitlines()
        # Without an address a listener waits for sockets, which is worth a remark.
        assert len(said) == ("listen = " not in text), (text, said)
        assert all("no listen: it takes sockets" in line for line in said)


def test_a_mistake_in_an_example_would_be_seen(check):
    line = "max_header = 64;"
    assert "max_header" in check(whole("listener", "max_header", line))
    line = "idle_timeout = 30;"
    assert check(whole("udp", "idle_timeout", line)) == ""


# The plugins of mmproxy-plugin(3); the first one is tried in test_plugin_tutorial.py, too.


def made_from_the_page():
    """{name: (the shared object, its entry in the page)}"""
    shown = displays(page("mmproxy-plugin.3"), "EXAMPLES")
    programs = [one for one in shown if "#include <mmproxy/plugin.h>" in one]
    entries = [one for one in shown if one.startswith("plugins = ")]
    assert len(programs) == len(entries) == 2
    made = {}
    for program, entry in zip(programs, entries):
        name = re.search(r'name = "([^"]+)"', program)[1]
        assert f'name = "{name}"' in entry
        shared = plugins.folder() / f"of-the-page-{name}.so"
        command = ["cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", f"-I{TOP}/plugin"]
        subprocess.run(
            [*command, "-o", shared, "-x", "c", "-"], input=program, text=True, check=True
        )
        made[name] = entry.replace(f'name = "{name}";', f'name = "{name}"; path = "{shared}";')
    return made


def test_a_plugin_of_the_page_asks_for_tls(host, start_daemon, upstream):
    entry = made_from_the_page()["tls-only"]
    mmproxy = start_daemon(host, config=configuration(settings.listener()) + entry)
    send(host, v2(CLIENT4))
    mmproxy.assert_closed("plugin-denied")
    mmproxy.assert_counter("plugin_tls_only_without_tls")
    assert "the client's connection has no TLS" in mmproxy.log()
    version = b"\x21\x00\x07TLSv1.3"
    tls = b"\x20" + (5 + len(version)).to_bytes(2, "big") + b"\x01\x00\x00\x00\x00" + version
    send(host, v2(CLIENT4, tlvs=tls))
    _, peer = upstream.accept()
    assert peer == CLIENT4


# What mmproxyctl decode is given in its page.


def test_the_headers_of_the_page_are_decoded(tmp_path):
    [command] = [
        line
        for one in displays(page("mmproxyctl.8"), "EXAMPLES")
        for line in one.splitlines()
        if line.startswith("mmproxyctl decode '")
    ]
    word = re.search(r"'(.*)'", command)[1]
    done = ctl.run(tmp_path / "nobody", "decode", word)
    assert done.returncode == 1 and "header-missing" in done.stdout and "TLS" in done.stdout
