# SPDX-License-Identifier: MIT
"""A terminal with somebody in front of it: a tmux server of the test's own."""

import os
import re
import shlex
import subprocess
import tempfile

from waiting import wait_until


# What the terminal's settings were and are is printed around the command; then all stays as it is.
_SHELL = """\
ulimit -c 0
trap : INT
settings=$(stty -g)
"$@"
status=$?
[ "$(stty -g)" = "$settings" ] && echo "settings are the same"
echo "ended with $status"
exec cat
"""


class Terminal:
    """A window that runs one command; what it shows can be read, keys can be pressed."""

    def __init__(self, command, width=80, height=24, environment=None):
        self._directory = tempfile.TemporaryDirectory(prefix="mmp-tmux-")
        self._socket = os.path.join(self._directory.name, "tmux")
        settings = os.path.join(self._directory.name, "settings")
        with open(settings, "w") as file:
            file.write("set -g status off\nset -g default-terminal screen-256color\n")
        # A sanitizer that looks for leaks while its terminal goes away can hang for ever.
        sanitizer = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "detect_leaks=0"]))
        environment = {"ASAN_OPTIONS": sanitizer, **(environment or {})}
        variables = [f"{name}={value}" for name, value in environment.items()]
        line = shlex.join(["sh", "-c", _SHELL, "sh", "env", *variables, *command])
        self._tmux(
            *["-f", settings, "new-session", "-d", "-x", str(width), "-y", str(height)],
            *["-n", "test", line],
        )

    def _tmux(self, *arguments):
        done = subprocess.run(
            ["tmux", "-S", self._socket, *arguments], capture_output=True, text=True, timeout=20
        )
        assert done.returncode == 0, f"tmux {arguments}: {done.stderr}"
        return done.stdout

    def lines(self):
        return self._tmux("capture-pane", "-p").splitlines()

    def text(self):
        return "\n".join(self.lines())

    def picture(self):
        """What it shows, with the escape sequences that draw it."""
        return self._tmux("capture-pane", "-e", "-p")

    def ask(self, what):
        """A variable of tmux's, such as pane_dead."""
        return self._tmux("display-message", "-p", "#{" + what + "}").strip()

    def press(self, key):
        self._tmux("send-keys", key)

    def resize(self, width, height):
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def pid(self):
        """The command's."""
        shell = self.ask("pane_pid")

        def child():
            with open(f"/proc/{shell}/task/{shell}/children") as file:
                return file.read().split()

        return int(wait_until(child, 10, "the command runs")[0])

    def wait_for(self, part, seconds=15):
        wait_until(
            lambda: part in self.text(), seconds, lambda: f"{part!r} is in:\n{self.text()}", 0.02
        )

    def wait_until_ended(self, seconds=15):
        """The exit status as a shell has it: of a signal, its number and 128."""
        self.wait_for("ended with ", seconds)
        return int(re.search(r"ended with (\d+)", self.text())[1])

    def assert_given_back(self):
        """After the end: no alternate screen, a cursor, and the settings that there were."""
        assert self.ask("alternate_on") == "0"
        assert self.ask("cursor_flag") == "1"
        assert self.ask("keypad_cursor_flag") == "0" and self.ask("keypad_flag") == "0"
        assert "settings are the same" in self.text()

    def close(self):
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True, timeout=20)
        self._directory.cleanup()
