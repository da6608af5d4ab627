# SPDX-License-Identifier: MIT
"""The life of the package on a machine with a real systemd: install, use, upgrade, remove, purge."""

import contextlib
import pathlib
import re
import tempfile

import chroots
import packages
from checks import check, same
from load import Load
from network import Path
from scene import SERVICE_PORT, Scene, edited
from sessions import MMPROXY
from snapshot import difference, snapshot
from systemd import RealSystemd
from test_systemd_sockets import use_socket
from upstreams import echo

SERVICE, SOCKET, INSTANCE = "mmproxy.service", "mmproxy.socket", "mmproxy@two.service"
CONFIG, INSTANCE_CONFIG = "/etc/mmproxy/mmproxy.conf", "/etc/mmproxy/two.conf"
UNITS = [SERVICE, SOCKET, "mmproxy@.service", "mmproxy@.socket"]

# Where the .debs lie on the machine, and where apt looks for what they need: it has no network.
DEBS, ARCHIVES = "/srv/debs", "/var/cache/apt/archives"

# What a purge may leave: {pattern of paths: why}.
ALLOWED = {
    r"/etc/(passwd|group|shadow|gshadow)-?": "the user stays, as Debian's sysusers have it",
    r"/etc/\.pwd\.lock": "of systemd-sysusers",
    re.escape(INSTANCE_CONFIG): "a file of the administrator's own",
    r"/etc/mmproxy": "it holds a file of the administrator's own",
    r"/etc/systemd/system/mmproxy\.socket\.d(/.*)?": "the administrator's drop-in",
    r"/etc/ld\.so\.cache|/var/cache/ldconfig/.*": "of ldconfig",
    r"/var/(lib|log|cache)/(dpkg|apt)(/.*)?": "of dpkg and apt",
    r"/var/log/dpkg\.log|/var/cache/debconf/.*": "of dpkg and debconf",
    r"/run/systemd/.*": "of systemd",
    r"/etc/systemd/system/(multi-user|sockets)\.target\.wants": "each machine has it; not this one",
    r"/srv/debs(/.*)?": "the test's own",
}


class Machine:
    """`with Machine(root, debs) as machine:` boots the root, with the .debs and what they need in it."""

    def __init__(self, root, files):
        self._root, self._files = root, files
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with self._stack as stack:
            self.scene = stack.enter_context(Scene())
            booting = RealSystemd(self.scene.server, self._root, owner=chroots.isolate.pid)
            self.systemd = stack.enter_context(booting)
            for folder, files in self._files.items():
                self.put(files, folder)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def put(self, files, folder):
        self.systemd.install({f"{folder}/{file.name}": file.read_bytes() for file in files})

    def run(self, *command, **options):
        return self.systemd.run(*command, **{"timeout": 300, **options}).stdout

    def apt(self, *arguments):
        """As an administrator has it, who is never asked anything: nobody could answer."""
        options = ["-q", "-y", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0"]
        return self.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *options, *arguments)

    def install(self, deb):
        self.deb = deb
        self.put([deb], DEBS)
        return self.apt("install", f"{DEBS}/{deb.name}")

    def state(self, unit):
        """(whether it is enabled, whether it runs), in systemd's words."""
        asked = [
            self.systemd.systemctl(f"is-{w}", unit, check=False) for w in ("enabled", "active")
        ]
        return tuple(done.stdout.strip() for done in asked)

    def read(self, path):
        return self.systemd.path(path).read_text()

    def processes(self):
        """The command lines of the user mmproxy's processes."""
        return self.systemd.run("pgrep", "-a", "-u", "mmproxy", check=False).stdout

    def check_serves(self, when):
        for family in 4, 6:
            own, seen = self.scene.ask(family)
            same(f"{when}: IPv{family}, through HAProxy, the upstream sees the client", own, seen)


def live(machine):
    """All of it, in the order in which it happens."""
    files, network = snapshot(machine), machine.scene.return_path()
    install(machine)
    start_as_it_comes(machine, network)
    use(machine)
    with tempfile.TemporaryDirectory(prefix="mmp-debs-") as folder:
        upgrade(machine, pathlib.Path(folder))
        upgrade_to_another_conffile(machine, pathlib.Path(folder))
        upgrade_under_load(machine, pathlib.Path(folder))
    remove(machine, network)
    purge(machine, files)


def install(machine):
    machine.install(packages.deb("mmproxy"))
    for unit in (SERVICE, SOCKET):
        same(
            f"installed: {unit} is not enabled and does not run",
            ("disabled", "inactive"),
            machine.state(unit),
        )
    same("installed: no process", "", machine.processes())
    user = machine.run("getent", "passwd", "mmproxy").strip().split(":")
    same("installed: the user has no home and no shell", ["/", "/usr/sbin/nologin"], user[5:])
    check("installed: the user is a system's", int(user[2]) < 1000, user)
    said = machine.run("mmproxy", "--check", "--config", CONFIG)
    check("installed: the configuration is sound as it comes", "is sound" in said, said)
    version = machine.run("mmproxy", "--version")
    check("installed: all that is optional is built in", not re.search(r"\s-\w", version), version)


def start_as_it_comes(machine, network):
    machine.systemd.systemctl("start", SERVICE)
    same("as it comes: it starts", "active", machine.state(SERVICE)[1])
    same(
        "as it comes: the network's rules and routes are untouched",
        network,
        machine.scene.return_path(),
    )
    for client in (machine.scene.server, machine.scene.balancer):
        here = "127.0.0.1" if client is machine.scene.server else Path.SERVER4
        with client.connect((here, SERVICE_PORT)) as connection:
            same(f"as it comes: nobody is let in, at {here}", b"", connection.recv(1))
    refused = "reason=balancer-not-allowed"
    # The connection is closed before that is logged.
    machine.systemd.wait_for_log(SERVICE, refused, count=2)
    refusals = machine.systemd.log(SERVICE).count(refused)
    same("as it comes: because their addresses are not the balancers'", 2, refusals)
    machine.systemd.systemctl("stop", SERVICE)


def use(machine):
    """What README.Debian says: edit one file, enable it."""
    text = edited(machine.read(CONFIG), "127.0.0.0/8")
    machine.systemd.install({CONFIG: text})
    machine.systemd.systemctl("enable", "--now", "mmproxy")
    same("in use: enabled and active", ("enabled", "active"), machine.state(SERVICE))
    machine.scene.start_balancer()
    machine.check_serves("in use")
    # A second one beside it, and something for the purge in the folder of logs.
    config = 'file = "/var/log/mmproxy/two/access.log";'
    log = f'plugins = ( {{ name = "accesslog"; config = {{ {config} }}; }} );\n'
    second = text.replace("*:8443", "*:8444").replace('"manage"', '"check"') + log
    machine.systemd.install({INSTANCE_CONFIG: second})
    machine.systemd.systemctl("enable", "--now", INSTANCE)
    same("in use: an instance is active", ("enabled", "active"), machine.state(INSTANCE))
    folder = machine.systemd.path("/var/log/mmproxy/two")
    check("in use: it has a log", (folder / "access.log").exists())


def upgrade_to_next(machine, folder, change=None):
    """Installs what is installed with a higher number; change(root) may alter its files."""
    version = packages.version_of(machine.deb) + "+next"
    machine.install(packages.repack(machine.deb, version, folder, change))
    seen = machine.run(
        "dpkg-query", "-W", "-f", "${Version} ${db:Status-Abbrev}", "mmproxy"
    ).split()
    same(f"upgraded: dpkg has version {version}", [version, "ii"], seen)


def upgrade(machine, folder):
    text = machine.read(CONFIG)
    before = {unit: machine.systemd.main_pid(unit) for unit in (SERVICE, INSTANCE)}
    upgrade_to_next(machine, folder)
    for unit, pid in before.items():
        now = machine.systemd.main_pid(unit)
        check(f"upgraded: {unit} is another process", now and now != pid, (pid, now))
    same("upgraded: the socket is as it was", ("disabled", "inactive"), machine.state(SOCKET))
    same("upgraded: the changed configuration is kept", text, machine.read(CONFIG))
    machine.check_serves("upgraded")
    # What the administrator has stopped stays so.
    machine.systemd.systemctl("stop", INSTANCE)
    upgrade_to_next(machine, folder)
    same("upgraded: what was stopped is", ("enabled", "inactive"), machine.state(INSTANCE))
    machine.systemd.systemctl("start", INSTANCE)


def upgrade_to_another_conffile(machine, folder):
    """With another configuration in it: the administrator's is kept, the new one put beside it."""
    text = machine.read(CONFIG)

    def change(root):
        with open(root / CONFIG.lstrip("/"), "a") as file:
            file.write("# A line that the next version has.\n")

    machine.systemd.install(
        {"/etc/apt/apt.conf.d/90keep": 'Dpkg::Options { "--force-confold"; };\n'}
    )
    upgrade_to_next(machine, folder, change)
    machine.systemd.path("/etc/apt/apt.conf.d/90keep").unlink()
    same("upgraded, new conffile: the changed one is kept", text, machine.read(CONFIG))
    new = machine.read(f"{CONFIG}.dpkg-dist")
    check(
        "upgraded, new conffile: the new one is beside it",
        "A line that the next version has" in new,
    )
    machine.check_serves("upgraded, new conffile")


def upgrade_under_load(machine, folder):
    """The socket unit in use: nobody is refused, and the socket stays open."""
    systemd, scene = machine.systemd, machine.scene
    stop = scene.start_upstream(echo, [("127.0.0.1", 444)])
    systemd.systemctl("stop", SERVICE)
    systemd.install({CONFIG: machine.read(CONFIG).replace('"127.0.0.1:443"', '"127.0.0.1:444"')})
    use_socket(systemd, f"ListenStream={SERVICE_PORT}", "FileDescriptorName=web")
    systemd.systemctl("enable", "--now", SOCKET, SERVICE)
    before, since = systemd.main_pid(SERVICE), systemd.show(SOCKET, "ActiveEnterTimestampMonotonic")
    with Load(scene.server, MMPROXY) as load:
        load.wait_for_more()
        upgrade_to_next(machine, folder)
        load.wait_for_more()
    check(
        "socket unit: an upgrade refuses and resets nobody",
        set(load.results) == {"served"},
        load.results,
    )
    check("socket unit: it was another process", systemd.main_pid(SERVICE) not in (0, before))
    same(
        "socket unit: it has stayed open",
        since,
        systemd.show(SOCKET, "ActiveEnterTimestampMonotonic"),
    )
    stop()


def remove(machine, network):
    text = machine.read(CONFIG)
    # Somebody who connects all the time, so that a socket that is left would start the service.
    with Load(machine.scene.server, MMPROXY):
        machine.apt("remove", "mmproxy")
    for unit in (SERVICE, SOCKET, INSTANCE):
        same(f"removed: {unit} does not run", "inactive", machine.state(unit)[1])
    same("removed: no process", "", machine.processes())
    same(
        "removed: the network's rules and routes are as before",
        network,
        machine.scene.return_path(),
    )
    same("removed: the configuration is kept", text, machine.read(CONFIG))
    left = list(machine.systemd.path("/run").glob("mmproxy*"))
    same("removed: nothing in /run", [], left)


def purge(machine, files):
    machine.apt("purge", "mmproxy")
    machine.apt("autoremove", "--purge")
    left = difference(files, snapshot(machine), ALLOWED)
    same("purged: nothing is left but what is allowed to be", [], left)
    status = machine.systemd.run("dpkg-query", "-W", "mmproxy", check=False)
    check("purged: dpkg has forgotten it", status.returncode != 0, status.stdout)
