"""A shell on a terminal of its own, whose Tab key is pressed."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from support.peers import missing
from support.waiting import HANG_SECONDS

CONTROL_X = b"\x18"
_ZSH = """
unsetopt zle_bracketed_paste
PS1='> '
{load}
_tell() {{ print -rn -- "$BUFFER" > {file}.new; mv {file}.new {file}; BUFFER= }}
zle -N _tell
bindkey '^X' _tell
_begun() {{ print -n > {file} }}
zle -N zle-line-init _begun
"""
_FISH = """
set -U fish_greeting
function fish_prompt
    if not set -q begun
        set -g begun yes
        echo -n > {file}
    end
    echo '> '
end
bind \\cx 'commandline > {file}.new; mv {file}.new {file}; commandline ""'
{load}
"""


def require(shell: str) -> str:
    """The path of a shell. Without it the test is skipped by name."""
    found = shutil.which(shell)
    if found is None:
        missing(f"{shell} is not installed: scripts/test-services (as root) installs it")
    return found


class Shell:
    """zsh or fish, with a `heliogram` on its path and a home of its own. `load` is a line of its start-up file."""

    def __init__(self, name: str, home: Path, load: str = "") -> None:
        self._file = home / "buffer"
        self.seen = b""
        program = home / "bin" / "heliogram"
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!{sys.executable}\nfrom heliogram.cli import main\nmain()\n")
        program.chmod(0o755)
        if name == "zsh":
            (home / ".zshrc").write_text(_ZSH.format(file=self._file, load=load))
        else:
            folder = home / ".config/fish"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "config.fish").write_text(_FISH.format(file=self._file, load=load))
        self._home = home
        self._command = ["setsid", "--ctty", "--wait", require(name), "-i"]

    def __enter__(self) -> Self:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "HELIOGRAM_", "ZDOT"))
        }
        path = f"{self._home}/bin:{os.environ['PATH']}"
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
        self._terminal = ours
        self._process = subprocess.Popen(
            self._command,
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=self._home,
            env=kept | {"HOME": str(self._home), "PATH": path, "TERM": "xterm", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        os.close(theirs)
        self._told()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._terminal)  # the shell is told that its terminal is gone
        self._process.kill()
        self._process.wait()

    def tab(self, line: str) -> str:
        """What stands on the line after this was typed and Tab pressed."""
        self.seen = b""
        os.write(self._terminal, line.encode() + b"\t" + CONTROL_X)
        return self._told()

    def _told(self) -> str:
        """What the shell wrote down when it was asked."""
        give_up = time.monotonic() + HANG_SECONDS
        while not self._file.exists():
            assert time.monotonic() < give_up, f"the shell says nothing; its terminal shows {self.seen!r}"
            if select.select([self._terminal], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self._terminal, 65536)
                except OSError:
                    raise AssertionError(f"the shell has ended: {self.seen!r}") from None
        text = self._file.read_text()
        self._file.unlink()
        return text.removesuffix("\n")
