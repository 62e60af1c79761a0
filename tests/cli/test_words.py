"""What a stranger reads who makes a mistake that no service needs to be asked about."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from heliogram.cli.remote import Link
from heliogram.cli.remote import words as told_words
from heliogram.cli.root import cli
from heliogram.client import HeliogramError

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


@pytest.mark.parametrize("mark", [".", ":"])
def test_a_secret_that_was_given_first_is_not_told(mark: str) -> None:
    """Whoever mixed up the two parts reads that the key is not taken, and nothing of it."""
    ident, secret = "key_01h9krwprkeee8fzqspvwy6nq8", "hgs_Tm90IGEgc2VjcmV0"
    refused = HeliogramError(401, 1, "t", "d")
    assert f"API key {ident}: it is wrong" in told_words(
        refused, Link("http://h", f"{ident}{mark}{secret}", as_json=False)
    )
    told = told_words(refused, Link("http://h", f"{secret}{mark}{ident}", as_json=False))
    assert "the API key: it is wrong" in told
    assert secret not in told
