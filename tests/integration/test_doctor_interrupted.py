# SPDX-License-Identifier: MIT
"""mmproxyctl doctor that is not let finish: what it has put into the kernel comes out again, by
itself or by the next run."""

import signal

import pytest

import doctor
from breaks import BREAKS
from sound_hosts import Loopback
from waiting import wait_until

# Rules and routes of the probe's own return path carry it.
_TAG = "proto 110"


@pytest.fixture
def host(sound):
    """One on which the doctor looks behind a rule that is missing, and waits there."""
    made = sound(Loopback)
    BREAKS["rule-missing"](made, 4)
    BREAKS["blocked-by-ipsec"].apply(made, 4)
    return made


def _detour(host):
    return _TAG in host.namespace.run(["ip", "rule"]).stdout


def _start(host, path, *options):
    """A doctor that has changed the host, and is stopped there: it would wait half a second, which
    may be over before anybody has noticed."""
    while True:
        started = doctor.start(host.namespace, path, *options)
        wait_until(
            lambda: _detour(host) or started.poll() is not None,
            15,
            "the doctor has a return path of its own, or had one",
            interval=0,
        )
        started.send_signal(signal.SIGSTOP)
        if _detour(host):
            return started
        started.kill()
        started.communicate(timeout=20)


def _go_on(started):
    started.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind(number, host):
    before = doctor.traces(host.namespace)
    with doctor.config_file(host.config()) as path:
        started = _start(host, path)
        started.send_signal(number)
        _go_on(started)
        output, _ = started.communicate(timeout=20)
    assert started.returncode == -number, output
    assert doctor.traces(host.namespace) == before


def test_what_a_killed_doctor_left_is_removed_by_the_next(host):
    before = doctor.traces(host.namespace)
    with doctor.config_file(host.config()) as path:
        started = _start(host, path)
        started.kill()
        started.communicate(timeout=20)
    assert doctor.traces(host.namespace) != before
    report = doctor.examine(host.namespace, host.config())
    assert ("rule", "127.0.0.1:443") in report.failed(), report
    assert doctor.traces(host.namespace) == before


def test_what_a_killed_doctor_left_does_not_make_the_next_one_content(host):
    """Its own return path must not be taken for the host's."""
    host.ip(4, "xfrm policy flush")
    with doctor.config_file(host.config()) as path:
        started = _start(host, path)
        started.kill()
        started.communicate(timeout=20)
    report = doctor.examine(host.namespace, host.config())
    assert report.failed() == {("rule", "127.0.0.1:443")}, report


def test_two_doctors_do_not_meet(host):
    """The second one says so, and spoils nothing of the first one's."""
    before = doctor.traces(host.namespace)
    with doctor.config_file(host.config()) as path:
        first = _start(host, path, "--json")
        second = doctor.run(host.namespace, path)
        _go_on(first)
        output, _ = first.communicate(timeout=20)
    assert ("rule", "127.0.0.1:443") in {
        (check["check"], check["upstream"])
        for check in doctor.json.loads(output)["checks"]
        if check["status"] == "failed"
    }
    assert second.returncode != 0
    assert "another" in second.stdout + second.stderr, second
    assert doctor.traces(host.namespace) == before


def test_a_reader_that_leaves_ends_it_without_a_trace(host):
    before = doctor.traces(host.namespace)
    with doctor.config_file(host.config()) as path:
        started = _start(host, path)
        started.stdout.close()
        _go_on(started)
        started.wait(20)
    assert doctor.traces(host.namespace) == before
