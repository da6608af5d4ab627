# SPDX-License-Identifier: MIT
"""What files a machine has, to be compared with what it has later."""

import re

# Of each: kind, rights, owner, target of a link. Of those in /etc and /usr the size as well: others
# grow by themselves.
_FORMAT = r"%p\t%y %m %u:%g %l\n"
_SIZED = r"%p\t%s bytes %T@\n"


def snapshot(machine):
    """{path: what it is} of all that a purge might leave behind."""
    listed = machine.run("find", "/", "/run", "/tmp", "-xdev", "-printf", _FORMAT, check=False)
    sized = machine.run("find", "/etc", "/usr", "-xdev", "-type", "f", "-printf", _SIZED)
    files = dict(line.split("\t", 1) for line in listed.splitlines() if "\t" in line)
    for line in sized.splitlines():
        path, size = line.split("\t")
        files[path] += f", {size}"
    return files


def difference(before, after, allowed):
    """What has come, gone or changed and matches none of the patterns: lines of text."""
    paths = sorted(p for p in before.keys() | after.keys() if before.get(p) != after.get(p))
    return [
        f"{path}: {before.get(path, 'nothing')} -> {after.get(path, 'nothing')}"
        for path in paths
        if not any(re.fullmatch(pattern, path) for pattern in allowed)
    ]
