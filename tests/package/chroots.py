# SPDX-License-Identifier: MIT
"""Clean Debian 12 roots to build and install packages in.

How another test uses them, as root, with the modules of tests/integration on the path as well:

    import chroots, lifecycle, packages
    chroots.isolate()             # first of all: what is mounted or started ends with this
    packages.built()              # builds the .debs, unless they are those of this checkout
    with chroots.Chroot(chroots.base()) as root:
        root.put([packages.deb("mmproxy")], "/debs")
        needed = root.download(f"/debs/{packages.deb('mmproxy').name}", "haproxy")
        root.install("haproxy")   # in there, for nobody else
        root.run("haproxy", "-v", network=False)
    with lifecycle.Machine(chroots.base(), {lifecycle.ARCHIVES: needed}) as machine:
        machine.install(packages.deb("mmproxy"))     # on a real systemd, without network
        machine.apt("install", "haproxy")

base() is what debootstrap makes, kept below build/package and made anew after a week; derived() is
that with packages installed, kept as well. Nobody writes to either: a Chroot is an overlay in memory,
and so is a Machine.

Debian's mirror is this machine's own, as its apt has it. No service starts in a chroot, and what a
command leaves running ends with the command.
"""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import mirror

TOP = pathlib.Path(__file__).resolve().parents[2]
CACHE = TOP / "build" / "package"

_ISOLATED = "MMPROXY_PACKAGE_TEST_ISOLATED"

# Seconds until a root is made anew: the mirror drops the packages that its lists name.
_LIFETIME = 7 * 24 * 3600

# Arguments: the root, what to do first, and a command out here. It runs in a mount and a PID
# namespace of its own; /dev in the root is this machine's.
_AROUND = r"""
root=$1
$2
shift 2
mount -t proc proc /proc
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
exec "$@"
"""


class Failed(Exception):
    """A command that should have succeeded; its text is what the command printed."""

    def __init__(self, command, status, output):
        words = [str(word) for word in command]
        named = " ".join(word for word in words if "\n" not in word)
        super().__init__(f"{named}: status {status}\n{output}")
        self.output = output


def isolate(before=lambda: None):
    """Starts this program anew, with mounts, temporary files and processes that end with it.

    So nothing of them is left behind, /run/netns included, however the test ends. `before` is called
    before that. Afterwards isolate.pid is this process as the rest of the machine sees it.
    """
    if os.geteuid() != 0:
        sys.exit("as root, please: chroots, mounts and namespaces take it")
    outside = os.environ.pop(_ISOLATED, None)
    if outside is None:
        before()
        command = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
        ]
        command += ["--mount-proc", sys.executable, *sys.argv]
        os.execvpe(command[0], command, {**os.environ, _ISOLATED: str(os.getpid())})
    isolate.pid = int(outside)
    # PID 1 is deaf to what it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    work = CACHE / "work"
    for folder in (work, pathlib.Path("/run/netns")):
        folder.mkdir(parents=True, exist_ok=True)
        _mount("tmpfs", folder, "mode=1777")
    tempfile.tempdir = os.environ["TMPDIR"] = str(work)
    # Two runs would build in the same place. The lock goes with the process.
    isolate.lock = open(CACHE / "lock", "w")
    try:
        fcntl.flock(isolate.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(f"another run has {CACHE} in use")


def output_of(*command, **options):
    """What a command printed, errors included; Failed if it failed."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    options = {**pipes, "text": True, "errors": "backslashreplace", **options}
    done = subprocess.run([str(word) for word in command], **options)
    if done.returncode != 0:
        raise Failed(command, done.returncode, done.stdout)
    return done.stdout


def base():
    """The folder of the root that debootstrap makes: what a fresh Debian 12 server is like."""
    sources = mirror.sources()

    def make(folder):
        downloads = _downloads("archives")
        options = [f"--keyring={mirror.KEYRING}", f"--cache-dir={downloads}"]
        output_of("debootstrap", *options, mirror.RELEASE, folder, mirror.uri(sources[0]))
        (folder / "etc/apt/sources.list").write_text("\n".join(sources) + "\n")
        (folder / "etc/apt/apt.conf.d/90machine").write_text(mirror.apt_options())
        with Chroot(folder, writable=True) as root:
            root.run("apt-get", "-q", "update")

    return _kept("base", "\n".join(sources), make)


def derived(name, *steps, files=None):
    """base() in which `apt-get STEP` has been run for each step that is a list, and the command
    for one that is a tuple.

    `files`: {path in the root: text} that are there before. It is made anew when any of it changes.
    """
    below = base()

    def make(folder):
        output_of("cp", "--archive", "--reflink=auto", f"{below}/.", folder)
        with Chroot(folder, writable=True) as root:
            for path, text in (files or {}).items():
                root.write(path, text)
            for step in steps:
                root.apt(*step) if isinstance(step, list) else root.run(*step)

    made_of = [_stamp("base").read_text(), repr(steps), repr(files)]
    return _kept(name, hashlib.sha256("\0".join(made_of).encode()).hexdigest(), make)


class Chroot:
    """`with Chroot(folder) as root:` has a root above the folder that may be written to."""

    def __init__(self, folder, writable=False):
        """`writable`: the folder itself is written to, for whoever makes one."""
        self._lower = pathlib.Path(folder)
        self._mounted = None
        self.path = self._lower if writable else None

    def __enter__(self):
        if self.path is None:
            work = self._mounted = pathlib.Path(tempfile.mkdtemp(prefix="mmp-chroot-"))
            _mount("tmpfs", work, "mode=755")
            self.path = work / "root"
            for name in ("upper", "work", "root"):
                (work / name).mkdir()
            layers = f"lowerdir={self._lower},upperdir={work}/upper,workdir={work}/work"
            _mount("overlay", self.path, layers)
        policy = self.path / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")  # invoke-rc.d asks it, and 101 means no
        policy.chmod(0o755)
        shutil.copyfile("/etc/resolv.conf", self.path / "etc/resolv.conf")
        return self

    def __exit__(self, *_):
        (self.path / "usr/sbin/policy-rc.d").unlink()
        if self._mounted:
            output_of("umount", "--recursive", "--lazy", self._mounted)
            self._mounted.rmdir()

    def run(self, *command, network=True, user="root", folder="/", home="/root"):
        """Runs a command in there, and returns what it printed."""
        inside = ["chroot", f"--userspec={user}:{user}", self.path]
        inside += ["env", "--ignore-environment", "--chdir", folder, f"HOME={home}"]
        inside += ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]
        inside += ["DEBIAN_FRONTEND=noninteractive"]
        return self.run_around(*inside, *command, network=network)

    def run_around(self, *command, network=True):
        """Runs a command out here which enters the root by itself, and returns what it printed."""
        outside = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork"]
        outside += ["--kill-child", *([] if network else ["--net"]), "sh", "-euc", _AROUND, "sh"]
        first = ":" if network else "ip link set lo up"
        return output_of(*outside, self.path, first, *command)

    def apt(self, *arguments):
        """apt-get, with packages kept for the next time."""
        downloads = _downloads("archives")
        archives = self.path / "var/cache/apt/archives"
        output_of("mount", "--bind", downloads, archives)
        try:
            return self.run("apt-get", "-q", "-y", *arguments)
        finally:
            output_of("umount", "--lazy", archives)

    def install(self, *packages):
        return self.apt("install", "--no-install-recommends", *packages)

    def download(self, *packages):
        """The packages, and what they need that is not there: paths of .deb files out here."""
        wanted = ["install", "--no-install-recommends", *packages]
        # Not by apt(): of what has been downloaded already apt would not tell.
        said = self.run("apt-get", "-qq", "-y", "--print-uris", *wanted)
        self.apt("--download-only", *wanted)
        uris = [line.split() for line in said.splitlines() if line.startswith("'")]
        archives = _downloads("archives")
        return [archives / name for uri, name, *_ in uris if not uri.startswith("'file:")]

    def put(self, files, folder):
        """Copies files from out here into a folder in there."""
        there = self.path / folder.lstrip("/")
        there.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copy(file, there)

    def write(self, path, text):
        there = self.path / path.lstrip("/")
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(text)


def _downloads(name):
    folder = CACHE / name
    (folder / "partial").mkdir(parents=True, exist_ok=True)
    return folder


def _stamp(name):
    return CACHE / f"{name}.stamp"


def _kept(name, key, make):
    """The folder CACHE/name, made by make(folder) unless it is there, fresh, and made of `key`."""
    folder, stamp = CACHE / name, _stamp(name)
    with contextlib.suppress(FileNotFoundError):
        fresh = time.time() - stamp.stat().st_mtime < _LIFETIME
        if fresh and stamp.read_text().split("\n", 1)[1] == key:
            return folder
    print(f"  making {folder.relative_to(TOP)}", flush=True)
    stamp.unlink(missing_ok=True)
    # It gets its name when it is whole.
    unfinished = CACHE / f"{name}.unfinished"
    for old in (folder, unfinished):
        if old.exists():
            output_of("rm", "-rf", "--one-file-system", old)
    unfinished.mkdir()
    make(unfinished)
    unfinished.rename(folder)
    stamp.write_text(f"{time.time()}\n{key}")
    return folder


def _mount(kind, where, options):
    output_of("mount", "-t", kind, "-o", options, kind, where)
