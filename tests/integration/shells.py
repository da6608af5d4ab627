# SPDX-License-Identifier: MIT
"""Interactive shells on a terminal of their own, asked what they offer behind a piece of a line."""

import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import tempfile
import time

import ctl
import daemon
import peers

COMPLETIONS = pathlib.Path(__file__).resolve().parents[2] / "completions"

# For a shell to start or to answer; with sanitizers mmproxyctl takes its time.
_PATIENCE = 20

# A key that neither shell has a use for here: it tells the line as it has become, and clears it.
_TELL = "\x14"


class _Shell:
    """`settings` is what the shell reads first, and `folder` a folder of its own."""

    def __init__(self, command, settings, environment=None):
        self._directory = tempfile.TemporaryDirectory(prefix="mmp-shell-")
        self.folder = pathlib.Path(self._directory.name)
        programs = {str(pathlib.Path(path).parent) for path in (daemon.binary(), ctl.binary())}
        variables = {
            **os.environ,
            "PATH": ":".join([*sorted(programs), os.environ["PATH"]]),
            "HOME": self._directory.name,
            "TERM": "dumb",
            "LC_ALL": "C.UTF-8",
            "ASAN_OPTIONS": "detect_leaks=0",
            **(environment or {}),
        }
        variables.pop("RUNTIME_DIRECTORY", None)
        self._terminal, other = pty.openpty()
        self._process = subprocess.Popen(
            command,
            stdin=other,
            stdout=other,
            stderr=other,
            cwd=self._directory.name,
            env=variables,
            start_new_session=True,
        )
        os.close(other)
        (self.folder / "settings").write_text(settings)
        self._type(" . ./settings; echo the shell is \"\"ready\n")
        self._read_until("the shell is ready\r?\n")

    def _type(self, text):
        os.write(self._terminal, text.encode())

    def _read_until(self, pattern):
        """All that it writes until the pattern is there."""
        text, deadline = "", time.monotonic() + _PATIENCE
        while not re.search(pattern, text):
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._terminal], [], [], max(left, 0))
            assert ready, f"no /{pattern}/ after {_PATIENCE} s in:\n{text}"
            text += os.read(self._terminal, 65536).decode(errors="replace")
        return text

    def _ask(self, line):
        """Types, presses the tabulator and the key that tells; all that was written."""
        self._type(line + "\t" + _TELL)
        return self._read_until(r"<\[[^\n]*\]>\r?\n")

    def completed(self, line):
        """What the line becomes where there is one word to choose, or a common beginning."""
        return re.search(r"<\[([^\n]*)\]>\r?\n", self._ask(line))[1]

    def timed(self, line):
        """The same, and how many seconds it took."""
        began = time.monotonic()
        return self.completed(line), time.monotonic() - began

    def shown(self, line):
        """All that stands on the terminal then."""
        return self._ask(line).replace("\r", "")

    def close(self):
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._terminal)
        self._directory.cleanup()


class Bash(_Shell):
    """Without the package bash-completion, which has helpers that ours do not need, or with it, which
    finds them by name."""

    SETTINGS = """
PS1=
bind 'set show-all-if-ambiguous on'
bind 'set completion-display-width 0'
bind 'set completion-query-items 0'
bind 'set page-completions off'
bind 'set enable-bracketed-paste off'
tell() { printf '<[%s]>\\n' "$READLINE_LINE"; READLINE_LINE= READLINE_POINT=0; }
bind -x '"\\C-t": tell'
"""

    def __init__(self, package=False):
        files = {name: COMPLETIONS / f"{name}.bash" for name in ("mmproxy", "mmproxyctl")}
        settings, environment = self.SETTINGS, {}
        if package:
            self._data = tempfile.TemporaryDirectory(prefix="mmp-data-")
            installed = pathlib.Path(self._data.name) / "bash-completion" / "completions"
            installed.mkdir(parents=True)
            for name, path in files.items():
                (installed / name).symlink_to(path)
            environment["XDG_DATA_DIRS"] = self._data.name
            settings += f". {peers.BASH_COMPLETION}\n"
        else:
            settings += "".join(f". {path}\n" for path in files.values())
        super().__init__(["bash", "--norc", "--noprofile", "-i"], settings, environment)

    def offered(self, line):
        """The words that it shows; one alone is not shown, but written."""
        text = self._ask(line).replace("\r", "")
        told = re.search(r"<\[([^\n]*)\]>\n", text)
        # Behind the line as it was typed; the list ends with the line as it is now.
        shown = text[: told.start()].split("\n")[1:-1]
        if shown:
            return sorted(shown[:-1])
        word = told[1][line.rindex(" ") + 1 :]
        return [word.rstrip()] if told[1] != line else []


class Zsh(_Shell):
    """The builtin that adds words to the choice is overheard."""

    SETTINGS = """
PS1= RPS1= PROMPT_EOL_MARK=
unsetopt beep
fpath=({completions} $fpath)
autoload -Uz compinit
compinit -u -D
compadd() {{
	local -a found
	if [[ ${{@[(i)-[OAD]*]}} -le ${{#@}} ]]; then
		builtin compadd "$@"
		return
	fi
	builtin compadd -O found "$@"
	offered+=($found)
	builtin compadd "$@"
}}
offered=()
tell() {{
	zle -I
	print -rl -- "offered "$^offered "<[$BUFFER]>"
	BUFFER= offered=()
}}
zle -N tell
bindkey '^T' tell
bindkey '^I' complete-word
"""

    def __init__(self):
        settings = self.SETTINGS.format(completions=COMPLETIONS)
        super().__init__(["zsh", "-f", "-i"], settings)

    def offered(self, line):
        text = self._ask(line).replace("\r", "")
        return sorted(set(re.findall(r"^offered (.+)$", text, re.M)))
