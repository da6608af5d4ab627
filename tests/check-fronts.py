#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Holds doc/fronts to etc/fronts.

Usage: check-fronts.py [SOURCE_DIRECTORY]

A block that shows a file stands behind a comment that names it, <!-- etc/fronts/haproxy.cfg -->,
and is the file or whole lines of it. Other blocks are commands (```sh) or stand behind
<!-- output -->. Each page shows the whole of its own .conf, the index names every page and every
file, links lead somewhere, and Makefile.am has all of it. Prints what is wrong, and a line
"N passed, N failed".
"""

import pathlib
import re
import sys

INDEX = "README.md"


def blocks(text):
    """(line number, what is behind the fence, the last line before that is not empty, content)"""
    lines = text.splitlines()
    opened, before = None, ""
    for number, line in enumerate(lines, 1):
        fence = re.match(r"^( *)```(\S*)$", line)
        if opened is None and fence:
            opened = (number, fence[2], before, len(fence[1]), [])
        elif opened is not None and fence:
            number, language, before, indent, content = opened
            yield number, language, before, "".join(f"{each[indent:]}\n" for each in content)
            opened, before = None, line
        elif opened is not None:
            opened[4].append(line)
        elif line.strip():
            before = line.strip()
    assert opened is None, "a block does not end"


def check_blocks(source, page, text):
    """(what, what is wrong with it or nothing)"""
    whole = set()
    for number, language, before, content in blocks(text):
        what = f"{page}, line {number}"
        named = re.fullmatch(r"<!-- (etc/fronts/[a-z0-9.-]+) -->", before)
        if named:
            path = source / named[1]
            file = path.read_text(encoding="utf-8") if path.is_file() else None
            wrong = f"{named[1]} is not there" if file is None else None
            if file is not None and f"\n{content}" not in f"\n{file}":
                wrong = f"differs from {named[1]}"
            if content == file:
                whole.add(path.name)
            yield what, wrong
        else:
            is_other = language == "sh" or before == "<!-- output -->"
            yield what, None if is_other else "says neither which file it shows nor what else it is"
    if page != INDEX:
        own = pathlib.Path(page).stem + ".conf"
        yield f"{page}: {own}", None if own in whole else "is not shown as a whole"


def headings(text):
    """The anchors of a page: lower case, no punctuation, hyphens for spaces."""
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def check_links(folder, page, text):
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.S)):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = folder / name if name else folder / page
        wrong = None if target.exists() else "leads nowhere"
        if wrong is None and anchor:
            found = headings(target.read_text(encoding="utf-8"))
            wrong = None if anchor in found else "there is no such heading"
        yield f"{page}: {link}", wrong


def check(source):
    folder = source / "doc/fronts"
    pages = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    examples = sorted(path.name for path in (source / "etc/fronts").iterdir())
    for page, text in sorted(pages.items()):
        yield from check_blocks(source, page, text)
        yield from check_links(folder, page, text)
    everything = "".join(pages.values())
    makefile = (source / "Makefile.am").read_text(encoding="utf-8").split()
    for page in sorted(pages):
        linked = page == INDEX or f"]({page})" in pages[INDEX]
        yield f"index: {page}", None if linked else "is not in the index"
        shipped = f"doc/fronts/{page}" in makefile
        yield f"Makefile.am: doc/fronts/{page}", None if shipped else "is not installed"
    for name in examples:
        yield f"pages: {name}", None if name in everything else "no page names it"
        shipped = f"etc/fronts/{name}" in makefile
        yield f"Makefile.am: etc/fronts/{name}", None if shipped else "is not installed"


def main():
    source = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    passed = failed = 0
    for what, wrong in check(source):
        if wrong is None:
            passed += 1
            continue
        failed += 1
        print(f"{what}: {wrong}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
