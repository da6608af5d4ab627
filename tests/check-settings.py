#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Holds settings.def, mmproxy.conf(5) and the example configuration together.

Usage: check-settings.py [SOURCE_DIRECTORY]

The table is what the loader knows. The manual must describe exactly these settings, each with the
table's type, range, default and first version and with an example; no setting is of a version that is
still to come. (That each example loads is tested by tests/integration/test_manual_examples.py.) The
example file must show each of them, and a
commented line must show the default. A group of the example that is commented out as a whole, with a
tab behind each '#', counts as one that is there; what stands in a plugin's own group is the plugin's
matter. Prints what differs, and a line "N passed, N failed".
"""

import pathlib
import re
import sys

TABLE = "src/config/settings.def"
MANUAL = "man/mmproxy.conf.5"
EXAMPLE = "etc/mmproxy.conf"
VERSION = "configure.ac"
CHANGES = "src/daemon/changes.c"
PROGRAM = "man/mmproxy.8"

# Headings of the manual, and what opens a group in the example.
SCOPE_OF_HEADING = {
    "Settings at the top": "top",
    "Settings in landlock": "landlock",
    "Settings in log": "log",
    "Settings in control": "control",
    "Settings in metrics": "metrics",
    "Settings in routing": "routing",
    "Settings of a listener": "listener",
    "Settings in forward": "forward",
    "Settings in udp": "udp",
    "Settings of a plugin": "plugin",
}
SCOPE_OF_GROUP = {
    "landlock": "landlock",
    "log": "log",
    "control": "control",
    "metrics": "metrics",
    "routing": "routing",
    "listeners": "listener",
    "forward": "forward",
    "udp": "udp",
    "plugins": "plugin",
    "config": "the plugin's own",
}

TYPE_IN_MANUAL = {
    "INTEGER": "Integer, {range}",
    "SECONDS": "Seconds, {range}",
    "CHOICE": "Choice of {range}",
    "TEXT": "Text",
    "BOOLEAN": "Boolean",
    "TEXTS": ("List of texts", "Text or list of texts"),
    "GROUP": "Group",
    "GROUPS": "List of groups",
}


def read_table(text):
    """{(scope, name): (type, default, range, since)} in the table's order."""
    row = re.compile(r'^SETTING\((\w+), (\w+), (\w+), "([^"]*)", "([^"]*)", "([^"]*)"\)$', re.M)
    rows = row.findall(text)
    assert len(rows) == len(re.findall(r"^SETTING\(", text, re.M)), "a row cannot be read"
    return {(scope, name): tuple(rest) for scope, name, *rest in rows}


def read_version(text):
    """The program's own, of configure.ac."""
    return re.search(r"^AC_INIT\(\[mmproxy\], \[([^]]+)\]", text, re.M)[1]


def read_manual(text):
    """{(scope, name): (the line behind .It, the lines of its .Dl, all of it)} in the manual's order."""
    entries, scope, entry = {}, None, None
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith((".Ss ", ".Sh ")):
            scope, entry = SCOPE_OF_HEADING.get(line[4:]), None
        elif scope and line.startswith(".It Cm "):
            entry = entries[scope, line.split()[2]] = (next(lines, ""), [], [])
        elif entry and line.startswith(".Dl "):
            entry[1].append(line[4:])
        elif entry:
            entry[2].append(line)
    return entries


def read_fixed(text):
    """{(scope, name)} of what a reload may not change, of changes.c; a name alone is at the top, or
    a listener's where its place is the listener's."""
    fixed = set()
    for where, name in re.findall(r'demand_restart\(&?comparison,\s*([^;]*?),\s*"([a-z._]+)"\)', text):
        scope, _, last = name.rpartition(".")
        fixed.add((scope or ("top" if where == '"configuration"' else "listener"), last))
    return fixed


def unescaped(line):
    """What a reader of the manual sees."""
    return line.replace(r"\(dq", '"').replace(r"\&", "")


def read_example(text):
    """[(scope, name, value or None for a group, commented, listener)] in the file's order.

    The last one is the number of listeners that have begun.
    """
    settings, scopes, listeners = [], ["top"], 0
    for line in text.splitlines():
        line = re.sub(r"^\t?#(?=[\t,])", "", line)
        match = re.match(r"^\s*(# )?([a-z_0-9]+) = (.*)$", line)
        if match and (match[3] in ("{", "(") or match[3].endswith(";")):
            group = match[3] in ("{", "(")
            value = None if group else match[3].rstrip(";")
            if scopes[-1] != "the plugin's own":
                settings.append((scopes[-1], match[2], value, bool(match[1]), listeners))
            if group:
                scopes.append(SCOPE_OF_GROUP.get(match[2], "unknown"))
        elif re.match(r"^\s*[})];$", line):
            scopes.pop()
        elif re.match(r"^\s*,?\{$", line) and scopes[-1] == "listener":
            listeners += 1
    assert scopes == ["top"], "the example's groups cannot be told apart"
    return settings


def first_line_of(kind, default, limits, since):
    """How the manual may begin the description of such a setting."""
    types = TYPE_IN_MANUAL[kind]
    types = (types,) if isinstance(types, str) else types
    words = {"none": "no default", "required": "required"}.get(default, f"default {default}")
    facts = f"{words}; since {since}."
    return [f"{t.format(range=limits.replace('|', ', '))}; {facts}" for t in types]


def as_numbers(version):
    """For comparing; None where it is not MAJOR.MINOR.PATCH."""
    match = re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", version)
    return match and tuple(map(int, match.groups()))


def as_written(kind, default):
    """A default in the syntax of the file."""
    return f'"{default}"' if kind in ("TEXT", "CHOICE") else default


def names(keys):
    return [".".join(key) for key in keys]


def check_table(table, version):
    """Compared as numbers: 0.10.0 is later than 0.9.0."""
    yield f"{VERSION}: the version is of three numbers", True, as_numbers(version) is not None
    for key, (*_, since) in table.items():
        known = as_numbers(since)
        yield f"{TABLE}, {'.'.join(key)}: a version up to {version}", True, (
            known is not None and known <= as_numbers(version)
        )


def check_fixed(fixed, manual, reload):
    """Both pages say what a reload may not change; of a group, it is said of all that is in it."""
    yield "changes.c: settings that the page knows", set(), fixed - manual.keys()
    says = {
        key: re.search(r"[Ff]ixed at the start", " ".join(lines)) is not None
        for key, (*_, lines) in manual.items()
    }
    for scope, name in manual:
        members = {key for key in manual if scope == "top" and key[0] == name}
        wanted = (scope, name) in fixed or (bool(members) and members <= fixed)
        said = says[scope, name] or says.get(("top", scope), False)
        yield f"manual, {scope}.{name}: fixed at the start", wanted, said
    for scope, name in fixed:
        words = {name, f"{scope}.{name}", scope}
        listed = re.search(rf"^\.Cm ({'|'.join(map(re.escape, words))})( [,;.])?$", reload, re.M)
        yield f"mmproxy(8), RELOAD: {scope}.{name}", True, listed is not None


def check_manual(table, manual):
    yield "manual: settings the table has not", [], names(manual.keys() - table.keys())
    yield "manual: settings it lacks", [], names(table.keys() - manual.keys())
    common = [key for key in table if key in manual]
    yield "manual: the table's order", names(common), names(k for k in manual if k in table)
    for key in common:
        line, examples, _ = manual[key]
        path = ".".join(key)
        wanted = first_line_of(*table[key])
        yield f"manual, {path}", line if line in wanted else wanted, line
        # A bracket that stands alone is mdoc's, and takes the space away.
        named = [
            e
            for e in map(unescaped, examples)
            if e.startswith(f"{key[1]} = ") and e.endswith(";")
        ]
        alone = [e for e in examples if re.search(r"(^| )[](|)[]( |$)", e)]
        yield f"manual, {path}: brackets are escaped", [], alone
        yield f"manual, {path}: one example", 1, len(named)


def check_example(table, example):
    shown = [(scope, name) for scope, name, *_ in example]
    yield "example: settings the table has not", [], names(set(shown) - table.keys())
    yield "example: settings it lacks", [], names(table.keys() - set(shown))
    places = [(scope, name, str(listener)) for scope, name, _, _, listener in example]
    yield "example: settings it shows twice", [], names(k for k in places if places.count(k) > 1)
    for scope, name, value, commented, _ in example:
        kind, default, *_ = table.get((scope, name), (None, None))
        if commented and default not in (None, "none", "required"):
            yield f"example, {scope}.{name}: the default", as_written(kind, default), value
        if default == "required":
            yield f"example, {scope}.{name}: required, so not commented", False, commented


def main():
    source = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    table = read_table((source / TABLE).read_text(encoding="utf-8"))
    manual = read_manual((source / MANUAL).read_text(encoding="utf-8"))
    example = read_example((source / EXAMPLE).read_text(encoding="utf-8"))
    passed = failed = 0
    version = read_version((source / VERSION).read_text(encoding="utf-8"))
    program = (source / PROGRAM).read_text(encoding="utf-8")
    checks = [
        *check_table(table, version),
        *check_manual(table, manual),
        *check_fixed(
            read_fixed((source / CHANGES).read_text(encoding="utf-8")),
            manual,
            re.search(r"^\.Sh RELOAD\n(.*?)^\.Sh ", program, re.S | re.M)[1],
        ),
        *check_example(table, example),
    ]
    for what, wanted, found in checks:
        if wanted == found:
            passed += 1
            continue
        failed += 1
        print(f"{what}: {found!r} should be {wanted!r}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
