# SPDX-License-Identifier: MIT
"""What starts it and what does not: the configuration file, --check, and the short form that users
of mmproxy-rs and go-mmproxy know."""

import os
import re

import pytest

import headers
from headers import CLIENT4, CLIENT6, v2
from sessions import MMPROXY, send
from settings import configuration, listener
from traffic import read_exactly, wait_until_ended
from upstreams import Listener

SHORT = ["-l", "127.0.0.1:8443", "-4", "127.0.0.1:443", "-6", "[::1]:443"]


def lines(*text):
    return "\n".join(text) + "\n"


def one(*settings):
    """A file whose listener has these settings, from line 5 on, and is complete but for them."""
    start = ("listeners = (", " {", '  name = "web";', '  listen = "127.0.0.1:8443";')
    return lines(*start, *settings, " }", ");")


FORWARD = '  forward = { ipv4 = "127.0.0.1:443"; };'
ANY = '  subnets = "any";'

# The text, the line the mistake is on (None: any), and what the message must name.
MISTAKES = {
    "syntax": (lines("workers = 1;", "workers = = 2;"), 2, "."),
    "unknown_key": (one(FORWARD, ANY, "  colour = 1;"), 7, "colour"),
    "unknown_key_at_the_top": (lines("worker = 1;") + one(FORWARD, ANY), 1, "worker"),
    "unknown_key_in_forward": (one('  forward = { ipv5 = "127.0.0.1:443"; };', ANY), 5, "ipv5"),
    "wrong_type": (one(FORWARD, ANY, '  header_timeout = "5";'), 7, "header_timeout"),
    "negative_timeout": (one(FORWARD, ANY, "  connect_timeout = -1.0;"), 7, "connect_timeout"),
    "number_past_32_bits": (one(FORWARD, ANY, "  max_sessions = 5000000000;"), 7, "."),
    "mark_out_of_range": (one(FORWARD, ANY, "  mark = 4294967296L;"), 7, "mark"),
    "max_header_out_of_range": (one(FORWARD, ANY, "  max_header = 70000;"), 7, "max_header"),
    "bad_choice": (one(FORWARD, ANY, '  port_conflict = "maybe";'), 7, "any-port"),
    "bad_forward": (one('  forward = { ipv4 = "127.0.0.1"; };', ANY), 5, "ipv4"),
    "forward_of_the_wrong_family": (one('  forward = { ipv4 = "[::1]:443"; };', ANY), 5, "ipv4"),
    "forward_by_name": (one('  forward = { ipv4 = "localhost:443"; };', ANY), 5, "ipv4"),
    "forward_to_no_host": (one('  forward = { ipv4 = "224.0.0.1:443"; };', ANY), 5, "multicast"),
    "forward_of_nothing": (one("  forward = { };", ANY), 5, "forward"),
    "no_forward": (one(ANY), None, "forward"),
    "no_subnets": (one(FORWARD), None, "subnets"),
    "empty_subnets": (one(FORWARD, "  subnets = [ ];"), 6, "subnets"),
    "bad_prefix": (one(FORWARD, '  subnets = [ "192.0.2.0/33" ];'), 6, "subnets"),
    "prefix_of_no_address": (one(FORWARD, '  subnets = [ "192.0.2/24" ];'), 6, "subnets"),
    "missing_list": (one(FORWARD, '  subnets_files = [ "/no/such/file" ];'), 6, "/no/such/file"),
    "bad_permit_sources": (one(FORWARD, ANY, '  permit_sources = [ "lo" ];'), 7, "permit_sources"),
    "bad_listen": (
        lines("listeners = ( {", ' name = "w";', ' listen = "*:65536";', FORWARD, ANY, "} );"),
        3,
        "listen",
    ),
    "no_name": (lines("listeners = ( {", ' listen = "*:1";', FORWARD, ANY, "} );"), None, "name"),
    "no_listeners": (lines("workers = 1;"), None, "listeners"),
    "same_name_twice": (
        configuration(listener(), listener(listen="127.0.0.1:8444")),
        None,
        "web",
    ),
    "same_address_twice": (configuration(listener(), listener("other")), None, "127.0.0.1:8443"),
    "setting_twice": (one(FORWARD, ANY, ANY), 7, "."),
    "bad_protocol": (one(FORWARD, ANY, '  protocol = "sctp";'), 7, '"tcp" or "udp"'),
    "bad_framing": (one(FORWARD, ANY, '  udp = { framing = "each"; };'), 7, '"every" or "first"'),
    "no_flows": (one(FORWARD, ANY, "  udp = { max_flows = 0; };"), 7, "max_flows"),
    "udp_of_a_wrong_type": (one(FORWARD, ANY, '  udp = "spp";'), 7, "udp"),
    "missing_include": (lines('@include "no-such-file"') + one(FORWARD, ANY), None, "no-such-file"),
    "include_of_a_directory": (lines('@include "/usr"') + one(FORWARD, ANY), None, "/usr"),
}


def run(host, start_daemon, config=None, arguments=None, **options):
    """Starts it, waits for its end, and returns the exit status and what it said."""
    made = start_daemon(host, config=config, arguments=arguments, ready=False, **options)
    status = made.wait_until_ended()
    return status, made.log()


# The configuration file.


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
@pytest.mark.parametrize("check", [False, True], ids=["start", "check"])
def test_a_mistake_is_one_line_with_its_place_and_nothing_starts(
    mistake, check, host, start_daemon
):
    text, number, names = mistake
    status, said = run(host, start_daemon, text, ["--check"] if check else None)
    assert status == 2, said
    place = rf"mmproxy\.conf:{number or '[0-9]+'}: "
    matching = [line for line in said.splitlines() if re.search(place, line)]
    assert len(matching) == 1, said
    assert re.search(names, matching[0]), said
    assert "listener: listening" not in said


def test_every_mistake_is_reported_not_just_the_first(host, start_daemon):
    text = one(FORWARD, ANY, "  colour = 1;", '  mark = "x";', "  header_timeout = -1;")
    _, said = run(host, start_daemon, text, ["--check"])
    for number in 7, 8, 9:
        assert f"mmproxy.conf:{number}: " in said


def test_a_missing_file_is_named(host, start_daemon):
    status, said = run(host, start_daemon, arguments=["--config", "/no/such/mmproxy.conf"])
    assert status == 2
    assert "/no/such/mmproxy.conf" in said


def test_a_directory_is_no_configuration(host, start_daemon):
    status, said = run(host, start_daemon, arguments=["--config", "/usr"])
    assert status == 2
    assert "/usr" in said


def test_check_of_a_good_file_is_status_0_and_starts_nothing(host, start_daemon):
    # The address is taken, which would end a start.
    taken = host.socket()
    taken.bind(MMPROXY)
    taken.listen()
    status, said = run(host, start_daemon, configuration(listener()), ["--check"])
    assert status == 0, said
    assert "listener: listening" not in said


# What is legal, and has no effect: the line it is on, and what the remark must name.
REMARKS = {
    "of_tcp_for_udp": (one(FORWARD, ANY, '  protocol = "udp";', "  keepalive = 5;"), 8, "udp"),
    "of_udp_for_tcp": (one(FORWARD, ANY, "  udp = { max_flows = 5; };"), 7, "udp"),
    "host_bits": (one(FORWARD, '  subnets = [ "127.0.0.1/8" ];'), 6, "127.0.0.0/8"),
    "permit": (one(FORWARD, ANY, '  permit_sources = [ "224.0.0.0/4" ];'), 7, "permit_sources"),
}


@pytest.mark.parametrize("remark", REMARKS.values(), ids=REMARKS.keys())
def test_check_prints_a_remark_as_a_warning_and_is_status_0(remark, host, start_daemon):
    text, number, names = remark
    status, said = run(host, start_daemon, text, ["--check"])
    assert status == 0, said
    (warning,) = [line for line in said.splitlines() if line.startswith("warning: ")]
    assert re.search(rf"mmproxy\.conf:{number}: .*{names}", warning)


@pytest.mark.parametrize("remark", REMARKS.values(), ids=REMARKS.keys())
def test_a_remark_is_logged_at_the_start_and_at_each_reload(remark, host, start_daemon):
    text, number, names = remark
    mmproxy = start_daemon(host, config=text)
    mmproxy.wait_until_ready()
    for count in 1, 2:
        remarks = mmproxy.log_lines("config: remark")
        assert [line.level for line in remarks] == ["warning"] * count, mmproxy.log()
        assert re.search(rf"mmproxy\.conf:{number}: .*{names}", remarks[-1].text)
        assert mmproxy.reload().event == "config: reloaded"


def test_includes_are_found_beside_the_file(host, start_daemon, upstream):
    mmproxy = start_daemon(host, config=configuration(listener()))
    mmproxy.write_config(configuration(listener()), "listeners.conf")
    main = mmproxy.write_config('@include "listeners.conf"\n', "main.conf")
    mmproxy.stop()
    # From another working directory.
    start_daemon(host, arguments=["--config", str(main)])
    send(host, v2(CLIENT4))
    assert upstream.accept()[1] == CLIENT4


def test_a_mistake_in_an_include_names_the_include(host, start_daemon):
    mmproxy = start_daemon(host, config=configuration(listener()))
    mmproxy.write_config("workers = 1;\ncolour = 2;\n", "part.conf")
    main = mmproxy.write_config('@include "part.conf"\n' + configuration(listener()), "main.conf")
    status, said = run(host, start_daemon, arguments=["--check", "--config", str(main)])
    assert status == 2
    assert re.search(r"part\.conf:2: ", said)


def test_subnets_any_in_so_many_words_starts(host, start_daemon, upstream):
    start_daemon(host, subnets="any")
    connection = host.connect(MMPROXY, source=("127.99.0.1", 0))
    connection.sendall(v2(CLIENT4))
    assert upstream.accept()[1] == CLIENT4


def test_a_balancer_in_no_subnet_is_refused_before_it_speaks(host, start_daemon, upstream):
    mmproxy = start_daemon(host, subnets=["127.0.0.2", "192.0.2.0/24"])
    wait_until_ended(host.connect(MMPROXY))
    line = mmproxy.wait_for_log("session: refused")
    assert line["reason"] == "balancer-not-allowed"
    assert line["balancer"].startswith("127.0.0.1:")
    allowed = host.connect(MMPROXY, source=("127.0.0.2", 0))
    allowed.sendall(v2(CLIENT4))
    assert upstream.accept()[1] == CLIENT4


def test_an_ipv4_balancer_on_a_listener_for_both_families_is_judged_as_ipv4(
    host, start_daemon, upstream
):
    start_daemon(host, listen="*:8443", subnets=["127.0.0.0/8"])
    send(host, v2(CLIENT4))
    assert upstream.accept()[1] == CLIENT4


def test_two_listeners_have_their_own_upstreams(host, start_daemon, upstream):
    other = Listener(host, ("127.0.0.1", 22))
    start_daemon(
        host,
        config=configuration(
            listener("web"),
            listener("ssh", listen="127.0.0.1:8022", forward={"ipv4": "127.0.0.1:22"}),
        ),
    )
    host.connect(("127.0.0.1", 8022)).sendall(v2(CLIENT4))
    assert other.accept()[1] == CLIENT4
    send(host, v2(CLIENT4))
    assert upstream.accept()[1] == CLIENT4


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_is_the_number_of_threads_that_serve(workers, host, start_daemon):
    mmproxy = start_daemon(host, top={"workers": workers})
    assert mmproxy.wait_until_ready()["workers"] == str(workers)
    # The thread sanitizer has a thread of its own.
    assert workers + 1 <= len(mmproxy.tasks()) <= workers + 1 + mmproxy.built_with_sanitizer()


@pytest.mark.parametrize(
    "top, started_as, policy",
    [
        ({}, "--other", os.SCHED_BATCH),
        ({"scheduling": "batch"}, "--other", os.SCHED_BATCH),
        ({"scheduling": "inherit"}, "--other", os.SCHED_OTHER),
        ({}, "--idle", os.SCHED_IDLE),  # somebody meant that
    ],
    ids=["default", "batch", "inherit", "idle"],
)
def test_scheduling_is_batch_unless_somebody_chose_otherwise(
    top, started_as, policy, host, start_daemon
):
    mmproxy = start_daemon(host, top=top, launch={"prefix": ["chrt", started_as, "0"]})
    policies = mmproxy.scheduling_policies()
    if mmproxy.built_with_sanitizer():
        # The thread sanitizer has a thread of its own, which is there before.
        policies = policies - {os.SCHED_OTHER} or policies
    assert policies == {policy}


def test_freebind_listens_on_an_address_that_comes_later(host, start_daemon, upstream):
    start_daemon(host, listen="192.0.2.1:8443", freebind=True, subnets="any")
    host.add_interface("192.0.2.1/24", "2001:db8:5::1/64")
    host.connect(("192.0.2.1", 8443)).sendall(v2(CLIENT4))
    assert upstream.accept()[1] == CLIENT4


def test_device_binds_the_listener_to_an_interface(host, start_daemon, upstream):
    host.add_interface("192.0.2.1/24", "2001:db8:5::1/64")
    start_daemon(host, listen="0.0.0.0:8443", device="outside", subnets="any")
    with pytest.raises(ConnectionRefusedError):
        host.connect(MMPROXY)  # which comes in through lo


def test_a_device_that_is_not_there_is_named(host, start_daemon):
    status, said = run(host, start_daemon, configuration(listener(device="no-such-dev")))
    assert status == 1
    assert "no-such-dev" in said


# The short form.


def test_the_short_form_serves_both_families(host, start_daemon, upstream, upstream6):
    start_daemon(host, arguments=SHORT)
    for client, listening in (CLIENT4, upstream), (CLIENT6, upstream6):
        send(host, v2(client) + b"payload")
        session, peer = listening.accept()
        assert peer == client
        assert read_exactly(session, 7) == b"payload"


def test_the_short_forms_defaults_are_those_its_users_know(host, start_daemon, upstream, upstream6):
    """0.0.0.0:8443 in front of 127.0.0.1:443 and [::1]:443."""
    mmproxy = start_daemon(host, arguments=["-v"])
    assert mmproxy.wait_for_log("listener: listening")["listen"] == "0.0.0.0:8443"
    for client, listening in (CLIENT4, upstream), (CLIENT6, upstream6):
        send(host, v2(client))
        assert listening.accept()[1] == client


def test_the_long_options_of_the_short_form_mean_the_same(host, start_daemon, upstream):
    start_daemon(
        host,
        arguments=[
            *["--listen-addr", "127.0.0.1:8443", "--ipv4", "127.0.0.1:443", "--ipv6", "[::1]:443"],
            *["--protocol", "tcp", "--mark", "5", "--listeners", "2", "--close-after", "60", "-v"],
        ],
    )
    send(host, v2(CLIENT4))
    assert upstream.accept()[1] == CLIENT4


def test_the_short_form_without_an_allow_list_warns(host, start_daemon):
    mmproxy = start_daemon(host, arguments=SHORT)
    warnings = [line for line in mmproxy.log_lines(" warning ") if line.level == "warning"]
    assert len(warnings) == 1
    assert re.search("-a|allowed-subnets", warnings[0].text)


def write(tmp_path, text):
    path = tmp_path / "allowed"
    path.write_text(text)
    return str(path)


def test_the_short_forms_allow_list_file_is_kept_to(host, start_daemon, upstream, tmp_path):
    allowed = write(tmp_path, "# balancers\n\n127.0.0.2/32 # one\n2001:db8::/32\n")
    mmproxy = start_daemon(host, arguments=[*SHORT, "-a", allowed])
    assert not mmproxy.log_lines(" warning ")
    wait_until_ended(host.connect(MMPROXY))
    assert mmproxy.wait_for_log("session: refused")["reason"] == "balancer-not-allowed"
    host.connect(MMPROXY, source=("127.0.0.2", 0)).sendall(v2(CLIENT4))
    assert upstream.accept()[1] == CLIENT4


@pytest.mark.parametrize("text", ["", "# nobody\n\n", "127.0.0.0/33\n", "127.0.0.0/8 ::1\n"])
def test_a_bad_allow_list_file_starts_nothing(text, host, start_daemon, tmp_path):
    allowed = write(tmp_path, text)
    status, said = run(host, start_daemon, arguments=[*SHORT, "-a", allowed])
    assert status == 2
    assert allowed in said


def test_an_allow_list_file_that_is_missing_starts_nothing(host, start_daemon):
    status, said = run(host, start_daemon, arguments=[*SHORT, "-a", "/no/such/list"])
    assert status == 2
    assert "/no/such/list" in said


def test_listeners_is_the_number_of_workers(host, start_daemon):
    mmproxy = start_daemon(host, arguments=[*SHORT, "--listeners", "3"])
    assert mmproxy.wait_until_ready()["workers"] == "3"


def test_permit_source_may_be_given_twice(host, start_daemon, upstream):
    permits = ["--permit-source", "127.8.0.0/16", "--permit-source", "127.9.0.0/16"]
    start_daemon(host, arguments=[*SHORT, *permits])
    for client in ("127.8.0.1", 41000), ("127.9.0.1", 41000):
        send(host, v2(client))
        assert upstream.accept()[1] == client


def test_verbose_logs_at_debug_level(host, start_daemon):
    mmproxy = start_daemon(host, arguments=[*SHORT, "-v"])
    host.connect(MMPROXY).close()
    mmproxy.wait_for_log("debug session: ")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_close_after_may_stand_beside_either_protocol(protocol, host, start_daemon):
    arguments = [*SHORT, "-p", protocol, "-c", "0", "--check"]
    status, said = run(host, start_daemon, arguments=arguments)
    assert status == 0, said
    assert "warning: " not in said


@pytest.mark.parametrize(
    "arguments",
    [
        [*SHORT, "--no-such-option"],
        [*SHORT, "left-over"],
        [*SHORT, "-m", "-1"],
        [*SHORT, "-p", "sctp"],
        [*SHORT, "-c", "604801"],
        [*SHORT, "--listeners", "0"],
        [*SHORT, "--listeners", "two"],
        ["-l", "localhost", "-4", "127.0.0.1:443"],
    ],
    ids=lambda arguments: "_".join(arguments[-2:]),
)
def test_a_bad_command_line_is_status_2(arguments, host, start_daemon):
    status, said = run(host, start_daemon, arguments=arguments)
    assert status == 2
    assert said.strip()


def test_the_config_file_and_the_short_form_do_not_mix(host, start_daemon):
    status, _ = run(host, start_daemon, configuration(listener()), SHORT)
    assert status == 2


@pytest.mark.parametrize("option", ["-h", "--help", "--version"])
def test_help_and_version_are_status_0(option, host, start_daemon):
    status, said = run(host, start_daemon, arguments=[option])
    assert status == 0
    assert "mmproxy" in said
    if option != "--version":
        for name in ("listen-addr", "ipv4", "ipv6", "allowed-subnets", "mark", "config"):
            assert f"--{name}" in said


def test_a_local_header_needs_no_permission_of_its_own(host, start_daemon, upstream):
    start_daemon(host, arguments=SHORT)
    connection = send(host, headers.local())
    assert upstream.accept()[1] == connection.getsockname()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_instance_is_refused_the_port(workers, host, start_daemon):
    """Not handed half of the connections, as a port that is shared between workers would allow."""
    config = configuration(listener(), workers=workers)
    start_daemon(host, config=config)
    status, said = run(host, start_daemon, config)
    assert status == 1
    assert "Address already in use" in said


def test_a_worker_that_gets_no_descriptor_is_not_passed_over_in_silence(host, start_daemon):
    few = {"prefix": ["prlimit", "--nofile=30:30"]}
    config = configuration(listener(), workers=64)
    status, said = run(host, start_daemon, config, launch=few)
    assert status == 1
    assert "Too many open files" in said
