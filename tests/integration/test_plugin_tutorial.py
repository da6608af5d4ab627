# SPDX-License-Identifier: MIT
"""doc/plugins.md, done as it says: its plugin is compiled, installed, configured, checked and seen
at work, with the text and the commands that stand there."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

from headers import v1
from sessions import open_session, send
from settings import configuration, listener
from traffic import EOF, read_to_end

TOP = pathlib.Path(__file__).resolve().parents[2]
TEXT = (TOP / "doc/plugins.md").read_text()

# The client of the tutorial, and one whose port is high enough.
LOW, HIGH = ("203.0.113.9", 900), ("203.0.113.9", 41000)


def blocks(language, text=TEXT):
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    return [block for name, block in found if name == language]


def section(number):
    """What stands below a numbered heading."""
    return re.search(rf"^### {number}\. .*?\n(.*?)^##", TEXT, re.M | re.S)[1]


(CODE,) = blocks("c")
(CONFIGURATION,) = blocks("", section(4))
SOUND, MISTAKE, REMARK = blocks("", section(5))
(REFUSAL,) = blocks("", section(6))


@pytest.fixture
def folder():
    """An empty folder in which to begin, and beside it what pkg-config reads."""
    with tempfile.TemporaryDirectory(prefix="mmp-tutorial-") as name:
        os.chmod(name, 0o755)
        made = pathlib.Path(name) / "work"
        (made / "../plugins").resolve().mkdir()
        made.mkdir()
        (made / "../mmproxy.pc").write_text(
            f"plugindir={name}/plugins\nName: mmproxy\nDescription: -\nVersion: 0\n"
            f"Cflags: -I{TOP}/plugin\n"
        )
        yield made


def run(folder, command):
    environment = {**os.environ, "PKG_CONFIG_PATH": str(folder.parent)}
    done = subprocess.run(
        ["sh", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def installed(folder):
    """Sections 1 to 3: the path of the plugin."""
    (folder / "example.c").write_text(CODE)
    for number in 2, 3:
        (command,) = blocks("sh", section(number))
        run(folder, command)
    return folder.parent / "plugins/example.so"


def configured(path, text=CONFIGURATION):
    """Section 4. Only mmproxy's own plugin folder is not the one of the test."""
    assert 'name = "example";' in text
    return text.replace('name = "example";', f'name = "example"; path = "{path}";')


def check(host, start_daemon, text):
    mmproxy = start_daemon(host, config=text, arguments=["--check"], ready=False)
    status = mmproxy.wait_until_ended()
    return status, mmproxy.log().replace(f"{mmproxy.directory}/", "")


def test_the_tutorials_plugin_is_the_one_in_the_tree():
    assert (TOP / "plugin/example/example.c").read_text() == CODE


def test_the_tutorials_plugin_has_at_most_40_lines():
    assert len(CODE.splitlines()) <= 40


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_tutorials_plugin_compiles_without_a_warning(compiler, folder):
    options = "-std=c11 -pedantic -Wall -Wextra -Wconversion -Werror -shared -fPIC -O2"
    (folder / "example.c").write_text(CODE)
    run(folder, f"{compiler} {options} -I{TOP}/plugin -o example.so example.c")


def test_the_tutorials_plugin_links_against_nothing_and_exports_one_symbol(installed):
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", installed], capture_output=True, text=True, check=True
    )
    assert [line.split()[2] for line in listed.stdout.splitlines()] == ["mmproxy_plugin_v1"]


def test_check_finds_nothing_wrong_with_the_tutorials_configuration(host, start_daemon, installed):
    assert check(host, start_daemon, configured(installed)) == (0, SOUND)


def test_check_says_of_a_mistake_what_the_tutorial_says(host, start_daemon, installed):
    text = configured(installed).replace("least_port = 1024", "least_port = 0")
    assert check(host, start_daemon, text) == (2, MISTAKE)


def test_check_says_of_an_unknown_setting_what_the_tutorial_says(host, start_daemon, installed):
    text = configured(installed).replace("least_port", "least_prot")
    assert check(host, start_daemon, text) == (0, REMARK + SOUND)


def test_the_verdict_is_in_the_log_and_the_counters_as_the_tutorial_says(
    host, start_daemon, installed, upstream
):
    mmproxy = start_daemon(host, config=configured(installed))
    (header,) = re.findall(r"printf '(.*)\\r\\n'", section(6))
    connection = send(host, header.encode() + b"\r\n")
    assert read_to_end(connection) == (b"", EOF)
    upstream.assert_untouched()
    line = mmproxy.wait_for_log("session: refused").text
    balancer = "%s:%d" % connection.getsockname()
    wanted = re.sub(r"balancer=\S+", f"balancer={balancer}", REFUSAL.strip())
    assert line.endswith(f" {wanted}")
    mmproxy.wait_until_idle()
    counters = mmproxy.counters()
    for name, value in re.findall(r"`(\w+)=(\d+)`", section(6)):
        assert counters[name] == int(value), name


def test_other_clients_pass_the_tutorials_plugin(host, start_daemon, installed, upstream):
    mmproxy = start_daemon(host, config=configured(installed))
    open_session(host, upstream, HIGH)
    assert mmproxy.counters()["plugin_example_refusals"] == 0


def test_without_a_setting_the_default_holds_and_a_reload_brings_another(
    host, start_daemon, installed, upstream
):
    plain = configured(installed).replace("least_port = 1024;", "")
    mmproxy = start_daemon(host, config=plain)
    assert read_to_end(send(host, v1(LOW))) == (b"", EOF)
    mmproxy.write_config(configured(installed).replace("1024", "900"))
    assert mmproxy.reload().event == "config: reloaded"
    send(host, v1(LOW))
    # Its port, below 1024, is not to be had.
    assert upstream.accept()[1][0] == LOW[0]
    mmproxy.assert_counter("plugin_example_refusals")


def test_a_plugin_that_is_not_roots_or_that_others_may_write_is_refused(
    host, start_daemon, installed
):
    text = configured(installed)
    spoilt = [
        (installed, lambda path: os.chown(path, 65534, 0), "chown it to root"),
        (installed, lambda path: path.chmod(0o664), "chmod go-w it"),
        (installed.parent, lambda path: os.chown(path, 65534, 0), "chown it to root"),
        (installed.parent, lambda path: path.chmod(0o777), "chmod go-w it"),
    ]
    for path, spoil, remedy in spoilt:
        mode = path.stat().st_mode
        spoil(path)
        status, said = check(host, start_daemon, text)
        assert status == 2 and f"{path} " in said and remedy in said, said
        os.chown(path, 0, 0)
        path.chmod(mode)
    assert check(host, start_daemon, text) == (0, SOUND)


def test_a_plugin_can_be_written_in_cpp_11(host, start_daemon, folder, upstream):
    (table,) = blocks("cpp")
    (folder / "example.cc").write_text(f"""\
#include <mmproxy/plugin.h>

static const mmproxy_host *the_host;

static int check(const mmproxy_host *, const mmproxy_config *)
{{
	return 0;
}}

static int open(const mmproxy_host *host, mmproxy_instance *, const mmproxy_config *, void **)
{{
	the_host = host;
	return 0;
}}

static void close(void *)
{{
}}

static int filter(void *, const mmproxy_conn *conn)
{{
	the_host->explain(conn, "C++ says no");
	return conn->client.port < 1024 ? MMPROXY_DENY : MMPROXY_PASS;
}}

{table}""")
    options = "-std=c++11 -pedantic -Wall -Wextra -Werror -shared -fPIC"
    run(folder, f"g++ {options} $(pkg-config --cflags mmproxy) -o example.so example.cc")
    entry = {"name": "example", "path": str(folder / "example.so")}
    mmproxy = start_daemon(host, config=configuration(listener(plugins=[entry])))
    assert read_to_end(send(host, v1(LOW))) == (b"", EOF)
    assert mmproxy.wait_for_log("session: refused")["why"] == "C++ says no"
    open_session(host, upstream, HIGH)


def test_the_first_example_in_the_manual_page_compiles_and_gives_its_verdict(
    host, start_daemon, folder, upstream
):
    page = (TOP / "man/mmproxy-plugin.3").read_text()
    code, *_ = re.findall(r"^\.Bd -literal -offset indent\n(#include.*?)^\.Ed$", page, re.M | re.S)
    (folder / "unprivileged.c").write_text(code)
    run(
        folder,
        "cc -Wall -Wextra -Werror -shared -fPIC $(pkg-config --cflags mmproxy)"
        " -o unprivileged.so unprivileged.c",
    )
    entry = {"name": "unprivileged", "path": str(folder / "unprivileged.so")}
    start_daemon(host, plugins=[entry])
    assert read_to_end(send(host, v1(LOW))) == (b"", EOF)
    open_session(host, upstream, HIGH)


@pytest.mark.parametrize("name", ["accesslog", "acl", "example", "example-deferred", "ratelimit"])
def test_each_plugin_compiles_alone_out_of_tree(name, folder):
    sources = [*(TOP / "plugin" / name).glob("*.[ch]")]
    assert sources
    for source in sources:
        shutil.copy(source, folder)
    run(folder, f"cc -shared -fPIC -pthread $(pkg-config --cflags mmproxy) -o {name}.so *.c")
