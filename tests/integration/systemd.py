# SPDX-License-Identifier: MIT
"""A real systemd in namespaces of the test's own, over an overlay of this machine's root, or of another.

It boots in a second, has a journal, and nothing of the machine's own services. What is installed
goes into the overlay and vanishes with it. Its network is a Namespace: a test opens sockets there
as it does beside any other mmproxy.
"""

import contextlib
import itertools
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import tempfile
import threading

from network import tidying
from waiting import wait_until

_numbers = itertools.count(1)

# Waiting for systemd itself; sanitizers and a busy machine are slow.
_PATIENCE = 30

# Arguments: a folder to work in, the terminal that becomes /dev/console, a control group, and the root
# that the overlay is over. It runs in new mount, PID, UTS and IPC namespaces; what it becomes is PID 1
# there.
#
# Version 1's hierarchy of names is one for the whole machine, so that two runs must not meet in it:
# PID 1 starts in a group of its own, and systemd makes the others below that one. systemd does not
# find its groups in a chroot, so the new root becomes the root.
_BOOT = r"""
work=$1 console=$2 group=$3 lower=$4
root=$work/root
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$work"
mkdir "$work/upper" "$work/work" "$root"
mount -t overlay -o "lowerdir=$lower,upperdir=$work/upper,workdir=$work/work" overlay "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/shm dev/pts
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
for device in null zero full random urandom tty; do
	touch "dev/$device"
	mount --bind "/dev/$device" "dev/$device"
done
touch dev/console
mount --bind "$console" dev/console
mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
mkdir sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
mkdir "sys/fs/cgroup/systemd/$group"
echo $$ >"sys/fs/cgroup/systemd/$group/cgroup.procs"

# Nothing of what the machine would start: the targets are there, and want nobody.
rm -rf etc/systemd/system/* lib/systemd/system/*.wants lib/systemd/system-generators var/log/journal
echo 0123456789abcdef0123456789abcdef >etc/machine-id
cat >etc/systemd/system/test.target <<'END'
[Unit]
Description=What the tests need
DefaultDependencies=no
Wants=systemd-journald.service
END
mkdir -p etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\nRateLimitBurst=0\nAudit=no\n' \
	>etc/systemd/journald.conf.d/test.conf

mkdir old
pivot_root . old
umount -l old
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
	/lib/systemd/systemd --unit=test.target --show-status=no </dev/console >/dev/console 2>&1
"""

# Without a mount of one's own the groups may be out of reach: the machine may have no version 1.
_REMOVE_GROUPS = r"""
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/groups
mount -t cgroup -o none,name=systemd cgroup /mnt/groups
cd /mnt/groups
for group in "$@"; do
	if [ -d "$group" ]; then
		find "$group" -depth -type d -exec rmdir {} +
	fi
done
"""


class RealSystemd:
    """`with RealSystemd(namespace) as systemd:` boots it, and ends it whatever happens.

    `root` is the folder of a Debian root; by default it is this machine's own. `owner` is this process
    as the machine sees it, if it is in a PID namespace.
    """

    def __init__(self, namespace, root="/", owner=None):
        self.namespace = namespace
        self._root = root
        self._group = f"mmproxy-test-{owner or os.getpid()}-{next(_numbers)}"
        self._console = bytearray()
        self._process = None
        self.directory = None

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="mmp-systemd-"))
        try:
            self._boot()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def _boot(self):
        master, slave = pty.openpty()
        self._reader = threading.Thread(target=self._read_console, args=(master,), daemon=True)
        self._reader.start()
        # Should the test run be killed: the first dies with us, the second with the first, and with
        # PID 1 everything in its namespace.
        command = ["setpriv", "--pdeathsig", "KILL"]
        command += ["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
        command += ["sh", "-euc", _BOOT, "sh", self.directory, os.ttyname(slave), self._group]
        command += [self._root]
        try:
            self._process = self.namespace.popen(
                command, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave
            )
        finally:
            os.close(slave)
        self.pid = wait_until(self._find_pid, _PATIENCE, self._waiting_for("PID 1 runs"))
        wait_until(self._is_up, _PATIENCE, self._waiting_for("systemd is up"), interval=0.05)

    def _waiting_for(self, what):
        return lambda: f"{what}; console:\n{self.console()}"

    def _find_pid(self):
        """Of PID 1, as this process sees it; as soon as it is systemd."""
        assert self._process.poll() is None, f"no systemd; console:\n{self.console()}"
        with open(f"/proc/{self._process.pid}/task/{self._process.pid}/children") as file:
            children = file.read().split()
        if not children:
            return None
        with open(f"/proc/{children[0]}/comm") as file:
            return int(children[0]) if file.read() == "systemd\n" else None

    def _is_up(self):
        assert self._process.poll() is None, f"systemd ended; console:\n{self.console()}"
        return self.systemctl("is-active", "test.target", check=False).returncode == 0

    def _read_console(self, master):
        with contextlib.suppress(OSError):  # EIO: the last one who had it open has closed it
            while data := os.read(master, 65536):
                self._console += data
        os.close(master)

    def console(self):
        """What was written to /dev/console."""
        return self._console.decode(errors="backslashreplace").replace("\r\n", "\n")

    def stop(self):
        """Ends PID 1 and with it everything in there, and takes away what it left."""
        if self._process is not None:
            # Its parent would wait for it for ever if it did not start; that one's end ends it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(getattr(self, "pid", self._process.pid), signal.SIGKILL)
            self._process.wait()
            wait_until(lambda: not self.namespace.pids(), _PATIENCE, "nothing of it runs any more")
            self._reader.join(_PATIENCE)
            self._process = None
            _remove_groups([self._group])
        if self.directory is not None:
            shutil.rmtree(self.directory)
            self.directory = None

    # Files.

    def path(self, name):
        """Where a file of its root is for this process."""
        return pathlib.Path(f"/proc/{self.pid}/root") / str(name).lstrip("/")

    def install(self, files, mode=0o644):
        """Writes files: {absolute path: text or bytes}. Its units are known at once."""
        for name, content in files.items():
            where = self.path(name)
            where.parent.mkdir(parents=True, exist_ok=True)
            where.write_bytes(content.encode() if isinstance(content, str) else content)
            where.chmod(mode)
        if any("/systemd/" in name for name in files):
            self.systemctl("daemon-reload")

    def install_tree(self, folder):
        """Copies what `make install DESTDIR=folder` left."""
        # cp would stumble over /lib, a link into /usr.
        archive = subprocess.run(["tar", "-C", folder, "-c", "."], capture_output=True, check=True)
        unpack = ["tar", "-C", self.path("/"), "-x", "--no-same-owner", "--keep-directory-symlink"]
        done = subprocess.run(unpack, input=archive.stdout, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        # What a package does once its files are there.
        self.run("systemd-sysusers", "mmproxy.conf")
        self.run("systemd-tmpfiles", "--create", "mmproxy.conf")
        self.systemctl("daemon-reload")

    def drop_in(self, unit, text, name="test"):
        """What `systemctl edit` would write."""
        self.install({f"/etc/systemd/system/{unit}.d/{name}.conf": text})

    # Commands.

    def popen(self, command, **options):
        """Starts a command beside systemd: in its root, and among its processes."""
        inside = ["nsenter", "-t", str(self.pid), "--mount", "--pid", "--uts", "--ipc"]
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        environment = {"PATH": path, "LANG": "C.UTF-8"}
        return self.namespace.popen(
            [*inside, "--wd=/", *command], **{"env": environment, "text": True, **options}
        )

    def run(self, *command, check=True, timeout=_PATIENCE):
        """Runs a command to its end: a CompletedProcess, with its output as text."""
        pipe = subprocess.PIPE
        process = self.popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            process.wait()
            raise
        done = subprocess.CompletedProcess(command, process.returncode, output, errors)
        if check:
            assert done.returncode == 0, f"{command}:\n{output}{errors}\n{self.report()}"
        return done

    def systemctl(self, *arguments, **options):
        return self.run("systemctl", "--no-ask-password", "--no-pager", *arguments, **options)

    def show(self, unit, name):
        """A property of a unit, as text."""
        return self.systemctl("show", "--value", "-p", name, unit).stdout.strip()

    def units(self, pattern):
        """The names of the units that are loaded and match."""
        listed = self.systemctl("list-units", "--all", "--plain", "--no-legend", pattern).stdout
        return [line.split()[0] for line in listed.splitlines()]

    def main_pid(self, unit):
        """The service's process, as this process sees it; 0 when there is none."""
        inside = int(self.show(unit, "MainPID"))
        if not inside:
            return 0
        return next((pid for pid in self.namespace.pids() if _innermost_pid(pid) == inside), 0)

    # The journal.

    def _journalctl(self, *arguments, check=True):
        """What it prints. All that was logged before is in there: journald has written it."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--no-pager", *arguments, check=check).stdout

    def journal(self, *matches, **fields):
        """Entries as dicts: journal(_SYSTEMD_UNIT="mmproxy.service")."""
        terms = [*matches, *(f"{name}={value}" for name, value in fields.items())]
        lines = self._journalctl("--quiet", "--all", "-o", "json", *terms).splitlines()
        return [json.loads(line) for line in lines]

    def log(self, unit):
        """What the unit wrote, and what systemd says of it, as text."""
        return self._journalctl("-o", "cat", "-u", unit, check=False)

    def wait_for_log(self, unit, pattern, timeout=_PATIENCE, count=1):
        """The first `count` lines of log() that match, as soon as they are there; one as text."""
        seen = {}

        def search():
            seen["log"] = self.log(unit)
            lines = [line for line in seen["log"].splitlines() if re.search(pattern, line)]
            return lines[:count] if len(lines) >= count else None

        what = lambda: f"{unit} has logged /{pattern}/ {count} times:\n{seen['log']}"
        lines = wait_until(search, timeout, what, interval=0.05)
        return lines[0] if count == 1 else lines

    def report(self):
        """For whoever looks into a failed test."""
        with contextlib.suppress(Exception):
            journal = self.run("journalctl", "--no-pager", "-o", "short-precise", check=False)
            return f"{journal.stdout}\nconsole:\n{self.console()}"
        return f"console:\n{self.console()}"


@contextlib.contextmanager
def installation(binary):
    """A folder with what `make install` of the program's build leaves, the units among it."""
    build = pathlib.Path(binary).parent
    assert (build / "Makefile").exists(), f"{binary} is not in a build: its units are unknown"
    environment = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}
    with tempfile.TemporaryDirectory(prefix="mmp-installed-") as folder:
        os.chmod(folder, 0o755)  # it becomes the root's
        done = subprocess.run(
            ["make", "--silent", "-C", build, "install", f"DESTDIR={folder}"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
        yield pathlib.Path(folder)


def remove_leftovers():
    """Removes what test runs left that were killed before they could: folders and groups."""
    with tidying() as our_turn, contextlib.suppress(FileNotFoundError):
        if not our_turn:
            return
        with open("/proc/self/mounts") as file:
            mounted = next((line.split()[1] for line in file if "name=systemd" in line), None)
        names = os.listdir(mounted) if mounted else []
        owners = {name: re.fullmatch(r"mmproxy-test-(\d+)-\d+", name) for name in names}
        left = [
            name
            for name, owner in owners.items()
            if owner and not os.path.exists(f"/proc/{owner[1]}")
        ]
        if left:
            _remove_groups(left)


def _remove_groups(names):
    command = ["unshare", "--mount", "sh", "-euc", _REMOVE_GROUPS, "sh", *names]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"control groups are left: {done.stderr}"


def _innermost_pid(pid):
    """The process's number in its own PID namespace."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith("NSpid:"):
                    return int(line.split()[-1])
    return None
