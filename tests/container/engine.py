# SPDX-License-Identifier: MIT
"""podman, with everything that it keeps in one folder that can be removed.

It runs as root, without systemd, and with whatever control groups and limits this machine has.
"""

import contextlib
import json
import os
import pathlib
import resource
import shutil
import subprocess

from waiting import wait_until

_CONTAINERS = """\
[containers]
default_ulimits = [ "nofile={files}:{files}", "nproc={processes}:{processes}" ]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
# By file rather than in /dev/shm, which all podmans of a machine share.
lock_type = "file"
runtime = "runc"
static_dir = "{folder}/libpod"
tmp_dir = "{folder}/tmp"
volume_path = "{folder}/volumes"
[network]
network_config_dir = "{folder}/networks"
"""
_STORAGE = """\
[storage]
driver = "vfs"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""


class Engine:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self._remove_folder()
        self.folder.mkdir(parents=True)
        values = {
            "folder": self.folder,
            "files": _limit(resource.RLIMIT_NOFILE, 1 << 20),
            "processes": _limit(resource.RLIMIT_NPROC, 1 << 15),
        }
        self._environment = dict(os.environ)
        for variable, text in (
            ("CONTAINERS_CONF", _CONTAINERS),
            ("CONTAINERS_STORAGE_CONF", _STORAGE),
        ):
            file = self.folder / variable.lower()
            file.write_text(text.format(**values))
            self._environment[variable] = str(file)

    def command(self, *words, namespace=None, **options):
        """Runs podman, in a network namespace if one is given, which containers then have as that
        of their host; the result as subprocess.run has it, whatever the exit status."""
        options = {"capture_output": True, "text": True, "timeout": 60, **options}
        return (namespace or subprocess).run(
            ["podman", *map(str, words)],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            **options,
        )

    def ask(self, *words, **options):
        """What a command that must work prints."""
        done = self.command(*words, **options)
        assert done.returncode == 0, f"podman {' '.join(map(str, words))}:\n{done.stderr}"
        return done.stdout.strip()

    def import_tree(self, tar, image):
        self.ask("import", "--change", f"ENV PATH={os.defpath}:/usr/sbin:/sbin", tar, image, timeout=300)

    def build(self, context, image, base, log):
        """Builds the context's Containerfile; what that prints goes into the file `log`."""
        with open(log, "w") as output:
            done = self.command(
                *("build", "--format", "docker", "--layers=false", "--isolation", "chroot"),
                *("--network", "host", "--build-arg", f"BASE={base}", "--tag", image, context),
                capture_output=False,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=1800,
            )
        assert done.returncode == 0, f"{log}:\n{pathlib.Path(log).read_text()[-4000:]}"

    def inspect(self, name):
        return json.loads(self.ask("inspect", name))[0]

    @contextlib.contextmanager
    def mounted(self, image):
        """The image's tree."""
        folder = self.ask("image", "mount", image)
        try:
            yield pathlib.Path(folder)
        finally:
            self.ask("image", "unmount", image)

    def remove(self):
        self.command("pod", "rm", "--all", "--force", "--time", "0")
        self.command("rm", "--all", "--force", "--time", "0")
        self._remove_folder()

    def _remove_folder(self):
        with open("/proc/mounts") as mounts:
            below = [line.split()[1] for line in mounts if f" {self.folder}/" in line]
        for place in sorted(below, reverse=True):
            subprocess.run(["umount", "--lazy", place])
        shutil.rmtree(self.folder, ignore_errors=True)


class Container:
    """A container that runs, by its name or number."""

    def __init__(self, engine, name):
        self._engine = engine
        self.id = name

    @classmethod
    def start(cls, engine, namespace, *options, image, arguments=()):
        """One of an image, in a network namespace of the test's."""
        network = f"ns:/run/netns/{namespace.name}"
        printed = engine.ask("run", "--detach", "--network", network, *options, image, *arguments)
        return cls(engine, printed.splitlines()[-1])

    def log(self):
        done = self._engine.command("logs", self.id)
        return done.stdout + done.stderr

    def wait_for_log(self, text, seconds=30):
        def there():
            log = self.log()
            assert text in log or self._state()["Running"], f"it has ended:\n{log}"
            return text in log

        wait_until(there, seconds, lambda: f"the log has {text!r}:\n{self.log()}", interval=0.1)

    def wait(self):
        """Waits for its end, and returns the exit status."""
        return int(self._engine.ask("wait", self.id))

    def execute(self, *words):
        return self._engine.command("exec", self.id, *words)

    def status(self, field):
        """A field of its first process in /proc/PID/status."""
        with open(f"/proc/{self._state()['Pid']}/status") as file:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        return fields[field].strip()

    def stop(self):
        """By the image's signal; returns the exit status."""
        self._engine.ask("stop", "--time", "20", self.id)
        return self._state()["ExitCode"]

    def remove(self):
        self._engine.command("rm", "--force", "--time", "0", self.id)

    def _state(self):
        return self._engine.inspect(self.id)["State"]


def _limit(which, most):
    """What this process may have at most, as a container cannot be given more."""
    hard = resource.getrlimit(which)[1]
    return most if hard == resource.RLIM_INFINITY else min(hard, most)
