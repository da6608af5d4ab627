# SPDX-License-Identifier: MIT
"""The Debian packages: built from a clean checkout in a clean root, looked at, and repacked.

built() is the folder of the .debs of what git has; it builds them only when that has changed.
"""

import pathlib
import re
import shutil
import subprocess
import tempfile

import chroots
from chroots import CACHE, TOP, Chroot, output_of

DEBS = CACHE / "debs"

# Where the packages are built, as a user without rights, with no network but loopback.
_USER, _HOME = "builder", "/home/builder"
_SOURCE = f"{_HOME}/mmproxy"

# dpkg-buildpackage, the checks, and no more; the rest is in debian/control.
_TOOLS = ["build-essential", "fakeroot", "lintian", "devscripts"]


class Built:
    """`with Built() as built:` builds the packages; the root is there until the end of the block."""

    def __enter__(self):
        self._commit, self.log = _commit(), ""
        self._root = Chroot(_builder()).__enter__()
        try:
            self._build()
        except BaseException:
            self._root.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._root.__exit__()

    def _build(self):
        _unpack(self._commit, self._root.path / _SOURCE.lstrip("/"))
        self.run("chown", "-R", f"{_USER}:{_USER}", _HOME, user="root")
        try:
            self.log = self.run("dpkg-buildpackage", "--no-sign")
        except chroots.Failed as failed:
            self.log = failed.output
            raise
        finally:
            (CACHE / "build.log").write_text(self.log)
        if DEBS.exists():
            shutil.rmtree(DEBS)
        DEBS.mkdir()
        for file in (self._root.path / _HOME.lstrip("/")).iterdir():
            if file.is_file() and file.name.startswith("mmproxy"):
                shutil.copy(file, DEBS)
        _stamp().write_text(self._tree())

    def _tree(self):
        return _git("rev-parse", f"{self._commit}^{{tree}}")

    def run(self, *command, user=_USER, folder=_SOURCE):
        options = {"user": user, "folder": folder, "home": _HOME, "network": False}
        return self._root.run(*command, **options)

    def lintian(self):
        """All that lintian says: the output. Failed if there is an error or a warning."""
        options = ["--fail-on", "error,warning", "--display-info", "--pedantic"]
        changes = [file.name for file in DEBS.glob("*.changes")]
        return self.run("lintian", *options, "--show-overrides", *changes, folder=_HOME)

    def hardening(self, paths):
        """What hardening-check misses in files of the package mmproxy: the output."""
        self.run("dpkg-deb", "-x", f"{_HOME}/{deb('mmproxy').name}", f"{_HOME}/unpacked")
        files = [f"{_HOME}/unpacked{path}" for path in paths]
        return self.run("hardening-check", "--quiet", "--nocfprotection", *files)

    def left_by_clean(self):
        """What `debian/rules clean` leaves that was not in the checkout, or takes from it."""
        self.run("debian/rules", "clean")
        with tempfile.TemporaryDirectory(prefix="mmp-source-") as folder:
            _unpack(self._commit, pathlib.Path(folder))
            command = ["diff", "-rq", folder, self._root.path / _SOURCE.lstrip("/")]
            return subprocess.run(command, capture_output=True, text=True).stdout


def built():
    """The folder with the .debs of what git has, work that is not committed included."""
    tree = _git("rev-parse", f"{_commit()}^{{tree}}")
    if not (DEBS.exists() and _stamp().exists() and _stamp().read_text() == tree):
        with Built():
            pass
    return DEBS


def deb(package):
    """The .deb of a package that has been built."""
    found = list(DEBS.glob(f"{package}_*.deb"))
    assert len(found) == 1, f"{len(found)} packages of {package} in {DEBS}"
    return found[0]


def contents(path):
    """The files and links in a .deb: a set of absolute paths."""
    tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", path], capture_output=True, check=True)
    listed = subprocess.run(["tar", "-t"], input=tar.stdout, capture_output=True, check=True)
    return {line[1:] for line in listed.stdout.decode().splitlines() if not line.endswith("/")}


def conffiles(path):
    with tempfile.TemporaryDirectory(prefix="mmp-deb-") as folder:
        output_of("dpkg-deb", "--control", path, folder)
        return (pathlib.Path(folder) / "conffiles").read_text().split()


def version_of(path):
    return output_of("dpkg-deb", "--field", path, "Version").strip()


def repack(path, version, folder, change=None):
    """The package with another version number, in `folder`; change(root) may alter its files."""
    with tempfile.TemporaryDirectory(prefix="mmp-deb-") as work:
        root = pathlib.Path(work) / "root"
        output_of("dpkg-deb", "--raw-extract", path, root)
        control = root / "DEBIAN/control"
        text = control.read_text()
        control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {version}", text))
        if change:
            change(root)
        made = pathlib.Path(folder) / path.name.replace(version_of(path), version)
        output_of("dpkg-deb", "--root-owner-group", "-Znone", "--build", root, made)
    return made


def _builder():
    """The root with all that debian/control asks for, and the tools."""
    source = (TOP / "debian/control").read_text().split("\n\n")[0]
    wanted = {"/tmp/wanted/debian/control": source + "\n"}
    steps = [["build-dep", "/tmp/wanted"], ["install", "--no-install-recommends", *_TOOLS]]
    return chroots.derived("builder", *steps, ("useradd", "--create-home", _USER), files=wanted)


def _commit():
    """What git would archive: HEAD, or a commit of the work that is not committed, on no branch.

    Files that git has not been told of are not in it.
    """
    return _git("stash", "create") or _git("rev-parse", "HEAD")


def _git(*arguments):
    return output_of("git", "-C", TOP, *arguments, stderr=None).strip()


def unpack(folder):
    """What git has, put into a folder, which it returns."""
    _unpack(_commit(), folder)
    return folder


def _unpack(commit, folder):
    folder.mkdir(parents=True, exist_ok=True)
    archive = subprocess.Popen(["git", "-C", TOP, "archive", commit], stdout=subprocess.PIPE)
    output_of("tar", "-x", "-C", folder, stdin=archive.stdout)
    archive.stdout.close()
    assert archive.wait() == 0, "git archive"


def _stamp():
    return CACHE / "debs.stamp"
