# SPDX-License-Identifier: MIT
"""Hosts whose kernel has neither Landlock nor filters of system calls, or keeps them from mmproxy: it
says so in a line each, and goes on; and what must not be gone without."""

import re

import pytest

import plugins
from daemon import version_text
from faults import assert_does_not_start, tampered
from sessions import assert_alive, open_session

FILTERS = "+libseccomp" in version_text()


def said(mmproxy):
    """What the log says of either."""
    lines = mmproxy.log_lines("^[^ ]* [a-z]+ (landlock|seccomp): ")
    return [line for line in lines if line.level != "debug"]


@pytest.mark.parametrize("error", ["ENOSYS", "EOPNOTSUPP", "EPERM"])
def test_without_landlock_it_says_so_once_and_goes_on(error, host, start_daemon, upstream):
    launch = tampered(f"landlock_create_ruleset:error={error}")
    mmproxy = start_daemon(host, launch=launch, top={"seccomp": "off"})
    (line,) = said(mmproxy)
    assert line.level == "info"
    assert line.event.startswith("landlock: files are not restricted")
    assert line["error"]
    assert_alive(*open_session(host, upstream))


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_an_older_landlock_does_what_it_can(version, host, start_daemon, upstream):
    """What later versions added is left out, and what they all have is in force."""
    launch = tampered(f"landlock_create_ruleset:retval={version}:when=1")
    entry = plugins.entry("intruder", {"attempts": ["list /", "create run/made"]})
    top = {"landlock": {"paths": ["."]}}
    mmproxy = start_daemon(host, launch=launch, top=top, plugins=[entry])
    (line,) = mmproxy.log_lines("landlock: files are restricted")
    assert line["abi"] == str(version)
    assert_alive(*open_session(host, upstream))
    assert mmproxy.log_lines(re.escape("tried list /: 13"))
    assert mmproxy.log_lines(re.escape("tried create run/made: 0"))
    assert mmproxy.reload().event == "config: reloaded"


@pytest.mark.parametrize("error", ["ENOSYS", "EINVAL", "EPERM"])
def test_without_filters_it_says_so_once_and_goes_on(error, host, start_daemon, upstream):
    launch = tampered(f"seccomp:error={error}")
    mmproxy = start_daemon(host, launch=launch, top={"landlock": {"mode": "off"}})
    (line,) = said(mmproxy)
    assert line.level == "info"
    assert line.event.startswith("seccomp: system calls are not filtered")
    assert_alive(*open_session(host, upstream))
    assert {mmproxy.status("Seccomp", task) for task in mmproxy.tasks()} == {"0"}


def test_a_build_without_libseccomp_says_so_once_and_goes_on(host, start_daemon, upstream):
    """And more, when the setting was written."""
    top = {"landlock": {"mode": "off"}, "seccomp": "on"}
    mmproxy = start_daemon(host, top=top)
    (line,) = said(mmproxy)
    assert line.level == "info"
    assert ("built without libseccomp" in line.text) != FILTERS
    remark = "config: remark.* seccomp: no system call is filtered: that needs libseccomp"
    assert len(mmproxy.log_lines(remark)) == (0 if FILTERS else 1)
    assert_alive(*open_session(host, upstream))


@pytest.mark.parametrize(
    "failure",
    [
        "landlock_restrict_self:error=E2BIG",
        "landlock_create_ruleset:error=EMFILE:when=2",
        "landlock_add_rule:error=ENOMEM:when=3",
    ],
)
def test_landlock_that_is_there_and_fails_is_not_gone_without(failure, host, start_daemon):
    launch = tampered(failure)
    mmproxy = start_daemon(host, launch=launch, ready=False)
    words = "landlock: cannot restrict files"
    assert_does_not_start(mmproxy, words)


def test_rules_that_are_not_enforced_though_the_kernel_says_so_are_found(host, start_daemon):
    """strace has the call return 0, and the kernel never hears of it."""
    launch = tampered("landlock_restrict_self:retval=0")
    mmproxy = start_daemon(host, launch=launch, top={"seccomp": "off"}, ready=False)
    words = "landlock: refusing to run: a folder that no rule opens is open"
    assert_does_not_start(mmproxy, words)


def test_the_short_form_is_locked_down_too(host, start_daemon, upstream):
    arguments = ["-l", "127.0.0.1:8443", "-4", "127.0.0.1:443", "--permit-source", "127.0.0.0/8"]
    mmproxy = start_daemon(host, arguments=arguments)
    assert_alive(*open_session(host, upstream))
    assert mmproxy.log_lines("landlock: files are restricted abi=")
    assert bool(mmproxy.log_lines("seccomp: system calls are filtered mode=on")) == FILTERS
