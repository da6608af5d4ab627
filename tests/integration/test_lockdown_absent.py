# SPDX-License-Identifier: MIT
"""Hosts whose kernel has neither Landlock nor filters of system calls, or keeps them from mmproxy: it
says so in a line each, and goes on; and what must not be gone without."""

import subprocess

import pytest

from daemon import version_text
from sessions import assert_alive, open_session
from settings import configuration, listener

FILTERS = "-libseccomp" not in version_text()


def tampered(*injections):
    """A start under strace, which makes these system calls fail. It stays until mmproxy ends."""
    options = [word for injection in injections for word in ("-e", f"inject={injection}")]
    calls = ",".join(injection.partition(":")[0] for injection in injections)
    return {"prefix": ["strace", "-D", "-f", "-o", "/dev/null", "-e", f"trace={calls}", *options]}


def said(mmproxy):
    """What the log says of either."""
    lines = mmproxy.log_lines(" (landlock|seccomp): ")
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


@pytest.mark.skipif(not FILTERS, reason="this build has no filter")
@pytest.mark.parametrize("error", ["ENOSYS", "EINVAL", "EPERM"])
def test_without_filters_it_says_so_once_and_goes_on(error, host, start_daemon, upstream):
    launch = tampered(f"seccomp:error={error}")
    mmproxy = start_daemon(host, launch=launch, top={"landlock": {"mode": "off"}})
    (line,) = said(mmproxy)
    assert line.level == "info"
    assert line.event.startswith("seccomp: system calls are not filtered")
    assert_alive(*open_session(host, upstream))
    assert {mmproxy.status("Seccomp", task) for task in mmproxy.tasks()} == {"0"}


@pytest.mark.skipif(FILTERS, reason="this build has filters")
def test_built_without_libseccomp_it_says_so_once_and_goes_on(host, start_daemon, upstream):
    mmproxy = start_daemon(host, top={"landlock": {"mode": "off"}})
    (line,) = said(mmproxy)
    assert line.level == "info"
    assert "built without libseccomp" in line.text
    assert_alive(*open_session(host, upstream))


@pytest.mark.skipif(FILTERS, reason="this build has filters")
def test_built_without_libseccomp_the_setting_is_remarked_upon(host, start_daemon):
    mmproxy = start_daemon(host, top={"seccomp": "on"})
    (line,) = mmproxy.log_lines("config: remark")
    assert "seccomp: no system call is filtered: that needs libseccomp" in line.text


def assert_does_not_start(mmproxy, words):
    assert mmproxy.wait_until_ended() == 1
    (line,) = mmproxy.log_lines("^[^ ]* error ")
    assert line.event == words
    assert not mmproxy.log_lines("daemon: ready")


def test_landlock_that_is_there_and_fails_is_not_gone_without(host, start_daemon):
    launch = tampered("landlock_restrict_self:error=E2BIG")
    mmproxy = start_daemon(host, launch=launch, ready=False)
    words = 'landlock: cannot restrict files; landlock = { mode = "off"; } goes without'
    assert_does_not_start(mmproxy, words)


# What the kernel can do is asked first, once by mmproxy and nine times by libseccomp 2.5; the next
# call is for the filter.
THE_FILTER = "when=11+"


@pytest.mark.skipif(not FILTERS, reason="this build has no filter")
def test_a_filter_that_fails_is_not_gone_without(host, start_daemon):
    launch = tampered(f"seccomp:error=ENOMEM:{THE_FILTER}")
    mmproxy = start_daemon(host, launch=launch, ready=False)
    words = 'seccomp: cannot filter system calls; seccomp = "off" goes without'
    assert_does_not_start(mmproxy, words)


@pytest.mark.skipif(not FILTERS, reason="this build has no filter")
def test_a_filter_that_is_not_there_though_the_kernel_says_so_is_found(host, start_daemon):
    """strace has the call return 0, and the kernel never hears of it."""
    launch = tampered(f"seccomp:retval=0:{THE_FILTER}")
    mmproxy = start_daemon(host, launch=launch, ready=False)
    words = "seccomp: refusing to run: /proc/self/task shows a thread without a filter"
    assert_does_not_start(mmproxy, words)


def test_rules_that_are_not_enforced_though_the_kernel_says_so_are_found(host, start_daemon):
    """The same of Landlock, which /proc does not show."""
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
