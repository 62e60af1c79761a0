"""`heliogram completion`: what the shells complete."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from heliogram.cli.root import cli


def script(shell: str) -> str:
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(shell: str) -> None:
    """That asks the program itself, by a variable of ours."""
    text = script(shell)
    assert "_HELIOGRAM_COMPLETE" in text
    assert f"{shell}_complete" in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_understands_its_script(shell: str, tmp_path: Path) -> None:
    """Its own look at the syntax, where the shell is here; bash is on every machine that runs these tests."""
    program = shutil.which(shell)
    if program is None:
        assert shell != "bash"
        return
    (tmp_path / "script").write_text(script(shell))
    done = subprocess.run([program, "-n", tmp_path / "script"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def complete(tmp_path: Path, *words: str) -> list[str]:
    """What bash offers for the last of these words, with the script and a `heliogram` on its path."""
    program = tmp_path / "bin" / "heliogram"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!{sys.executable}\nfrom heliogram.cli import main\nmain()\n")
    program.chmod(0o755)
    (tmp_path / "script").write_text(script("bash"))
    line = " ".join(f"'{word}'" for word in words)
    asked = (
        f'source "{tmp_path}/script"; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1};'
        " _heliogram_completion heliogram; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    variables = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, env=variables, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands(tmp_path: Path) -> None:
    """Of the program, and of a group."""
    assert set(complete(tmp_path, "heliogram", "co")) == {"config", "completion"}
    assert complete(tmp_path, "heliogram", "config", "sh") == ["show"]


def test_bash_completes_options_and_their_words(tmp_path: Path) -> None:
    """Long options, and what a setting may be; a file with mistakes in it is in nobody's way."""
    offered = complete(tmp_path, "heliogram", "serve", "--queue")
    assert {"--queue", "--queue-file", "--queue-shards"} == set(offered)
    assert complete(tmp_path, "heliogram", "serve", "--log-level", "w") == ["warning"]
    (tmp_path / "wrong.toml").write_text("[")
    words = ("heliogram", "serve", "--config", str(tmp_path / "wrong.toml"), "--retention")
    assert complete(tmp_path, *words) == ["--retention-days"]
