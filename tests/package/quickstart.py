# SPDX-License-Identifier: MIT
"""doc/quickstart.md, typed word for word on three machines that have nothing yet.

What stands in it as a file is put there, what stands behind a prompt is run by that user on that machine,
and what is shown below has to come. Numbers that no two runs have in common may be others. Then each mistake
of its last table is made, and has to be told as it says there.
"""

import contextlib
import re
import subprocess

import chroots
import packages
from checks import check, same
from lifecycle import ARCHIVES
from network import Path
from systemd import RealSystemd
from waiting import wait_until

DOCUMENT = chroots.TOP / "doc" / "quickstart.md"
USER = "alice"

_PROMPT = re.compile(r"(\w+)@(\w+):~[#$] (.+)")
_FILE = re.compile(r"<!-- (end of file|file): (\w+):(/\S+) -->")
_REASON = re.compile(r"^\| `reason=([a-z-]+)` \|", re.MULTILINE)
_APT = re.compile(r"apt install (.+)")
_PATIENCE = 20

# These only look, so they may look again until there is what is waited for.
_LOOKS = ("journalctl ", "mmproxyctl ")

# What differs from run to run: numbers of processes and sessions, ports of clients, keys.
_VARYING = [
    (re.compile(r"\(process \d+\)"), "(process N)"),
    (re.compile(r"\bid=\d+"), "id=N"),
    (re.compile(r"\bport \d+"), "port N"),
    (re.compile(r"(client|balancer)=([\d.]+):\d+"), r"\1=\2:N"),
    (re.compile(r"^([\d.]+) \d+ ([\d.]+) 22$"), r"\1 N \2 22"),
    (re.compile(r"SHA256:\S+"), "SHA256:KEY"),
]

_CONFIG, _HAPROXY = ("server", "/etc/mmproxy/mmproxy.conf"), ("balancer", "/etc/haproxy/haproxy.cfg")
_SSH = f"ssh -p 2222 -o BatchMode=yes {USER}@{Path.FRONT4} true"

# {what the log gives as the reason: (the file, what stands there, what stands there by mistake)}
MISTAKES = {
    "balancer-not-allowed": (_CONFIG, '"198.51.100.1"', '"192.0.2.1"'),
    "header-missing": (_HAPROXY, " send-proxy-v2", ""),
    "connect-timeout": (_CONFIG, 'routing = { mode = "manage"; };', ""),
    "connect-refused": (_CONFIG, "127.0.0.1:22", "127.0.0.1:23"),
}
_PAST_MMPROXY = (_HAPROXY, ":2222 send-proxy-v2", ":22 send-proxy-v2")


class Step:
    """A command, or a text for a file, in the order of the document."""

    def __init__(self, line, machine, user=None, command=None, path=None, append=False):
        self.line, self.machine, self.user, self.command = line, machine, user, command
        self.path, self.append, self.shown = path, append, []

    def __str__(self):
        return f"line {self.line}, {self.machine}: {self.command or self.path}"


def steps(text):
    """All that there is to do."""
    found, file, block = [], None, None
    for number, line in enumerate(text.splitlines(), 1):
        if block is None and line.startswith("```"):
            block = line[3:] or "file"
            assert block == "console" or file, f"line {number}: neither commands nor a file"
            if file:
                found.append(file)
        elif line == "```":
            block = file = None
        elif block == "console":
            _read_console(number, line, found)
        elif block == "file":
            file.shown.append(line)
        elif match := _FILE.fullmatch(line):
            file = Step(number, match[2], path=match[3], append=match[1] != "file")
    assert block is None, "a block that does not end"
    return found


def _read_console(number, line, found):
    match = _PROMPT.fullmatch(line)
    if match:
        found.append(Step(number, match[2], match[1], match[3]))
    else:
        assert found and found[-1].command, f"line {number}: output of no command"
        found[-1].shown.append(line)


def _plain(line):
    line = " ".join(line.split())
    for pattern, instead in _VARYING:
        line = pattern.sub(instead, line)
    return line


def as_shown(shown, output):
    """Is the output what the document shows? `...` alone is any lines, at a line's end the rest of it."""
    pattern = "".join(
        r"(?:.*\n)*?"
        if line == "..."
        else re.escape(_plain(line.removesuffix("...")).rstrip())
        + (r".*\n" if line.endswith("...") else r"\n")
        for line in shown
    )
    seen = "".join(_plain(line) + "\n" for line in output.splitlines())
    return re.fullmatch(pattern, seen) is not None


class Machines:
    """`with Machines(steps) as machines:` has those of the document, with what it says is there already."""

    def __init__(self, wanted):
        self._wanted, self._stack = wanted, contextlib.ExitStack()
        self.systemds = {}

    def __enter__(self):
        with self._stack as stack:
            path = Path(return_path=False)
            stack.callback(path.destroy)
            for name in ("client", "balancer", "server"):
                booting = RealSystemd(
                    getattr(path, name), chroots.base(), owner=chroots.isolate.pid
                )
                self.systemds[name] = stack.enter_context(booting)
                self._prepare(name)
            self._give_key()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def _prepare(self, name):
        """The packages that it will ask for, because it has no network, and alice."""
        systemd, deb = self.systemds[name], packages.deb("mmproxy")
        with chroots.Chroot(chroots.base()) as root:
            root.put([deb], "/root")
            needed = root.download(*(word.replace("./", "/root/") for word in self._wanted[name]))
        systemd.install({f"{ARCHIVES}/{file.name}": file.read_bytes() for file in needed})
        systemd.install({"/etc/apt/apt.conf.d/90offline": 'APT::Install-Recommends "false";\n'})
        if name == "server":
            systemd.install({f"/root/{deb.name}": deb.read_bytes()})
        systemd.run("useradd", "--create-home", "--shell", "/bin/bash", USER)

    def _give_key(self):
        client, server = self.systemds["client"], self.systemds["server"]
        client.run("apt-get", "-qq", "-y", "install", "openssh-client")
        key = f"/home/{USER}/.ssh/id_ed25519"
        made = f"mkdir -m 700 ~/.ssh && ssh-keygen -q -t ed25519 -N '' -f {key}"
        client.run("runuser", "-l", USER, "-c", made)
        public = client.path(f"{key}.pub").read_text()
        server.install({f"/home/{USER}/.ssh/authorized_keys": public}, mode=0o600)
        server.run("chown", "-R", f"{USER}:{USER}", f"/home/{USER}/.ssh")

    def put(self, step):
        systemd = self.systemds[step.machine]
        before = systemd.path(step.path).read_text()
        text = "\n".join(step.shown) + "\n"
        systemd.install({step.path: before + "\n" + text if step.append else text})

    def type(self, step):
        """(exit status, what it printed); questions are answered by the Enter key."""
        process = self.systemds[step.machine].popen(
            ["runuser", "-w", "LANG,DEBIAN_FRONTEND", "-l", step.user, "-c", step.command],
            env={"LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "PATH": "/usr/sbin:/usr/bin"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            output, _ = process.communicate("\n" * 10, timeout=300)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return process.returncode, output

    def wait_for_haproxy(self):
        """Its reload returns before it listens."""
        listening = ["ss", "-H", "-t", "-l", "-n", "sport = :2222"]
        wait_until(
            lambda: self.systemds["balancer"].run(*listening).stdout, _PATIENCE, "HAProxy listens"
        )

    @contextlib.contextmanager
    def mistaken(self, place, right, wrong):
        """Inside the block a file has something else in it."""
        machine, path = place
        before = self.systemds[machine].path(path).read_text()
        assert before.count(right) == 1, f"{right!r} in {path}:\n{before}"
        self._change(machine, path, before.replace(right, wrong))
        yield
        self._change(machine, path, before)

    def _change(self, machine, path, text):
        systemd = self.systemds[machine]
        systemd.install({path: text})
        # A reload of HAProxy would leave the old process some time, and it could be asked.
        command = "mmproxyctl reload" if machine == "server" else "systemctl restart haproxy"
        systemd.run(*command.split())


def _wanted(found):
    """{machine: the packages that apt is asked for}"""
    wanted = {"client": ["openssh-client"], "balancer": [], "server": []}
    for step in found:
        if step.command and (match := _APT.fullmatch(step.command)):
            wanted[step.machine] += match[1].split()
    return wanted


def _carry_out(machines, step):
    """A check that is done; False when there is no point in going on."""
    if step.path:
        machines.put(step)
        return True
    if step.machine == "client":
        machines.wait_for_haproxy()
    seen = {}

    def done():
        seen["status"], seen["output"] = machines.type(step)
        return seen["status"] == 0 and (not step.shown or as_shown(step.shown, seen["output"]))

    holds = done()
    if not holds and step.command.startswith(_LOOKS):
        with contextlib.suppress(AssertionError):
            holds = wait_until(done, _PATIENCE, "what the document shows", interval=0.2)
    shown = "\n".join(step.shown)
    report = f"shown:\n{shown}\nstatus {seen['status']}:\n{seen['output']}"
    return check(f"quickstart, {step}", holds, report)


def _make_mistakes(machines, text):
    listed = _REASON.findall(text)
    same("quickstart: mistakes that it explains", sorted(MISTAKES), sorted(listed))
    ssh, server = Step(0, "client", USER, _SSH), machines.systemds["server"]
    for reason, mistake in MISTAKES.items():
        with machines.mistaken(*mistake):
            machines.type(ssh)
            server.wait_for_log("mmproxy.service", f"reason={reason} ")
        check(f"quickstart: a mistake is told as reason={reason}", True)
    with machines.mistaken(*_PAST_MMPROXY):
        _, said = machines.type(ssh)
    texts = [text for text in re.findall('"(.+?)"', _line_of(text, "Bad packet")) if text in said]
    check("quickstart: what ssh says when sshd gets the header", texts, said)
    status, said = machines.type(ssh)
    check("quickstart: without mistakes all is well again", status == 0, said)


def _line_of(text, words):
    return next(line for line in text.splitlines() if words in line)


def type_all():
    text = DOCUMENT.read_text()
    found = steps(text)
    check("quickstart: it has commands and files", len(found) > 8, found)
    with Machines(_wanted(found)) as machines:
        # One that fails makes those behind it fail, too.
        if all(_carry_out(machines, step) for step in found):
            _make_mistakes(machines, text)
        log = machines.systemds["server"].log("ssh.service")
    told = f"Accepted publickey for {USER} from {Path.CLIENT4} port "
    check("quickstart: sshd's log has the client's own address", told in log, log)
    others = [line for line in log.splitlines() if "Accepted" in line and told not in line]
    check("quickstart: and no other", not others, others)
