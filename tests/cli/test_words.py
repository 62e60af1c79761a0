"""What a stranger reads who makes a mistake that no service needs to be asked about."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from heliogram.cli.root import cli

KEY = ["--api-key", "key_x.y"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["login", "--url", "push.example.com"], 2, "--url: expected http://host:port or https://host"),
        (["logout"], 2, "there is nothing to forget: no profile is kept in"),
        (["logout", "--profile", "x"], 2, "there is no profile 'x' in"),
        (["completion", "powershell"], 2, "Invalid value for 'SHELL'"),
        (["operations", "list", "--limit", "x", *KEY], 2, "'x' is not a valid whole number"),
        (["operations", "watch", "x", "--timeout", "nan", *KEY], 2, "'nan' is not a valid number"),
        (["api-keys", "list", "--data", "none"], 1, "elsewhere: --profile, --url or --remote"),
        (["api-keys", "create", "--data", "file"], 1, "data directory file: it is no directory"),
        (["simulator", "--control", "192.0.2.1:1"], 1, "cannot be opened (Cannot assign requested address)"),
    ],
)
def test_mistakes_are_told_with_their_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, message: str
) -> None:
    """2 when the command cannot be right, else 1."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    done = CliRunner().invoke(cli, words, env={"XDG_CONFIG_HOME": str(tmp_path)})
    assert done.exit_code == code, done.output
    assert message in " ".join(done.output.split())
