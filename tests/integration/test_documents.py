# SPDX-License-Identifier: MIT
"""What the documents tell people to write is taken: commands of the short form, configurations, and the
tables of doc/migration.md, flag by flag. Nothing is started; `mmproxy --check` is asked."""

import pathlib
import re
import shlex
import subprocess

import pytest

from daemon import binary

_TOP = pathlib.Path(__file__).resolve().parents[2]

# Files that the documents' commands and configurations name.
_FILES = {
    "balancers.txt": "198.51.100.0/24\n2001:db8::/32\n",
    "banned.txt": "203.0.113.0/24\n",
}

_TOP_SETTINGS = ("log", "routing", "workers", "seccomp", "landlock")

_LISTENER = {
    "name": 'name = "ssh";',
    "listen": 'listen = "*:2222";',
    "forward": 'forward = { ipv4 = "127.0.0.1:22"; };',
    "subnets": 'subnets = "any";',
}


def documents():
    return [_TOP / "README.md", *sorted((_TOP / "doc").glob("*.md"))]


def blocks(path):
    """(line number, language, text) of each block of code."""
    for match in re.finditer(r"^( *)```(\w*)\n(.*?)^ *```$", path.read_text(), re.DOTALL | re.MULTILINE):
        text = "".join(line.removeprefix(match[1]) for line in match[3].splitlines(True))
        yield path.read_text()[: match.start()].count("\n") + 1, match[2], text


def commands():
    """(where, arguments) of each call of mmproxy with a short form."""
    for path in documents():
        for line, language, text in blocks(path):
            if language != "sh":
                continue
            for command in text.replace("\\\n", " ").splitlines():
                words = shlex.split(command, comments=True)
                if words[:1] == ["mmproxy"] and "--config" not in words:
                    yield f"{path.name}:{line}", [word for word in words[1:] if word != "--check"]


def configurations():
    """(where, text) of each block that is a whole configuration; but for those with a plugin that the
    reader has yet to write."""
    for path in documents():
        for line, language, text in blocks(path):
            if re.search(r"^plugins = ", text, re.MULTILINE):
                continue
            if language == "" and re.search(r"^listeners = \(", text, re.MULTILINE):
                yield f"{path.name}:{line}", text


def rows():
    """(flag, short form, file) of each row of the tables that go flag by flag; the cells' code."""
    for line in (_TOP / "doc" / "migration.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 4 and re.fullmatch(r"`-[^`]*`", cells[0]):
            yield tuple("" if cell == "–" else cell.strip("`") for cell in cells[:3])


def ask(folder, *arguments):
    """(status, what it said)"""
    for name, text in _FILES.items():
        (folder / name).write_text(text)
    done = subprocess.run(
        [binary(), "--check", *arguments], cwd=folder, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def check_file(folder, text):
    (folder / "mmproxy.conf").write_text(text)
    return ask(folder, "--config", "mmproxy.conf")


def with_listener(setting):
    """A configuration with this setting in the place where it belongs."""
    name = setting.split(" ")[0]
    top = setting if name in _TOP_SETTINGS else ""
    settings = {**_LISTENER, **({} if top else {name: setting})}
    if name == "subnets_files":
        settings.pop("subnets")
    if name == "udp":
        settings["protocol"] = 'protocol = "udp";'
    return f"{top}\nlisteners = ( {{ {' '.join(settings.values())} }} );\n"


def test_the_documents_have_commands_configurations_and_tables():
    assert len(list(commands())) >= 2
    assert len(list(configurations())) >= 3
    # Cloudflare's, go-mmproxy's with the fork's, mmproxy-rs's.
    assert len(list(rows())) == 20 + 12 + 16


@pytest.mark.parametrize("where, arguments", list(commands()))
def test_a_command_of_the_documents_is_sound(tmp_path, where, arguments):
    assert ask(tmp_path, *arguments)[0] == 0, ask(tmp_path, *arguments)[1]


@pytest.mark.parametrize("where, text", list(configurations()))
def test_a_configuration_of_the_documents_is_sound(tmp_path, where, text):
    status, said = check_file(tmp_path, text)
    assert (status, said) == (0, "configuration is sound: 1 listener\n"), said


@pytest.mark.parametrize("flag, short, setting", list(rows()))
def test_a_flag_of_another_program_has_the_successor_that_the_table_says(
    tmp_path, flag, short, setting
):
    if short:
        status, said = ask(tmp_path, *short.split())
        if short == "-h":
            assert said.startswith("Usage: mmproxy")
        assert status == 0, said
    if short != flag:
        status, said = ask(tmp_path, *flag.split())
        assert status == 2, f"the table says that {flag} is not taken: {said}"
    if setting:
        status, said = check_file(tmp_path, with_listener(setting))
        assert (status, said) == (0, "configuration is sound: 1 listener\n"), said
