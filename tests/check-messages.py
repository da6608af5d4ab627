#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What people read: every event that the daemon logs is explained in doc/log.md, with its levels and
its fields and no others, and the texts in src/ and plugin/ keep to the house's rules.

Prints a line a difference and fails when there is one. --list prints all texts with their places, for
whoever reads them aloud."""

import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[1]

# Words that have a term of their own here (doc/architecture.md), that blame, or that say nothing. A
# text that has to use one (the server side of a socket, a protocol's own word) stands in ALLOWED.
FORBIDDEN = {
    r"back-?end": "upstream",
    r"front-?end": "listener",
    r"down-?stream": "client",
    r"load[- ]?balancer": "balancer",
    r"peers?": "balancer, client or upstream",
    r"invalid|illegal|malformed": "what is wrong about it, and what would be right",
    r"failed to|unable to": "cannot",
    r"please|sorry|oops|unfortunately": "nothing: it is not what somebody at night needs",
    r"can't|won't|doesn't|isn't|didn't": "the words in full",
    r"fds?": "descriptor",
    r"config file": "configuration",
}

ALLOWED = {
    "the server's socket has %s as its peer": "what ss(8) calls it",
}

# Of an event: what starts with one of these is a name and keeps its case.
PROPER = re.compile(r"CAP_|AppArmor|SELinux|Linux|PROXY|IP")

# An error or a warning of these events needs no reason: what happened is said by the event itself.
NEEDS_REASON = re.compile(r"^cannot\b")
REASONS = {"error", "why", "text"}

LEVELS = ("error", "warning", "info", "debug")
CALLS = r"\b(?:log_(error|warning|info|debug)|LOG_EVENT|log_event)\("
FIELD = re.compile(r"\bLOG_(?:TEXT|ERRNO|NUMBER|SECONDS|ADDRESS|BYTES)\(\"([^\"]+)\"")
FIELD_OF = re.compile(r"\boptional_(?:address|number)\(\"([^\"]+)\"")
STRING = re.compile(r'"((?:\\.|[^"\\])*)"')
JOINED = re.compile(r'"\s*"')

# What is counted, rather than written here: a field a counter.
OPEN_ENDED = {("daemon", "counters")}


def sources():
    for folder in ("src", "plugin"):
        yield from sorted((TOP / folder).rglob("*.[ch]"))
        yield from sorted((TOP / folder).rglob("*.def"))


def without_comments(text):
    """The same lines with blanks where comments were, and strings as they are."""
    token = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'', re.DOTALL)

    def blank(match):
        kept = match[0] if match[0][0] in "\"'" else re.sub(r"[^\n]", " ", match[0])
        return kept

    return token.sub(blank, text)


def whole_call(text, start):
    """From behind the opening bracket to the one that closes it."""
    depth, at = 1, start
    while depth > 0:
        if text[at] == '"':
            at = STRING.match(text, at).end()
            continue
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    return text[start : at - 1]


def arguments_of(call):
    parts, depth, start, at = [], 0, 0, 0
    while at < len(call):
        if call[at] == '"':
            at = STRING.match(call, at).end()
            continue
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(call[at], 0)
        if call[at] == "," and depth == 0:
            parts.append(call[start:at])
            start = at + 1
        at += 1
    return [part.strip() for part in [*parts, call[start:]]]


def strings_of(expression):
    return STRING.findall(JOINED.sub("", expression))


def levels_of(level, event):
    """Pairs of an event and the set of its levels. Where both depend on the same condition, each
    event has the level beside it."""
    names = strings_of(event)
    levels = re.findall(r"LOG_LEVEL_(\w+)", level)
    levels = [one.lower() for one in levels] or ([level] if level in LEVELS else LEVELS)
    conditions = {text.split("?")[0].strip() for text in (level, event)}
    if len(conditions) == 1 and len(names) == len(levels):
        return [(name, {one}) for name, one in zip(names, levels)]
    return [(name, set(levels)) for name in names]  # LEVELS: the caller's, as a plugin's is


class Logged:
    """What is logged under one name, by all the calls that do."""

    def __init__(self):
        self.levels, self.fields, self.places, self.bare = set(), set(), [], []


def logged_events():
    events = {}
    for path in sources():
        text = without_comments(path.read_text())
        for match in re.finditer(CALLS, text):
            line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
            if line.startswith("#") or re.match(r"(static )?void $", line):
                continue
            arguments = arguments_of(whole_call(text, match.end()))
            level = match[1] or arguments.pop(0)
            subsystems = strings_of(arguments[0])
            if not subsystems:
                continue  # in log.h, between macro and function
            place = f"{path.relative_to(TOP)}:{text.count(chr(10), 0, match.start()) + 1}"
            fields = set(FIELD.findall(" ".join(arguments[2:])))
            fields |= set(FIELD_OF.findall(" ".join(arguments[2:])))
            for event, levels in levels_of(level, arguments[1]):
                one = events.setdefault((subsystems[0], event), Logged())
                one.levels |= levels
                one.fields |= fields
                one.places.append(place)
                if NEEDS_REASON.match(event) and not fields & REASONS:
                    one.bare.append(place)
    return events


def documented_events():
    """{(subsystem, event): (levels, fields)} of the tables of doc/log.md."""
    events, subsystem = {}, None
    for line in (TOP / "doc" / "log.md").read_text().splitlines():
        heading = re.fullmatch(r"## `(.+)`", line)
        if line.startswith("## "):
            subsystem = heading[1] if heading else None
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not subsystem or not cells[0].startswith("`"):
            continue
        levels = {level.strip() for level in cells[1].split(",")}
        fields = set(re.findall(r"`([a-z0-9_]+)`", cells[2]))
        for event in re.findall(r"`([^`]+)`", cells[0]):
            assert (subsystem, event) not in events, f"doc/log.md: {event} is there twice"
            events[subsystem, event] = levels, fields
    return events


def check_events(logged, documented):
    for name in sorted(set(logged) - set(documented)):
        yield f"{logged[name].places[0]}: `{name[0]}: {name[1]}` is not in doc/log.md"
    for name in sorted(set(documented) - set(logged)):
        yield f"doc/log.md: `{name[0]}: {name[1]}` is logged nowhere"
    for name in sorted(set(logged) & set(documented)):
        one, (levels, fields) = logged[name], documented[name]
        if one.levels != levels:
            yield f"doc/log.md: `{name[0]}: {name[1]}`: levels are {', '.join(sorted(one.levels))}"
        if name not in OPEN_ENDED and one.fields != fields:
            yield (
                f"doc/log.md: `{name[0]}: {name[1]}`: "
                f"missing {sorted(one.fields - fields)}, not logged {sorted(fields - one.fields)}"
            )
        for place in one.bare:
            yield f"{place}: `{name[1]}` does not say why: give it error (LOG_ERRNO) or why"
        for key in one.fields:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", key):
                yield f"{one.places[0]}: field {key} is not in lower case with underscores"
        if name[1][0].isupper() and not PROPER.match(name[1]):
            yield f"{one.places[0]}: `{name[1]}` does not begin in lower case"
        if name[1].endswith((".", "!", ":")):
            yield f"{one.places[0]}: `{name[1]}` ends with a mark: fields follow"


def texts():
    """Every string of two words or more, with its place."""
    for path in sources():
        text = without_comments(path.read_text())
        for match in re.finditer(r'"(?:\\.|[^"\\])*"(?:\s*(?:PRI\w+\s*)?"(?:\\.|[^"\\])*")*', text):
            line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
            joined = re.sub(r'"\s*(?:PRI\w+)?\s*"', "", match[0])[1:-1]
            if "#include" not in line and len(re.findall(r"[A-Za-z']{2,}", joined)) >= 2:
                yield f"{path.relative_to(TOP)}:{text.count(chr(10), 0, match.start()) + 1}", joined


def check_texts():
    for place, text in texts():
        if text in ALLOWED:
            continue
        for word, better in FORBIDDEN.items():
            found = re.search(rf"(?<![\w./-])(?:{word})(?![\w-])", text)
            if found:
                yield f"{place}: \"{found[0]}\" in a text; the house says {better}"


def check_errno_texts():
    """strerror() keeps its text where another thread writes, and says "Unknown error 0" of nothing."""
    for path in sources():
        if path.relative_to(TOP).parts[:2] in {("src", "ctl"), ("src", "doctor")}:
            continue  # one thread
        text = without_comments(path.read_text())
        for match in re.finditer(r'LOG_TEXT\(\s*"error",\s*(?:strerror|log_error_text)\(', text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path.relative_to(TOP)}:{line}: LOG_ERRNO has the text of an errno"


def main():
    if sys.argv[1:] == ["--list"]:
        for place, text in texts():
            print(f"{place}: {text}")
        return 0
    wrong = list(check_events(logged_events(), documented_events()))
    wrong += [*check_texts(), *check_errno_texts()]
    print("\n".join(wrong) or "every event is explained, and every text keeps to the rules")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
