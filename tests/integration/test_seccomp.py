# SPDX-License-Identifier: MIT
"""The filter of system calls: what somebody who has got in may try (tests/plugins/intruder.c).
test_lockdown_absent.py is about hosts and builds that have none."""

import signal

import pytest

import plugins
from faults import assert_does_not_start, tampered
from headers import CLIENT4, v2
from sessions import assert_alive, open_session, send
from settings import configuration, listener

# Nothing that mmproxy or a plugin does in good faith.
FATAL = [
    *["execve", "execveat", "clone_process", "clone_new_user", "unshare", "setns"],
    *["ptrace", "process_vm_readv", "process_vm_writev", "pidfd_open", "kcmp"],
    *["kill_another", "tgkill_another"],
    *["init_module", "finit_module", "delete_module", "kexec_load", "reboot", "sethostname"],
    *["keyctl", "add_key", "request_key"],
    *["mount", "umount2", "fsopen", "move_mount", "pivot_root", "chroot", "open_by_handle_at"],
    *["bpf", "perf_event_open", "userfaultfd", "io_uring_setup"],
    *["personality", "prctl_dumpable", "ioctl_tiocsti", "chmod", "symlink", "setuid", "capset"],
    *["mmap_written_code", "mmap_anonymous_code", "mprotect_code"],
    *["socket_packet", "socket_raw", "socket_raw_flags", "socket_ping", "socket_sctp"],
    *["socket_alg", "socket_vsock", "socket_audit"],
    *["call_of_x32", "call_of_32_bit"],
]
# What a sanitizer does itself.
OF_SANITIZERS = {
    *["execve", "clone_process", "clone_new_user", "ptrace", "kill_another"],
    *["personality", "prctl_dumpable"],
    *["mmap_written_code", "mmap_anonymous_code", "mprotect_code"],
}
# What a library asks for in vain, and what each of them may do.
REFUSED = {"clone3": 38, "memfd_create": 1}
HARMLESS = {
    **{"socket_route": 0, "socket_netfilter": 0, "socket_udp_flags": 0, "socket_unix": 0},
    # Of a descriptor that is none, and of a number that is no call: the kernel's own answers.
    **{"mmap_file_code": 9, "call_of_a_tracer": 38},
}


def intruder(*attempts, when="filter"):
    return plugins.entry("intruder", {"attempts": list(attempts), "when": when})


def results(mmproxy):
    """What has been tried, and the errno of each."""
    lines = mmproxy.log_lines("tried ")
    said = [line.text.partition("tried ")[2].rstrip('"').split(": ") for line in lines]
    return {name: int(error) for name, error in said}


def invade(host, mmproxy):
    """A session, for which the intruder acts; it may be the end of mmproxy."""
    return send(host, v2(CLIENT4))


def assert_killed(mmproxy):
    assert mmproxy.wait_until_ended() == -signal.SIGSYS
    assert not mmproxy.log_lines("tried ")


@pytest.mark.parametrize("attempt", FATAL)
def test_a_call_that_is_not_mmproxys_ends_it(attempt, host, start_daemon, upstream):
    mmproxy = start_daemon(host, plugins=[intruder(attempt)], ready=False)
    mmproxy.wait_until_ready()
    of_sanitizer = attempt in OF_SANITIZERS and mmproxy.built_with_sanitizer()
    invade(host, mmproxy)
    if of_sanitizer:
        mmproxy.wait_for_log("tried ")
        mmproxy.stop()
    else:
        assert_killed(mmproxy)


def test_a_plugins_own_thread_is_under_the_filter(host, start_daemon, upstream):
    """It has been there before the filter was."""
    mmproxy = start_daemon(host, plugins=[intruder("mount", when="thread")], ready=False)
    mmproxy.wait_until_ready()
    modes = {mmproxy.status("Seccomp", task) for task in mmproxy.tasks()}
    assert modes == {"2"}
    invade(host, mmproxy)
    assert_killed(mmproxy)


def test_so_is_the_main_thread_that_opens_plugins(host, start_daemon):
    entry = intruder("mount", when="open")
    top = {"landlock": {"paths": [str(plugins.folder())]}}
    mmproxy = start_daemon(host, top=top, ready=False)
    mmproxy.wait_until_ready()
    mmproxy.write_config(configuration(listener(plugins=[entry]), **top))
    mmproxy.process.send_signal(signal.SIGHUP)
    assert_killed(mmproxy)


def test_an_abort_is_still_an_abort(host, start_daemon, upstream):
    """A crash must not look like a forbidden call."""
    mmproxy = start_daemon(host, plugins=[intruder("abort")], ready=False)
    mmproxy.wait_until_ready()
    invade(host, mmproxy)
    assert mmproxy.wait_until_ended() == -signal.SIGABRT


def test_what_libraries_ask_for_in_vain_is_refused_and_what_they_need_is_not(
    host, start_daemon, upstream
):
    wanted = {**REFUSED, **HARMLESS}
    mmproxy = start_daemon(host, plugins=[intruder(*wanted)])
    assert_alive(*open_session(host, upstream))
    assert results(mmproxy) == wanted


@pytest.mark.parametrize("mode", ["log", "off"])
def test_otherwise_all_calls_are_made(mode, host, start_daemon, upstream):
    """None is refused: each has the kernel's own answer, and mmproxy goes on."""
    attempts = [*FATAL, *REFUSED, *HARMLESS]
    mmproxy = start_daemon(host, plugins=[intruder(*attempts)], top={"seccomp": mode})
    assert_alive(*open_session(host, upstream))
    tried = results(mmproxy)
    assert list(tried) == attempts
    assert {name: tried[name] for name in HARMLESS} == HARMLESS
    assert tried["execve"] == 2  # there is no such file
    assert tried["clone3"] == 22  # its arguments are wrong
    modes = {mmproxy.status("Seccomp", task) for task in mmproxy.tasks()}
    assert modes == {"2" if mode == "log" else "0"}
    assert len(mmproxy.log_lines("seccomp: system calls are filtered mode=log")) == (mode == "log")


def test_a_change_of_the_filter_needs_a_restart(host, start_daemon):
    mmproxy = start_daemon(host, top={"seccomp": "log"})
    mmproxy.write_config(configuration(listener(), seccomp="off"))
    assert mmproxy.reload().event == "config: reload failed, nothing changed"
    (line,) = mmproxy.log_lines("config: mistake")
    assert "seccomp: changed, and this change needs a restart" in line.text


# What the kernel can do is asked first, once by mmproxy and nine times by libseccomp 2.5; the next
# call is for the filter.
THE_FILTER = "when=11+"


def test_a_filter_that_fails_is_not_gone_without(host, start_daemon):
    launch = tampered(f"seccomp:error=ENOMEM:{THE_FILTER}")
    mmproxy = start_daemon(host, launch=launch, ready=False)
    words = "seccomp: cannot filter system calls"
    assert_does_not_start(mmproxy, words)


def test_a_filter_that_is_not_there_though_the_kernel_says_so_is_found(host, start_daemon):
    """strace has the call return 0, and the kernel never hears of it."""
    launch = tampered(f"seccomp:retval=0:{THE_FILTER}")
    mmproxy = start_daemon(host, launch=launch, ready=False)
    words = "seccomp: refusing to run: /proc/self/task shows a thread without a filter"
    assert_does_not_start(mmproxy, words)
