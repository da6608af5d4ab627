# SPDX-License-Identifier: MIT
"""The workers' heartbeats, where no service manager asks for them."""

import plugins
from headers import v2
from sessions import clients, open_session, send
from traffic import read_exactly


def test_a_stuck_worker_is_logged_by_its_number_once_and_when_it_is_back(
    host, start_daemon, upstream
):
    stuck = plugins.entry("stuck", {"while": "hold", "port": 1666})
    mmproxy = start_daemon(host, plugins=[stuck], top={"workers": 1})
    mmproxy.write_config("", "hold")
    send(host, v2(("203.0.113.7", 1666)))
    line = mmproxy.wait_for_log("daemon: a worker is stuck")
    assert line.level == "error"
    assert line["worker"] == "0"
    assert 2 <= float(line["silent"]) < 10
    (mmproxy.directory / "hold").unlink()
    back = mmproxy.wait_for_log("daemon: a worker is back")
    assert back["worker"] == "0"
    assert float(back["silent"]) > float(line["silent"])
    assert len(mmproxy.log_lines("a worker is stuck")) == 1
    upstream.accept()
    connection, accepted = open_session(host, upstream)
    connection.sendall(b"ping")
    assert read_exactly(accepted, 4) == b"ping"


def test_a_worker_that_is_stuck_again_is_logged_again(host, start_daemon, upstream):
    stuck = plugins.entry("stuck", {"while": "hold"})
    mmproxy = start_daemon(host, plugins=[stuck], top={"workers": 1})
    for _ in range(2):
        known = mmproxy.log_size()
        mmproxy.write_config("", "hold")
        send(host, v2(("203.0.113.7", 1666)))
        mmproxy.wait_for_log("daemon: a worker is stuck", after=known)
        (mmproxy.directory / "hold").unlink()
        mmproxy.wait_for_log("daemon: a worker is back", after=known)
        upstream.accept()


def test_other_workers_go_on_while_one_is_stuck(host, start_daemon, upstream):
    stuck = plugins.entry("stuck", {"while": "hold", "port": 1666})
    mmproxy = start_daemon(host, plugins=[stuck], top={"workers": 4})
    mmproxy.write_config("", "hold")
    send(host, v2(("203.0.113.7", 1666)))
    number = mmproxy.wait_for_log("daemon: a worker is stuck")["worker"]
    for client in clients(16):
        send(host, v2(client))
    for _ in range(4):  # at least: the kernel chooses the worker
        upstream.accept()
    assert [line["worker"] for line in mmproxy.log_lines("a worker is stuck")] == [number]
    (mmproxy.directory / "hold").unlink()
    mmproxy.wait_for_log("daemon: a worker is back")
    for _ in range(13):
        upstream.accept()
