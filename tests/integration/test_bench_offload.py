# SPDX-License-Identifier: MIT
"""tests/bench with the kernel offload: what is measured as offloaded is the kernel's, and nobody
else is measured with what it left.

How fast anything is, is not tested here.
"""

import contextlib
import pathlib
import sys

import pytest

import daemon

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "bench"))

from harness import loads, offload, scenarios, stage as stages  # noqa: E402

SCENARIOS = {scenario.name: scenario for scenario in scenarios.ALL}
PING = SCENARIOS["tcp-ping-1"]


@pytest.fixture
def stack():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def stage(stack):
    return stages.Stage(stack)


def mounts():
    return pathlib.Path("/proc/self/mounts").read_text()


def test_a_build_without_bpf_is_left_out_with_a_line(stack, stage, capsys):
    player = offload.player(stack, stage, PING, workers=1)
    said = capsys.readouterr().err
    if "+libbpf" in daemon.version_text():
        assert player.name == "mmproxy-offload" and said == ""
    else:
        assert player is None
        assert said.startswith("bench: without mmproxy-offload: ") and said.count("\n") == 1


def test_a_kernel_that_refuses_is_too(tmp_path, stack, stage, capsys, monkeypatch):
    tmp_path.chmod(0o755)
    # No BPF file system.
    monkeypatch.setattr(offload, "_mount", lambda stack: tmp_path)
    assert offload.player(stack, stage, PING, workers=1) is None
    said = capsys.readouterr().err
    assert said.startswith("bench: without mmproxy-offload: ") and said.count("\n") == 1


@pytest.mark.parametrize("name", ["tcp-ping-1", "tcp-echo-64k-50", "udp-64-50"])
def test_what_is_measured_is_the_kernels(name, stack, stage):
    player = offload.player(stack, stage, SCENARIOS[name], workers=1)
    result = loads.Loads(stage, None, seconds=0.2).run(SCENARIOS[name], player)
    assert result["offloaded"] > 0
    assert result["rate"] > 0


def test_connections_that_follow_each_other_stay_the_relays(stack, stage):
    player = offload.player(stack, stage, PING, workers=1)
    result = loads.Loads(stage, None, seconds=0.2).run(SCENARIOS["tcp-connect-50"], player)
    assert result["rate"] > 0
    assert "offloaded" not in result


def test_a_run_in_which_the_kernel_takes_over_nothing_fails(stack, stage):
    player = offload.player(stack, stage, PING, workers=1)
    with player.running(stage.namespace, PING, stages.LISTEN, PING.upstream) as running:
        with pytest.raises(loads.Failed, match="the kernel has 0 of 1 sessions"):
            running.settle(PING, patience=0.2)


def test_nothing_is_left_for_whoever_is_next(stack, stage):
    player = offload.player(stack, stage, PING, workers=1)
    folder = str(player.directory.parent)
    filters = ["tc", "filter", "show", "dev", "lo", "ingress"]
    with player.running(stage.namespace, PING, stages.LISTEN, PING.upstream):
        assert stage.namespace.run(filters).stdout != ""
        assert folder in mounts()
    assert "clsact" not in stage.namespace.run(["tc", "qdisc", "show"]).stdout
    assert not player.directory.exists()
    stack.close()
    assert folder not in mounts() and not pathlib.Path(folder).exists()
