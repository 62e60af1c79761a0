"""Completion in the real zsh and fish, as the Tab key does it; bash: tests/cli/test_completion.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.shells import Shell

from heliogram.cli.root import cli


def script(shell: str) -> str:
    return CliRunner().invoke(cli, ["completion", shell]).stdout


def furnish(home: Path) -> Path:
    """A file and a folder to complete."""
    (home / "my key.pem").touch()
    (home / "place").mkdir()
    return home


@pytest.fixture(scope="module")
def zsh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """With the script in a folder of $fpath, as `heliogram completion --help` says."""
    home = furnish(tmp_path_factory.mktemp("zsh"))
    (home / ".zfunc").mkdir()
    (home / ".zfunc/_heliogram").write_text(script("zsh"))
    with Shell("zsh", home, "fpath+=~/.zfunc; autoload -Uz compinit; compinit -u") as made:
        yield made


@pytest.fixture(scope="module")
def fish(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """With the script among the user's completions, as `heliogram completion --help` says."""
    home = furnish(tmp_path_factory.mktemp("fish"))
    folder = home / ".config/fish/completions"
    folder.mkdir(parents=True)
    (folder / "heliogram.fish").write_text(script("fish"))
    with Shell("fish", home) as made:
        yield made


LINES = [
    ("heliogram conf", "heliogram config "),
    ("heliogram api-keys rev", "heliogram api-keys revoke "),
    ("heliogram serve --retention", "heliogram serve --retention-days "),
    ("heliogram serve --log-level w", "heliogram serve --log-level warning "),
    ("heliogram serve --log-level=w", "heliogram serve --log-level=warning "),
    ("heliogram backup pla", "heliogram backup place/"),
    ("heliogram serve --tls-cert my", "heliogram serve --tls-cert my\\ key.pem "),
    ("heliogram serve --tls-cert=my", "heliogram serve --tls-cert=my\\ key.pem "),
    ("heliogram push send --user 'a b' --ap", "heliogram push send --user 'a b' --ap"),
]
"""What is typed, and what Tab makes of it: by one shell, for it may know another script at the second Tab."""


@pytest.mark.parametrize(("typed", "completed"), LINES)
def test_zsh_completes(zsh: Shell, typed: str, completed: str) -> None:
    """Commands, options, their values in both forms, files and folders."""
    assert zsh.tab(typed) == completed


@pytest.mark.parametrize(("typed", "completed"), LINES)
def test_fish_completes(fish: Shell, typed: str, completed: str) -> None:
    """The same."""
    assert fish.tab(typed) == completed


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_what_fits_is_listed_with_its_whole_description(shell: str, request: pytest.FixtureRequest) -> None:
    """Commas and colons are part of it."""
    found: Shell = request.getfixturevalue(shell)
    found.tab("heliogram co")
    assert b"Show, check and begin the configuration" in found.seen


@pytest.mark.parametrize(
    ("shell", "load"),
    [
        ("zsh", "autoload -Uz compinit; compinit -u; source <(heliogram completion zsh)"),
        ("fish", "heliogram completion fish | source"),
    ],
)
def test_a_script_may_be_sourced(tmp_path: Path, shell: str, load: str) -> None:
    """For this once, without a file."""
    with Shell(shell, tmp_path, load) as found:
        assert found.tab("heliogram conf") == "heliogram config "
