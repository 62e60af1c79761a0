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


def test_a_key_has_the_scopes_and_the_end_it_was_given(data: Path) -> None:
    """Without any it may do everything, for ever."""
    create(data, "--scope", "read", "--scope", "send", "--scope", "read", "--expires-days", "30")
    limited, full = listed(data)[0], create(data)
    assert (limited["scopes"], limited["state"]) == (["send", "read"], "active")
    assert limited["expiresAt"] > limited["createdAt"]
    row = next(row for row in listed(data) if row["keyId"] == full["keyId"])
    assert (row["scopes"], row["expiresAt"]) == (["send", "register", "users", "read", "credentials", "admin"], None)


@pytest.mark.parametrize(
    "words",
    [
        ["--scope", "everything"],
        ["--expires-days", "0"],
        ["--expires-days", "3651"],
        ["--name", "n" * 257],
    ],
)
def test_a_key_that_cannot_be_is_a_usage_error(data: Path, words: list[str]) -> None:
    """Nothing is made."""
    assert run(data, "create", *words).exit_code == 2
    assert not data.exists()


def test_the_edges_are_made(data: Path) -> None:
    """A day, ten years, the longest name."""
    for words in (["--expires-days", "1"], ["--expires-days", "3650"], ["--name", "n" * 256]):
        create(data, *words)


def test_rotate_makes_a_successor_and_lets_the_old_key_end(data: Path) -> None:
    """Same name and scopes; without grace the old one has ended at once."""
    old = create(data, "--name", "shop", "--scope", "send")
    result = run(data, "rotate", old["keyId"], "--json")
    assert result.exit_code == 0, result.output
    new = json.loads(result.stdout)
    assert set(new) == {"keyId", "secret"}
    rows = {row["keyId"]: row for row in listed(data)}
    assert [rows[new["keyId"]][name] for name in ("name", "scopes", "expiresAt")] == ["shop", ["send"], None]
    assert (rows[old["keyId"]]["state"], rows[old["keyId"]]["expiresAt"] is None) == ("active", False)
    assert run(data, "rotate", new["keyId"], "--grace-seconds", "0").exit_code == 0
    assert {row["keyId"]: row["state"] for row in listed(data)}[new["keyId"]] == "expired"
    again = run(data, "rotate", new["keyId"])
    assert again.exit_code == 1
    assert "there is no active key" in again.output


def test_the_last_admin_key_can_be_revoked_here(data: Path) -> None:
    """Whoever has the data directory can make another."""
    assert run(data, "revoke", create(data)["keyId"]).exit_code == 0


def test_a_key_of_an_account_that_is_not_there_says_where_to_look(data: Path) -> None:
    """Nothing is made for it."""
    result = run(data, "create", "--account", "other")
    assert result.exit_code == 1
    assert "heliogram accounts list" in result.output
