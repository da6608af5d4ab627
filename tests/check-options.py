#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Holds the options that the programs read, --help, the manual pages and the completions together.

Usage: check-options.py [SOURCE_DIRECTORY]

The parsers' tables are what there is: options with their letters and whether they take a value, and
mmproxyctl's commands with the options of each. --help, the pages and the completions for bash and zsh
must have exactly these. bash is asked for what it offers; zsh's functions are read, and that zsh offers
the same as bash is tested by tests/integration/test_completion.py. Prints what differs, and a line
"N passed, N failed".
"""

import pathlib
import re
import shlex
import subprocess
import sys

# Options that each command takes, whatever its row in the table says.
OF_ALL = {"--socket"}

# Takes text in any number of words.
FREE = "COMMAND_TEXT"


class Parser:
    """An options.c: {"--mark": ("-m", True)}, of which the second is whether it takes a value."""

    def __init__(self, text):
        letters = dict(re.findall(r"\t(OPTION_\w+) = '(.)',", text))
        rows = re.findall(r'\{"([a-z0-9-]+)", (required|no)_argument, NULL, (OPTION_\w+)\}', text)
        self.options = {
            f"--{name}": (f"-{letters[code]}" if code in letters else None, kind == "required")
            for name, kind, code in rows
        }
        # What getopt is told of the letters: 's:' takes a value.
        told = re.search(r'":((?:[a-z0-9]:?)+)"', text)[1]
        self.letters_told = {(f"-{c}", bool(value)) for c, value in re.findall(r"(.)(:?)", told)}
        body = re.search(r"^const char \*options_help\(void\)\n\{\n(.*?)^\}", text, re.S | re.M)[1]
        pieces = re.findall(r'"((?:[^"\\]|\\.)*)"', body)
        self.help = "".join(pieces).replace("\\n", "\n").replace('\\"', '"')

    def words(self):
        return {word for name, (letter, _) in self.options.items() for word in (name, letter) if word}

    def valued(self):
        return {
            word
            for name, (letter, takes) in self.options.items()
            for word in (name, letter)
            if word and takes
        }


def options_in(text):
    """The options that a text for people names; "[::1]:22 -a" has one, "one-line" has none."""
    return set(re.findall(r"(?<![\w-])(--[a-z][a-z0-9-]*|-[a-z0-9])(?![\w-])", text))


def valued_in_help(text):
    """Options with something behind them that is written in capitals, or is a choice."""
    return {
        word
        for words in re.findall(r"(?<![\w-])((?:-\w, )?-{1,2}[\w-]+) \[?(?:[A-Z]+\b|\w+\|\w+|\d+s\|)", text)
        for word in words.split(", ")
    }


# The pages.


def section(page, name):
    return re.search(rf"^\.Sh {name}\n(.*?)(?=^\.Sh |\Z)", page, re.S | re.M)[1]


def flags_in(line):
    """What mdoc's Fl makes of the words behind it: "Fl v , -verbose" is -v and --verbose."""
    found, here = [], False
    for word in re.sub(r"^\.", "", line, flags=re.M).split():
        if word == "Fl":
            here = True
        elif here and re.fullmatch(r"-?[a-z0-9][a-z0-9-]*", word):
            found.append(f"-{word}")
        elif word not in (",", "|"):
            here = False
    return found


def listed_options(text):
    """{"--mark": ("-m", True)} of lists' .It lines, and of commands that have options in theirs."""
    options = {}
    for line in re.findall(r"^\.It (Fl .*)$", text, re.M):
        *letter, name = flags_in(line)
        options[name] = (letter[0] if letter else None, " Ar " in line or " Cm " in line)
    for line in re.findall(r"^\.It (Cm .*)$", text, re.M):
        for name, value in re.findall(r"Fl (-[a-z-]+)( Ar)?", line):
            options[f"-{name}"] = (None, bool(value))
    return options


def listed_commands(text):
    """{"kill": ("Ar id", {options})} of a list's .It lines."""
    commands = {}
    for words in re.findall(r"^\.It Cm (.*)$", text, re.M):
        name, rest = (words.split(" ", 1) + [""])[:2]
        commands[name] = (rest, set(flags_in(rest)))
    return commands


# mmproxyctl's table of commands.


def read_commands(text, options_text):
    """{"kill": (argument, {options})}"""
    names = dict(re.findall(r'case (COMMAND_\w+):\n\t\treturn "(--[a-z-]+)";', options_text))
    commands = {}
    table = re.search(r"command_table\[\] = \{(.*?)^\};", text, re.S | re.M)[1]
    for name, argument, given in re.findall(r'\{"([a-z-]+)", (?:NULL|"(\w+)"), \w+,\s([^}]*),', table):
        flags = set(re.findall(r"COMMAND_\w+", given))
        commands[name] = (argument, {names[flag] for flag in flags - {FREE}} | OF_ALL)
    return commands


# The completions.


def bash_offers(source, program, *words):
    """What bash would show behind these words; the last one may be empty or a beginning."""
    script = f"""
compopt() {{ :; }}
. {shlex.quote(str(source))}/completions/{program}.bash
COMP_WORDS=({shlex.join([program, *words])})
COMP_CWORD={len(words)}
_{program} false
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return set(done.stdout.split())


def zsh_specs(text):
    """{"--mark": ("-m", True)} of the arguments of _arguments in a piece of a function."""
    options = {}
    pattern = r"\{-(\w)(\+?),--([\w-]+)(=?)\}'\[|(?<!,)--([\w-]+)(=?)\["
    for letter, plus, both, equals, name, only in re.findall(pattern, text):
        if both:
            # The letter and the name say alike whether there is a value.
            takes = {("+", "="): True, ("", ""): False}.get((plus, equals), "both ways")
            options[f"--{both}"] = (f"-{letter}", takes)
        else:
            options[f"--{name}"] = (None, only == "=")
    return options


def zsh_commands(text):
    """{"kill": {options}} of the branches of _mmproxyctl_rest."""
    body = re.search(r"^_mmproxyctl_rest\(\) \{\n(.*?)^\}", text, re.S | re.M)[1]
    before, branches = body.split("case $words[1] in")
    shared = {
        name: set(zsh_specs(value))
        for name, value in re.findall(r"local (?:-a )?(\w+)=(\(.*?\)\n|'.*?'\n)", before, re.S)
    }
    commands = {}
    for names, branch in re.findall(r"^\t([a-z| -]+)\)\n(.*?)^\t\t;;", branches, re.S | re.M):
        options = set(zsh_specs(branch))
        for name, specs in shared.items():
            if f"${name}" in branch:
                options |= specs
        commands.update({command: options for command in names.split(" | ")})
    return commands


def choice(settings, scope, name):
    return set(re.search(rf'\({scope}, {name}, CHOICE, "\w+", "([^"]+)"', settings)[1].split("|"))


# What is compared.


def check_program(source, program, parser, page):
    letters = {(letter, takes) for letter, takes in parser.options.values() if letter}
    yield f"{program}: getopt's letters", letters, parser.letters_told
    yield f"{program} --help: options", parser.words(), options_in(parser.help)
    yield f"{program} --help: those with a value", parser.valued(), valued_in_help(parser.help)
    said = set(flags_in(section(page, "SYNOPSIS")))
    for name, (letter, _) in parser.options.items():
        if program == "mmproxy":
            yield f"{program}(8), SYNOPSIS: {name}", True, bool({name, letter} & said)
    yield f"{program}(8), SYNOPSIS: no more", set(), said - parser.words()
    yield f"{program}(8): options", parser.options, listed_options(page)


def check_mmproxy(source, text, page, settings):
    parser = Parser(text)
    yield from check_program(source, "mmproxy", parser, page)
    yield "bash, mmproxy: options", parser.words(), bash_offers(source, "mmproxy", "-")
    for word in parser.words():
        found = "--version" not in bash_offers(source, "mmproxy", word, "")
        yield f"bash, mmproxy: {word} takes a value", word in parser.valued(), found
    for word in "-p", "--protocol":
        offers = bash_offers(source, "mmproxy", word, "")
        yield f"bash, mmproxy {word}", choice(settings, "listener", "protocol"), offers
    zsh = zsh_specs((source / "completions/_mmproxy").read_text(encoding="utf-8"))
    yield "zsh, mmproxy: options", parser.options, zsh


def check_mmproxyctl(source, text, page, settings):
    parser = Parser(text)
    table = (source / "src/ctl/command.c").read_text(encoding="utf-8")
    commands = read_commands(table, text)
    yield from check_program(source, "mmproxyctl", parser, page)
    named = {name for name in commands if re.search(rf"(?m)^  {name}\b", parser.help)}
    yield "mmproxyctl --help: a line a command", set(commands) - {"help"}, named

    listed = listed_commands(section(page, "DESCRIPTION"))
    yield "mmproxyctl(8): commands", set(commands), set(listed)
    of_decode = set(listed_options(section(page, "DECODING")))
    for name, (argument, options) in commands.items():
        rest, found = listed.get(name, ("", set()))
        found |= of_decode if name == "decode" else set()
        yield f"mmproxyctl(8), {name}: options", options - OF_ALL - {"--json"}, found
        said = re.search(r"(?:^|Op |Oo )(?:Ar|Cm)? ?([a-z]+)", rest)
        yield f"mmproxyctl(8), {name}: argument", argument.lower(), said[1] if argument and said else ""
    without = {name for name, (_, options) in commands.items() if "--json" not in options}
    yield "mmproxyctl(8): --json is not for all", {"top", "help"}, without

    yield "bash, mmproxyctl: commands", set(commands), bash_offers(source, "mmproxyctl", "")
    first = {"-s", "--socket", "-j", "--json", "-h", "--help", "--version"}
    yield "bash, mmproxyctl: options", first, bash_offers(source, "mmproxyctl", "-")
    for word in parser.words():
        found = "status" not in bash_offers(source, "mmproxyctl", word, "")
        yield f"bash, mmproxyctl: {word} takes a value", word in parser.valued(), found
        # A value that is called as a command is none.
        offers = bash_offers(source, "mmproxyctl", word, "top", "--on")
        passed_over = offers == ({"--once"} if word not in parser.valued() else set())
        yield f"bash, mmproxyctl: {word} and its value are passed over", True, passed_over
    zsh = (source / "completions/_mmproxyctl").read_text(encoding="utf-8")
    yield "zsh, mmproxyctl: options", parser.options, zsh_specs(zsh)
    of_zsh = zsh_commands(zsh)
    yield "zsh, mmproxyctl: commands", set(commands), set(of_zsh)
    described = set(re.findall(r"^\t\t['\"]([a-z-]+):", zsh, re.M))
    yield "zsh, mmproxyctl: commands that are described", set(commands), described
    for name, (_, options) in commands.items():
        long = {o for o in bash_offers(source, "mmproxyctl", name, "-") if o.startswith("--")}
        yield f"bash, mmproxyctl {name}: options", options, long
        yield f"zsh, mmproxyctl {name}: options", options, of_zsh.get(name)
    levels = choice(settings, "log", "level")
    yield "bash, mmproxyctl log-level", levels, bash_offers(source, "mmproxyctl", "log-level", "")
    formats = set(re.findall(r'strcmp\(text, "(\w+)"\)', text))
    yield "bash, mmproxyctl decode --format", formats, bash_offers(
        source, "mmproxyctl", "decode", "--format", ""
    )


def main():
    source = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()

    def read(path):
        return (source / path).read_text(encoding="utf-8")

    settings = read("src/config/settings.def")
    checks = [
        *check_mmproxy(source, read("src/daemon/options.c"), read("man/mmproxy.8"), settings),
        *check_mmproxyctl(source, read("src/ctl/options.c"), read("man/mmproxyctl.8"), settings),
    ]
    passed = failed = 0
    for what, wanted, found in checks:
        if wanted == found:
            passed += 1
            continue
        failed += 1
        if isinstance(wanted, (set, dict)) and isinstance(found, (set, dict)):
            lacks = sorted(map(str, wanted - found if isinstance(wanted, set) else
                               wanted.items() - found.items()))
            more = sorted(map(str, found - wanted if isinstance(wanted, set) else
                              found.items() - wanted.items()))
            print(f"{what}: it lacks {lacks}, and should not have {more}")
        else:
            print(f"{what}: {found!r} should be {wanted!r}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
