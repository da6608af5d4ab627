# SPDX-License-Identifier: MIT
"""Starting mmproxy, reading its log and its counters, and ending it."""

import collections
import contextlib
import dataclasses
import datetime
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from waiting import wait_until

_TOP = pathlib.Path(__file__).resolve().parents[2]

# Waiting for the daemon to start, stop or answer a signal; sanitizers are slow.
_PATIENCE = 15

_SANITIZER_REPORTS = (
    "ERROR: AddressSanitizer",
    "runtime error:",
    "LeakSanitizer",
    "ThreadSanitizer",
)

# With a priority prefix, as the service manager likes it, there is no time and no level.
_LINE = re.compile(r"(?:<\d>|\S+Z (?P<level>\w+) )(?P<rest>\w+: .*)")
_FIELD = re.compile(r'(?:^|\s)([a-z_0-9]+)=("(?:[^"\\]|\\.)*"|\S*)')

_PASS = pathlib.Path(__file__).with_name("pass_sockets.py")


def passing(*specs):
    """For start_daemon's `launch`: with these sockets, as pass_sockets.py has them."""
    return {"prefix": ["/usr/bin/python3", str(_PASS), *specs, "--"]}


def binary():
    """The mmproxy under test: $MMPROXY, or what the build left at its usual places."""
    candidates = [_TOP / "mmproxy", _TOP / "build" / "mmproxy"]
    if os.environ.get("MMPROXY"):
        candidates = [pathlib.Path(os.environ["MMPROXY"]).resolve()]
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and candidate.is_file():
            return str(candidate)
    raise AssertionError(f"no mmproxy to test at {' or '.join(map(str, candidates))}")


def is_sanitized():
    """Whether the program was built with a sanitizer: its runtime is linked in, or wanted."""
    symbols = subprocess.run(["nm", "-D", binary()], capture_output=True, text=True).stdout
    return re.search(r"__[at]san_init|__ubsan_", symbols) is not None


def version_text():
    """What --version prints: the version, and what was built in (+name) or not (-name)."""
    return subprocess.run([binary(), "--version"], capture_output=True, text=True).stdout


@dataclasses.dataclass
class LogLine:
    text: str
    level: str
    event: str  # "session: closed"
    fields: dict

    @classmethod
    def parse(cls, text):
        match = _LINE.fullmatch(text)
        if not match:
            return cls(text, "", text, {})
        fields = {name: _unquoted(value) for name, value in _FIELD.findall(match["rest"])}
        event = re.split(r"\s[a-z_0-9]+=", match["rest"], maxsplit=1)[0]
        return cls(text, match["level"] or "", event, fields)

    def time(self):
        """When it was written, in seconds since 1970."""
        return datetime.datetime.fromisoformat(self.text.split("Z ")[0] + "+00:00").timestamp()

    def __getitem__(self, name):
        assert name in self.fields, f"no field {name} in: {self.text}"
        return self.fields[name]


class Daemon:
    """One mmproxy process in a namespace, with a directory of its own that any user may read."""

    def __init__(
        self,
        namespace,
        config=None,
        arguments=None,
        prefix=(),
        environment=None,
        program=None,
        stderr=None,
        pass_fds=(),
    ):
        """`prefix` stands before the program on its command line. `environment` is added to this
        process's own (None takes a variable out of it), or is a function that makes it from the
        log's open file. `stderr` is another descriptor than the log's. It inherits `pass_fds`."""
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="mmp-"))
        self.directory.chmod(0o755)
        self.config_file = self.directory / "mmproxy.conf"
        self.log_file = self.directory / "log"
        self._stopped = False
        # For its control socket: each has a folder of its own, and any user may make a file there.
        runtime = self.directory / "run"
        runtime.mkdir()
        runtime.chmod(0o777)
        self.control_socket = runtime / "control.sock"
        if config is not None:
            self.write_config(config)
            arguments = ["--config", str(self.config_file), *(arguments or [])]
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in ("NOTIFY_SOCKET", "JOURNAL_STREAM", "LISTEN_FDS", "LISTEN_PID")
        }
        with open(self.log_file, "wb") as log:
            if callable(environment):
                environment = environment(log)
            variables = {**inherited, "RUNTIME_DIRECTORY": str(runtime), **(environment or {})}
            self.process = namespace.popen(
                [*prefix, program or binary(), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log if stderr is None else stderr,
                cwd=self.directory,
                env={name: value for name, value in variables.items() if value is not None},
                pass_fds=pass_fds,
            )
        self.pid = self.process.pid

    def write_config(self, text, name=None):
        """Writes the configuration, or another file beside it, and returns its path."""
        path = self.directory / name if name else self.config_file
        path.write_text(text)
        path.chmod(0o644)
        return path

    # The log.

    def log(self):
        return self.log_file.read_text(errors="backslashreplace")

    def log_lines(self, pattern="", after=0):
        """All lines that match. `after` is a log_size()."""
        text = self.log_file.read_bytes()[after:].decode(errors="backslashreplace")
        return [LogLine.parse(line) for line in text.splitlines() if re.search(pattern, line)]

    def wait_for_log(self, pattern, timeout=_PATIENCE, after=0):
        """The first log line that matches, as soon as it is there. `after` is a log_size()."""

        def search():
            ended = self.process.poll() is not None
            with open(self.log_file, "rb") as file:
                file.seek(after)
                whole, _, _ = file.read().decode(errors="backslashreplace").rpartition("\n")
            for line in whole.split("\n"):
                if re.search(pattern, line):
                    return LogLine.parse(line)
            assert not ended, f"mmproxy ended without logging /{pattern}/:\n{self.log()}"
            return None

        return wait_until(search, timeout, lambda: f"the log has /{pattern}/:\n{self.log()}")

    def log_size(self):
        return self.log_file.stat().st_size

    def wait_until_ready(self):
        return self.wait_for_log('daemon: ready|"event":"ready"')

    # Signals.

    def counters(self):
        """The counters right now; those that were never raised read as zero."""
        before = self.log_size()
        self.process.send_signal(signal.SIGUSR1)
        # The last of its lines does not say that another follows.
        self.wait_for_log("daemon: counters(?! continued=yes)", after=before)
        counters = collections.Counter()
        for line in self.log_lines("daemon: counters", after=before):
            line.fields.pop("continued", None)
            counters.update({name: int(value) for name, value in line.fields.items()})
        return counters

    def wait_for_counter(self, name, value=1, timeout=_PATIENCE):
        """Waits until a counter is at least `value`, and returns all of them."""
        seen = {}

        def reached():
            seen.update(self.counters())
            return seen.get(name, 0) >= value

        wait_until(reached, timeout, lambda: f"{name} is {value}: {seen}", interval=0.05)
        return collections.Counter(seen)

    def assert_counter(self, name, value=1):
        """A counter reaches this value and not more; it may do so after what it counts is seen."""
        assert self.wait_for_counter(name, value)[name] == value

    def assert_closed(self, reason, count=1):
        """So many sessions have ended for this reason."""
        self.assert_counter(f"sessions_closed_{reason.replace('-', '_')}", count)

    def reload(self):
        """SIGHUP, then the line that says how it went."""
        before = self.log_size()
        self.process.send_signal(signal.SIGHUP)
        return self.wait_for_log("config: reload", after=before)

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait_until_ended(self, timeout=_PATIENCE):
        """Waits for the process to end by itself, and returns its exit status."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"mmproxy still runs after {timeout} s:\n{self.log()}") from None

    def stop(self):
        """Ends it, however many sessions are left, and checks that it ended in good order."""
        if self._stopped:
            return
        self._stopped = True

        def ended():
            # The first SIGTERM drains, the second ends at once.
            self.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.3)
            return self.process.poll() is not None

        try:
            wait_until(ended, _PATIENCE, lambda: f"mmproxy has ended:\n{self.log()}")
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        self.assert_no_sanitizer_report()
        assert self.process.returncode == 0, f"exit status {self.process.returncode}:\n{self.log()}"

    @contextlib.contextmanager
    def halted(self):
        """Inside the `with` it does nothing at all: SIGSTOP. What comes meanwhile waits for it."""
        self.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: self.status("State").startswith("T"), _PATIENCE, "mmproxy stands still")
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def stopped_otherwise(self):
        """The test has ended it, in no good order."""
        self._stopped = True

    def discard(self):
        """For the end of a test: no process and no file is left, whatever happened."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def assert_no_sanitizer_report(self):
        assert_no_sanitizer_report_in(self.log())

    # What the system says about the process.

    def assert_memory_grew_less(self, before, allowed, field="VmRSS"):
        """A sanitizer's shadow and red zones say nothing about the program: then all is allowed."""
        grown = self.memory(field) - before
        assert grown < allowed or self.built_with_sanitizer(), f"{grown} bytes"

    def assert_a_round_leaves_less(self, do_round, allowed, field="VmRSS", rounds=3):
        """What leaks does so in each round; a page may be touched for the first time once."""
        grown = []
        while len(grown) < rounds and (not grown or grown[-1] >= allowed):
            before = self.memory(field)
            do_round()
            grown.append(self.memory(field) - before)
            if self.built_with_sanitizer():
                return
        assert grown[-1] < allowed, f"{grown} bytes"

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory(self, field="VmRSS"):
        """A size from /proc/PID/status, in bytes."""
        return int(self.status(field).split()[0]) * 1024

    def status(self, field, task=None):
        where = f"/proc/{self.pid}/task/{task}/status" if task else f"/proc/{self.pid}/status"
        with open(where) as file:
            for line in file:
                name, _, value = line.partition(":")
                if name == field:
                    return value.strip()
        raise AssertionError(f"no {field} in {where}")

    def tasks(self):
        return os.listdir(f"/proc/{self.pid}/task")

    def scheduling_policies(self):
        """Those of all threads: os.SCHED_*."""
        return {os.sched_getscheduler(int(task)) for task in self.tasks()}

    def cpu_seconds(self):
        """User and system time used so far."""
        return sum(map(int, self._stat()[11:13])) / os.sysconf("SC_CLK_TCK")

    def wait_until_idle(self):
        """Waits until all threads sleep at once: what had arrived by now has been dealt with."""
        last = None

        def all_asleep():
            # They are looked at one after the other, and one may have woken another up meanwhile.
            # Who has not gone to sleep anew from one look to the next has slept all the time.
            nonlocal last
            before, last = last, self._sleeps()
            return last is not None and last == before

        wait_until(all_asleep, _PATIENCE, "every thread of mmproxy sleeps", interval=0)

    def _sleeps(self):
        """How often each thread has gone to sleep; None when one is awake."""
        sleeps = {}
        for task in self.tasks():
            # A worker may end meanwhile, as they do in a drain.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                with open(f"/proc/{self.pid}/task/{task}/status") as file:
                    text = file.read()
                if "\nState:\tS" not in text:
                    return None
                sleeps[task] = int(re.search(r"\nvoluntary_ctxt_switches:\t(\d+)", text)[1])
        return sleeps

    def _stat(self):
        """The fields of /proc/PID/stat from the third, the state, on."""
        with open(f"/proc/{self.pid}/stat") as file:
            return file.read().rpartition(")")[2].split()

    def built_with_sanitizer(self):
        """The runtime may be linked in or a library of its own: its name is in the program."""
        with open(f"/proc/{self.pid}/exe", "rb") as file:
            return re.search(rb"__[at]san_init", file.read()) is not None


def assert_no_sanitizer_report_in(log):
    for report in _SANITIZER_REPORTS:
        assert report not in log, log


def _unquoted(value):
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
