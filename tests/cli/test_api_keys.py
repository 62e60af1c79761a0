"""`heliogram api-keys` on a data directory without a running service."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from heliogram.cli.root import cli


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def run(data: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["api-keys", *words, "--data", str(data)])


def create(data: Path, *words: str) -> dict[str, Any]:
    result = run(data, "create", "--json", *words)
    assert result.exit_code == 0, result.output
    made: dict[str, Any] = json.loads(result.stdout)
    return made


def listed(data: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(run(data, "list", "--json").stdout)
    return rows


def test_create_prints_the_key_id_and_the_secret_once(data: Path) -> None:
    """The answer for programs holds exactly these two; no later command shows the secret."""
    made = create(data, "--name", "back end")
    assert set(made) == {"keyId", "secret"}
    assert made["secret"] not in run(data, "list").output + run(data, "list", "--json").output
    assert [(row["keyId"], row["name"], row["revokedAt"]) for row in listed(data)] == [
        (made["keyId"], "back end", None)
    ]


def test_the_secret_is_not_in_the_data_directory(data: Path) -> None:
    """Only a keyed hash of it is kept, and the directory and its files are for the owner alone."""
    secret = create(data)["secret"].encode()
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    for file in data.iterdir():
        assert secret not in file.read_bytes()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_revoked_key_stays_listed_with_its_end(data: Path) -> None:
    """Revoking keeps the row, so that one can see what was."""
    made = create(data)
    assert run(data, "revoke", made["keyId"]).exit_code == 0
    assert listed(data)[0]["revokedAt"] is not None


def test_revoking_twice_is_an_error_that_says_what_to_do(data: Path) -> None:
    """There is no active key of that id any more."""
    made = create(data)
    run(data, "revoke", made["keyId"])
    again = run(data, "revoke", made["keyId"])
    assert again.exit_code == 1
    assert "there is no active key" in again.output
    assert "api-keys list" in again.output


def test_something_that_is_no_key_id_is_a_usage_error(data: Path) -> None:
    """The message shows what a key id looks like."""
    result = run(data, "revoke", "abc")
    assert result.exit_code == 2
    assert "starts with key_" in result.output


def test_without_a_database_nothing_is_made_by_looking(data: Path) -> None:
    """A directory mistyped is said, not filled."""
    for words in (["list"], ["revoke", "key_01m80wra0pessaesn9sab20000"]):
        result = run(data, *words)
        assert result.exit_code == 1
        assert f"there is no database in {data}" in result.output
    assert not data.exists()


def test_a_directory_of_other_things_is_left_alone(data: Path) -> None:
    """Its mode is not changed behind its owner's back, and nothing is put into it."""
    data.mkdir(mode=0o755)
    data.chmod(0o755)
    (data / "letters.txt").write_text("mine")
    result = run(data, "create")
    assert result.exit_code == 1
    assert "holds other things" in result.output
    assert stat.S_IMODE(data.stat().st_mode) == 0o755
    assert [file.name for file in data.iterdir()] == ["letters.txt"]


def test_with_all_keys_revoked_they_stay_listed(data: Path) -> None:
    """One can see what was."""
    run(data, "revoke", create(data)["keyId"])
    assert "revoked" in run(data, "list").output
