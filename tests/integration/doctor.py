# SPDX-License-Identifier: MIT
"""`mmproxyctl doctor` in a namespace, and what it has said."""

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import tempfile

import ctl
import daemon

# The checks that a listener's upstream gets; all others are the host's or the listener's.
PATH_CHECKS = (
    "family forward upstream rule route rp-filter nat firewall forwarder spoofed seen".split()
)

# What a mend line may begin with to be a command; all else is a setting, or advice.
_COMMANDS = ("ip ", "sysctl ", "nft ", "iptables ", "ip6tables ", "mmproxyctl ")


@dataclasses.dataclass(frozen=True)
class Check:
    check: str
    listener: str
    upstream: str
    status: str
    evidence: str
    mend: list

    @property
    def where(self):
        return self.upstream or self.listener


class Report:
    """One run's results, which must be well-formed; and its exit status, which must agree."""

    def __init__(self, done):
        assert done.returncode in (0, 1), done
        daemon.assert_no_sanitizer_report_in(done.stderr)
        assert done.stderr == "", done.stderr
        assert done.stdout.count("\n") == 1, done.stdout
        answer = json.loads(done.stdout)
        assert answer.keys() == {"ok", "checks"}
        self.checks = [Check(**check) for check in answer["checks"]]
        self.exit = done.returncode
        statuses = {check.status for check in self.checks}
        assert statuses <= {"ok", "failed", "warning", "skipped", "consequence"}, statuses
        assert answer["ok"] == (self.exit == 0) == ("failed" not in statuses), self

    def where(self, status):
        """{(check, upstream or listener or None)} of all that have this status."""
        return {(check.check, check.where) for check in self.checks if check.status == status}

    def failed(self):
        return self.where("failed")

    def warnings(self):
        """All but those of addresses where nobody listens: most tests have no mmproxy."""
        return self.where("warning") - self.unserved()

    def unserved(self):
        return {
            (check.check, check.where)
            for check in self.checks
            if check.status == "warning" and "no mmproxy listens there" in check.evidence
        }

    def get(self, name, where=None):
        """The one result of a check: of the host, of a listener or an upstream."""
        found = [check for check in self.checks if (check.check, check.where) == (name, where)]
        assert len(found) == 1, f"{name} of {where}: {found} in\n{self}"
        return found[0]

    def mends(self):
        """The commands that mend what failed, in their order, each once."""
        lines = [
            line for check in self.checks if check.status == "failed" for line in check.mend
        ]
        return [line for line in dict.fromkeys(lines) if line.startswith(_COMMANDS)]

    def __str__(self):
        return "\n".join(
            f"{check.status:12}{check.check:14}{check.where or '-':26}{check.evidence}"
            + "".join(f"\n{'':12}mend: {line}" for line in check.mend)
            for check in self.checks
        )


@contextlib.contextmanager
def config_file(text):
    """A file that any user may read."""
    with tempfile.TemporaryDirectory(prefix="mmp-doctor-") as directory:
        os.chmod(directory, 0o755)
        path = pathlib.Path(directory) / "mmproxy.conf"
        path.write_text(text)
        path.chmod(0o644)
        yield path


def run(namespace, config, *options, prefix=(), **how):
    """The finished process. `config` is a text; or a pathlib.Path, of a file."""
    with contextlib.ExitStack() as stack:
        if isinstance(config, str):
            config = stack.enter_context(config_file(config))
        command = [*prefix, ctl.binary(), "doctor", "--config", str(config), *options]
        return namespace.run(command, stdin=subprocess.DEVNULL, **how)


def examine(namespace, config, **how):
    return Report(run(namespace, config, "--json", **how))


def start(namespace, path, *options, **how):
    """Without waiting for its end. `path` is the configuration's."""
    command = [ctl.binary(), "doctor", "--config", str(path), *options]
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **how}
    return namespace.popen(command, stdin=subprocess.DEVNULL, **how)


def carry_out(namespace, commands):
    """Executes what the doctor advises, word for word."""
    path = f"{pathlib.Path(ctl.binary()).parent}:/usr/sbin:/sbin:{os.environ['PATH']}"
    for command in commands:
        done = namespace.run(["sh", "-c", command], env={**os.environ, "PATH": path})
        assert done.returncode == 0, f"{command}: {done.stderr}"


def traces(namespace):
    """Everything of this host that a doctor could leave changed: rules, routes, nftables."""
    commands = [
        "ip rule",
        "ip -6 rule",
        "ip route show table all",
        "ip -6 route show table all",
        "nft -s list ruleset",
    ]
    return {command: namespace.run(command.split()).stdout for command in commands}
