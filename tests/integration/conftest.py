# SPDX-License-Identifier: MIT
"""What every integration test can ask for by name.

    host          one namespace: the test plays the balancer, mmproxy and upstreams are beside it
    sound         makes a host of sound_hosts.py: sound(Loopback), sound(Container, udp=True)
    bare          one namespace without a return path
    path          three namespaces in a row: client, balancer, server
    start_daemon  starts mmproxy; called with settings of the one listener, or with a whole config
    upstream      a listening socket at 127.0.0.1:443 of `host`, the test accepts by hand
    upstream6     the same at [::1]:443
    upstreams     a server for each family on the server of `path`, at port 443, which says whom it sees
    start_udp     starts mmproxy with settings of the one UDP listener
    udp_upstream  a UDP socket at 127.0.0.1:443 of `host`, the test answers by hand
    udp_upstream6 the same at [::1]:443
    mmproxy       mmproxy in `host`, listening on 127.0.0.1:8443, with settings.listener()
    systemd       a real systemd in `host`, in which mmproxy has been installed and not been started
    start         starts anything else that has run() and stop(), and stops it at the end

Root is needed, and so are the programs in peers.PROGRAMS. What cannot run fails: it is never
skipped. A test that takes longer than its deadline (60 s, or @pytest.mark.deadline(seconds)) fails,
too. So does a run of all tests in which some counter was never raised (see raised.py);
--raised-by=FILE writes down which counter was raised by which test.
"""

import faulthandler
import os
import signal

import pytest

import daemon
import network
import peers
import raised
import settings
import systemd as real_systemd
from upstreams import UPSTREAM4, UPSTREAM6, Datagrams, Listener, Server, report_peer

DEADLINE = 60

_raised = raised.Record()


class DeadlineExceeded(Exception):
    pass


def pytest_addoption(parser):
    parser.addoption("--headers", type=int, default=20000, help="how many test_verdicts compares")
    parser.addoption("--headers-seed", type=int, default=1, help="of what they are made")
    parser.addoption("--raised-by", metavar="FILE", help="write which test raised which counter")


def pytest_configure(config):
    # What nohup or a build server has this process ignore, programs that it starts would ignore, too.
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    config.addinivalue_line("markers", "deadline(seconds): how long the test may take, default 60")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """No test hangs: an exception at the deadline, the end of the run if even that is stuck."""
    marker = item.get_closest_marker("deadline")
    seconds = marker.args[0] if marker else DEADLINE

    def too_late(*_):
        signal.alarm(30)  # for the fixtures to clean up
        raise DeadlineExceeded(f"not finished after {seconds} s")

    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(seconds)
    faulthandler.dump_traceback_later(seconds + 90, exit=True)
    try:
        yield
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what mmproxy logged."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for number, started in enumerate(getattr(item, "mmproxies", []), 1):
            if started.log_file.exists():
                report.sections.append((f"log of mmproxy {number}", _last_lines(started)))
        if "systemd" in getattr(item, "funcargs", {}):
            report.sections.append(("journal", item.funcargs["systemd"].report()))


def pytest_sessionfinish(session, exitstatus):
    if session.config.option.raised_by:
        with open(session.config.option.raised_by, "w") as file:
            file.writelines(f"{line}\n" for line in _raised.table())
    # Tests that failed, or were not reached, would have raised theirs.
    session.config.never_raised = []
    if exitstatus == pytest.ExitCode.OK and raised.is_whole_run(session.config):
        session.config.never_raised = _raised.missing()
        if session.config.never_raised:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    for name in config.never_raised:
        terminalreporter.write_line(f"FAILED no test has raised the counter {name}", red=True)


def _last_lines(mmproxy):
    """The end of the log, without what the test's own questions have added."""
    lines = [line for line in mmproxy.log().splitlines() if "daemon: counters" not in line]
    return "\n".join(lines[-100:])


@pytest.fixture(scope="session", autouse=True)
def machine():
    """Everything the tests need from the machine is there."""
    if os.geteuid() != 0:
        pytest.fail("the integration tests make network namespaces: run them as root")
    if peers.missing():
        pytest.fail(f"not installed: {' '.join(peers.missing())} (Debian packages)")
    daemon.binary()
    network.remove_leftovers()
    real_systemd.remove_leftovers()


@pytest.fixture
def host():
    made = network.Namespace("host")
    try:
        made.add_return_path()
        yield made
    finally:
        made.destroy()


@pytest.fixture
def bare():
    """A host without a return path."""
    made = network.Namespace("bare")
    yield made
    made.destroy()


@pytest.fixture
def path():
    made = network.Path()
    yield made
    made.destroy()


@pytest.fixture(scope="session")
def installation():
    """A folder with what `make install` of the build under test leaves."""
    with real_systemd.installation(daemon.binary()) as folder:
        yield folder


@pytest.fixture
def systemd(host, installation):
    with real_systemd.RealSystemd(host) as booted:
        booted.install_tree(installation)
        # The leak check looks into the process from outside, which the unit's filter forbids.
        booted.systemctl("set-environment", "ASAN_OPTIONS=detect_leaks=0")
        yield booted
        for unit in booted.units("mmproxy*.service"):
            daemon.assert_no_sanitizer_report_in(booted.log(unit))


@pytest.fixture
def start():
    started = []

    def run(peer):
        started.append(peer)
        return peer.run()

    yield run
    for peer in reversed(started):
        peer.stop()


@pytest.fixture
def sound(start):
    made = []

    def run(kind, **options):
        made.append(kind(start, **options))
        return made[-1]

    yield run
    for host in made:
        host.destroy()


@pytest.fixture
def start_daemon(request):
    """start_daemon(host, header_timeout=1.0) or start_daemon(host, config=text) and more.

    Every mmproxy it starts must have ended in good order when the test ends.
    """
    started, namespaces = [], []
    request.node.mmproxies = []

    def run(namespace, config=None, ready=True, arguments=None, top=None, launch=None, **changes):
        if config is None and arguments is None:
            config = settings.configuration(settings.listener(**changes), **(top or {}))
        made = daemon.Daemon(namespace, config, arguments, **(launch or {}))
        started.append((made, ready))
        request.node.mmproxies.append(made)
        namespaces.append(namespace)
        if ready:
            made.wait_until_ready()
        return made

    yield run
    for namespace in namespaces:
        namespace.close_sockets()
    try:
        for made, was_ready in started:
            # A start that was meant to fail has ended by itself; its test has judged the status.
            if was_ready or made.process.poll() is None:
                made.stop()
            made.assert_no_sanitizer_report()
    finally:
        for made, _ in started:
            if made.log_file.exists():
                _raised.note(request.node.nodeid, made.log())
            made.discard()


@pytest.fixture
def upstreams(path):
    made = [Server(path.server, report_peer, address) for address in (UPSTREAM4, UPSTREAM6)]
    yield made
    for server in made:
        server.close()


@pytest.fixture
def start_udp(start_daemon):
    """start_udp(host, "spp", idle_timeout=1.0, subnets="any") and more.

    A flow has no end of its own: without drain_timeout in `top`, the end does not wait for any.
    """

    def run(namespace, framing="every", top=None, launch=None, ready=True, **changes):
        listener = settings.udp_listener(framing=framing, **changes)
        config = settings.configuration(listener, **{"drain_timeout": 0, **(top or {})})
        return start_daemon(namespace, config=config, launch=launch, ready=ready)

    return run


@pytest.fixture
def udp_upstream(host):
    return Datagrams(host, UPSTREAM4)


@pytest.fixture
def udp_upstream6(host):
    return Datagrams(host, UPSTREAM6)


@pytest.fixture
def upstream(host):
    made = Listener(host, UPSTREAM4)
    yield made
    made.close()


@pytest.fixture
def upstream6(host):
    made = Listener(host, UPSTREAM6)
    yield made
    made.close()


@pytest.fixture
def mmproxy(host, start_daemon):
    return start_daemon(host)
